/**
 * setAttributes and settle. Whether the caller may is the business of its kernel (default_permissions).
 *
 * A new size first cuts the chunks and then changes the inode, one at a time per file. A target that is away leaves
 * the file as it was; chunk-cutting.ts says what may remain of a failure on the way. Whoever changes a size has
 * flushed and settled its own writes of the file before.
 */
import { IbexError } from '../../wire/errors.js';
import { type Fid, formatFid } from '../../wire/fid.js';
import { cutChunks } from '../chunk-cutting.js';
import { attributesOf, type Inode, isDirectory, MODE_BITS, SET_GID, SET_UID } from '../inode.js';
import { loadFile, loadInode, saveInode, stampChange, stampModification } from '../inodes.js';
import type { MetaState } from '../state.js';
import { itself } from './leasing.js';
import type { Change, Request } from './operation.js';

/** As the kernel's limit for offsets, and safe in a float64. */
const FILE_BYTES_MAX = 2 ** 53 - 2 ** 30;
const GROUP_EXECUTE = 0o010;

export const setAttributes: Change<'setAttributes'> = {
  directories: itself,
  before(state, { fid, size }, proceed) {
    return size === undefined ? undefined : resize(state, fid, size, proceed);
  },
  apply(state, request) {
    const inode = request.size === undefined ? loadInode(state, request.fid) : loadFile(state, request.fid);
    const now = state.now();
    if (request.size !== undefined) {
      inode.size = request.size;
      stampModification(inode, now);
    }
    changeOwner(inode, request);
    if (request.mode !== undefined) inode.mode = (inode.mode & ~MODE_BITS) | (request.mode & MODE_BITS);
    if (request.atime !== undefined) {
      inode.atime = request.atime;
      inode.atimeNs = request.atimeNs ?? 0;
    }
    if (request.mtime !== undefined) {
      inode.mtime = request.mtime;
      inode.mtimeNs = request.mtimeNs ?? 0;
    }
    stampChange(inode, now);
    saveInode(state, inode);
    return { attributes: attributesOf(inode) };
  },
};

/** chown(2): a file that changes hands loses set-user-id, and set-group-id where that means execution. */
function changeOwner(inode: Inode, request: Request<'setAttributes'>): void {
  if (request.uid === undefined && request.gid === undefined) return;
  inode.uid = request.uid ?? inode.uid;
  inode.gid = request.gid ?? inode.gid;
  if (isDirectory(inode)) return;
  inode.mode &= ~SET_UID;
  if ((inode.mode & GROUP_EXECUTE) !== 0) inode.mode &= ~SET_GID;
}

async function resize(state: MetaState, fid: Fid, size: number, proceed: () => void): Promise<() => void> {
  if (size > FILE_BYTES_MAX) throw new IbexError('ERR_FILE_TOO_BIG', `${formatFid(fid)}: ${size} bytes, at most ${FILE_BYTES_MAX}`);
  return state.locks.takeFor(fid, () => {
    proceed();
    return cutChunks(state, loadFile(state, fid), size);
  });
}

export const settle: Change<'settle'> = {
  before(state, { fid }, proceed) {
    // Not between the cut of the chunks and the new size.
    return state.locks.takeWhenHeld(fid, proceed);
  },
  apply(state, { fid, size, mtime, mtimeNs }) {
    if (size > FILE_BYTES_MAX) throw new IbexError('ERR_FILE_TOO_BIG', `${formatFid(fid)}: ${size} bytes, at most ${FILE_BYTES_MAX}`);
    const inode = loadFile(state, fid);
    const later = mtime > inode.mtime || (mtime === inode.mtime && mtimeNs > inode.mtimeNs);
    inode.size = Math.max(inode.size, size);
    if (later) {
      inode.mtime = mtime;
      inode.mtimeNs = mtimeNs;
    }
    // Also where neither says so: the writer's clock may be behind, and what others have cached is old all the same.
    stampChange(inode, state.now());
    saveInode(state, inode);
    return { attributes: attributesOf(inode) };
  },
  after(state, { durable }) {
    return durable ? state.store.syncLog() : undefined;
  },
};
