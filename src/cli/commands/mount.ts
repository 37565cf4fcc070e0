/** `ibex mount`: the file system as a directory of this machine. */
import { spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { ClientConfig } from '../../config/index.js';
import { loadClientConfig } from '../client-config.js';
import { action, type Context, examples } from '../context.js';
import { configFlags, exitWithParentOption } from '../daemon-command.js';
import { CliError, type ExitCode, exitCodes } from '../exit-codes.js';
import { exitWithParent } from '../parent.js';

interface Options {
  readonly background?: boolean;
  readonly foreground?: boolean;
  readonly readOnly?: boolean;
  readonly exitWithParent?: boolean;
}

/** The same command line, in the foreground: there -b, alone or among other letters, must not start yet another. Pure. */
export function foregroundArguments(args: readonly string[]): string[] {
  const operands = args.indexOf('--');
  const end = operands < 0 ? args.length : operands;
  return [...args.slice(0, end), '--foreground', ...args.slice(end)];
}

/** What the background process said of its failure, as this command's own. Pure. */
export function backgroundError(text: string, code: number | null): CliError {
  const exitCode = code !== null && Object.values<number>(exitCodes).includes(code) ? (code as ExitCode) : exitCodes.failure;
  const said = text.trim();
  try {
    const { error } = JSON.parse(said.slice(said.lastIndexOf('\n') + 1)) as { error: { code: string; message: string } };
    return new CliError(error.message, exitCode, error.code);
  } catch {
    // Not JSON: text for people.
    return new CliError(said.replace(/^ibex[^:]*: /, '') || `the mount ended with exit code ${code}`, exitCode);
  }
}

/** Starts the same command again, without a terminal, and waits until the mount is there or has failed. */
async function mountInBackground(context: Context, config: ClientConfig, mountPoint: string): Promise<number> {
  const args = foregroundArguments(process.argv.slice(1));
  // Without a log file of its own the background process has nowhere to write, as usual.
  const output = config.log.file === '' ? 'ignore' : openSync(config.log.file, 'a');
  const child = spawn(process.execPath, [...process.execArgv, ...args], { detached: true, stdio: ['ignore', output, 'pipe', 'ipc'] });
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    errors += chunk.toString('utf8');
  });
  await new Promise<void>((ready, fail) => {
    child.once('message', () => ready());
    child.once('error', fail);
    child.once('close', (code) => fail(backgroundError(errors, code)));
  });
  if (context.out.json) context.out.document({ mountPoint, pid: child.pid });
  else context.out.line(`mounted, process ${child.pid}`);
  child.disconnect();
  child.stderr?.destroy();
  child.unref();
  return 0;
}

export function define(command: Command): void {
  command
    .argument('<mountpoint>', 'an existing directory')
    .option('-f, --foreground', 'stay until Ctrl-C or umount (the default); wins over --background')
    .option('-b, --background', 'return when the mount is there')
    .option('-r, --read-only', 'refuse all changes');
  const flagsOf = configFlags(command, 'client', ['client', 'mount', 'log']);
  command.addOption(exitWithParentOption()).action(
    action<Options & Record<string, unknown>>(async (context, options, mountPoint: string) => {
      const config = loadClientConfig(context.globals, flagsOf(options));
      if (options.background === true && options.foreground !== true) return await mountInBackground(context, config, resolve(mountPoint));
      if (options.exitWithParent === true) exitWithParent();
      const { runMount } = await import('../../mount/daemon.js');
      process.exit(await runMount(config, resolve(mountPoint), { readOnly: options.readOnly }));
    }),
  );
  examples(command, [
    ['ibex mount /mnt/ibex', 'in this terminal, until Ctrl-C'],
    ['ibex mount -b --log-file /var/log/ibex-mount.log /mnt/ibex', 'in the background'],
    ['ibex mount --mount-allow-other true /mnt/ibex', 'for other users too'],
  ]);
}
