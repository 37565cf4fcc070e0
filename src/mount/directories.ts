/** opendir, readdir, readdirplus, releasedir, fsyncdir. */
import { constants } from 'node:fs';
import type { Fid } from '../wire/fid.js';
import { FuseOperation, type FuseRequestEvent } from '../wire/generated.js';
import { type Attributes, meta } from '../wire/messages.js';
import { answer, type MountContext, type Operations } from './context.js';
import { DirectoryRecords } from './directory-records.js';
import { DirectoryStream, type Listed, type Page } from './directory-stream.js';
import { Errno, ErrnoError } from './linux.js';
import { BLOCK_BYTES } from './replies.js';

/** Entries of one page: some 100 KiB of reply, twenty answers to the kernel. */
const PAGE_ENTRIES = 512;
const { S_IFMT, S_IFREG } = constants;

interface OpenDirectory {
  readonly fid: Fid;
  /** Made by the first read, which tells whether attributes are wanted. */
  stream: DirectoryStream | undefined;
  plus: boolean;
  /** Reads of one directory handle one after the other, as the kernel sends them. */
  turn: Promise<unknown>;
}

export function directoryOperations(context: MountContext): Operations {
  const { calls, files, replies, told, changes } = context;
  const open = new Map<number, OpenDirectory>();
  let nextHandle = 1;

  const fetchPages =
    (fid: Fid, withAttributes: boolean) =>
    async (cookie: number): Promise<Page> => {
      const changeMark = changes.mark();
      const askedAtMs = context.now();
      const { entries, end } = await calls.meta(fid, meta.readDirectory, { fid, cookie, limit: PAGE_ENTRIES, withAttributes });
      return { entries, end, changeMark, askedAtMs };
    };

  /** Attributes that may still be told; undefined when they could be from before a change. */
  const freshAttributes = (directory: Fid, { entry, page }: Listed): Attributes | undefined => {
    const { attributes } = entry;
    if (attributes === undefined || page === undefined) return undefined;
    if (context.now() - page.askedAtMs > replies.validity.attributesMs) return undefined;
    if (changes.changedSince(directory, page.changeMark) || changes.changedSince(entry.fid, page.changeMark)) return undefined;
    files.merge(attributes);
    return attributes;
  };

  const list = async (request: FuseRequestEvent, directory: OpenDirectory, plus: boolean): Promise<void> => {
    if (directory.stream === undefined || directory.plus !== plus) {
      directory.plus = plus;
      directory.stream = new DirectoryStream(directory.fid, fetchPages(directory.fid, plus));
    }
    const records = new DirectoryRecords(request.size, plus, replies.validity, BLOCK_BYTES);
    await directory.stream.read(request.offset, (listed) => {
      const { name, fid, type, cookie } = listed.entry;
      const attributes = plus ? freshAttributes(directory.fid, listed) : undefined;
      if (!records.add(name, fid, type, cookie, attributes)) return false;
      if (attributes !== undefined && (attributes.mode & S_IFMT) === S_IFREG) told.tell(attributes);
      return true;
    });
    replies.directory(request, records.bytes());
  };

  const read = (request: FuseRequestEvent, plus: boolean): Promise<void> => {
    const directory = open.get(request.handle);
    if (directory === undefined) throw new ErrnoError(Errno.EINVAL, `directory handle ${request.handle} is not open`);
    const turn = directory.turn.then(() => list(request, directory, plus));
    directory.turn = turn.catch(() => undefined);
    return turn;
  };

  return {
    [FuseOperation.opendir]: (request) => {
      const handle = nextHandle++;
      open.set(handle, { fid: request.node as Fid, stream: undefined, plus: false, turn: Promise.resolve() });
      replies.opened(request, handle, 0);
      return undefined;
    },
    [FuseOperation.readdir]: (request) => read(request, false),
    [FuseOperation.readdirplus]: (request) => read(request, true),
    [FuseOperation.releasedir]: (request) => {
      open.delete(request.handle);
      return undefined;
    },
    [FuseOperation.fsyncdir]: (request) => {
      const fid = request.node as Fid;
      return answer(context, request, calls.meta(fid, meta.sync, { fid }), () => replies.done(request));
    },
  };
}
