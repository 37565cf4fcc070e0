/** Operations on names: each is one RPC to the metadata target that owns the directory. */
import { constants } from 'node:fs';
import { IbexError } from '../wire/errors.js';
import type { Fid } from '../wire/fid.js';
import { FuseOperation, type FuseRequestEvent } from '../wire/generated.js';
import { meta } from '../wire/messages.js';
import { answer, type MountContext, type Operations } from './context.js';
import type { Seen } from './known-directories.js';
import { decodeName, Errno } from './linux.js';

const { S_IFMT, S_IFDIR } = constants;
const RENAME_KEEP = 1;
const RENAME_EXCHANGE = 2;

const renameModes: Readonly<Record<number, 'replace' | 'keep' | 'exchange'>> = {
  0: 'replace',
  [RENAME_KEEP]: 'keep',
  [RENAME_EXCHANGE]: 'exchange',
};

export function nameOperations(context: MountContext): Operations {
  const { calls, replies, told, changes, directories } = context;
  const nameOf = (request: FuseRequestEvent, source: Buffer, start: number): string => decodeName(source, start, request.nameLength);
  const secondOf = (request: FuseRequestEvent, source: Buffer, start: number): string =>
    decodeName(source, start + request.nameLength, request.secondLength);
  // The kernel has applied the umask where it was told to; once more does no harm.
  const modeOf = (request: FuseRequestEvent): number => (request.mode & ~request.umask) >>> 0;

  /** A change in the directory that the request is about; `name`: one that it adds. */
  const change = <T extends Seen>(request: FuseRequestEvent, call: Promise<T>, name: string | undefined, reply: (answer: T) => void) => {
    const parent = request.node as Fid;
    const askedMs = context.now();
    return answer(
      context,
      request,
      call,
      (value) => {
        changes.note(parent);
        directories.changed(parent, value, askedMs, name);
        reply(value);
      },
      (error) => directories.failed(parent, error),
    );
  };

  return {
    [FuseOperation.lookup]: (request, source, start) => {
      const parent = request.node as Fid;
      const name = nameOf(request, source, start);
      const askedMs = context.now();
      return answer(context, request, calls.meta(parent, meta.lookup, { parent, name, lease: true }), (found) => {
        if (found.attributes !== undefined) {
          replies.entry(request, found.attributes);
          return;
        }
        directories.missed(parent, found, askedMs);
        replies.done(request, Errno.ENOENT);
      });
    },

    [FuseOperation.mkdir]: (request, source, start) => {
      const parent = request.node as Fid;
      const { uid, gid } = request;
      const name = nameOf(request, source, start);
      const askedMs = context.now();
      const call = calls.meta(parent, meta.makeDirectory, { parent, name, mode: modeOf(request), uid, gid, lease: true });
      return change(request, call, name, ({ attributes, newLeaseMs }) => {
        directories.made(attributes, newLeaseMs, askedMs);
        replies.entry(request, attributes);
      });
    },

    [FuseOperation.mknod]: (request, source, start) => {
      const parent = request.node as Fid;
      const { uid, gid, device } = request;
      const name = nameOf(request, source, start);
      const call = calls.meta(parent, meta.makeNode, { parent, name, mode: modeOf(request), device, uid, gid, lease: true });
      return change(request, call, name, ({ attributes }) => replies.entry(request, attributes));
    },

    [FuseOperation.symlink]: (request, source, start) => {
      const parent = request.node as Fid;
      const { uid, gid } = request;
      const name = nameOf(request, source, start);
      const target = secondOf(request, source, start);
      const call = calls.meta(parent, meta.makeSymlink, { parent, name, target, uid, gid, lease: true });
      return change(request, call, name, ({ attributes }) => replies.entry(request, attributes));
    },

    [FuseOperation.link]: (request, source, start) => {
      const parent = request.node as Fid;
      const fid = request.newNode as Fid;
      const name = nameOf(request, source, start);
      return change(request, calls.meta(parent, meta.link, { fid, parent, name, lease: true }), name, ({ attributes }) => {
        changes.note(fid);
        told.changedHere(attributes);
        replies.entry(request, attributes);
      });
    },

    [FuseOperation.unlink]: (request, source, start) => {
      const parent = request.node as Fid;
      const name = nameOf(request, source, start);
      return change(request, calls.meta(parent, meta.unlink, { parent, name, lease: true }), undefined, () => replies.done(request));
    },

    [FuseOperation.rmdir]: (request, source, start) => {
      const parent = request.node as Fid;
      const name = nameOf(request, source, start);
      const call = calls.meta(parent, meta.removeDirectory, { parent, name, lease: true });
      return change(request, call, undefined, ({ removed }) => {
        if (removed !== undefined) directories.removed(removed);
        replies.done(request);
      });
    },

    [FuseOperation.rename2]: (request, source, start) => {
      const mode = renameModes[request.flags];
      if (mode === undefined) throw new IbexError('ERR_INVALID', `rename flags ${request.flags}`);
      const parent = request.node as Fid;
      const newParent = request.newNode as Fid;
      const newName = secondOf(request, source, start);
      const wanted = { parent, name: nameOf(request, source, start), newParent, newName, mode, lease: true };
      const askedMs = context.now();
      return answer(
        context,
        request,
        calls.meta(parent, meta.rename, wanted),
        ({ moved, directory, newDirectory, leaseMs, newLeaseMs, replaced }) => {
          for (const fid of [parent, newParent, moved.fid]) changes.note(fid);
          if (replaced !== undefined) {
            changes.note(replaced);
            // It is gone, or elsewhere.
            if (mode === 'exchange') directories.forget(replaced);
            else directories.removed(replaced);
          }
          directories.changed(parent, { directory, leaseMs }, askedMs, newParent === parent ? newName : undefined);
          if (newParent !== parent) directories.changed(newParent, { directory: newDirectory, leaseMs: newLeaseMs }, askedMs, newName);
          if ((moved.mode & S_IFMT) === S_IFDIR) directories.changed(moved.fid, { directory: moved }, askedMs);
          told.changedHere(moved);
          replies.done(request);
        },
        (error) => {
          directories.failed(parent, error);
          directories.failed(newParent, error);
        },
      );
    },

    [FuseOperation.readlink]: (request) => {
      const fid = request.node as Fid;
      return answer(context, request, calls.meta(fid, meta.readSymlink, { fid }), ({ target }) =>
        replies.bytes(request, Buffer.from(target)),
      );
    },
  };
}
