// `npm run bench:rdma [-- flags]`: bench/rdma in a machine with an RDMA device (test/rxe).
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runInMachine } from '../test/rxe/machine.mjs';
import { root } from './install.mjs';
import { ensureSystemPackages } from './setup/system-packages.mjs';
import { main, setup } from './setup.mjs';

await main(async (args) => {
  const { values } = parseArgs({ args, options: { rounds: { type: 'string' }, json: { type: 'string' } } });
  await setup('run');
  await ensureSystemPackages('rdma');
  const json = values.json === undefined ? [] : ['--json', resolve(values.json)];
  const rounds = values.rounds === undefined ? [] : ['--rounds', values.rounds];
  return await runInMachine({
    command: ['node', '--expose-gc', join(root, 'dist', 'bench', 'rdma', 'main.js'), ...rounds, ...json],
    shares: values.json === undefined ? [] : [dirname(resolve(values.json))],
    timeLimitS: 1800,
  });
});
