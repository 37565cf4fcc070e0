/** Answers to the kernel: puts attributes into reply fields and remembers what was told. */
import { constants } from 'node:fs';
import type { Logger } from 'pino';
import type { OpenFiles } from '../client/open-files.js';
import type { Space } from '../client/types.js';
import { type Fid, formatFid } from '../wire/fid.js';
import { FuseOperation, type FuseReplyCommand, FuseReplyKind, type FuseRequestEvent } from '../wire/generated.js';
import type { Attributes } from '../wire/messages.js';
import { Errno, errnoOf, isWorthLogging } from './linux.js';
import type { ToldAttributes } from './told-attributes.js';

export interface Validity {
  readonly entryMs: number;
  readonly attributesMs: number;
}

export interface ReplySink {
  fuseReply(fields: Partial<FuseReplyCommand>, data?: Uint8Array): void;
}

/** What programs should read and write at once (st_blksize). */
export const BLOCK_BYTES = 128 * 1024;
const SECTOR_BYTES = 512;
const { S_IFMT, S_IFREG } = constants;

/**
 * About a node that the kernel still has, or a name to be made in it: where the metadata server finds nothing, the
 * node is gone. With ESTALE the kernel looks the path up again; with ENOENT it would fail although a new file has the name.
 */
const aboutNodes = new Set<number>([
  FuseOperation.open,
  FuseOperation.getattr,
  FuseOperation.setattr,
  FuseOperation.opendir,
  FuseOperation.readdir,
  FuseOperation.readdirplus,
  FuseOperation.create,
  FuseOperation.mkdir,
  FuseOperation.mknod,
  FuseOperation.symlink,
]);

const operationNames = new Map<number, string>(Object.entries(FuseOperation).map(([name, number]) => [number, name]));

/** Attributes as the records of native code carry them. */
export const attributeFields = (attributes: Attributes) => ({
  mode: attributes.mode,
  size: attributes.size,
  blocks: Math.ceil(attributes.size / SECTOR_BYTES),
  atime: attributes.atime,
  mtime: attributes.mtime,
  ctime: attributes.ctime,
  atimeNanoseconds: attributes.atimeNs,
  mtimeNanoseconds: attributes.mtimeNs,
  ctimeNanoseconds: attributes.ctimeNs,
  links: attributes.links,
  uid: attributes.uid,
  gid: attributes.gid,
  device: attributes.device,
  blockSize: BLOCK_BYTES,
});

export class Replies {
  readonly validity: Validity;
  readonly #sink: ReplySink;
  readonly #files: OpenFiles;
  readonly #told: ToldAttributes;
  readonly #logger: Logger;

  constructor(sink: ReplySink, files: OpenFiles, told: ToldAttributes, validity: Validity, logger: Logger) {
    this.#sink = sink;
    this.#files = files;
    this.#told = told;
    this.validity = validity;
    this.#logger = logger;
  }

  entry(request: FuseRequestEvent, attributes: Attributes): void {
    const fields = this.#fields(request, FuseReplyKind.entry, attributes);
    fields.entryValidMs = this.validity.entryMs;
    this.#send(fields);
  }

  attributes(request: FuseRequestEvent, attributes: Attributes): void {
    this.#send(this.#fields(request, FuseReplyKind.attributes, attributes));
  }

  created(request: FuseRequestEvent, attributes: Attributes, handle: number, openFlags: number): void {
    const fields = this.#fields(request, FuseReplyKind.create, attributes);
    fields.entryValidMs = this.validity.entryMs;
    fields.handle = handle;
    fields.openFlags = openFlags;
    this.#send(fields);
  }

  opened(request: FuseRequestEvent, handle: number, openFlags: number): void {
    this.#send({ session: request.session, kind: FuseReplyKind.open, unique: request.unique, handle, openFlags });
  }

  bytes(request: FuseRequestEvent, data: Uint8Array): void {
    this.#send({ session: request.session, kind: FuseReplyKind.bytes, unique: request.unique }, data);
  }

  /** Records of FuseDirectoryEntry. */
  directory(request: FuseRequestEvent, data: Uint8Array): void {
    this.#send({ session: request.session, kind: FuseReplyKind.directory, unique: request.unique }, data);
  }

  xattrSize(request: FuseRequestEvent, size: number): void {
    this.#send({ session: request.session, kind: FuseReplyKind.xattrSize, unique: request.unique, size });
  }

  space(request: FuseRequestEvent, space: Space): void {
    const { bsize, blocks, bfree, files, ffree } = space;
    this.#send({
      session: request.session,
      kind: FuseReplyKind.statfs,
      unique: request.unique,
      size: bsize,
      blocks,
      handle: bfree,
      offset: files,
      sequence: ffree,
    });
  }

  done(request: FuseRequestEvent, errno = 0): void {
    this.#send({ session: request.session, kind: FuseReplyKind.error, unique: request.unique, error: errno });
  }

  /** Answers with the errno of `error`, and logs what is not the program's own doing. */
  fail(request: FuseRequestEvent, error: unknown): void {
    let errno = errnoOf(error);
    if (errno === Errno.ENOENT && aboutNodes.has(request.operation)) errno = Errno.ESTALE;
    if (isWorthLogging(error)) {
      const operation = operationNames.get(request.operation) ?? String(request.operation);
      const inode = request.node > 0 ? formatFid(request.node as Fid) : '-';
      this.#logger.error({ err: error, operation, inode, pid: request.pid, errno }, `${operation} of inode ${inode} failed`);
    }
    this.done(request, errno);
  }

  #send(fields: Partial<FuseReplyCommand>, data?: Uint8Array): void {
    // unique 0: nobody waits for an answer.
    if (fields.unique !== 0) this.#sink.fuseReply(fields, data);
  }

  /** What was written here and not settled counts; `attributes` is changed in place. */
  #fields(request: FuseRequestEvent, kind: FuseReplyKind, attributes: Attributes): Partial<FuseReplyCommand> {
    this.#files.merge(attributes);
    if ((attributes.mode & S_IFMT) === S_IFREG) this.#told.tell(attributes);
    return {
      ...attributeFields(attributes),
      session: request.session,
      kind,
      unique: request.unique,
      node: attributes.fid,
      attributesValidMs: this.validity.attributesMs,
    };
  }
}
