/**
 * The library over queue pairs: 1 MiB blocks of a striped file, 16 in flight, in a cluster that requires RDMA, with its
 * storage on tmpfs, beside ib_read_bw with as much in flight.
 */
import { connect } from '../../src/index.js';
import { TestCluster } from '../../test/cluster/cluster.js';
import { type Contender, contest } from '../contest.js';
import type { Figure } from '../report.js';
import { counts } from './counts.js';
import { type Bandwidth, bandwidth } from './perftest.js';
import { compare, type RdmaBench } from './verbs.js';

const FOLDER = '/dev/shm/ibexfs-bench';
const BLOCK = 2 ** 20;
const BLOCKS = 64;
const IN_FLIGHT = 16;
const limit: Bandwidth = { program: 'ib_read_bw', sizeBytes: BLOCK, depth: IN_FLIGHT, iterations: BLOCKS };
const settings = Object.fromEntries(['mgmtd', 'meta', 'storage'].map((kind) => [`${kind}.rdma`, 'policy = "require"']));

export async function fileSystem({ rounds, log }: RdmaBench): Promise<Figure[]> {
  const cleaners: (() => Promise<void>)[] = [];
  try {
    const teardown = (clean: () => Promise<void>): void => void cleaners.unshift(clean);
    const cluster = await TestCluster.start({ teardown }, { folder: FOLDER, settings });
    const client = await connect({ mgmtd: cluster.address, keyFile: cluster.keyFile, rdma: { policy: 'require' } });
    teardown(() => client.close());
    // Known to the device for as long as these are held.
    const memories = Array.from({ length: IN_FLIGHT }, () => client.alloc(BLOCK));
    const file = await client.open('/stream.dat', 'w+');
    const pass = async (one: (buffer: Buffer, position: number) => Promise<unknown>): Promise<number> => {
      const start = performance.now();
      let next = 0;
      const worker = async (buffer: Buffer): Promise<void> => {
        for (let block = next++; block < BLOCKS; block = next++) await one(buffer, block * BLOCK);
      };
      await Promise.all(memories.map(({ buffer }) => worker(buffer)));
      return BLOCKS / ((performance.now() - start) / 1000);
    };
    const read = async (buffer: Buffer, position: number): Promise<void> => {
      const { bytesRead } = await file.read(buffer, 0, BLOCK, position);
      if (bytesRead !== BLOCK) throw new Error(`read ${bytesRead} bytes at ${position}`);
    };
    const write = (buffer: Buffer, position: number): Promise<unknown> => file.write(buffer, 0, BLOCK, position);
    await pass(write);
    await pass(read);
    const contenders: Contender<number>[] = [
      { name: 'library read 1 MiB x16', run: () => pass(read) },
      { name: 'library write 1 MiB x16', run: () => pass(write) },
      { name: limit.program, run: () => bandwidth(limit) },
    ];
    const results = await contest(contenders, rounds, log);
    const figures = contenders.slice(0, 2).map(({ name }): Figure => {
      const { value, limit: theirs, stolenPercent } = compare(results, name, limit.program, 1);
      return { name, unit: 'MiB/s', value, limit: { name: limit.program, value: theirs }, goal: { atLeast: 0.7 }, stolenPercent };
    });
    for (const { name, run } of contenders.slice(0, 2)) figures.push(...(await counts(cluster, client, { name, mebibytes: BLOCKS, run })));
    await file.close();
    for (const memory of memories) memory.free();
    return figures;
  } finally {
    for (const clean of cleaners) await clean().catch((error: unknown) => console.error(error));
  }
}
