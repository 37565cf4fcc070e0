/** Sizes of chunks, and cutting a file's chunks on its targets. */
import type { ClusterMap } from '../wire/cluster-map.js';
import { IbexError, toIbexError } from '../wire/errors.js';
import { type Fid, formatFid } from '../wire/fid.js';
import type { Layout } from '../wire/messages.js';
import { type Inode, InodeFlag, layoutOf } from './inode.js';
import type { MetaState } from './state.js';
import { unlessEnded } from './unless-ended.js';

/** Bytes that a file of `size` has in the chunk of a column. */
export function chunkBytes(size: number, stripeSize: number, columns: number, column: number): number {
  const wholeUnits = Math.floor(size / stripeSize);
  const wholeRows = Math.floor(wholeUnits / columns);
  const unitsInRow = wholeUnits - wholeRows * columns;
  const tail = column < unitsInRow ? stripeSize : column === unitsInRow ? size - wholeUnits * stripeSize : 0;
  return wholeRows * stripeSize + tail;
}

/**
 * Runs `work` for every column, a bounded number at a time; the first failure counts, after all that were begun
 * have ended. When the target of metadata is closed, nobody waits for them any more.
 */
async function eachColumn(state: MetaState, layout: Layout, work: (column: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  let failure: unknown;
  const worker = async (): Promise<void> => {
    while (next < layout.targets.length && failure === undefined && !state.ending.aborted) {
      const column = next++;
      try {
        await work(column);
      } catch (error) {
        failure ??= columnError(error, layout, column);
      }
    }
  };
  const workers = Array.from({ length: Math.min(state.limits.chunksInFlightMax, layout.targets.length) }, worker);
  await unlessEnded(state.ending, Promise.all(workers));
  if (failure !== undefined) throw failure;
}

/** Says at once what a call to a target that is down would say much later. */
function checkOnline(map: ClusterMap, layout: Layout): void {
  const down = map.targets.find((target) => target.reachability === 'offline' && layout.targets.includes(target.id));
  if (down !== undefined) throw columnError(new IbexError('ERR_IO', 'the target is offline'), layout, layout.targets.indexOf(down.id));
}

function columnError(error: unknown, layout: Layout, column: number): IbexError {
  const known = toIbexError(error);
  return new IbexError(known.kind, `column ${column} on target ${layout.targets[column]}: ${known.message}`, { cause: error });
}

/**
 * Sets the chunks to what a file of `length` has. Everything beyond `length` is gone afterwards, also what was
 * written there and not yet settled, so that it cannot come back when the file grows again.
 *
 * Chunks on several targets are cut one by one, so every target is asked first whether it is there: one that is
 * away leaves the file as it was. What remains is a target that fails between its answer and its cut, and a crash
 * of this process: then some chunks are cut and read as zeros while the file keeps its size, until the truncation
 * is repeated.
 */
export async function cutChunks(state: MetaState, inode: Inode, length: number): Promise<void> {
  if ((inode.flags & InodeFlag.mayHaveChunks) === 0) return;
  const layout = layoutOf(inode);
  const { stripeSize, targets } = layout;
  try {
    if (targets.length > 1) {
      checkOnline(state.map(), layout);
      await eachColumn(state, layout, (column) => state.chunks.stat(targets[column]!, inode.fid, column));
    }
    await eachColumn(state, layout, (column) =>
      state.chunks.truncate(targets[column]!, inode.fid, column, chunkBytes(length, stripeSize, targets.length, column)),
    );
  } catch (error) {
    throw withFile(error, 'truncate', inode.fid);
  }
}

/** Removes the chunks of a file that has no bytes, before it gets another layout. */
export async function removeChunks(state: MetaState, inode: Inode): Promise<void> {
  if ((inode.flags & InodeFlag.mayHaveChunks) === 0) return;
  const layout = layoutOf(inode);
  try {
    await eachColumn(state, layout, (column) => state.chunks.remove(layout.targets[column]!, inode.fid, column));
  } catch (error) {
    throw withFile(error, 'remove chunks of', inode.fid);
  }
}

function withFile(error: unknown, what: string, fid: Fid): IbexError {
  const known = toIbexError(error);
  return new IbexError(known.kind, `cannot ${what} ${formatFid(fid)}, ${known.message}`, { cause: error });
}
