/** Sizes of chunks, and cutting a file's chunks on its targets. */
import { IbexError, toIbexError } from '../wire/errors.js';
import { type Fid, formatFid } from '../wire/fid.js';
import type { Layout } from '../wire/messages.js';
import { type Inode, InodeFlag, layoutOf } from './inode.js';
import type { MetaState } from './state.js';

/** Bytes that a file of `size` has in the chunk of a column. */
export function chunkBytes(size: number, stripeSize: number, columns: number, column: number): number {
  const wholeUnits = Math.floor(size / stripeSize);
  const wholeRows = Math.floor(wholeUnits / columns);
  const unitsInRow = wholeUnits - wholeRows * columns;
  const tail = column < unitsInRow ? stripeSize : column === unitsInRow ? size - wholeUnits * stripeSize : 0;
  return wholeRows * stripeSize + tail;
}

/** Runs `work` for every column, a bounded number at a time; the first failure counts, after all that were begun have ended. */
export async function forEachColumn(layout: Layout, atOnce: number, work: (column: number) => Promise<void>): Promise<void> {
  let next = 0;
  let failure: unknown;
  const worker = async (): Promise<void> => {
    while (next < layout.targets.length && failure === undefined) {
      const column = next++;
      try {
        await work(column);
      } catch (error) {
        failure ??= columnError(error, layout, column);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, layout.targets.length) }, worker));
  if (failure !== undefined) throw failure;
}

function columnError(error: unknown, layout: Layout, column: number): IbexError {
  const known = toIbexError(error);
  return new IbexError(known.kind, `column ${column} on target ${layout.targets[column]}: ${known.message}`, { cause: error });
}

/**
 * Sets the chunks to what a file of `length` has. Everything beyond `length` is gone afterwards, also what was
 * written there and not yet settled, so that it cannot come back when the file grows again.
 */
export async function cutChunks(state: MetaState, inode: Inode, length: number): Promise<void> {
  if ((inode.flags & InodeFlag.mayHaveChunks) === 0) return;
  const layout = layoutOf(inode);
  const { stripeSize, targets } = layout;
  try {
    await forEachColumn(layout, state.limits.chunksInFlightMax, (column) =>
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
    await forEachColumn(layout, state.limits.chunksInFlightMax, (column) =>
      state.chunks.remove(layout.targets[column]!, inode.fid, column),
    );
  } catch (error) {
    throw withFile(error, 'remove chunks of', inode.fid);
  }
}

function withFile(error: unknown, what: string, fid: Fid): IbexError {
  const known = toIbexError(error);
  return new IbexError(known.kind, `cannot ${what} ${formatFid(fid)}, ${known.message}`, { cause: error });
}
