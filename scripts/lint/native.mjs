// clang-format, clang-tidy and cppcheck over native/. clang-tidy takes seconds a file, so a file that was found
// clean is not looked at again until it, a header or the settings change.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { digestFiles, readStamp, root } from '../install.mjs';
import { run } from '../setup/process.mjs';
import { hasProgram } from '../setup/system-packages.mjs';
import { configureNative } from '../test/native.mjs';

const FILE_TIMEOUT_MS = 300_000;
const native = join(root, 'native');

function sources(...extensions) {
  if (!existsSync(native)) return [];
  return readdirSync(native, { recursive: true })
    .filter((name) => extensions.some((extension) => name.endsWith(extension)))
    .map((name) => join(native, name))
    .sort();
}

const absent = (program) => ({ code: 1, output: `${program} is not installed (Debian, Ubuntu: apt-get install ${program})\n` });

export async function clangFormat() {
  const files = sources('.cc', '.h');
  if (files.length === 0) return { code: 0, output: '' };
  if (!hasProgram('clang-format')) return absent('clang-format');
  return await run('clang-format', ['--dry-run', '-Werror', ...files]);
}

export async function clangTidy() {
  if (!existsSync(join(native, 'CMakeLists.txt'))) return { code: 0, output: '' };
  if (!hasProgram('clang-tidy')) return absent('clang-tidy');
  const build = await configureNative('plain');
  const commands = JSON.parse(readFileSync(join(build, 'compile_commands.json'), 'utf8'));
  const queue = [...new Set(commands.map(({ file }) => file))]
    .filter((file) => file.startsWith(native) && !file.startsWith(join(native, 'test')))
    .sort();
  const cache = join(root, 'build-cmake', 'tidy');
  mkdirSync(cache, { recursive: true });
  const common = digestFiles([native, join(root, '.clang-tidy')], { extensions: ['.h', '.clang-tidy', 'CMakeLists.txt'] });
  const result = { code: 0, output: '' };
  const worker = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const stamp = join(cache, file.slice(native.length + 1).replaceAll('/', '_'));
      const digest = digestFiles([file], { salt: common });
      if (readStamp(stamp) === digest) continue;
      const { code, output } = await run('clang-tidy', ['--quiet', '-p', build, file], { timeoutMs: FILE_TIMEOUT_MS });
      if (code === 0) writeFileSync(stamp, `${digest}\n`);
      else {
        result.code = 1;
        result.output += output;
      }
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  return result;
}

export async function cppcheck() {
  if (sources('.cc').length === 0) return { code: 0, output: '' };
  if (!hasProgram('cppcheck')) return absent('cppcheck');
  const cache = join(root, 'build-cmake', 'cppcheck');
  mkdirSync(cache, { recursive: true });
  const args = [
    ...['--quiet', '--std=c++20', '--language=c++', '--enable=warning,performance,portability', '--inline-suppr', '--error-exitcode=1'],
    // System headers are not read; what they would define is taken as given. Values that are moved on are clang-tidy's matter.
    ...[
      '--suppress=missingInclude',
      '--suppress=unknownMacro',
      '--suppress=unmatchedSuppression',
      '--suppress=passedByValue',
      `--cppcheck-build-dir=${cache}`,
    ],
    ...[`-j${availableParallelism()}`, '--max-ctu-depth=2', `-I${native}`, `-i${join(native, 'test')}`, native],
  ];
  return await run('cppcheck', args, { timeoutMs: 2 * FILE_TIMEOUT_MS });
}
