/**
 * The public interface of the client library, in the manner of node:fs/promises.
 * Only types: what they promise is implemented by the files beside this one.
 */
import type { Readable, Writable } from 'node:stream';
import type { Logger } from 'pino';
import type { RdmaSettings } from '../net/carrier.js';
import type { Fid, TargetId } from '../wire/fid.js';
import type { Dirent, Stats } from './stats.js';

export interface ConnectOptions {
  /** Management daemons as 'host:port'; the first that answers is used. */
  readonly mgmtd: string | readonly string[];
  /** The cluster's key file, as `ibex key generate` writes it. */
  readonly keyFile: string;
  /** Owner of what is created; by default this process' user and group. */
  readonly uid?: number;
  readonly gid?: number;
  /** What mgmtd shows of this client; by default the program's name and process id. */
  readonly name?: string;
  /** Native threads for file data. Default 1. */
  readonly reactorThreads?: number;
  /** Whether and how sessions go over RDMA; by default where both sides have a usable port ("prefer"). */
  readonly rdma?: Partial<RdmaSettings>;
  /** How long a resolved directory is trusted without asking again, in milliseconds. Default 1000; 0 always asks. */
  readonly directoryCacheMs?: number;
  /** Receives warnings; silent by default. */
  readonly logger?: Logger;
  readonly signal?: AbortSignal;
  /** How long reads and writes wait for a storage target that does nothing, in milliseconds; then EIO. Default 10,000. */
  readonly requestTimeoutMs?: number;
  /** How long to look for a mgmtd that answers, in milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number;
}

/**
 * Anything that waits for a server can be given up. The promise then rejects with the signal's reason: at once, but
 * for reads and writes only when their memory is no longer used (requests under way are answered or time out).
 */
export interface Abortable {
  readonly signal?: AbortSignal | undefined;
}

export type Encoding = BufferEncoding;
export interface EncodingOptions extends Abortable {
  readonly encoding?: Encoding | null | undefined;
}

/** How a file's bytes are spread. What is left out comes from the directory. */
export interface LayoutOptions {
  /** mirror: over mirror groups instead of targets. Only for directories: mirrored files cannot be written yet. */
  readonly pattern?: 'plain' | 'mirror' | undefined;
  /** Bytes of one stripe: 64 KiB to 1 GiB, a multiple of 64 KiB. */
  readonly stripeSize?: number | undefined;
  /** Targets a file is spread over; 0: all of the pool. */
  readonly stripeCount?: number | undefined;
  readonly pool?: string | undefined;
}

export interface LayoutInfo {
  readonly fid: Fid;
  readonly pattern: 'plain' | 'mirror';
  readonly pool: string;
  readonly stripeSize: number;
  readonly stripeCount: number;
  /** Of a file: stripe i lies on targets[i % targets.length]. Absent for a directory. */
  readonly targets?: readonly TargetId[] | undefined;
  /** Of a directory: false when the values are inherited. Always true for a file. */
  readonly own: boolean;
}

/** As in node:fs: 'r', 'r+', 'w', 'wx', 'w+', 'wx+', 'a', 'ax', 'a+', 'ax+' (also with 's'), or O_* bits. */
export type OpenFlags = string | number;

export interface OpenOptions extends Abortable {
  /** For a file that this open creates. */
  readonly layout?: LayoutOptions | undefined;
}

export interface ReadOptions<T extends NodeJS.ArrayBufferView = Buffer> extends Abortable {
  readonly buffer?: T | undefined;
  readonly offset?: number | undefined;
  readonly length?: number | undefined;
  readonly position?: number | null | undefined;
}

export interface WriteOptions extends Abortable {
  readonly offset?: number | undefined;
  readonly length?: number | undefined;
  readonly position?: number | null | undefined;
}

export interface ReadStreamOptions extends Abortable {
  readonly encoding?: Encoding | undefined;
  /** First and last byte, inclusive. */
  readonly start?: number | undefined;
  readonly end?: number | undefined;
  /** Bytes of one request and one chunk of the stream; by default the file's stripe size, at most 4 MiB. */
  readonly highWaterMark?: number | undefined;
  /** Requests in flight ahead of the consumer. Default 4. */
  readonly readAhead?: number | undefined;
  /** Close the handle when the stream ends. Default true. */
  readonly autoClose?: boolean | undefined;
}

export interface WriteStreamOptions extends Abortable {
  readonly encoding?: Encoding | undefined;
  readonly start?: number | undefined;
  /** Bytes the stream gathers into one request. Default: as for reading. */
  readonly highWaterMark?: number | undefined;
  /** Requests in flight. Default 4. */
  readonly writeBehind?: number | undefined;
  readonly autoClose?: boolean | undefined;
}

export type FileData =
  | string
  | NodeJS.ArrayBufferView
  | Iterable<string | NodeJS.ArrayBufferView>
  | AsyncIterable<string | NodeJS.ArrayBufferView>
  | Readable;

export interface ReadFileOptions extends EncodingOptions {
  readonly flag?: OpenFlags | undefined;
}

export interface WriteFileOptions extends EncodingOptions {
  readonly mode?: number | undefined;
  readonly flag?: OpenFlags | undefined;
  readonly layout?: LayoutOptions | undefined;
  /** Sync the file to disk before the promise is fulfilled. */
  readonly flush?: boolean | undefined;
}

/**
 * An open file. Every handle must be closed (`await using file = await fs.open(...)` does it): only
 * `close` and `sync` tell the metadata server about what was written, and report what went wrong.
 */
export interface FileHandle {
  readonly path: string;
  readonly fid: Fid;
  read<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    offset?: number | null,
    length?: number | null,
    position?: number | null,
  ): Promise<{ bytesRead: number; buffer: T }>;
  read<T extends NodeJS.ArrayBufferView = Buffer>(options?: ReadOptions<T>): Promise<{ bytesRead: number; buffer: T }>;
  readv<T extends readonly NodeJS.ArrayBufferView[]>(buffers: T, position?: number | null): Promise<{ bytesRead: number; buffers: T }>;
  write<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    offset?: number | null,
    length?: number | null,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffer: T }>;
  write<T extends NodeJS.ArrayBufferView>(buffer: T, options: WriteOptions): Promise<{ bytesWritten: number; buffer: T }>;
  write(text: string, position?: number | null, encoding?: Encoding | null): Promise<{ bytesWritten: number; buffer: string }>;
  writev<T extends readonly NodeJS.ArrayBufferView[]>(buffers: T, position?: number | null): Promise<{ bytesWritten: number; buffers: T }>;
  readFile(options?: { encoding?: null | undefined } & Abortable): Promise<Buffer>;
  readFile(options: Encoding | ({ encoding: Encoding } & Abortable)): Promise<string>;
  /** Writes from the current position on, as node's does. */
  writeFile(data: FileData, options?: Encoding | EncodingOptions): Promise<void>;
  appendFile(data: FileData, options?: Encoding | EncodingOptions): Promise<void>;
  stat(options?: Abortable): Promise<Stats>;
  chmod(mode: number): Promise<void>;
  chown(uid: number, gid: number): Promise<void>;
  utimes(atime: number | string | Date, mtime: number | string | Date): Promise<void>;
  truncate(length?: number, options?: Abortable): Promise<void>;
  /** Data and attributes are on disk, on every server, when the promise is fulfilled. */
  sync(options?: Abortable): Promise<void>;
  datasync(options?: Abortable): Promise<void>;
  createReadStream(options?: ReadStreamOptions): Readable;
  createWriteStream(options?: WriteStreamOptions): Writable;
  /** Tells the metadata server size and time of what was written; rejects when that fails. The handle is gone in any case. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ListOptions extends Abortable {
  readonly recursive?: boolean | undefined;
  /** Also fetch each entry's attributes: `Dirent.stats`. */
  readonly withStats?: boolean | undefined;
  /** Entries fetched at once. Default 1024. */
  readonly bufferSize?: number | undefined;
}

/** A directory read page by page: memory does not grow with the directory. */
export interface Directory extends AsyncIterable<Dirent> {
  readonly path: string;
  /** The next entry; null after the last. */
  read(): Promise<Dirent | null>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Memory that file data can be moved to and from without a copy. */
export interface Memory extends Disposable, AsyncDisposable {
  readonly buffer: Buffer;
  /** Gives the memory back; `buffer` must not be used afterwards. Without it the garbage collector does. */
  free(): void;
}

export interface Space {
  /** Bytes of a block; the figures below count such blocks. */
  readonly bsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
}

type Time = number | string | Date;

/**
 * A cluster's files. Paths start at the root of the file system ('/a/b'); '..' of the root is the root. A path
 * without a leading slash starts at the root too. Errors are IbexError with `code`, `syscall` and `path`.
 */
export interface FileSystem {
  readonly clusterId: string;
  open(path: string, flags?: OpenFlags, mode?: number, options?: OpenOptions): Promise<FileHandle>;
  readFile(path: string, options?: ({ encoding?: null | undefined; flag?: OpenFlags | undefined } & Abortable) | null): Promise<Buffer>;
  readFile(path: string, options: Encoding | ({ encoding: Encoding; flag?: OpenFlags | undefined } & Abortable)): Promise<string>;
  writeFile(path: string, data: FileData, options?: Encoding | WriteFileOptions | null): Promise<void>;
  appendFile(path: string, data: FileData, options?: Encoding | WriteFileOptions | null): Promise<void>;
  createReadStream(path: string, options?: ReadStreamOptions): Readable;
  createWriteStream(path: string, options?: WriteStreamOptions & { flags?: OpenFlags; mode?: number; layout?: LayoutOptions }): Writable;
  readdir(path: string, options?: ListOptions & { withFileTypes?: false | undefined }): Promise<string[]>;
  readdir(path: string, options: ListOptions & { withFileTypes: true }): Promise<Dirent[]>;
  opendir(path: string, options?: ListOptions): Promise<Directory>;
  stat(path: string, options?: Abortable): Promise<Stats>;
  lstat(path: string, options?: Abortable): Promise<Stats>;
  /** Fulfilled when the path exists and its mode bits grant `mode` (fs.constants.R_OK, ...) to this client's uid and gid. */
  access(path: string, mode?: number, options?: Abortable): Promise<void>;
  /** recursive: also what is missing above it, and no error when it exists; then the first directory made, as node has it. */
  mkdir(
    path: string,
    options?: number | ({ recursive?: boolean | undefined; mode?: number | undefined } & Abortable),
  ): Promise<string | undefined>;
  rm(path: string, options?: { recursive?: boolean | undefined; force?: boolean | undefined } & Abortable): Promise<void>;
  rmdir(path: string, options?: Abortable): Promise<void>;
  unlink(path: string, options?: Abortable): Promise<void>;
  rename(from: string, to: string, options?: Abortable): Promise<void>;
  link(existing: string, path: string, options?: Abortable): Promise<void>;
  symlink(target: string, path: string, options?: Abortable): Promise<void>;
  readlink(path: string, options?: Abortable): Promise<string>;
  realpath(path: string, options?: Abortable): Promise<string>;
  chmod(path: string, mode: number, options?: Abortable): Promise<void>;
  /** -1 leaves uid or gid as it is. */
  chown(path: string, uid: number, gid: number, options?: Abortable): Promise<void>;
  lchown(path: string, uid: number, gid: number, options?: Abortable): Promise<void>;
  utimes(path: string, atime: Time, mtime: Time, options?: Abortable): Promise<void>;
  lutimes(path: string, atime: Time, mtime: Time, options?: Abortable): Promise<void>;
  truncate(path: string, length?: number, options?: Abortable): Promise<void>;
  copyFile(from: string, to: string, options?: { exclusive?: boolean | undefined } & Abortable): Promise<void>;
  statfs(options?: Abortable): Promise<Space>;
  getLayout(path: string, options?: Abortable): Promise<LayoutInfo>;
  /** Of a directory: for what is created below it later. Of a file: only while it is empty. */
  setLayout(path: string, layout: LayoutOptions, options?: Abortable): Promise<void>;
  alloc(size: number): Memory;
  /** What this client has done so far, for monitoring: names and numbers as in mgmtd's metric `ibex_native`. */
  counters(): Readonly<Record<string, number>>;
  /** Closes what is still open, then the connections. Later calls reject with ERR_SHUTTING_DOWN. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
