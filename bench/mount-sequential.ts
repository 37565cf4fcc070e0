/** 1 GiB in 1 MiB blocks through the mount: write with fsync, read with cold caches. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../test/cluster/cluster.js';
import { type Bench, places } from './bench.js';
import { contest, fastest, leanest } from './contest.js';
import type { Figure } from './report.js';

const MIB = 1024;
const GIGABYTES = (MIB * 2 ** 20) / 1e9;

async function dd(args: readonly string[]): Promise<void> {
  const result = await run('dd', ['bs=1M', 'status=none', ...args]);
  if (result.code !== 0) throw new Error(result.stderr);
}

export async function mountSequential(bench: Bench): Promise<Figure[]> {
  const contenders = places(bench).filter((place) => place.name !== 'ext4');
  const file = (path: string): string => join(path, 'sequential.dat');
  bench.log('sequential write with fsync');
  const writes = await contest(
    contenders.map((place) => ({
      name: place.name,
      prepare: () => rm(file(place.path), { force: true }),
      run: () => dd(['if=/dev/zero', `of=${file(place.path)}`, `count=${MIB}`, 'conv=fsync']),
    })),
    bench.rounds,
    bench.log,
  );
  bench.log('sequential read, cold');
  const reads = await contest(
    contenders.map((place) => ({ name: place.name, prepare: place.cold, run: () => dd([`if=${file(place.path)}`, 'of=/dev/null']) })),
    bench.rounds,
    bench.log,
  );
  for (const place of contenders) await rm(file(place.path), { force: true });
  const figures: Figure[] = [];
  for (const [what, results, goal] of [
    ['write + fsync', writes, 0.75],
    ['read, cold', reads, 0.85],
  ] as const) {
    const own = fastest(results, 'ibexfs');
    const limit = fastest(results, 'pass-through');
    figures.push({
      name: `mount 1 GiB ${what}`,
      unit: 'MiB/s',
      value: MIB / own.seconds,
      limit: { name: 'pass-through', value: MIB / limit.seconds },
      goal: { atLeast: goal },
      stolenPercent: Math.max(own.stolenPercent, limit.stolenPercent),
    });
    const lean = leanest(results, 'ibexfs');
    figures.push({
      name: `machine CPU, ${what}`,
      unit: 'CPU s/GB',
      value: lean.busySeconds / GIGABYTES,
      goal: { atMost: 3 },
      stolenPercent: lean.stolenPercent,
    });
  }
  return figures;
}
