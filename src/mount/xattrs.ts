/** Extended attributes. Access control lists are not supported, and say so. */
import type { Fid } from '../wire/fid.js';
import { FuseOperation, type FuseRequestEvent } from '../wire/generated.js';
import { meta } from '../wire/messages.js';
import { answer, type MountContext, type Operations } from './context.js';
import { decodeName, Errno, ErrnoError } from './linux.js';

const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
const modes: Readonly<Record<number, 'any' | 'create' | 'replace'>> = { 0: 'any', [XATTR_CREATE]: 'create', [XATTR_REPLACE]: 'replace' };

export function xattrOperations(context: MountContext): Operations {
  const { calls, replies, changes, directories } = context;

  const nameOf = (request: FuseRequestEvent, source: Buffer, start: number): string => {
    const name = decodeName(source, start, request.nameLength);
    if (name.startsWith('system.posix_acl_')) throw new ErrnoError(Errno.EOPNOTSUPP, 'access control lists are not supported');
    return name;
  };

  /** size 0 asks for the length; otherwise it is the room there is. */
  const give = (request: FuseRequestEvent, value: Uint8Array): void => {
    if (request.size === 0) replies.xattrSize(request, value.length);
    else if (value.length > request.size) replies.done(request, Errno.ERANGE);
    else replies.bytes(request, value);
  };

  return {
    [FuseOperation.getxattr]: (request, source, start) => {
      const fid = request.node as Fid;
      const name = nameOf(request, source, start);
      return answer(context, request, calls.meta(fid, meta.getXattr, { fid, name }), ({ value }) => give(request, value));
    },
    [FuseOperation.listxattr]: (request) => {
      const fid = request.node as Fid;
      return answer(context, request, calls.meta(fid, meta.listXattrs, { fid }), ({ names }) => {
        give(request, Buffer.from(names.map((name) => `${name}\0`).join('')));
      });
    },
    [FuseOperation.setxattr]: (request, source, start) => {
      const fid = request.node as Fid;
      const mode = modes[request.flags];
      if (mode === undefined) throw new ErrnoError(Errno.EINVAL, `xattr flags ${request.flags}`);
      const name = nameOf(request, source, start);
      const from = start + request.nameLength;
      const value = Buffer.from(source.subarray(from, from + request.secondLength));
      return answer(context, request, calls.meta(fid, meta.setXattr, { fid, name, value, mode }), () => {
        changes.note(fid);
        directories.forget(fid);
        replies.done(request);
      });
    },
    [FuseOperation.removexattr]: (request, source, start) => {
      const fid = request.node as Fid;
      return answer(context, request, calls.meta(fid, meta.removeXattr, { fid, name: nameOf(request, source, start) }), () => {
        changes.note(fid);
        directories.forget(fid);
        replies.done(request);
      });
    },
  };
}
