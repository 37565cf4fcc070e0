/** What a benchmark gets: a cluster with a mount, the pass-through mount and a local folder, all on one disk. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Mount, TestCluster } from '../test/cluster/cluster.js';
import { evict } from './cache.js';
import type { PassThrough } from './passthrough.js';
import type { Figure } from './report.js';

export interface Bench {
  readonly folder: string;
  readonly cluster: TestCluster;
  readonly mount: Mount;
  readonly passThrough: PassThrough;
  /** A plain folder on the same disk. */
  readonly local: string;
  readonly rounds: number;
  log(text: string): void;
}

export type Benchmark = (bench: Bench) => Promise<Figure[]>;

/** The three places under test: name, where files go, how its caches get cold. */
export function places(bench: Bench): { name: string; path: string; cold(): Promise<void> }[] {
  const targets = [0, 1, 2, 3].map((index) => bench.cluster.targetFolder(index));
  return [
    {
      name: 'ibexfs',
      path: bench.mount.path,
      cold: async () => {
        await bench.mount.remount();
        await evict(targets);
      },
    },
    {
      name: 'pass-through',
      path: bench.passThrough.path,
      cold: async () => {
        await bench.passThrough.remount();
        await evict([bench.passThrough.store]);
      },
    },
    { name: 'ext4', path: bench.local, cold: () => evict([bench.local]) },
  ];
}

export async function freshFolder(base: string, name: string): Promise<string> {
  const path = join(base, name);
  await mkdir(path, { recursive: true });
  return path;
}
