// `npm test [-- PATTERN...]`: sets up, runs every test, and prints `N passed, N failed` as its last line.
// A pattern is a part of a test file's path (`meta`, `cli/size`), or `native`, or one of its builds (`native/asan`).
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { root } from './install.mjs';
import { progress, run, runOnTerminal } from './setup/process.mjs';
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

async function testTypescript(files) {
  if (files.length === 0) return emptyCounts();
  progress(`${files.length} test files`);
  await ensureTapPlugins();
  mkdirSync(join(root, '.tap'), { recursive: true });
  const results = join(root, '.tap', 'results.tap');
  rmSync(results, { force: true });
  const reporter = process.stdout.isTTY ? 'base' : 'terse';
  const code = await runOnTerminal(join(root, 'node_modules', '.bin', 'tap'), [
    'run',
    `--reporter=${reporter}`,
    `--output-file=${results}`,
    ...files,
  ]);
  const counts = existsSync(results) ? countTap(readFileSync(results, 'utf8')) : emptyCounts();
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
