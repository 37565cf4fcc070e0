/** Bandwidths and latencies of ibexfs/rdma and native/verbs beside perftest's. */
import { IbexBench } from '../../test/rdma/ibex-bench.js';
import { best, type Contender, contest } from '../contest.js';
import type { Figure } from '../report.js';
import { nativeLatencies } from './native.js';
import { type Bandwidth, bandwidth, type Latency, latency } from './perftest.js';

export interface RdmaBench {
  readonly rounds: number;
  readonly nativeProgram: string;
  log(text: string): void;
}

const KIB = 1024;
/** Perftest's program for each operation of `ibex rdma bench`. */
const bandwidthPrograms = { write: 'ib_write_bw', read: 'ib_read_bw' } as const;
const latencyPrograms = { write: 'ib_write_lat', send: 'ib_send_lat' } as const;
const sizes = [
  { sizeBytes: 4 * KIB, depth: 64, iterations: 10_000, atLeast: 0.85 },
  { sizeBytes: 64 * KIB, depth: 64, iterations: 800, atLeast: 0.95 },
  { sizeBytes: 1024 * KIB, depth: 16, iterations: 64, atLeast: 0.95 },
] as const;
const LATENCY_BYTES = 64;
const TRIPS = 10_000;

type Numbers = Contender<number>;

/** Best of the rounds, of both. */
export function compare(
  results: Awaited<ReturnType<typeof contest<number>>>,
  own: string,
  limit: string,
  better: 1 | -1,
): { value: number; limit: number; stolenPercent: number } {
  const [ours, theirs] = [own, limit].map((name) => best(results, name, (run) => better * run.value));
  if (ours === undefined || theirs === undefined) throw new Error(`no run of ${own} or ${limit}`);
  return { value: ours.value, limit: theirs.value, stolenPercent: Math.max(ours.stolenPercent, theirs.stolenPercent) };
}

export async function bandwidths({ rounds, log }: RdmaBench): Promise<Figure[]> {
  const listener = await IbexBench.start();
  try {
    const figures: Figure[] = [];
    for (const { atLeast, ...shape } of sizes) {
      for (const operation of ['write', 'read'] as const) {
        const name = `ibex rdma bench, ${operation} ${shape.sizeBytes / KIB} KiB x${shape.depth}`;
        const limit: Bandwidth = { ...shape, program: bandwidthPrograms[operation] };
        const contenders: Numbers[] = [
          { name, run: async () => (await listener.run({ ...shape, operation })).mebibytesPerSecond },
          { name: limit.program, run: () => bandwidth(limit) },
        ];
        const found = compare(await contest(contenders, rounds, log), name, limit.program, 1);
        const { value, stolenPercent } = found;
        figures.push({ name, unit: 'MiB/s', value, limit: { name: limit.program, value: found.limit }, goal: { atLeast }, stolenPercent });
      }
    }
    return figures;
  } finally {
    await listener.stop();
  }
}

export async function latencies({ rounds, nativeProgram, log }: RdmaBench): Promise<Figure[]> {
  const listener = await IbexBench.start();
  try {
    const figures: Figure[] = [];
    for (const operation of ['write', 'send'] as const) {
      const limit: Latency = { program: latencyPrograms[operation], sizeBytes: LATENCY_BYTES, iterations: TRIPS };
      const script = `JavaScript, ${operation} ${LATENCY_BYTES} B`;
      const native = `native, ${operation} ${LATENCY_BYTES} B`;
      const shape = { operation, sizeBytes: LATENCY_BYTES, depth: 1, iterations: TRIPS };
      const contenders: Numbers[] = [
        { name: script, run: async () => (await listener.run(shape)).latencyUs.p50 },
        { name: native, run: async () => (await nativeLatencies(nativeProgram))[operation] ?? Number.NaN },
        { name: limit.program, run: () => latency(limit) },
      ];
      const results = await contest(contenders, rounds, log);
      for (const [name, atMost] of [
        [script, 1.6],
        [native, 1.1],
      ] as const) {
        const { value, limit: theirs, stolenPercent } = compare(results, name, limit.program, -1);
        figures.push({ name, unit: 'us', value, limit: { name: limit.program, value: theirs }, goal: { atMost }, stolenPercent });
      }
    }
    return figures;
  } finally {
    await listener.stop();
  }
}
