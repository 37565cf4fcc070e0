/**
 * A file as a Writable: small chunks are gathered, several requests are under way, and `finish` means that the
 * targets have everything. Whoever writes slowly is not kept waiting: gathered bytes leave when nothing is under way.
 */
import { Writable } from 'node:stream';
import { fileError } from './errors.js';
import type { OpenFileHandle } from './file-handle.js';
import type { WriteStreamOptions } from './types.js';

const GATHER_BYTES_MAX = 4 * 2 ** 20;
const WRITE_BEHIND = 4;

type Callback = (error?: Error | null) => void;

export class FileWriteStream extends Writable {
  bytesWritten = 0;
  readonly #open: () => Promise<OpenFileHandle>;
  readonly #options: WriteStreamOptions;
  #handle: OpenFileHandle | undefined;
  #gatherBytes = GATHER_BYTES_MAX;
  #gathered: Buffer | undefined;
  #gatheredBytes = 0;
  /** Where the next request starts; undefined: at the handle's position. */
  #position: number | undefined;
  #inFlight = 0;
  /** The producer, waiting for room, or the end, waiting for everything. */
  #waiting: { readonly untilInFlight: number; readonly callback: Callback } | undefined;
  #failure: Error | undefined;
  #flushScheduled = false;

  constructor(open: () => Promise<OpenFileHandle>, options: WriteStreamOptions) {
    const { encoding, signal } = options;
    super({
      highWaterMark: options.highWaterMark ?? GATHER_BYTES_MAX,
      decodeStrings: true,
      ...(encoding === undefined ? {} : { defaultEncoding: encoding }),
      ...(signal === undefined ? {} : { signal }),
    });
    this.#open = open;
    this.#options = options;
    this.#position = options.start;
  }

  override _construct(callback: Callback): void {
    this.#open().then(
      (handle) => {
        try {
          handle.enter(true);
        } catch (error) {
          callback(fileError(error, 'write', handle.path) as Error);
          return;
        }
        this.#handle = handle;
        this.#gatherBytes = Math.max(1, Math.min(GATHER_BYTES_MAX, this.#options.highWaterMark ?? handle.stripeSize));
        callback();
      },
      (error: unknown) => callback(error as Error),
    );
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    if (this.#failure !== undefined) {
      callback(this.#failure);
      return;
    }
    if (chunk.length >= this.#gatherBytes) {
      this.#send();
      this.#issue(chunk);
    } else {
      this.#gather(chunk);
      if (this.#inFlight === 0) this.#scheduleSend();
    }
    this.#wait((this.#options.writeBehind ?? WRITE_BEHIND) - 1, callback);
  }

  override _final(callback: Callback): void {
    this.#send();
    this.#wait(0, callback);
  }

  override _destroy(error: Error | null, callback: Callback): void {
    const handle = this.#handle;
    if (handle === undefined) {
      callback(error);
      return;
    }
    // Requests under way still read the producer's buffers: close comes after them.
    this.#waiting = undefined;
    this.#wait(0, (failure) => {
      handle.leave();
      const first = error ?? failure ?? null;
      if (this.#options.autoClose === false) callback(first);
      else
        handle.close().then(
          () => callback(first),
          (closeError: unknown) => callback(first ?? (closeError as Error)),
        );
    });
  }

  #gather(chunk: Buffer): void {
    let from = 0;
    while (from < chunk.length) {
      this.#gathered ??= Buffer.allocUnsafeSlow(this.#gatherBytes);
      const copied = chunk.copy(this.#gathered, this.#gatheredBytes, from);
      this.#gatheredBytes += copied;
      from += copied;
      if (this.#gatheredBytes === this.#gatherBytes) this.#send();
    }
  }

  #scheduleSend(): void {
    if (this.#flushScheduled || this.#gatheredBytes === 0) return;
    this.#flushScheduled = true;
    setImmediate(() => {
      this.#flushScheduled = false;
      if (this.#inFlight === 0 && !this.destroyed) this.#send();
    });
  }

  #send(): void {
    if (this.#gathered === undefined || this.#gatheredBytes === 0) return;
    const bytes = this.#gathered.subarray(0, this.#gatheredBytes);
    this.#gathered = undefined;
    this.#gatheredBytes = 0;
    this.#issue(bytes);
  }

  #issue(bytes: Buffer): void {
    const handle = this.#handle as OpenFileHandle;
    const at = this.#position;
    if (at !== undefined) this.#position = at + bytes.length;
    this.#inFlight += 1;
    handle.writeAt(bytes, at).then(
      (written) => {
        this.bytesWritten += written;
        this.#landed();
      },
      (error: unknown) => {
        this.#failure ??= fileError(error, 'write', handle.path) as Error;
        this.#landed();
      },
    );
  }

  #landed(): void {
    this.#inFlight -= 1;
    const waiting = this.#waiting;
    if (waiting !== undefined && this.#inFlight <= waiting.untilInFlight) {
      this.#waiting = undefined;
      waiting.callback(this.#failure ?? null);
    } else if (this.#failure !== undefined && waiting === undefined) {
      this.destroy(this.#failure);
    }
    if (this.#inFlight === 0) this.#scheduleSend();
  }

  #wait(untilInFlight: number, callback: Callback): void {
    if (this.#inFlight <= untilInFlight) callback(this.#failure ?? null);
    else this.#waiting = { untilInFlight, callback };
  }
}
