/** Many small files through the mount: two processes creating, and untar. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { run } from '../test/cluster/cluster.js';
import { type Bench, places } from './bench.js';
import { contest, fastest } from './contest.js';
import { processCpuSeconds } from './machine.js';
import type { Figure } from './report.js';

const PROCESSES = 2;
const FILES_EACH = 4000;
const TAR_FILES = 5000;

async function buildCreator(folder: string): Promise<string> {
  const program = join(folder, 'create_files');
  const source = fileURLToPath(new URL('../../bench/native/create_files.c', import.meta.url));
  const built = await run('cc', ['-O2', '-o', program, source]);
  if (built.code !== 0) throw new Error(built.stderr);
  return program;
}

/**
 * What earlier runs left behind ends before the next is measured: chunks of removed files go in the background,
 * and ext4 avoids inodes that were freed within the last five seconds, whoever freed them.
 */
async function rest(bench: Bench): Promise<void> {
  const pids = [...bench.cluster.daemons, bench.mount.daemon].map((daemon) => daemon.pid ?? 0);
  const used = async (): Promise<number> =>
    (await Promise.all(pids.map((pid) => processCpuSeconds(pid)))).reduce((sum, one) => sum + one, 0);
  for (let seconds = 0; seconds < 60; seconds++) {
    const before = await used();
    await pause(1000);
    if ((await used()) - before < 0.05) break;
  }
  await run('sync', []);
  await pause(6000);
}

async function makeTar(folder: string): Promise<string> {
  const tree = join(folder, 'tree');
  for (let d = 0; d < 50; d++) {
    await mkdir(join(tree, `d${d}`), { recursive: true });
    for (let i = 0; i < TAR_FILES / 50; i++) await writeFile(join(tree, `d${d}`, `f${i}`), 'y'.repeat(500 + ((d * 131 + i * 977) % 7000)));
  }
  const tar = join(folder, 'tree.tar');
  await run('tar', ['cf', tar, '-C', folder, 'tree']);
  await rm(tree, { recursive: true });
  return tar;
}

export async function mountFiles(bench: Bench): Promise<Figure[]> {
  const contenders = places(bench).filter((place) => place.name !== 'ext4');
  const creator = await buildCreator(bench.folder);
  const figures: Figure[] = [];
  const clean = async (...paths: string[]): Promise<void> => {
    for (const path of paths) {
      await rm(path, { recursive: true, force: true });
      await mkdir(path);
    }
    await rest(bench);
  };
  for (const bytes of [0, 3901]) {
    bench.log(`creating files of ${bytes} bytes, ${PROCESSES} processes`);
    const results = await contest(
      contenders.map((place) => ({
        name: place.name,
        prepare: () => clean(...Array.from({ length: PROCESSES }, (_, p) => join(place.path, `create${p}`))),
        run: async () => {
          const runs = await Promise.all(
            Array.from({ length: PROCESSES }, (_, p) => run(creator, [join(place.path, `create${p}`), String(FILES_EACH), String(bytes)])),
          );
          const failed = runs.find((one) => one.code !== 0);
          if (failed !== undefined) throw new Error(failed.stderr);
        },
      })),
      bench.rounds,
      bench.log,
    );
    const own = fastest(results, 'ibexfs');
    const limit = fastest(results, 'pass-through');
    figures.push({
      name: `mount create ${bytes} B files, 2 processes`,
      unit: 'files/s',
      value: (PROCESSES * FILES_EACH) / own.seconds,
      limit: { name: 'pass-through', value: (PROCESSES * FILES_EACH) / limit.seconds },
      goal: { atLeast: 0.6 },
      stolenPercent: Math.max(own.stolenPercent, limit.stolenPercent),
    });
  }
  const tar = await makeTar(bench.folder);
  bench.log(`untar of ${TAR_FILES} files`);
  const results = await contest(
    contenders.map((place) => ({
      name: place.name,
      prepare: () => clean(join(place.path, 'untar')),
      run: async () => {
        const result = await run('tar', ['xf', tar, '-C', join(place.path, 'untar')]);
        if (result.code !== 0) throw new Error(result.stderr);
      },
    })),
    bench.rounds,
    bench.log,
  );
  const own = fastest(results, 'ibexfs');
  const limit = fastest(results, 'pass-through');
  figures.push({
    name: `mount untar ${TAR_FILES} files`,
    unit: 's',
    value: own.seconds,
    limit: { name: 'pass-through', value: limit.seconds },
    goal: { atMost: 2 },
    stolenPercent: Math.max(own.stolenPercent, limit.stolenPercent),
  });
  for (const place of contenders)
    for (const name of ['untar', 'create0', 'create1']) await rm(join(place.path, name), { recursive: true, force: true });
  return figures;
}
