/**
 * Moves generations into LMDB in the background: waits a little so that changes gather, starts a new log
 * file, applies the full generation, drops its log file. Idle when nothing changed. A disk that takes nothing
 * is tried again and again; the store bounds what may gather meanwhile.
 */
import type { Logger } from 'pino';
import type { Crc32c } from '../types.js';
import type { Database } from './database.js';
import type { Generation } from './generation.js';
import { LogFile } from './log-file.js';

export interface ApplierOptions {
  readonly folder: string;
  readonly logger: Logger;
  readonly crc32c: Crc32c;
  readonly database: Database;
  /** Generation of the log file in use. */
  readonly generation: number;
  readonly intervalMs: number;
  /** Makes the new file the current log; undefined when this is not the moment. */
  readonly swap: (log: LogFile) => Generation | undefined;
  readonly applied: (generation: Generation) => void;
}

const RETRY_MS = 200;
const RETRY_MS_MAX = 5000;
/** Attempts at close, after which the rest stays in the log. */
const CLOSE_ATTEMPTS = 3;

export class Applier {
  /** Why the last attempt failed; undefined when LMDB takes changes. */
  trouble: Error | undefined;
  readonly #options: ApplierOptions;
  #dirty = false;
  /** Of the newest log file. */
  #generation: number;
  #running: Promise<void> | undefined;
  #pause: { end: () => void } | undefined;
  #room: { promise: Promise<void>; resolve: () => void } | undefined;
  #closing = false;
  /** A generation could not be applied before the close: nothing after it may be. */
  #abandoned = false;

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#generation = options.generation;
  }

  /** Something was logged. */
  wake(): void {
    this.#dirty = true;
    if (this.#running !== undefined || this.#closing) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#dirty && !this.#closing) this.wake();
    });
  }

  /** The current generation is full: apply at once. Settles at the next swap; undefined when waiting would be no use. */
  hurry(): Promise<void> | undefined {
    this.#pause?.end();
    this.wake();
    if (this.trouble !== undefined || this.#closing) return undefined;
    if (this.#room === undefined) {
      let resolve = (): void => undefined;
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      this.#room = { promise, resolve };
    }
    return this.#room.promise;
  }

  /** Applies what is left; what LMDB does not take stays in the log. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#pause?.end();
    await this.#running;
    if (this.#dirty && !this.#abandoned) await this.#cycle();
    this.#letGo();
  }

  async #run(): Promise<void> {
    while (this.#dirty && !this.#closing) {
      if (this.#room === undefined) await this.#sleep(this.#options.intervalMs);
      if (this.#closing) return;
      await this.#cycle();
    }
  }

  async #cycle(): Promise<void> {
    const { folder, crc32c } = this.#options;
    const log = await this.#persist('start a new metadata log file', () => LogFile.create(folder, this.#generation + 1, crc32c));
    if (log === undefined) return;
    this.#generation = log.generation;
    let full = this.#options.swap(log);
    while (full === undefined) {
      // Between the handlers of a batch and its commit; both end soon.
      await new Promise((resolve) => setImmediate(resolve));
      full = this.#options.swap(log);
    }
    this.#dirty = false;
    this.#letGo();
    const generation = full;
    const applied = { sequence: generation.lastSequence, generation: generation.log.generation };
    const done = await this.#persist('put metadata into the database', async () => {
      await this.#options.database.apply(generation.changes, applied);
      return true;
    });
    if (done === undefined) {
      this.#abandoned = true;
      return;
    }
    this.#options.applied(generation);
    await generation.log
      .drop()
      .catch((error: unknown) =>
        this.#options.logger.warn({ err: error }, 'cannot remove an applied metadata log file; the next start does'),
      );
  }

  /** Repeats `work` with growing pauses until it succeeds; undefined when the target closes first. */
  async #persist<Result>(what: string, work: () => Promise<Result>): Promise<Result | undefined> {
    let pauseMs = RETRY_MS;
    for (let attempt = 1; ; attempt++) {
      try {
        const result = await work();
        if (this.trouble !== undefined) this.#options.logger.info({ folder: this.#options.folder }, `could ${what} again`);
        this.trouble = undefined;
        return result;
      } catch (error) {
        if (this.trouble === undefined) {
          this.#options.logger.error(
            { err: error, folder: this.#options.folder },
            `cannot ${what}; the log keeps every change and it is tried again: free space or repair the disk`,
          );
        }
        this.trouble = error as Error;
        this.#letGo();
      }
      if (this.#closing && attempt >= CLOSE_ATTEMPTS) return undefined;
      await this.#sleep(this.#closing ? RETRY_MS : pauseMs);
      pauseMs = Math.min(pauseMs * 2, RETRY_MS_MAX);
    }
  }

  #letGo(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#pause?.end(), ms);
      this.#pause = {
        end: () => {
          clearTimeout(timer);
          this.#pause = undefined;
          resolve();
        },
      };
    });
  }
}
