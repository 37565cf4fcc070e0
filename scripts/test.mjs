// `npm test [-- PATTERN...]`: sets up, runs every test, and prints `N passed, N failed` as its last line.
// A pattern is a part of a test file's path (`meta`, `cli/size`), or `native`, or one of its builds (`native/asan`).
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { root } from './install.mjs';
import { progress, run } from './setup/process.mjs';
import { main, setup } from './setup.mjs';
import { addCounts, countTap, emptyCounts } from './test/counts.mjs';
import { testNative, variants } from './test/native.mjs';

/** A machine that tests for others (CI=true) has to have these: there a test that skips for lack of one has failed. */
const expectedOnCi = /\/dev\/fuse|\bfuse\b|io_uring|\broot\b/i;

function findTests(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => relative(root, join(folder, name)))
    .sort();
}

/** tap's test class is generated; without its TypeScript loader (.taprc) each file starts 0.4 s earlier. */
async function ensureTapPlugins() {
  const built = join(root, 'node_modules', '@tapjs', 'test', 'test-built', 'dist', 'esm', 'index.js');
  if (existsSync(built) && !readFileSync(built, 'utf8').includes('@tapjs/typescript')) return;
  progress('building the test class');
  await run(join(root, 'node_modules', '.bin', 'tap'), ['build']);
}

/** Says in a line how each file ended; of one that failed also what failed in it. */
function tellFile(line, details) {
  const [, result, name, time = ''] = /^(not ok|ok) \d+ - (.*?)(?: # (.*))?$/.exec(line) ?? [];
  if (result === undefined) return;
  console.log(`${result === 'ok' ? 'ok    ' : 'failed'} ${name}${time === '' ? '' : ` (${time.replace('time=', '')})`}`);
  if (result === 'not ok') console.log(details.filter((detail) => /^ {4}(?! *(ok \d|1\.\.|# time=|$))/.test(detail)).join('\n'));
}

/** Runs tap and reads its TAP as it comes; what the tests write on stderr passes through. */
function runTap(files) {
  return new Promise((resolve) => {
    const args = ['run', '--reporter=tap', ...files];
    const child = spawn(join(root, 'node_modules', '.bin', 'tap'), args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = [];
    let fileStart = 0;
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line);
      if (!/^(not )?ok /.test(line)) return;
      tellFile(line, lines.slice(fileStart, -1));
      fileStart = lines.length;
    });
    child.once('error', (error) => resolve({ code: 127, text: error.message }));
    child.once('close', (code) => resolve({ code: code ?? 1, text: lines.join('\n') }));
  });
}

async function testTypescript(files) {
  if (files.length === 0) return emptyCounts();
  progress(`${files.length} test files`);
  await ensureTapPlugins();
  const { code, text } = await runTap(files);
  const counts = countTap(text);
  if (code !== 0 && counts.failed === 0) return addCounts(counts, { ...emptyCounts(), failed: 1, failures: [`tap: exit code ${code}`] });
  return counts;
}

function report(counts) {
  console.log('');
  for (const { name, reason } of counts.skipped) {
    const fails = process.env.CI === 'true' && expectedOnCi.test(reason);
    console.log(`skipped${fails ? ' (a failure here, since CI=true)' : ''}: ${name}: ${reason}`);
    if (fails) counts.failed++;
  }
  for (const name of counts.failures) console.log(`failed: ${name}`);
  if (counts.passed + counts.failed === 0) console.log('nothing was run');
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  return counts.failed === 0 && counts.passed > 0 ? 0 : 1;
}

await main(async (patterns) => {
  await setup('test');
  const wanted = (name) => patterns.length === 0 || patterns.some((pattern) => name.includes(pattern));
  const counts = emptyCounts();
  const hasNative = existsSync(join(root, 'native', 'CMakeLists.txt'));
  for (const variant of Object.keys(variants)) if (hasNative && wanted(`native/${variant}`)) addCounts(counts, await testNative(variant));
  addCounts(counts, await testTypescript(findTests(join(root, 'dist', 'test')).filter(wanted)));
  return report(counts);
});
