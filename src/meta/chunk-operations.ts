/** What a metadata target asks of storage targets, through native code's own connections to them. */
import type { Runtime } from '../net/runtime.js';
import { toIbexError } from '../wire/errors.js';
import { ChunkOperation } from '../wire/generated.js';
import type { ChunkOperations } from './types.js';

/** A target that does not answer for so long is taken for gone; removals are tried again later. */
const DEADLINE_MS = 15_000;

const none = { size: 0, blocks: 0 };

export function chunkOperations(runtime: Pick<Runtime, 'chunkOperation'>): ChunkOperations {
  /** A chunk that was never written does not exist, which is as good as empty. */
  const run = async (
    ...[target, operation, fid, column, offset]: Parameters<Runtime['chunkOperation']>
  ): Promise<{ size: number; blocks: number }> => {
    try {
      return await runtime.chunkOperation(target, operation, fid, column, offset, DEADLINE_MS);
    } catch (error) {
      if (toIbexError(error).code === 'ENOENT') return none;
      throw error;
    }
  };
  return {
    truncate: async (target, fid, column, length) => void (await run(target, ChunkOperation.truncate, fid, column, length)),
    remove: async (target, fid, column) => void (await run(target, ChunkOperation.remove, fid, column, 0)),
    stat: (target, fid, column) => run(target, ChunkOperation.stat, fid, column, 0),
    sync: async (target, fid, column) => void (await run(target, ChunkOperation.sync, fid, column, 0)),
  };
}
