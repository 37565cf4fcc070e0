// The native tests and fuzz drivers (a bounded count): native/CMakeLists.txt built plainly, with AddressSanitizer and UBSan,
// with ThreadSanitizer; run by ctest.
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { root } from '../install.mjs';
import { progress, run, SetupError } from '../setup/process.mjs';
import { hasProgram } from '../setup/system-packages.mjs';
import { countCtest, emptyCounts } from './counts.mjs';

const TEST_TIMEOUT_S = 300;
const jobs = String(availableParallelism());

/** Name of the build folder below build-cmake/ and what cmake is told. */
export const variants = {
  plain: ['-DCMAKE_BUILD_TYPE=RelWithDebInfo'],
  asan: ['-DCMAKE_BUILD_TYPE=RelWithDebInfo', '-DIBEXFS_SANITIZE=address'],
  tsan: ['-DCMAKE_BUILD_TYPE=RelWithDebInfo', '-DIBEXFS_SANITIZE=thread'],
};

/** Configures a variant when that was not done yet; cmake itself sees later changes of CMakeLists.txt. */
export async function configureNative(variant) {
  const folder = join(root, 'build-cmake', variant);
  if (existsSync(join(folder, 'build.ninja'))) return folder;
  if (!hasProgram('cmake') || !hasProgram('ninja'))
    throw new SetupError('native tests need cmake and ninja (Debian, Ubuntu: cmake ninja-build)');
  mkdirSync(folder, { recursive: true });
  const args = ['-S', join(root, 'native'), '-B', folder, '-G', 'Ninja', '-DCMAKE_EXPORT_COMPILE_COMMANDS=ON', ...variants[variant]];
  const { code, output } = await run('cmake', args);
  if (code === 0) return folder;
  rmSync(folder, { recursive: true, force: true });
  throw new SetupError(`cmake could not configure native/ (${variant}):\n${output.trimEnd()}`);
}

/** How ctest is run, wherever: by itself it keeps 1 KiB of what a test said, and doctest's counts are at the end. */
export function ctestArguments(results) {
  const whole = ['passed', 'failed'].flatMap((outcome) => [`--test-output-size-${outcome}`, String(2 ** 20)]);
  return ['--output-on-failure', '--timeout', String(TEST_TIMEOUT_S), '--output-junit', results, ...whole];
}

/** Builds one variant: its folder, or undefined and the compiler's words on the terminal. */
export async function buildTests(variant) {
  const folder = await configureNative(variant);
  const build = await run('cmake', ['--build', folder, '--', '-j', jobs]);
  if (build.code === 0) return folder;
  console.error(build.output.trimEnd());
  return undefined;
}

/** Builds and runs one variant; a build that fails is one failed test. */
export async function testNative(variant) {
  const name = `native/${variant}`;
  progress(`native tests, ${variant}`);
  const folder = await buildTests(variant);
  if (folder === undefined) return { ...emptyCounts(), failed: 1, failures: [`${name} does not compile`] };
  const results = join(folder, 'results.xml');
  rmSync(results, { force: true });
  const args = ['--test-dir', folder, '-j', jobs, ...ctestArguments(results)];
  const test = await run('ctest', args);
  if (test.code !== 0) console.error(test.output.trimEnd());
  const counts = existsSync(results) ? countCtest(readFileSync(results, 'utf8'), name) : emptyCounts();
  if (test.code !== 0 && counts.failed === 0) return { ...counts, failed: 1, failures: [`${name}: ctest exit code ${test.code}`] };
  return counts;
}
