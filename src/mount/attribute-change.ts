/** What a SETATTR of the kernel asks of the metadata server, and which set-id bits a change takes away. Pure. */
import { constants } from 'node:fs';
import type { FuseRequestEvent } from '../wire/generated.js';
import type { meta, RequestOf } from '../wire/messages.js';
import { Errno, ErrnoError, Fattr } from './linux.js';

export type AttributeChange = Omit<RequestOf<typeof meta.setAttributes>, 'fid'>;
type Fields = Pick<
  FuseRequestEvent,
  'valid' | 'mode' | 'owner' | 'group' | 'size' | 'atime' | 'atimeNanoseconds' | 'mtime' | 'mtimeNanoseconds'
>;

const { S_IFMT, S_IFREG, S_IXGRP } = constants;
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;

/** `nowMs`: what the NOW bits mean, milliseconds since 1970. */
export function changeOf(request: Fields, nowMs: number): AttributeChange {
  const { valid } = request;
  const change: AttributeChange = {};
  const now = { seconds: Math.floor(nowMs / 1000), nanoseconds: Math.floor((nowMs % 1000) * 1e6) };
  if (valid & Fattr.mode) change.mode = request.mode & 0o7777;
  if (valid & Fattr.uid) change.uid = request.owner;
  if (valid & Fattr.gid) change.gid = request.group;
  if (valid & Fattr.size) {
    if (request.size > Number.MAX_SAFE_INTEGER) throw new ErrnoError(Errno.EFBIG, 'the size is no safe integer');
    change.size = request.size;
  }
  if (valid & (Fattr.atime | Fattr.atimeNow)) {
    const given = (valid & Fattr.atimeNow) === 0;
    change.atime = given ? request.atime : now.seconds;
    change.atimeNs = given ? request.atimeNanoseconds : now.nanoseconds;
  }
  if (valid & (Fattr.mtime | Fattr.mtimeNow)) {
    const given = (valid & Fattr.mtimeNow) === 0;
    change.mtime = given ? request.mtime : now.seconds;
    change.mtimeNs = given ? request.mtimeNanoseconds : now.nanoseconds;
  }
  return change;
}

/** Permission bits after a write, truncation or change of owner by somebody without privilege; undefined: as they are. */
export function withoutSetId(mode: number): number | undefined {
  if ((mode & S_IFMT) !== S_IFREG) return undefined;
  // Without group execution S_ISGID means mandatory locking, not a set-id program.
  const gone = S_ISUID | ((mode & S_IXGRP) !== 0 ? S_ISGID : 0);
  return (mode & gone) === 0 ? undefined : mode & 0o7777 & ~gone;
}
