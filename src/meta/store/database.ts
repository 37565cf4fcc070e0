/**
 * The LMDB environment of a target: the log applied. Commits are fully synced (no overlapping sync, never
 * noSync), run in LMDB's thread and carry how far the log is applied.
 */
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { open, type RootDatabase } from 'lmdb';
import { endOfPrefix, type Key } from './key.js';

/** Below every table; the value is sequence and generation as two float64, big-endian. */
const APPLIED_KEY: Key = '\0applied';
/** Changes queued for LMDB in one turn of the event loop: about 2 ms. */
const CHANGES_PER_TURN = 1500;

const keyEncoder = {
  writeKey(key: unknown, target: Buffer, start: number): number {
    return start + target.write(key as string, start, 'latin1');
  },
  readKey(target: Buffer, start: number, end: number): string {
    return target.toString('latin1', start, end);
  },
};

export interface Applied {
  /** Last log entry that LMDB holds. */
  readonly sequence: number;
  /** Last log file of which LMDB holds everything. */
  readonly generation: number;
}

export class Database {
  readonly #root: RootDatabase<Buffer, Key>;
  #open = true;

  constructor(folder: string, mapBytesMax: number) {
    this.#root = open<Buffer, Key>({
      path: join(folder, 'database'),
      noSubdir: false,
      encoding: 'binary',
      keyEncoder,
      cache: false,
      mapSize: mapBytesMax,
      overlappingSync: false,
      // Transactions are made by batch(). Batching by turn makes a promise of its own, whose rejection nobody could handle.
      eventTurnBatching: false,
      // Keys and values are file names and attributes: what was in memory before must not reach the disk, so noMemInit stays off.
    });
  }

  /** A copy that stays valid. */
  get(key: Key): Buffer | undefined {
    return this.#root.getBinary(key);
  }

  /** Entries whose keys start with `prefix` and are not less than `from`, in key order, of one moment; use it up within the turn. */
  range(prefix: Key, from: Key): Iterable<{ key: Key; value: Buffer }> {
    const end = endOfPrefix(prefix);
    return this.#root.getRange({ start: from > prefix ? from : prefix, ...(end === undefined ? {} : { end }) });
  }

  applied(): Applied {
    const value = this.get(APPLIED_KEY);
    if (value === undefined) return { sequence: 0, generation: 0 };
    return { sequence: value.readDoubleBE(0), generation: value.readDoubleBE(8) };
  }

  /**
   * Puts the changes and then, durable only after all of them, `applied`. May be called again after it failed:
   * applying twice is applying once.
   */
  async apply(changes: ReadonlyMap<Key, Buffer | null>, applied: Applied): Promise<void> {
    const slices: Promise<unknown>[] = [];
    let slice: [Key, Buffer | null][] = [];
    for (const change of changes) {
      slice.push(change);
      if (slice.length < CHANGES_PER_TURN) continue;
      const committed = this.#write(slice);
      // Looked at below; without this a failure during the pause counts as unhandled.
      committed.catch(() => undefined);
      slices.push(committed);
      slice = [];
      await nextTurn();
    }
    await Promise.all(slices);
    const marker = Buffer.alloc(16);
    marker.writeDoubleBE(applied.sequence, 0);
    marker.writeDoubleBE(applied.generation, 8);
    await this.#write([...slice, [APPLIED_KEY, marker]]);
    // The next read in this turn must see what was just committed.
    this.#root.resetReadTxn();
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#root.close();
  }

  /** One transaction. Rejects with LMDB's own error. */
  async #write(changes: readonly (readonly [Key, Buffer | null])[]): Promise<void> {
    try {
      await this.#root.batch(() => {
        // Their promises only repeat the batch's outcome.
        for (const [key, value] of changes) void (value === null ? this.#root.remove(key) : this.#root.put(key, value));
      });
    } catch (error) {
      throw await causeOf(error);
    }
  }
}

/** lmdb rejects with a general error that has a promise of the real one. */
async function causeOf(error: unknown): Promise<unknown> {
  const commitError = (error as { commitError?: Promise<unknown> }).commitError;
  if (commitError === undefined) return error;
  return commitError.then(
    () => error,
    (cause: unknown) => cause,
  );
}
