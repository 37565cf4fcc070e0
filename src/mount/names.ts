/** Operations on names: each is one RPC to the metadata target that owns the directory. */
import { IbexError } from '../wire/errors.js';
import type { Fid } from '../wire/fid.js';
import { FuseOperation, type FuseRequestEvent } from '../wire/generated.js';
import { type Attributes, meta } from '../wire/messages.js';
import { answer, type MountContext, type Operations } from './context.js';
import { decodeName, Errno } from './linux.js';

const RENAME_KEEP = 1;
const RENAME_EXCHANGE = 2;

const renameModes: Readonly<Record<number, 'replace' | 'keep' | 'exchange'>> = {
  0: 'replace',
  [RENAME_KEEP]: 'keep',
  [RENAME_EXCHANGE]: 'exchange',
};

export function nameOperations(context: MountContext): Operations {
  const { calls, replies, told, changes, facts } = context;
  const nameOf = (request: FuseRequestEvent, source: Buffer, start: number): string => decodeName(source, start, request.nameLength);
  const secondOf = (request: FuseRequestEvent, source: Buffer, start: number): string =>
    decodeName(source, start + request.nameLength, request.secondLength);
  const changed = (fid: Fid, directory: Attributes | undefined): void => {
    changes.note(fid);
    facts.changed(fid, directory);
  };
  // The kernel has applied the umask where it was told to; once more does no harm.
  const modeOf = (request: FuseRequestEvent): number => (request.mode & ~request.umask) >>> 0;

  return {
    [FuseOperation.lookup]: (request, source, start) => {
      const parent = request.node as Fid;
      const name = nameOf(request, source, start);
      return answer(context, request, calls.meta(parent, meta.lookup, { parent, name }), ({ attributes }) => {
        if (attributes === undefined) replies.done(request, Errno.ENOENT);
        else replies.entry(request, attributes);
      });
    },

    [FuseOperation.mkdir]: (request, source, start) => {
      const parent = request.node as Fid;
      const { uid, gid } = request;
      const wanted = { parent, name: nameOf(request, source, start), mode: modeOf(request), uid, gid };
      return answer(context, request, calls.meta(parent, meta.makeDirectory, wanted), ({ attributes, directory }) => {
        changed(parent, directory);
        replies.entry(request, attributes);
      });
    },

    [FuseOperation.mknod]: (request, source, start) => {
      const parent = request.node as Fid;
      const { uid, gid, device } = request;
      const wanted = { parent, name: nameOf(request, source, start), mode: modeOf(request), device, uid, gid };
      return answer(context, request, calls.meta(parent, meta.makeNode, wanted), ({ attributes, directory }) => {
        changed(parent, directory);
        replies.entry(request, attributes);
      });
    },

    [FuseOperation.symlink]: (request, source, start) => {
      const parent = request.node as Fid;
      const { uid, gid } = request;
      const wanted = { parent, name: nameOf(request, source, start), target: secondOf(request, source, start), uid, gid };
      return answer(context, request, calls.meta(parent, meta.makeSymlink, wanted), ({ attributes, directory }) => {
        changed(parent, directory);
        replies.entry(request, attributes);
      });
    },

    [FuseOperation.link]: (request, source, start) => {
      const parent = request.node as Fid;
      const fid = request.newNode as Fid;
      return answer(
        context,
        request,
        calls.meta(parent, meta.link, { fid, parent, name: nameOf(request, source, start) }),
        ({ attributes, directory }) => {
          changed(parent, directory);
          changes.note(fid);
          told.changedHere(attributes);
          replies.entry(request, attributes);
        },
      );
    },

    [FuseOperation.unlink]: (request, source, start) => {
      const parent = request.node as Fid;
      return answer(
        context,
        request,
        calls.meta(parent, meta.unlink, { parent, name: nameOf(request, source, start) }),
        ({ directory }) => {
          changed(parent, directory);
          replies.done(request);
        },
      );
    },

    [FuseOperation.rmdir]: (request, source, start) => {
      const parent = request.node as Fid;
      return answer(
        context,
        request,
        calls.meta(parent, meta.removeDirectory, { parent, name: nameOf(request, source, start) }),
        ({ directory }) => {
          changed(parent, directory);
          replies.done(request);
        },
      );
    },

    [FuseOperation.rename2]: (request, source, start) => {
      const mode = renameModes[request.flags];
      if (mode === undefined) throw new IbexError('ERR_INVALID', `rename flags ${request.flags}`);
      const parent = request.node as Fid;
      const newParent = request.newNode as Fid;
      const wanted = { parent, name: nameOf(request, source, start), newParent, newName: secondOf(request, source, start), mode };
      return answer(context, request, calls.meta(parent, meta.rename, wanted), ({ moved, directory, newDirectory }) => {
        changed(parent, directory);
        if (newDirectory !== undefined) changed(newParent, newDirectory);
        changed(moved.fid, undefined);
        told.changedHere(moved);
        replies.done(request);
      });
    },

    [FuseOperation.readlink]: (request) => {
      const fid = request.node as Fid;
      return answer(context, request, calls.meta(fid, meta.readSymlink, { fid }), ({ target }) =>
        replies.bytes(request, Buffer.from(target)),
      );
    },
  };
}
