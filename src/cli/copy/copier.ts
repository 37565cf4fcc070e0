/**
 * Copies trees between two sides: several files at once, large files in parallel pieces, in bounded memory.
 * A file that cannot be copied is reported and the rest goes on; what it left half-written is removed.
 */
import { posix } from 'node:path';
import { Limiter } from './limiter.js';
import type { Side, SideFile, SideStats } from './side.js';

export interface CopyOptions {
  readonly recursive: boolean;
  /** Owner, exact permissions and times too. */
  readonly preserve: boolean;
  /** Leave what exists. */
  readonly keep: boolean;
  readonly signal: AbortSignal;
}

/** What is told while copying. */
export interface CopyListener {
  found(bytes: number): void;
  copied(bytes: number): void;
  file(path: string): void;
  failed(path: string, error: unknown): void;
}

export interface CopyTotals {
  files: number;
  directories: number;
  links: number;
  bytes: number;
  failed: number;
}

/** Large enough that a request's cost does not count; with the number in flight this is the memory used: 64 MiB. */
const PIECE_BYTES = 4 * 2 ** 20;
const PIECES_IN_FLIGHT = 16;
const FILES_AT_ONCE = 16;

export class Copier {
  readonly totals: CopyTotals = { files: 0, directories: 0, links: 0, bytes: 0, failed: 0 };
  readonly #from: Side;
  readonly #to: Side;
  readonly #options: CopyOptions;
  readonly #listener: CopyListener;
  readonly #files = new Limiter(FILES_AT_ONCE);
  readonly #pieces = new Limiter(PIECES_IN_FLIGHT);
  readonly #buffers: Buffer[] = [];
  readonly #allocate: (bytes: number) => Buffer;

  /** @param allocate memory for pieces; from the file system's pool it is moved without a copy */
  constructor(from: Side, to: Side, options: CopyOptions, listener: CopyListener, allocate: (bytes: number) => Buffer) {
    this.#from = from;
    this.#to = to;
    this.#options = options;
    this.#listener = listener;
    this.#allocate = allocate;
  }

  /** Begins the copy of `source` to exactly `destination`; errors go to the listener. */
  async add(source: string, destination: string): Promise<void> {
    this.#options.signal.throwIfAborted();
    try {
      const stats = await this.#from.stat(source, !this.#options.recursive);
      if (stats.kind === 'directory') await this.#directory(source, destination, stats);
      else if (stats.kind === 'symlink') await this.#link(source, destination);
      else if (stats.kind === 'file' || !this.#options.recursive) await this.#begin(source, destination, stats);
      else throw new Error(`${this.#from.show(source)} is a device, socket or pipe: not copied`);
    } catch (error) {
      this.#fail(source, error);
    }
  }

  /** Resolves when all that was added is copied. */
  async finish(): Promise<void> {
    await this.#files.idle();
    this.#options.signal.throwIfAborted();
  }

  #fail(path: string, error: unknown): void {
    if (this.#options.signal.aborted) throw this.#options.signal.reason;
    this.totals.failed++;
    this.#listener.failed(path, error);
  }

  async #directory(source: string, destination: string, stats: SideStats): Promise<void> {
    if (!this.#options.recursive) throw new Error(`${this.#from.show(source)} is a directory: use -r to copy it with all that is in it`);
    try {
      // Its owner must be able to fill it; the true mode comes afterwards.
      await this.#to.mkdir(destination, stats.mode | 0o700);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || (await this.#to.stat(destination, true)).kind !== 'directory') throw error;
    }
    this.totals.directories++;
    for await (const { name } of this.#from.entries(source)) await this.add(posix.join(source, name), posix.join(destination, name));
    if (!this.#options.preserve) return;
    await this.#files.idle();
    await this.#attributes(stats, {
      chmod: (mode) => this.#to.chmod(destination, mode),
      chown: (uid, gid) => this.#to.chown(destination, uid, gid),
      utimes: (atime, mtime) => this.#to.utimes(destination, atime, mtime),
    });
  }

  async #link(source: string, destination: string): Promise<void> {
    const target = await this.#from.readlink(source);
    try {
      await this.#to.symlink(target, destination);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (this.#options.keep) return;
      await this.#to.unlink(destination);
      await this.#to.symlink(target, destination);
    }
    this.totals.links++;
  }

  /** Starts a file; waits only for a place among the files in flight. */
  async #begin(source: string, destination: string, stats: SideStats): Promise<void> {
    this.#listener.found(stats.size);
    await this.#files.enter();
    this.#file(source, destination, stats)
      .catch((error: unknown) => {
        if (!this.#options.signal.aborted) this.#fail(source, error);
      })
      .finally(() => this.#files.leave());
  }

  async #file(source: string, destination: string, stats: SideStats): Promise<void> {
    this.#options.signal.throwIfAborted();
    this.#listener.file(source);
    const from = await this.#from.open(source, 'r');
    try {
      const to = await this.#openDestination(destination, stats.mode & 0o777);
      if (to === undefined) return;
      let whole = false;
      try {
        await (stats.kind === 'file' && stats.size > 0 ? this.#parallel(from, to, stats.size) : this.#sequential(from, to));
        if (this.#options.preserve) await this.#attributes(stats, to);
        whole = true;
      } finally {
        // Closing tells the metadata server what was written: its failure is the copy's.
        await (whole ? to.close() : to.close().catch(() => {}));
        if (!whole) await this.#to.unlink(destination).catch(() => {});
      }
      this.totals.files++;
    } finally {
      await from.close();
    }
  }

  async #openDestination(path: string, mode: number): Promise<SideFile | undefined> {
    try {
      return await this.#to.open(path, this.#options.keep ? 'wx' : 'w', mode);
    } catch (error) {
      if (this.#options.keep && (error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
      throw error;
    }
  }

  async #parallel(from: SideFile, to: SideFile, size: number): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    const running: Promise<void>[] = [];
    for (let position = 0; position < size && failure === undefined; position += PIECE_BYTES) {
      await this.#pieces.enter();
      running.push(
        this.#piece(from, to, position, Math.min(PIECE_BYTES, size - position))
          .then(() => {})
          .catch((error: unknown) => {
            failure ??= { error };
          })
          .finally(() => this.#pieces.leave()),
      );
    }
    await Promise.all(running);
    if (failure !== undefined) throw failure.error;
  }

  /** For what has no size beforehand, such as files of /proc. */
  async #sequential(from: SideFile, to: SideFile): Promise<void> {
    await this.#pieces.enter();
    try {
      for (let position = 0; ; ) {
        const bytes = await this.#piece(from, to, position, PIECE_BYTES);
        if (bytes === 0) return;
        position += bytes;
      }
    } finally {
      this.#pieces.leave();
    }
  }

  async #piece(from: SideFile, to: SideFile, position: number, length: number): Promise<number> {
    this.#options.signal.throwIfAborted();
    const buffer = this.#buffers.pop() ?? this.#allocate(PIECE_BYTES);
    try {
      let done = 0;
      while (done < length) {
        const { bytesRead } = await from.read(buffer, done, length - done, position + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      for (let written = 0; written < done; ) written += (await to.write(buffer, written, done - written, position + written)).bytesWritten;
      this.totals.bytes += done;
      this.#listener.copied(done);
      return done;
    } finally {
      this.#buffers.push(buffer);
    }
  }

  async #attributes(stats: SideStats, target: Pick<SideFile, 'chmod' | 'chown' | 'utimes'>): Promise<void> {
    // Only root can give files away; for others the copy is theirs, as with cp -p.
    if (process.getuid?.() === 0) await target.chown(stats.uid, stats.gid);
    await target.chmod(stats.mode);
    await target.utimes(stats.atime, stats.mtime);
  }
}
