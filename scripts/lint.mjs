// `npm run lint [-- NAME...]`: every check that needs no running cluster, each with its time; all run, whatever fails.
import { join } from 'node:path';
import { root } from './install.mjs';
import { clangFormat, clangTidy, cppcheck } from './lint/native.mjs';
import { run } from './setup/process.mjs';
import { main, setup } from './setup.mjs';

const bin = (name, ...args) => run(join(root, 'node_modules', '.bin', name), args, { env: { FORCE_COLOR: '0' } });

const checks = {
  generated: () => run(process.execPath, [join(root, 'scripts', 'generate-wire.mjs'), '--check']),
  biome: () => bin('biome', 'check', '--error-on-warnings'),
  tsc: () => bin('tsc', '--noEmit', '-p', root),
  eslint: () => bin('eslint', '--max-warnings=0', 'src', 'test', 'bench', '--no-error-on-unmatched-pattern'),
  knip: () => bin('knip', '--no-progress'),
  'clang-format': clangFormat,
  cppcheck,
  'clang-tidy': clangTidy,
};

await main(async (wanted) => {
  await setup('test');
  const failed = [];
  for (const [name, check] of Object.entries(checks)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const started = performance.now();
    const { code, output } = await check();
    console.log(`${code === 0 ? 'ok    ' : 'failed'} ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
    if (code === 0) continue;
    failed.push(name);
    console.log(output.trimEnd());
  }
  console.log(failed.length === 0 ? 'lint: all clean' : `lint: failed: ${failed.join(', ')}`);
  return failed.length === 0 ? 0 : 1;
});
