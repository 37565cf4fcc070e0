/** An open file in the manner of node:fs/promises' FileHandle: positions, flags, whole-file helpers. */
import type { Readable, Writable } from 'node:stream';
import { IbexError } from '../wire/errors.js';
import type { Fid } from '../wire/fid.js';
import { meta, type RequestOf } from '../wire/messages.js';
import { toBytes, toSize, viewOf } from './bytes.js';
import type { ClientCore } from './core.js';
import { FileError, fileError } from './errors.js';
import { FileData } from './file-data.js';
import type { OpenIntent } from './flags.js';
import type { OpenFile } from './open-files.js';
import type { Opened } from './open-path.js';
import { FileReadStream } from './read-stream.js';
import { Stats } from './stats.js';
import { toTimestamp } from './time.js';
import type {
  Abortable,
  FileData as Data,
  Encoding,
  EncodingOptions,
  FileHandle,
  ReadOptions,
  ReadStreamOptions,
  WriteOptions,
  WriteStreamOptions,
} from './types.js';
import { FileWriteStream } from './write-stream.js';

/** What readFile asks for where the file's size says nothing. */
const READ_STEP_BYTES = 2 ** 20;

export class OpenFileHandle implements FileHandle {
  readonly path: string;
  readonly data: FileData;
  readonly #core: ClientCore;
  readonly #file: OpenFile;
  readonly #countedAsWrite: boolean;
  readonly #intent: OpenIntent;
  readonly #closed: (handle: OpenFileHandle) => void;
  #position = 0;
  /** Reads at the current position, one after the other: each starts where the one before ended. */
  #sequential: Promise<unknown> = Promise.resolve();
  #inFlight = 0;
  #idle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(core: ClientCore, { file, write }: Opened, path: string, intent: OpenIntent, closed: (handle: OpenFileHandle) => void) {
    this.#core = core;
    this.#file = file;
    this.#countedAsWrite = write;
    this.path = path;
    this.#intent = intent;
    this.#closed = closed;
    this.data = new FileData(core, file, path);
  }

  get fid(): Fid {
    return this.#file.fid;
  }

  get stripeSize(): number {
    return this.#file.layout.stripeSize;
  }

  read<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    offset?: number | null,
    length?: number | null,
    position?: number | null,
  ): Promise<{ bytesRead: number; buffer: T }>;
  read<T extends NodeJS.ArrayBufferView = Buffer>(options?: ReadOptions<T>): Promise<{ bytesRead: number; buffer: T }>;
  async read<T extends NodeJS.ArrayBufferView>(
    first?: T | ReadOptions<T>,
    offset?: number | null,
    length?: number | null,
    position?: number | null,
  ): Promise<{ bytesRead: number; buffer: T }> {
    const options: ReadOptions<T> = ArrayBuffer.isView(first)
      ? { buffer: first as T, offset: offset ?? undefined, length: length ?? undefined, position }
      : (first ?? {});
    const buffer = options.buffer ?? (Buffer.allocUnsafeSlow(16384) as NodeJS.ArrayBufferView as T);
    return this.#run('read', async () => {
      this.#need(this.#intent.read, 'reading');
      const view = viewOf(buffer, options.offset, options.length);
      return { bytesRead: await this.#readAt(view, options.position, options.signal), buffer };
    });
  }

  async readv<T extends readonly NodeJS.ArrayBufferView[]>(
    buffers: T,
    position?: number | null,
  ): Promise<{ bytesRead: number; buffers: T }> {
    return this.#run('readv', async () => {
      this.#need(this.#intent.read, 'reading');
      let bytesRead = 0;
      for (const buffer of buffers) {
        const bytes = await this.#readAt(
          viewOf(buffer),
          typeof position === 'number' && position >= 0 ? position + bytesRead : null,
          undefined,
        );
        bytesRead += bytes;
        if (bytes < buffer.byteLength) break;
      }
      return { bytesRead, buffers };
    });
  }

  write<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    offset?: number | null,
    length?: number | null,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffer: T }>;
  write<T extends NodeJS.ArrayBufferView>(buffer: T, options: WriteOptions): Promise<{ bytesWritten: number; buffer: T }>;
  write(text: string, position?: number | null, encoding?: Encoding | null): Promise<{ bytesWritten: number; buffer: string }>;
  async write(
    data: NodeJS.ArrayBufferView | string,
    second?: number | null | WriteOptions,
    third?: number | string | null,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffer: never }> {
    return this.#run('write', async () => {
      this.#need(this.#intent.write, 'writing');
      let view: Uint8Array;
      let at: number | null | undefined;
      let signal: AbortSignal | undefined;
      if (typeof data === 'string') {
        view = Buffer.from(data, (third as Encoding | null | undefined) ?? 'utf8');
        at = second as number | null | undefined;
      } else {
        const options: WriteOptions =
          typeof second === 'object' && second !== null
            ? second
            : { offset: second ?? undefined, length: (third as number | null | undefined) ?? undefined, position };
        view = viewOf(data, options.offset, options.length);
        at = options.position;
        signal = options.signal;
      }
      return { bytesWritten: await this.writeAt(view, at, signal), buffer: data as never };
    });
  }

  async writev<T extends readonly NodeJS.ArrayBufferView[]>(
    buffers: T,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffers: T }> {
    return this.#run('writev', async () => {
      this.#need(this.#intent.write, 'writing');
      const joined =
        buffers.length === 1 ? viewOf(buffers[0] as NodeJS.ArrayBufferView) : Buffer.concat(buffers.map((buffer) => viewOf(buffer)));
      return { bytesWritten: await this.writeAt(joined, position, undefined), buffers };
    });
  }

  readFile(options?: { encoding?: null | undefined } & Abortable): Promise<Buffer>;
  readFile(options: Encoding | ({ encoding: Encoding } & Abortable)): Promise<string>;
  async readFile(options?: Encoding | EncodingOptions): Promise<Buffer | string> {
    const { encoding, signal }: EncodingOptions = typeof options === 'string' ? { encoding: options } : (options ?? {});
    return this.#run('read', async () => {
      this.#need(this.#intent.read, 'reading');
      const whole = await this.#readRest(signal);
      return encoding === undefined || encoding === null ? whole : whole.toString(encoding);
    });
  }

  writeFile(data: Data, options?: Encoding | EncodingOptions): Promise<void> {
    const { encoding, signal }: EncodingOptions = typeof options === 'string' ? { encoding: options } : (options ?? {});
    return this.#run('write', async () => {
      this.#need(this.#intent.write, 'writing');
      if (typeof data === 'string' || ArrayBuffer.isView(data)) {
        await this.writeAt(toBytes(data, encoding), null, signal);
        return;
      }
      for await (const chunk of data) {
        signal?.throwIfAborted();
        await this.writeAt(toBytes(chunk as string | NodeJS.ArrayBufferView, encoding), null, signal);
      }
    });
  }

  appendFile(data: Data, options?: Encoding | EncodingOptions): Promise<void> {
    return this.writeFile(data, options);
  }

  stat(options: Abortable = {}): Promise<Stats> {
    return this.#run('fstat', async () => {
      const { attributes } = await this.#core.calls.meta(this.fid, meta.getAttributes, { fid: this.fid }, options);
      return new Stats(this.#core.files.merge(attributes));
    });
  }

  chmod(mode: number): Promise<void> {
    return this.#run('fchmod', () => this.#change({ mode: mode & 0o7777 }));
  }

  chown(uid: number, gid: number): Promise<void> {
    return this.#run('fchown', () => this.#change({ ...(uid < 0 ? {} : { uid }), ...(gid < 0 ? {} : { gid }) }));
  }

  utimes(atime: number | string | Date, mtime: number | string | Date): Promise<void> {
    return this.#run('futime', async () => {
      const [access, change] = [toTimestamp(atime), toTimestamp(mtime)];
      // Otherwise the time of an earlier write would be reported over this one.
      await this.#core.files.settleBeforeChange(this.fid, this.path);
      await this.#change({ atime: access.seconds, atimeNs: access.nanoseconds, mtime: change.seconds, mtimeNs: change.nanoseconds });
    });
  }

  truncate(length = 0, options: Abortable = {}): Promise<void> {
    return this.#run('ftruncate', async () => {
      if (!this.#intent.write) throw new IbexError('ERR_INVALID', 'the file is not open for writing');
      const size = toSize(length);
      await this.#core.files.settleBeforeChange(this.fid, this.path, options.signal);
      await this.#change({ size }, options.signal);
    });
  }

  sync(options: Abortable = {}): Promise<void> {
    return this.#run('fsync', () => this.data.sync(options.signal));
  }

  datasync(options: Abortable = {}): Promise<void> {
    return this.#run('fdatasync', () => this.data.sync(options.signal));
  }

  createReadStream(options: ReadStreamOptions = {}): Readable {
    return new FileReadStream(() => Promise.resolve(this), { ...options, start: options.start ?? this.#position });
  }

  createWriteStream(options: WriteStreamOptions = {}): Writable {
    return new FileWriteStream(() => Promise.resolve(this), options);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** For the streams: one more user of the handle until `leave`, so that close waits. */
  enter(write: boolean): void {
    if (this.#closing !== undefined) throw new IbexError('ERR_BAD_DESCRIPTOR', 'the file is closed');
    this.#need(write ? this.#intent.write : this.#intent.read, write ? 'writing' : 'reading');
    this.#inFlight += 1;
  }

  leave(): void {
    this.#inFlight -= 1;
    if (this.#inFlight === 0) this.#idle?.();
  }

  /** Writes all of `view` where flags and `position` say; null, undefined or negative: at the current position. */
  async writeAt(view: Uint8Array, position: number | null | undefined, signal?: AbortSignal): Promise<number> {
    const { byteLength } = view;
    if (this.#intent.append) {
      await this.#append(view, signal);
    } else {
      let offset: number;
      if (typeof position === 'number' && position >= 0) offset = position;
      else {
        offset = this.#position;
        this.#position += byteLength;
      }
      await this.data.writeAll(view, offset, signal);
    }
    if (this.#intent.sync) await this.data.sync(signal);
    return byteLength;
  }

  /** Appends of this process follow one another without waiting: each reserves its place when it begins. */
  async #append(view: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    const file = this.#file;
    const offset = Math.max(this.data.size, file.appendsInFlight > 0 ? file.appendEnd : 0);
    file.appendEnd = offset + view.byteLength;
    file.appendsInFlight += 1;
    this.#position = file.appendEnd;
    try {
      await this.data.writeAll(view, offset, signal);
    } finally {
      file.appendsInFlight -= 1;
    }
  }

  #readAt(view: Uint8Array, position: number | null | undefined, signal: AbortSignal | undefined): Promise<number> {
    if (typeof position === 'number' && position >= 0) return this.data.readAll(view, position, signal);
    const turn = this.#sequential.then(async () => {
      const bytes = await this.data.readAll(view, this.#position, signal);
      this.#position += bytes;
      return bytes;
    });
    this.#sequential = turn.catch(() => undefined);
    return turn;
  }

  async #readRest(signal: AbortSignal | undefined): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (;;) {
      const expected = Math.max(this.data.size - this.#position, parts.length === 0 ? 0 : READ_STEP_BYTES);
      if (expected === 0) break;
      const buffer = Buffer.allocUnsafeSlow(expected);
      const bytes = await this.#readAt(buffer, null, signal);
      parts.push(bytes === expected ? buffer : buffer.subarray(0, bytes));
      // The size was known: only a file that grows meanwhile has more.
      if (bytes < expected || this.data.size <= this.#position) break;
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  async #change(change: Omit<RequestOf<typeof meta.setAttributes>, 'fid'>, signal?: AbortSignal): Promise<void> {
    const { attributes } = await this.#core.calls.meta(this.fid, meta.setAttributes, { fid: this.fid, ...change }, { signal });
    if (change.size !== undefined) this.#core.files.resized(this.fid, attributes.size);
  }

  async #close(): Promise<void> {
    if (this.#inFlight > 0)
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    const { files } = this.#core;
    try {
      if (this.#intent.write && files.isDirty(this.#file)) await files.settle(this.#file, false);
    } catch (error) {
      throw fileError(error, 'close', this.path);
    } finally {
      this.data.close();
      files.release(this.#file, this.#countedAsWrite);
      this.#closed(this);
    }
  }

  #need(allowed: boolean, what: string): void {
    if (!allowed) throw new IbexError('ERR_BAD_DESCRIPTOR', `the file is not open for ${what}`);
  }

  async #run<T>(syscall: string, work: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw new FileError('ERR_BAD_DESCRIPTOR', syscall, this.path, undefined, 'the file is closed');
    this.#inFlight += 1;
    try {
      return await work();
    } catch (error) {
      throw fileError(error, syscall, this.path);
    } finally {
      this.leave();
    }
  }
}
