// The TypeScript tests, compiled and run by tap.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { root } from '../install.mjs';
import { progress, run } from '../setup/process.mjs';
import { addCounts, countTap, emptyCounts } from './counts.mjs';

/** Compiled test files below a folder, as paths from the root. */
export function findTests(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => relative(root, join(folder, name)))
    .sort();
}

/** tap's test class is generated; without its TypeScript loader (.taprc) each file starts 0.4 s earlier. */
export async function ensureTapPlugins() {
  const built = join(root, 'node_modules', '@tapjs', 'test', 'test-built', 'dist', 'esm', 'index.js');
  if (existsSync(built) && !readFileSync(built, 'utf8').includes('@tapjs/typescript')) return;
  progress('building the test class');
  await run(join(root, 'node_modules', '.bin', 'tap'), ['build']);
}

/** Says in a line how a file ended, given tap's line about it; of one that failed also what failed in it. */
function tellFile(line, details) {
  const [, result, name, time = ''] = /^(not ok|ok) \d+ - (.*?)(?: # (.*))?$/.exec(line) ?? [];
  if (result === undefined) return;
  console.log(`${result === 'ok' ? 'ok    ' : 'failed'} ${name}${time === '' ? '' : ` (${time.replace('time=', '')})`}`);
  if (result === 'not ok') console.log(details.filter((detail) => /^ {4}(?! *(ok \d|1\.\.|# time=|$))/.test(detail)).join('\n'));
}

/** Reads TAP as it comes and tells how each file ended; resolves to all of it at the end of the stream. */
export async function followTap(stream) {
  const lines = [];
  let fileStart = 0;
  for await (const line of createInterface({ input: stream })) {
    lines.push(line);
    if (!/^(not )?ok /.test(line)) continue;
    tellFile(line, lines.slice(fileStart, -1));
    fileStart = lines.length;
  }
  return lines.join('\n');
}

/** Runs tap; what the tests write on stderr passes through. */
async function runTap(files) {
  const args = ['run', '--reporter=tap', ...files];
  const child = spawn(join(root, 'node_modules', '.bin', 'tap'), args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve(console.error(error.message) ?? 127));
    child.once('close', (code) => resolve(code ?? 1));
  });
  const text = await followTap(child.stdout);
  return { code: await ended, text };
}

export async function testTypescript(files) {
  if (files.length === 0) return emptyCounts();
  progress(`${files.length} test files`);
  await ensureTapPlugins();
  const { code, text } = await runTap(files);
  const counts = countTap(text);
  if (code !== 0 && counts.failed === 0) return addCounts(counts, { ...emptyCounts(), failed: 1, failures: [`tap: exit code ${code}`] });
  return counts;
}
