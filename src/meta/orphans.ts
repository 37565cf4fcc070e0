/**
 * The end of inodes: the last name goes, then the last open, then the inode, then its chunks.
 *
 * An unlinked file that may still be open stays as an orphan, listed on disk. After a start nobody knows who had
 * what open, so for a grace period every unlinked file counts as open; then those that no client reopened go.
 */
import type { Fid, TargetId } from '../wire/fid.js';
import type { Timestamp } from './clock.js';
import { addInodes, addRemovals } from './counters.js';
import { decodeInode, type Inode, InodeFlag, isFile, layoutOf } from './inode.js';
import { saveInode, stampChange } from './inodes.js';
import type { MetaState } from './state.js';
import { fidAt, inodeKey, ORPHANS, orphanKey, removalKey, xattrPrefix } from './tables.js';

const SWEEP_COUNT = 500;

export class Orphans {
  /** After a start: any file may be open at a client that has not said so yet. */
  #unsure = false;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** Whether files may be open that do not count as open. */
  get unsure(): boolean {
    return this.#unsure;
  }

  /** Called once after a start on an existing folder. */
  startGrace(state: MetaState, graceMs: number): void {
    this.#unsure = true;
    this.#timer = setTimeout(() => {
      this.#unsure = false;
      this.#sweep(state, ORPHANS);
    }, graceMs);
    this.#timer.unref();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** One name fewer. The inode goes with its last one unless it is open. */
  unlinked(state: MetaState, inode: Inode, now: Timestamp): void {
    inode.links--;
    stampChange(inode, now);
    if (inode.links > 0) saveInode(state, inode);
    else if (isFile(inode) && (this.#unsure || state.opens.isOpen(inode.fid))) {
      saveInode(state, inode);
      state.store.put(orphanKey(inode.fid), Buffer.alloc(0));
    } else destroyInode(state, inode);
  }

  /** Nobody known has the file open any more; inside a transaction. */
  released(state: MetaState, fid: Fid): void {
    if (this.#unsure || state.opens.isOpen(fid)) return;
    if (state.store.get(orphanKey(fid)) === undefined) return;
    state.store.delete(orphanKey(fid));
    const bytes = state.store.get(inodeKey(fid));
    if (bytes !== undefined) destroyInode(state, decodeInode(fid, bytes));
  }

  /** Opens ended outside of any request. */
  ended(state: MetaState, files: readonly Fid[]): void {
    try {
      state.store.transaction(() => {
        for (const fid of files) this.released(state, fid);
      });
      void Promise.resolve(state.commit()).catch((error: unknown) => this.#complain(state, error));
    } catch (error) {
      this.#complain(state, error);
    }
  }

  /** What stays behind is found by the sweep of the next start. */
  #complain(state: MetaState, error: unknown): void {
    state.logger.error({ err: error }, 'cannot drop unlinked files; the next start of this target does');
  }

  #sweep(state: MetaState, from: string): void {
    if (this.#closed) return;
    const files: Fid[] = [];
    let last = '';
    state.store.scan(ORPHANS, from, (key) => {
      files.push(fidAt(key, 1));
      last = key;
      return files.length < SWEEP_COUNT;
    });
    if (files.length === 0) return;
    this.ended(state, files);
    setImmediate(() => this.#sweep(state, `${last}\0`));
  }
}

/** Deletes the inode and its attributes, and lists its chunks for removal; inside a transaction. */
export function destroyInode(state: MetaState, inode: Inode): void {
  const { store } = state;
  store.delete(inodeKey(inode.fid));
  addInodes(store, -1);
  if (inode.xattrBytes > 0) {
    const keys: string[] = [];
    store.scan(xattrPrefix(inode.fid), '', (key) => keys.push(key) > 0);
    for (const key of keys) store.delete(key);
  }
  if (isFile(inode) && (inode.flags & InodeFlag.mayHaveChunks) !== 0) {
    store.put(removalKey(inode.fid), encodeTargets(layoutOf(inode).targets));
    addRemovals(store, 1);
  }
}

function encodeTargets(targets: readonly TargetId[]): Buffer {
  const bytes = Buffer.allocUnsafe(4 * targets.length);
  for (const [column, target] of targets.entries()) bytes.writeUInt32LE(target, 4 * column);
  return bytes;
}

export function decodeTargets(bytes: Buffer): TargetId[] {
  return Array.from({ length: bytes.length >>> 2 }, (_, column) => bytes.readUInt32LE(4 * column) as TargetId);
}
