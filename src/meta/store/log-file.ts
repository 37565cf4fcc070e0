/**
 * One file of the metadata log: appended to, synced, dropped. It decides nothing; what an entry holds is
 * log-entry.ts, when files change is applier.ts.
 */
import { close, closeSync, fdatasync, fsync, ftruncateSync, open as openCallback, writeSync } from 'node:fs';
import { mkdir, open, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Crc32c } from '../types.js';
import { encodeLogHeader, LOG_HEADER_BYTES } from './log-entry.js';

const openFile = promisify(openCallback);
const closeFile = promisify(close);
const syncFile = promisify(fsync);
const syncFileData = promisify(fdatasync);

const LOG_NAME = /^log-([0-9a-f]{12})$/;

export function logName(generation: number): string {
  return `log-${generation.toString(16).padStart(12, '0')}`;
}

/** Makes names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Log files of a folder, oldest first. */
export async function listLogs(folder: string): Promise<{ generation: number; path: string }[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const logs: { generation: number; path: string }[] = [];
  for (const name of await readdir(folder)) {
    const match = LOG_NAME.exec(name);
    if (match !== null) logs.push({ generation: Number.parseInt(match[1]!, 16), path: join(folder, name) });
  }
  return logs.sort((a, b) => a.generation - b.generation);
}

export class LogFile {
  readonly path: string;
  readonly generation: number;
  /** End of the last whole entry. */
  bytes = LOG_HEADER_BYTES;
  readonly #descriptor: number;
  #syncs = 0;
  #dropped = false;

  private constructor(path: string, generation: number, descriptor: number) {
    this.path = path;
    this.generation = generation;
    this.#descriptor = descriptor;
  }

  /** A new, empty log file whose header and name are on disk. Replaces an unused one of the same generation. */
  static async create(folder: string, generation: number, crc32c: Crc32c): Promise<LogFile> {
    const path = join(folder, logName(generation));
    const descriptor = await openFile(path, 'w', 0o600);
    try {
      writeSync(descriptor, encodeLogHeader(generation, crc32c), 0, LOG_HEADER_BYTES, 0);
      await syncFile(descriptor);
      await syncFolder(folder);
    } catch (error) {
      await closeFile(descriptor);
      await unlink(path).catch(() => undefined);
      throw error;
    }
    return new LogFile(path, generation, descriptor);
  }

  /**
   * Appends a whole entry or nothing: what a failed write left behind is cut off again.
   *
   * @throws the write's error; `cutFailed` is set on it when the file could not be cut, after which the log must not be used
   */
  append(entry: Buffer): void {
    let written = 0;
    try {
      while (written < entry.length) {
        written += writeSync(this.#descriptor, entry, written, entry.length - written, this.bytes + written);
      }
    } catch (error) {
      try {
        ftruncateSync(this.#descriptor, this.bytes);
      } catch {
        throw Object.assign(error as Error, { cutFailed: true });
      }
      throw error;
    }
    this.bytes += entry.length;
  }

  /** fdatasync. A dropped file has nothing left to sync. */
  async sync(): Promise<void> {
    if (this.#dropped) return;
    this.#syncs++;
    try {
      await syncFileData(this.#descriptor);
    } finally {
      this.#syncs--;
      if (this.#dropped && this.#syncs === 0) closeSync(this.#descriptor);
    }
  }

  /** Removes the file: LMDB holds everything in it. A sync that still runs keeps the descriptor until it ends. */
  async drop(): Promise<void> {
    this.close();
    await unlink(this.path);
  }

  close(): void {
    if (this.#dropped) return;
    this.#dropped = true;
    if (this.#syncs === 0) closeSync(this.#descriptor);
  }
}
