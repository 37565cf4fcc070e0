/** Helpers of the metadata tests: a plain CRC-32C, folders that go away, a target without network, a recording chunk side. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { openMetaTarget } from '../../src/meta/open-target.js';
import type { CallOrigin, ChunkOperations, MetaTarget, MetaTargetOptions } from '../../src/meta/types.js';
import type { ClusterMap, TargetEntry } from '../../src/wire/cluster-map.js';
import type { Fid, NodeId, TargetId } from '../../src/wire/fid.js';
import type { meta, RequestOf, ResponseOf } from '../../src/wire/messages.js';

const table = new Uint32Array(256).map((_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

export function crc32c(buffer: Uint8Array, seed = 0): number {
  let value = ~seed;
  for (let index = 0; index < buffer.length; index++) value = table[(value ^ buffer[index]!) & 0xff]! ^ (value >>> 8);
  return ~value >>> 0;
}

/** Of every random test; printed by it, and set to repeat a failure. */
export const seed =
  process.env.IBEXFS_SEED === undefined ? (Date.now() ^ (process.pid << 8)) & 0x7fffffff : Number(process.env.IBEXFS_SEED);

export const silent = pino({ level: process.env.IBEXFS_TEST_LOG ?? 'silent' });

/** A new folder below the system's temporary one, removed at the end of the test. */
export function testFolder(t: { teardown(done: () => unknown): unknown }): string {
  const folder = mkdtempSync(join(tmpdir(), 'ibexfs-meta-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The folder of a target as kill -9 would leave it. The log is copied first, so that LMDB is not older than it. */
export function copyTarget(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from).sort().reverse()) cpSync(join(from, name), join(to, name), { recursive: true });
}

/** Waits until the condition holds, at most 10 s. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within 10 s: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A cluster of `count` online storage targets, ids from 101, in the pool 'default'. */
export function clusterMap(count: number, change: (target: TargetEntry, index: number) => Partial<TargetEntry> = () => ({})): ClusterMap {
  const targets = Array.from({ length: count }, (_, index): TargetEntry => {
    const target: TargetEntry = {
      id: (101 + index) as TargetId,
      kind: 'storage',
      node: 11 as NodeId,
      alias: `storage-${index}`,
      pool: 'default',
      reachability: 'online',
      consistency: 'good',
      since: 1,
      bytesTotal: 1e12,
      bytesFree: 5e11,
      inodesTotal: 1e6,
      inodesFree: 1e6,
    };
    return { ...target, ...change(target, index) };
  });
  return {
    clusterId: 'test',
    version: 1,
    nodes: [],
    targets,
    pools: [{ name: 'default' }],
    groups: [],
    sequences: [],
    rootTarget: 1 as TargetId,
  };
}

export interface ChunkCall {
  readonly do: 'truncate' | 'remove';
  readonly target: TargetId;
  readonly fid: Fid;
  readonly column: number;
  readonly length: number;
}

/** Records what is asked of chunks; `fail` makes calls reject. For decisions of the metadata side only. */
export class RecordedChunks implements ChunkOperations {
  calls: ChunkCall[] = [];
  fail: (call: ChunkCall) => Error | undefined = () => undefined;
  /** When set, calls wait for it. */
  gate: Promise<void> | undefined;

  async #call(call: ChunkCall): Promise<void> {
    this.calls.push(call);
    await this.gate;
    const error = this.fail(call);
    if (error !== undefined) throw error;
  }
  truncate(target: TargetId, fid: Fid, column: number, length: number): Promise<void> {
    return this.#call({ do: 'truncate', target, fid, column, length });
  }
  remove(target: TargetId, fid: Fid, column: number): Promise<void> {
    return this.#call({ do: 'remove', target, fid, column, length: 0 });
  }
  /** What `stat` answers for a target that is away. */
  away: (target: TargetId) => Error | undefined = () => undefined;
  async stat(target: TargetId): Promise<{ size: number; blocks: number }> {
    const error = this.away(target);
    if (error !== undefined) throw error;
    return { size: 0, blocks: 0 };
  }
  async sync(): Promise<void> {}
}

export interface TestTarget {
  readonly target: MetaTarget;
  readonly chunks: RecordedChunks;
  /** Calls a handler as a batch of its own and waits for its answer. */
  call<Name extends keyof typeof meta>(
    name: Name,
    request: RequestOf<(typeof meta)[Name]>,
    origin?: Partial<CallOrigin>,
  ): Promise<ResponseOf<(typeof meta)[Name]>>;
}

/** Never the same range twice, as mgmtd does it; also not from the next process of a test. */
let granted = Math.floor(Date.now() / 10) % 2 ** 32;

export async function openTarget(folder: string, more: Partial<MetaTargetOptions> = {}): Promise<TestTarget> {
  const chunks = (more.chunks as RecordedChunks | undefined) ?? new RecordedChunks();
  const map = clusterMap(4);
  const target = await openMetaTarget({
    folder,
    target: 1 as TargetId,
    logger: silent,
    crc32c,
    chunks,
    map: () => map,
    ownsRoot: true,
    grantSequences: async (count) => {
      granted += count;
      return { first: granted - count + 1, last: granted };
    },
    ...more,
  });
  const { service } = target;
  if (more.grantSequences === undefined) await target.ready();
  return {
    target,
    chunks,
    async call(name, request, origin) {
      const answer = service.handlers[name](request as never, { clientId: 'client', channel: 0, sequence: 0, ...origin });
      const logged = service.commit();
      const response = await answer;
      await logged;
      return response as never;
    },
  };
}
