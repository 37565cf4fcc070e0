/**
 * Random 4 KiB direct I/O through the mount, 2 jobs of depth 16. Direct I/O on pass-through goes to the disk, while
 * ours goes through the page cache of the storage daemons; so that they meet the disk too, that cache is cold at the
 * start of each run, and the file is several times what a run can touch.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../test/cluster/cluster.js';
import { type Bench, places } from './bench.js';
import { best, contest } from './contest.js';
import type { Figure } from './report.js';

const SECONDS = 8;
const FILE_MIB = 4096;

async function fio(path: string, mode: 'randread' | 'randwrite', direct: boolean): Promise<number> {
  const result = await run('fio', [
    '--name=random',
    `--filename=${join(path, 'random.dat')}`,
    `--rw=${mode}`,
    '--bs=4k',
    `--size=${FILE_MIB}m`,
    '--ioengine=libaio',
    '--iodepth=16',
    '--numjobs=2',
    `--direct=${direct ? 1 : 0}`,
    '--time_based',
    `--runtime=${SECONDS}`,
    '--group_reporting',
    '--norandommap',
    '--randrepeat=0',
    '--output-format=json',
  ]);
  if (result.code !== 0) throw new Error(`fio ${mode} in ${path}: ${result.stderr}${result.stdout.slice(0, 500)}`);
  const { jobs } = JSON.parse(result.stdout.slice(result.stdout.indexOf('{'))) as {
    jobs: { read: { iops: number }; write: { iops: number } }[];
  };
  const [job] = jobs;
  return (mode === 'randread' ? job?.read.iops : job?.write.iops) ?? 0;
}

export async function mountRandom(bench: Bench): Promise<Figure[]> {
  const all = places(bench);
  for (const place of all)
    await run('dd', ['if=/dev/zero', `of=${join(place.path, 'random.dat')}`, 'bs=1M', `count=${FILE_MIB}`, 'conv=fsync', 'status=none']);
  const figures: Figure[] = [];
  for (const [mode, limit, goal] of [
    ['randread', 'pass-through', 0.5],
    ['randwrite', 'ext4', 0.25],
  ] as const) {
    bench.log(`${mode} 4 KiB direct`);
    const contenders = all.filter((place) => place.name === 'ibexfs' || place.name === limit);
    const results = await contest(
      contenders.map((place) => ({ name: place.name, prepare: place.cold, run: () => fio(place.path, mode, true) })),
      bench.rounds,
      bench.log,
    );
    const own = best(results, 'ibexfs', (run) => run.value);
    const other = best(results, limit, (run) => run.value);
    figures.push({
      name: `mount ${mode} 4 KiB direct`,
      unit: 'IOPS',
      value: own.value,
      limit: { name: limit, value: other.value },
      goal: { atLeast: goal },
      stolenPercent: Math.max(own.stolenPercent, other.stolenPercent),
    });
  }
  for (const place of all) await rm(join(place.path, 'random.dat'), { force: true });
  return figures;
}
