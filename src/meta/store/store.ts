/**
 * The ordered key-value store of a metadata target: log, generations in memory, LMDB.
 *
 * A transaction writes into the current generation and can be taken back; `commit` appends everything since
 * the last one to the log as one entry, and only then may answers leave. Applier moves generations into LMDB
 * behind it. Reads go through the generations to LMDB. It knows nothing of names or inodes. That no other process
 * uses the folder is the caller's promise: the daemon holds the folder above it.
 */
import { mkdir } from 'node:fs/promises';
import type { Logger } from 'pino';
import { IbexError } from '../../wire/errors.js';
import type { Crc32c, Durability } from '../types.js';
import { Applier } from './applier.js';
import { Database } from './database.js';
import { DurableLog } from './durable.js';
import { Generation } from './generation.js';
import type { Key } from './key.js';
import { EntryWriter, KEY_BYTES_MAX } from './log-entry.js';
import type { LogFile } from './log-file.js';
import { ReadCache } from './read-cache.js';
import { recover } from './recovery.js';
import { mergeScan, type Visit } from './scan.js';

export interface StoreOptions {
  readonly folder: string;
  readonly logger: Logger;
  readonly crc32c: Crc32c;
  /** Leading bytes of a key by which its table is scanned. */
  readonly groupBytes: (key: Key) => number;
  readonly durability?: Durability | undefined;
  readonly mapBytesMax?: number | undefined;
  readonly acceptLoss?: boolean | undefined;
  /** Called once when the log cannot be trusted any more; the store refuses everything from then on. */
  readonly onFatal?: ((error: Error) => void) | undefined;
  /** Longest time that changes stay out of LMDB while it keeps up. */
  readonly applyIntervalMs?: number | undefined;
  /** A generation is applied early when it reaches this, and answers wait when two have. */
  readonly generationBytesMax?: number | undefined;
}

/** LMDB reserves address space only; the file grows with what it holds. */
const MAP_BYTES_MAX = 2 ** 40;
const APPLY_INTERVAL_MS = 200;
const GENERATION_BYTES_MAX = 16 << 20;
/** With relaxed durability a power cut takes back at most about this. */
const SYNC_DELAY_MS = 1000;
/** About 10 to 20 MB. */
const CACHED_VALUES_MAX = 32_768;
const CACHED_VALUE_BYTES_MAX = 1024;

export class Store {
  readonly #database: Database;
  readonly #options: StoreOptions;
  readonly #writer: EntryWriter;
  readonly #cache = new ReadCache(CACHED_VALUES_MAX);
  readonly #durable: DurableLog;
  readonly #applier: Applier;
  readonly #generationBytesMax: number;
  #current: Generation;
  /** Being put into LMDB. */
  #frozen: Generation | undefined;
  #sequence: number;
  /** Keys changed since the last commit with what they were in the current generation, for taking back. */
  #journalKeys: Key[] = [];
  #journalPrevious: (Buffer | null | undefined)[] = [];
  #undoHooks: (() => void)[] = [];
  #inTransaction = false;
  /** What is changed since the last commit; knows whether it was taken back. */
  #batch: { failure?: IbexError } = {};
  #fatal: Error | undefined;
  #closed = false;

  static async open(options: StoreOptions): Promise<Store> {
    await mkdir(options.folder, { recursive: true, mode: 0o700 });
    let database: Database | undefined;
    try {
      database = new Database(options.folder, options.mapBytesMax ?? MAP_BYTES_MAX);
      const { folder, logger, crc32c } = options;
      const { log, sequence } = await recover(database, { folder, logger, crc32c, acceptLoss: options.acceptLoss ?? false });
      return new Store(options, database, log, sequence);
    } catch (error) {
      await database?.close();
      throw error;
    }
  }

  private constructor(options: StoreOptions, database: Database, log: LogFile, sequence: number) {
    this.#options = options;
    this.#database = database;
    this.#sequence = sequence;
    this.#writer = new EntryWriter(options.crc32c);
    this.#generationBytesMax = options.generationBytesMax ?? GENERATION_BYTES_MAX;
    this.#current = new Generation(log, sequence, options.groupBytes);
    this.#durable = new DurableLog(
      sequence,
      () => (this.#frozen === undefined ? [this.#current.log] : [this.#frozen.log, this.#current.log]),
      () => this.#sequence,
      (error) => this.#fail(error, 'cannot sync the metadata log: what was acknowledged may not be on disk'),
    );
    this.#applier = new Applier({
      folder: options.folder,
      logger: options.logger,
      crc32c: options.crc32c,
      database,
      generation: log.generation,
      intervalMs: options.applyIntervalMs ?? APPLY_INTERVAL_MS,
      swap: (log) => this.#swap(log),
      applied: (generation) => {
        this.#frozen = undefined;
        this.#durable.advance(generation.lastSequence);
      },
    });
  }

  get(key: Key): Buffer | undefined {
    let value = this.#current.changes.get(key);
    if (value === undefined && this.#frozen !== undefined) value = this.#frozen.changes.get(key);
    return value === undefined ? this.#getApplied(key) : (value ?? undefined);
  }

  /** Visits entries whose keys start with `prefix` and are not less than `from`, in key order, until `visit` returns false. */
  scan(prefix: Key, from: Key, visit: Visit): void {
    mergeScan(this.#current, this.#frozen, this.#database, prefix, from, visit);
  }

  /** Only inside a transaction. The value must not be changed afterwards. */
  put(key: Key, value: Buffer): void {
    this.#set(key, value);
  }

  /** Only inside a transaction. */
  delete(key: Key): void {
    this.#set(key, null);
  }

  /** Only inside a transaction: runs when it is taken back, now or because its batch could not be logged. Newest first. */
  onUndo(hook: () => void): void {
    this.#undoHooks.push(hook);
  }

  /** Applies all of what `work` writes or, when it throws, nothing. Durable in the sense of the store after `commit`. */
  transaction<Result>(work: () => Result): Result {
    if (this.#inTransaction) throw new Error('transactions of the metadata store do not nest');
    this.#refuseWhenUnusable();
    const keys = this.#journalKeys.length;
    const hooks = this.#undoHooks.length;
    this.#inTransaction = true;
    try {
      return work();
    } catch (error) {
      this.#takeBack(keys, hooks);
      throw error;
    } finally {
      this.#inTransaction = false;
    }
  }

  /**
   * Logs every transaction since the last commit. When it throws, all of them were taken back. A promise means
   * that answers have to wait: for the disk ('sync'), or because LMDB has fallen behind.
   */
  commit(): void | Promise<void> {
    this.#takeBackWhenFatal();
    if (this.#journalKeys.length > 0) this.#append();
    if (this.#fatal !== undefined) throw this.#unusable(this.#fatal);
    const room = this.#current.bytes > this.#generationBytesMax ? this.#applier.hurry() : undefined;
    if (this.#options.durability === 'sync')
      return this.#durable.through < this.#sequence ? Promise.all([this.syncLog(), room]).then(() => undefined) : room;
    if (this.#durable.through < this.#sequence) this.#durable.syncSoon(SYNC_DELAY_MS);
    return room;
  }

  /**
   * Settles when everything that was changed before the call is on disk; rejects when it was taken back. The batch
   * that the caller belongs to is committed first by whoever runs it, at the end of this turn.
   */
  async syncLog(): Promise<void> {
    const batch = this.#batch;
    await Promise.resolve();
    if (batch.failure !== undefined) throw batch.failure;
    this.#takeBackWhenFatal();
    if (this.#journalKeys.length > 0) this.#append();
    if (this.#fatal !== undefined) throw this.#unusable(this.#fatal);
    try {
      await this.#durable.sync();
    } catch (error) {
      throw this.#unusable(error as Error);
    }
  }

  /** Sequence of the last log entry. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Applies everything to LMDB. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#durable.close();
    try {
      this.#takeBackWhenFatal();
      if (this.#journalKeys.length > 0) this.#append();
      if (this.#fatal === undefined) await this.#durable.sync();
    } finally {
      // Changes that cannot be applied now stay in the log for the next start.
      await this.#applier.close();
      this.#current.log.close();
      await this.#database.close();
    }
  }

  #getApplied(key: Key): Buffer | undefined {
    const cached = this.#cache.get(key);
    if (cached !== undefined) return cached;
    const value = this.#database.get(key);
    if (value !== undefined && value.length <= CACHED_VALUE_BYTES_MAX) this.#cache.set(key, value);
    return value;
  }

  #set(key: Key, value: Buffer | null): void {
    if (!this.#inTransaction) throw new Error('the metadata store is written to only inside a transaction');
    if (key.length > KEY_BYTES_MAX) throw new Error(`a key of ${key.length} bytes is too long`);
    const previous = this.#current.changes.get(key);
    this.#journalKeys.push(key);
    this.#journalPrevious.push(previous);
    this.#current.set(key, value, previous === undefined);
    this.#cache.delete(key);
  }

  #append(): void {
    const keys = this.#journalKeys;
    const { changes, log } = this.#current;
    this.#writer.start();
    const seen = keys.length > 1 ? new Set<Key>() : undefined;
    for (const key of keys) {
      if (seen !== undefined) {
        if (seen.has(key)) continue;
        seen.add(key);
      }
      this.#writer.add(key, changes.get(key)!);
    }
    try {
      log.append(this.#writer.finish(this.#sequence + 1, this.#durable.through));
    } catch (error) {
      throw this.#loseBatch(error as NodeJS.ErrnoException & { cutFailed?: boolean });
    }
    this.#batch = {};
    this.#sequence++;
    this.#current.lastSequence = this.#sequence;
    this.#journalKeys = [];
    this.#journalPrevious = [];
    this.#undoHooks = [];
    this.#applier.wake();
  }

  /** The log did not take the batch: it never happened. */
  #loseBatch(error: NodeJS.ErrnoException & { cutFailed?: boolean }): IbexError {
    this.#takeBack(0, 0);
    if (error.cutFailed === true) this.#fail(error, 'cannot cut a half-written entry off the metadata log');
    const kind = error.code === 'ENOSPC' || error.code === 'EDQUOT' ? 'ERR_NO_SPACE' : 'ERR_IO';
    const where = `cannot write metadata log ${this.#current.log.path} (${error.code ?? error.message})`;
    const failure = new IbexError(kind, `${where}; free space or repair the disk`, { cause: error });
    this.#batch.failure = failure;
    this.#batch = {};
    return failure;
  }

  /** What was not yet logged when the log failed is never logged, nor does Applier wait for it. */
  #takeBackWhenFatal(): void {
    if (this.#fatal === undefined || this.#journalKeys.length === 0) return;
    this.#takeBack(0, 0);
    this.#batch.failure = this.#unusable(this.#fatal);
    this.#batch = {};
  }

  #takeBack(keys: number, hooks: number): void {
    for (let index = this.#journalKeys.length - 1; index >= keys; index--) {
      this.#current.restore(this.#journalKeys[index]!, this.#journalPrevious[index]);
    }
    this.#journalKeys.length = keys;
    this.#journalPrevious.length = keys;
    for (const hook of this.#undoHooks.splice(hooks).reverse()) hook();
  }

  /** Makes `log` the current one and hands over the generation to apply; undefined while a batch is open or nothing changed. */
  #swap(log: LogFile): Generation | undefined {
    if (this.#journalKeys.length > 0) return undefined;
    const full = this.#current;
    this.#frozen = full;
    this.#current = new Generation(log, this.#sequence, this.#options.groupBytes);
    return full;
  }

  #refuseWhenUnusable(): void {
    if (this.#fatal !== undefined) throw this.#unusable(this.#fatal);
    if (this.#closed) throw new IbexError('ERR_SHUTTING_DOWN', 'metadata target is closing');
    if (this.#current.bytes <= 2 * this.#generationBytesMax) return;
    const trouble = this.#applier.trouble;
    if (trouble === undefined) throw new IbexError('ERR_OVERLOADED', 'metadata database is behind its log');
    throw new IbexError(
      'ERR_NO_SPACE',
      `metadata database in ${this.#options.folder} takes no changes (${trouble.message}); free space or repair the disk`,
    );
  }

  #fail(error: Error, what: string): void {
    if (this.#fatal !== undefined) return;
    this.#fatal = error;
    this.#options.logger.fatal(
      { err: error, folder: this.#options.folder },
      `${what}; check the disk, then start the daemon again: it recovers from what is on disk`,
    );
    this.#options.onFatal?.(error);
  }

  #unusable(error: Error): IbexError {
    return error instanceof IbexError
      ? error
      : new IbexError('ERR_IO', `metadata target ${this.#options.folder} stopped: ${error.message}`, { cause: error });
  }
}
