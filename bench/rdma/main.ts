/**
 * `npm run bench:rdma [-- NAME...] [--rounds N] [--json FILE]`, run in a machine with an RDMA device (test/rxe). Everything in
 * such a machine is emulated: its figures mean something only beside others of the same boot, which take turns with them.
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type Figure, json, table } from '../report.js';
import { fileSystem } from './file-system.js';
import { bandwidths, latencies, type RdmaBench } from './verbs.js';

const benchmarks: Readonly<Record<string, (bench: RdmaBench) => Promise<Figure[]>>> = {
  bandwidth: bandwidths,
  latency: latencies,
  'file-system': fileSystem,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '3' }, native: { type: 'string', default: '' }, json: { type: 'string' } },
});
const unknown = positionals.filter((name) => !(name in benchmarks));
if (unknown.length > 0) {
  console.error(`unknown benchmark: ${unknown.join(', ')}; there are ${Object.keys(benchmarks).join(', ')}`);
  process.exit(2);
}

const bench: RdmaBench = { rounds: Number(values.rounds), nativeProgram: values.native, log: (text) => console.error(text) };
const figures: Figure[] = [];
for (const name of positionals.length > 0 ? positionals : Object.keys(benchmarks)) {
  bench.log(name);
  const own = await (benchmarks[name] as (bench: RdmaBench) => Promise<Figure[]>)(bench);
  figures.push(...own);
}
console.log(table(figures));
if (values.json !== undefined) await writeFile(values.json, `${json(figures)}\n`);
