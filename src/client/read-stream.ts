/**
 * A file as a Readable: a window of requests runs ahead of the consumer, chunks come out in order. When the
 * consumer pauses, at most the window is held.
 */
import { Readable } from 'node:stream';
import { fileError } from './errors.js';
import type { OpenFileHandle } from './file-handle.js';
import type { ReadStreamOptions } from './types.js';

const CHUNK_BYTES_MAX = 4 * 2 ** 20;
const READ_AHEAD = 4;

interface Request {
  readonly buffer: Buffer;
  /** undefined while under way. */
  bytes: number | undefined;
}

export class FileReadStream extends Readable {
  bytesRead = 0;
  readonly #open: () => Promise<OpenFileHandle>;
  readonly #options: ReadStreamOptions;
  readonly #window: Request[] = [];
  #handle: OpenFileHandle | undefined;
  #chunkBytes = CHUNK_BYTES_MAX;
  #next: number;
  readonly #end: number;
  #wanted = false;
  #ended = false;

  constructor(open: () => Promise<OpenFileHandle>, options: ReadStreamOptions) {
    const { encoding, signal } = options;
    // Node's own buffer stays empty: the window is the buffer.
    super({ highWaterMark: 1, ...(encoding === undefined ? {} : { encoding }), ...(signal === undefined ? {} : { signal }) });
    this.#open = open;
    this.#options = options;
    this.#next = options.start ?? 0;
    this.#end = options.end === undefined ? Number.POSITIVE_INFINITY : options.end + 1;
  }

  override _construct(callback: (error?: Error | null) => void): void {
    this.#open().then(
      (handle) => {
        try {
          handle.enter(false);
        } catch (error) {
          callback(fileError(error, 'read', handle.path) as Error);
          return;
        }
        this.#handle = handle;
        this.#chunkBytes = Math.max(1, Math.min(CHUNK_BYTES_MAX, this.#options.highWaterMark ?? handle.stripeSize));
        callback();
      },
      (error: unknown) => callback(error as Error),
    );
  }

  override _read(): void {
    this.#wanted = true;
    this.#issue();
    this.#deliver();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const handle = this.#handle;
    if (handle === undefined) {
      callback(error);
      return;
    }
    handle.leave();
    if (this.#options.autoClose === false) {
      callback(error);
      return;
    }
    handle.close().then(
      () => callback(error),
      (closeError: unknown) => callback(error ?? (closeError as Error)),
    );
  }

  #issue(): void {
    const handle = this.#handle as OpenFileHandle;
    const limit = this.#options.readAhead ?? READ_AHEAD;
    while (!this.#ended && this.#window.length < limit) {
      // Beyond the size that is known one request is enough to learn where the file ends.
      if (this.#next >= this.#end || (this.#next >= handle.data.size && this.#window.length > 0)) break;
      const within = this.#next % this.#chunkBytes;
      const length = Math.min(this.#chunkBytes - within, this.#end - this.#next);
      const request: Request = { buffer: Buffer.allocUnsafeSlow(length), bytes: undefined };
      this.#window.push(request);
      handle.data.read(request.buffer, this.#next, true).then(
        (bytes) => {
          request.bytes = bytes;
          this.#deliver();
        },
        (error: unknown) => this.destroy(fileError(error, 'read', handle.path) as Error),
      );
      this.#next += length;
    }
    if (this.#next >= this.#end && this.#window.length === 0) this.#finish();
  }

  #deliver(): void {
    while (this.#wanted && !this.#ended && !this.destroyed) {
      const first = this.#window[0];
      if (first?.bytes === undefined) return;
      this.#window.shift();
      const { buffer, bytes } = first;
      this.bytesRead += bytes;
      if (bytes > 0) this.#wanted = this.push(bytes === buffer.length ? buffer : buffer.subarray(0, bytes));
      if (bytes < buffer.length) {
        this.#finish();
        return;
      }
      this.#issue();
    }
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.push(null);
  }
}
