/** open, create, flush, fsync, release: the life of open files. Reads and writes are native code's alone. */
import { constants } from 'node:fs';
import type { OpenFile } from '../client/open-files.js';
import { IbexError } from '../wire/errors.js';
import type { Fid } from '../wire/fid.js';
import { FuseOperation, type FuseRequestEvent } from '../wire/generated.js';
import { type Attributes, meta } from '../wire/messages.js';
import { clearSetId, watchSetId } from './attributes.js';
import type { MountContext, Operations } from './context.js';
import { decodeName, Errno, ErrnoError, OpenReply } from './linux.js';

const { O_RDONLY, O_TRUNC, O_EXCL, O_APPEND } = constants;
const O_ACCMODE = 3;
/** `valid` of open and create: set-id bits go. */
const CLEAR_SET_ID = 1;

const writes = (flags: number): boolean => (flags & O_ACCMODE) !== O_RDONLY;

export function fileOperations(context: MountContext): Operations {
  const { calls, files, replies, told, changes, facts, directories } = context;

  const open = async (request: FuseRequestEvent): Promise<void> => {
    const fid = request.node as Fid;
    const write = writes(request.flags);
    const truncate = write && (request.flags & O_TRUNC) !== 0;
    if (truncate) await files.settleBeforeChange(fid, `inode ${fid}`);
    const answer = await calls.meta(fid, meta.open, { fid, write, truncate });
    let { attributes } = answer;
    const file = files.opened(attributes, answer.layout, write);
    try {
      if (truncate) {
        files.resized(fid, attributes.size);
        changes.note(fid);
      }
      if ((request.valid & CLEAR_SET_ID) !== 0) attributes = await clearSetId(context, attributes);
      watchSetId(context, attributes);
      // The kernel then asks for the name again, learns what it is now and where it ends, and comes back.
      if (told.sendBack(attributes, write && (request.flags & O_APPEND) !== 0))
        throw new ErrnoError(Errno.ESTALE, 'the size has changed, or the file has no name any more');
      replies.opened(request, files.openHandle(file), openFlags(attributes, write));
    } catch (error) {
      files.release(file, write);
      throw error;
    }
  };

  const openFlags = (attributes: Attributes, write: boolean): number => {
    let flags: number = OpenReply.parallelDirectWrites;
    if (!write) flags |= OpenReply.noFlush;
    if (!told.matches(attributes)) {
      context.invalidate(attributes.fid);
      told.tell(attributes);
    }
    return told.opened(attributes) ? flags | OpenReply.keepCache : flags;
  };

  const create = async (request: FuseRequestEvent, name: string): Promise<void> => {
    const parent = request.node as Fid;
    const { uid, gid, flags } = request;
    const exclusive = (flags & O_EXCL) !== 0;
    const mode = (request.mode & ~request.umask) >>> 0;
    const askedMs = context.now();
    const wanted = { parent, name, mode, uid, gid, exclusive, lease: true };
    const answer = await calls.meta(parent, meta.create, wanted).catch((error: unknown) => {
      directories.failed(parent, error);
      // A link or a directory came in between: with ESTALE the kernel looks again instead of failing.
      const lookAgain = !exclusive && error instanceof IbexError && error.kind === 'ERR_EXISTS';
      throw lookAgain ? new ErrnoError(Errno.ESTALE, error.message) : error;
    });
    let { attributes } = answer;
    const file = files.opened(attributes, answer.layout, true);
    changes.note(parent);
    directories.changed(parent, answer, askedMs, name);
    if (answer.created) facts.noXattrs(attributes.fid, askedMs + replies.validity.attributesMs);
    let handle: number;
    try {
      // Somebody else made it since the kernel looked: then this is an open.
      if (!answer.created && writes(flags) && (flags & O_TRUNC) !== 0) {
        await files.settleBeforeChange(attributes.fid, name);
        ({ attributes } = await calls.meta(attributes.fid, meta.setAttributes, { fid: attributes.fid, size: 0 }));
        files.resized(attributes.fid, attributes.size);
      }
      if ((request.valid & CLEAR_SET_ID) !== 0 && !answer.created) attributes = await clearSetId(context, attributes);
      if (!writes(flags)) await countAsReader(file);
      watchSetId(context, attributes);
      handle = files.openHandle(file);
    } catch (error) {
      files.release(file, true);
      throw error;
    }
    let reply: number = OpenReply.parallelDirectWrites;
    if (told.opened(attributes)) reply |= OpenReply.keepCache;
    if (!writes(flags)) reply |= OpenReply.noFlush;
    replies.created(request, attributes, handle, reply);
  };

  /** A create counts as an open for writing; its release will come as one for reading. */
  const countAsReader = async (file: OpenFile): Promise<void> => {
    const { attributes, layout } = await calls.meta(file.fid, meta.open, { fid: file.fid, write: false, truncate: false });
    files.opened(attributes, layout, false);
    files.release(file, true);
  };

  const settle = async (request: FuseRequestEvent, durable: boolean): Promise<void> => {
    const file = files.get(request.node as Fid);
    if (file !== undefined && (durable || files.isDirty(file))) {
      told.changedHere(await files.settle(file, durable));
      changes.note(file.fid);
    }
    replies.done(request, request.dataError);
  };

  const release = async (request: FuseRequestEvent): Promise<void> => {
    // The kernel has its answer, nobody waits for a release: what fails here can only be logged.
    const file = files.get(request.node as Fid);
    if (file === undefined) return;
    const what = { inode: request.node, errno: request.dataError };
    if (request.dataError !== 0) context.logger.error(what, `data of inode ${request.node} could not be written before it was closed`);
    try {
      // Pages of a mapping may have been written after the last flush.
      if (writes(request.flags) && files.isDirty(file)) told.changedHere(await files.settle(file, false));
    } catch (error) {
      context.logger.error({ ...what, err: error }, `size and time of inode ${request.node} could not be reported when it was closed`);
    } finally {
      changes.note(file.fid);
      files.closeHandle(request.handle);
      files.release(file, writes(request.flags));
    }
  };

  return {
    [FuseOperation.open]: open,
    [FuseOperation.create]: (request, source, start) => create(request, decodeName(source, start, request.nameLength)),
    [FuseOperation.flush]: (request) => settle(request, false),
    [FuseOperation.fsync]: (request) => settle(request, true),
    [FuseOperation.release]: release,
  };
}
