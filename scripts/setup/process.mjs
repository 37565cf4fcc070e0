// Running other programs from the scripts: quietly with the output kept for when it fails, or passed through.
import { spawn } from 'node:child_process';
import { root } from '../install.mjs';

/** @returns {Promise<{ code: number, output: string }>} code is 128 + signal number style 1 when killed, 127 when not found. */
export function run(command, args, { show = false, cwd = root, env = {}, timeoutMs = 0 } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs });
    const chunks = [];
    const take = (stream, shown) => {
      stream.on('data', (chunk) => {
        chunks.push(chunk);
        if (show) shown.write(chunk);
      });
    };
    take(child.stdout, process.stdout);
    take(child.stderr, process.stderr);
    child.once('error', (error) => resolve({ code: 127, output: `${command}: ${error.message}\n` }));
    child.once('close', (code, signal) => {
      const output = Buffer.concat(chunks).toString('utf8');
      resolve({ code: code ?? 1, output: signal === null ? output : `${output}${command}: ended by ${signal}\n` });
    });
  });
}

/** Runs a program on this terminal (password prompts, Ctrl-C) and resolves to its exit code. */
export function runOnTerminal(command, args, { cwd = root, env = {} } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: 'inherit' });
    child.once('error', () => resolve(127));
    child.once('close', (code) => resolve(code ?? 1));
  });
}

/** A step of the set-up that cannot go on: printed as it is, without a stack. */
export class SetupError extends Error {}

/** Like run, for steps that have to work. */
export async function mustRun(what, command, args, options) {
  const { code, output } = await run(command, args, options);
  if (code !== 0) throw new SetupError(`${what} failed (${command} ${args.join(' ')}, exit code ${code}):\n${output.trimEnd()}`);
  return output;
}

export function progress(text) {
  console.log(`· ${text}`);
}
