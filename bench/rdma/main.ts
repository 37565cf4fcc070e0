/**
 * `npm run bench:rdma [-- --rounds N] [--json FILE]`, run in a machine with an RDMA device (test/rxe). Everything in such a
 * machine is emulated: its figures mean something only beside others of the same boot. Now the limits alone.
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { best, type Contender, contest } from '../contest.js';
import { type Figure, json, table } from '../report.js';
import { type Bandwidth, bandwidth, type Latency, latency } from './perftest.js';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' }, json: { type: 'string' } } });

const KIB = 1024;
const bandwidths: readonly Bandwidth[] = (['ib_write_bw', 'ib_read_bw'] as const).flatMap((program) => [
  { program, sizeBytes: 4 * KIB, depth: 64, iterations: 3000 },
  { program, sizeBytes: 64 * KIB, depth: 64, iterations: 400 },
  { program, sizeBytes: 1024 * KIB, depth: 16, iterations: 64 },
]);
const latencies: readonly Latency[] = (['ib_write_lat', 'ib_send_lat', 'ib_read_lat'] as const).map((program) => ({
  program,
  sizeBytes: 64,
  iterations: 2000,
}));

interface Limit extends Contender<number> {
  readonly unit: string;
  /** Larger is better. */
  score(value: number): number;
}

const limits: readonly Limit[] = [
  ...bandwidths.map((one) => ({
    name: `${one.program} ${one.sizeBytes / KIB} KiB x${one.depth}`,
    unit: 'MiB/s',
    run: () => bandwidth(one),
    score: (value: number) => value,
  })),
  ...latencies.map((one) => ({
    name: `${one.program} ${one.sizeBytes} B`,
    unit: 'us',
    run: () => latency(one),
    score: (value: number) => -value,
  })),
];

const results = await contest(limits, Number(values.rounds), (text) => console.error(text));
const figures = limits.map(({ name, unit, score }): Figure => {
  const top = best(results, name, (run) => score(run.value));
  return { name, unit, value: top.value, goal: {}, stolenPercent: top.stolenPercent };
});
console.log(table(figures));
if (values.json !== undefined) await writeFile(values.json, `${json(figures)}\n`);
