// `npm run bench [-- names and flags]`: sets up what the benchmarks need and runs them.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './install.mjs';
import { runOnTerminal, SetupError } from './setup/process.mjs';
import { main, setup } from './setup.mjs';

await main(async (args) => {
  await setup('bench');
  const program = join(root, 'dist', 'bench', 'main.js');
  if (!existsSync(program)) throw new SetupError(`${program} is missing: bench/main.ts is not part of this checkout`);
  return await runOnTerminal(process.execPath, ['--expose-gc', program, ...args]);
});
