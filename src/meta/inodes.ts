/** Reading and writing inodes in the store; inside a transaction where it changes. */
import { IbexError } from '../wire/errors.js';
import { type Fid, formatFid } from '../wire/fid.js';
import type { Timestamp } from './clock.js';
import { addInodes } from './counters.js';
import { decodeInode, encodeInode, FileType, type Inode, isDirectory, isFile, typeOf } from './inode.js';
import type { MetaState } from './state.js';
import { inodeKey } from './tables.js';

export function findInode(state: MetaState, fid: Fid): Inode | undefined {
  const bytes = state.store.get(inodeKey(fid));
  return bytes === undefined ? undefined : decodeInode(fid, bytes);
}

/** @throws ERR_NOT_FOUND, or ERR_NOT_MY_TARGET when another target owns it */
export function loadInode(state: MetaState, fid: Fid): Inode {
  const inode = findInode(state, fid);
  if (inode !== undefined) return inode;
  if (!state.owns(fid)) throw new IbexError('ERR_NOT_MY_TARGET', `inode ${formatFid(fid)}`);
  throw new IbexError('ERR_NOT_FOUND', `inode ${formatFid(fid)}`);
}

export function loadDirectory(state: MetaState, fid: Fid): Inode {
  const inode = loadInode(state, fid);
  if (!isDirectory(inode)) throw new IbexError('ERR_NOT_DIRECTORY', formatFid(fid));
  return inode;
}

/** @throws ERR_IS_DIRECTORY, ERR_INVALID for what is not a regular file */
export function loadFile(state: MetaState, fid: Fid): Inode {
  const inode = loadInode(state, fid);
  if (isDirectory(inode)) throw new IbexError('ERR_IS_DIRECTORY', formatFid(fid));
  if (!isFile(inode)) throw new IbexError('ERR_INVALID', `${formatFid(fid)} is not a regular file`);
  return inode;
}

/**
 * Every save is a change: none can be made that caches elsewhere don't get to know. A power cut may take changes back
 * that clients have seen, so each start begins above all versions that an earlier one can have given.
 */
export function saveInode(state: MetaState, inode: Inode): void {
  inode.change = Math.max(inode.change + 1, state.changeBase);
  state.store.put(inodeKey(inode.fid), encodeInode(inode));
}

export function stampChange(inode: Inode, now: Timestamp): void {
  inode.ctime = now.seconds;
  inode.ctimeNs = now.nanoseconds;
}

export function stampModification(inode: Inode, now: Timestamp): void {
  inode.mtime = now.seconds;
  inode.mtimeNs = now.nanoseconds;
  stampChange(inode, now);
}

export interface NewInode {
  readonly fid: Fid;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly device?: number;
  readonly size?: number;
  readonly flags?: number;
  readonly parent?: Fid;
  readonly body: Buffer;
}

/** An inode as it is created, saved and counted. */
export function createInode(state: MetaState, fields: NewInode, now: Timestamp): Inode {
  const inode: Inode = {
    fid: fields.fid,
    flags: fields.flags ?? 0,
    mode: fields.mode,
    links: (fields.mode & FileType.mask) === FileType.directory ? 2 : 1,
    uid: fields.uid,
    gid: fields.gid,
    device: fields.device ?? 0,
    size: fields.size ?? 0,
    atime: now.seconds,
    atimeNs: now.nanoseconds,
    mtime: now.seconds,
    mtimeNs: now.nanoseconds,
    ctime: now.seconds,
    ctimeNs: now.nanoseconds,
    xattrBytes: 0,
    parent: fields.parent ?? 0,
    change: 0,
    body: fields.body,
  };
  saveInode(state, inode);
  addInodes(state.store, 1);
  return inode;
}

/** Links that this kind of inode may have. @throws ERR_TOO_MANY_LINKS when one more is too many */
export function checkLinks(state: MetaState, inode: Inode): void {
  const most = typeOf(inode) === FileType.directory ? state.limits.directoryLinksMax : state.limits.fileLinksMax;
  if (inode.links >= most) throw new IbexError('ERR_TOO_MANY_LINKS', `${formatFid(inode.fid)} has ${inode.links} links`);
}
