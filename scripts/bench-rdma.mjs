// `npm run bench:rdma [-- names and flags]`: bench/rdma in a machine with an RDMA device (test/rxe).
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runInMachine } from '../test/rxe/machine.mjs';
import { root } from './install.mjs';
import { SetupError } from './setup/process.mjs';
import { ensureSystemPackages } from './setup/system-packages.mjs';
import { main, setup } from './setup.mjs';
import { buildTests } from './test/native.mjs';

await main(async (args) => {
  const options = { rounds: { type: 'string' }, json: { type: 'string' } };
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  await setup('test');
  await ensureSystemPackages('rdma');
  const build = await buildTests('plain');
  if (build === undefined) throw new SetupError('native/ does not compile');
  const json = values.json === undefined ? [] : ['--json', resolve(values.json)];
  const rounds = values.rounds === undefined ? [] : ['--rounds', values.rounds];
  const program = ['node', '--expose-gc', join(root, 'dist', 'bench', 'rdma', 'main.js'), '--native', join(build, 'bench_verbs')];
  return await runInMachine({
    command: [...program, ...positionals, ...rounds, ...json],
    shares: values.json === undefined ? [] : [dirname(resolve(values.json))],
    memoryMiB: 6000,
    timeLimitS: 1800,
  });
});
