/**
 * Moves bytes between memory of the program and one open file. No positions, no flags, no paths beyond the
 * text in errors: FileHandle and the streams decide what is read and written where.
 */
import { FileIoOperation } from '../wire/generated.js';
import type { ClientCore } from './core.js';
import type { OpenFile } from './open-files.js';
import { endedOrAborted, orAborted, pieces, runWindow } from './window.js';

/** Large ranges go in pieces of this, so that an abort is heard and one call cannot fill every queue. */
const PIECE_BYTES = 16 * 2 ** 20;
const PIECES_IN_FLIGHT = 2;

export class FileData {
  readonly file: OpenFile;
  readonly #core: ClientCore;
  readonly #handle: number;
  readonly #what: string;

  constructor(core: ClientCore, file: OpenFile, path: string) {
    this.#core = core;
    this.file = file;
    this.#handle = core.files.openHandle(file);
    this.#what = path;
  }

  /** Bytes of the file as this process knows it. */
  get size(): number {
    return this.#core.files.states.size(this.file.slot);
  }

  /** Reads into `view`; fewer bytes than fit only at the end of the file. once: the memory is not reused. */
  read(view: Uint8Array, offset: number, once = false): Promise<number> {
    return this.#transfer(FileIoOperation.read, view, offset, once);
  }

  /** The memory must not change until the promise has settled. */
  write(view: Uint8Array, offset: number, once = false): Promise<number> {
    return this.#transfer(FileIoOperation.write, view, offset, once);
  }

  /** As read, for any length and with a signal. However it ends, the view is not in use any more then. */
  async readAll(view: Uint8Array, offset: number, signal?: AbortSignal): Promise<number> {
    if (view.byteLength <= PIECE_BYTES) return endedOrAborted(() => this.read(view, offset), signal);
    let end = offset;
    await runWindow(pieces(offset, offset + view.byteLength, PIECE_BYTES), PIECES_IN_FLIGHT, async (piece) => {
      signal?.throwIfAborted();
      const at = piece.offset - offset;
      const bytes = await this.read(view.subarray(at, at + piece.length), piece.offset);
      if (bytes > 0) end = Math.max(end, piece.offset + bytes);
    });
    signal?.throwIfAborted();
    return end - offset;
  }

  async writeAll(view: Uint8Array, offset: number, signal?: AbortSignal): Promise<number> {
    if (view.byteLength <= PIECE_BYTES) return endedOrAborted(() => this.write(view, offset), signal);
    await runWindow(pieces(offset, offset + view.byteLength, PIECE_BYTES), PIECES_IN_FLIGHT, async (piece) => {
      signal?.throwIfAborted();
      const at = piece.offset - offset;
      await this.write(view.subarray(at, at + piece.length), piece.offset);
    });
    signal?.throwIfAborted();
    return view.byteLength;
  }

  /** Every write so far is on the disks of the targets, and size and time on the metadata server's. */
  async sync(signal?: AbortSignal): Promise<void> {
    await orAborted(this.#core.files.sync(this.#handle, this.#what), signal);
    await this.#core.files.settle(this.file, true, signal);
  }

  /** Nothing of it is in use any more. */
  close(): void {
    this.#core.files.closeHandle(this.#handle);
  }

  #transfer(operation: FileIoOperation, view: Uint8Array, offset: number, once: boolean): Promise<number> {
    if (view.byteLength === 0) return Promise.resolve(0);
    const { buffers, io } = this.#core;
    const memory = view.buffer;
    const slot = buffers.use(memory);
    const moved = io.fileIo(operation, this.file.slot, { offset, slot, slotOffset: view.byteOffset, length: view.byteLength }, this.#what);
    const done = (): void => buffers.done(memory, once);
    moved.then(done, done);
    return moved;
  }
}
