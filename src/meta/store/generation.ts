/**
 * A generation: the changes of one log file, in memory until LMDB has them. Reads see it before LMDB.
 *
 * Scans need key order, which a Map does not have. Keys are put into sorted lists by group (the leading
 * bytes that scans of their table share) only when a scan comes, so that writes pay one push.
 */
import { endOfPrefix, type Key, lowerBound } from './key.js';
import type { LogFile } from './log-file.js';

/** Bytes that a change costs beside its key and value; an estimate for the bound on memory. */
const CHANGE_OVERHEAD_BYTES = 96;

export class Generation {
  readonly log: LogFile;
  /** null: deleted. */
  readonly changes = new Map<Key, Buffer | null>();
  /** Estimate of memory and log, never lowered; bounded by the store. */
  bytes = 0;
  /** Sequence of the last entry appended to the log. */
  lastSequence: number;
  readonly #groupBytes: (key: Key) => number;
  /** Keys that are in `changes` but perhaps not yet in `groups`. */
  #fresh: Key[] = [];
  readonly #groups = new Map<Key, { keys: Key[]; sorted: boolean }>();

  constructor(log: LogFile, lastSequence: number, groupBytes: (key: Key) => number) {
    this.log = log;
    this.lastSequence = lastSequence;
    this.#groupBytes = groupBytes;
  }

  set(key: Key, value: Buffer | null, isNew: boolean): void {
    this.changes.set(key, value);
    if (isNew) this.#fresh.push(key);
    this.bytes += key.length + (value === null ? 0 : value.length) + CHANGE_OVERHEAD_BYTES;
  }

  /** Takes back a `set`. */
  restore(key: Key, previous: Buffer | null | undefined): void {
    if (previous === undefined) this.changes.delete(key);
    else this.changes.set(key, previous);
  }

  /** Sorted keys that start with `prefix` and are not less than `from`; some may have been taken back. */
  keysFrom(prefix: Key, from: Key): Key[] {
    this.#file();
    const keys = this.#candidates(prefix);
    const end = endOfPrefix(prefix);
    return keys.slice(lowerBound(keys, from > prefix ? from : prefix), end === undefined ? keys.length : lowerBound(keys, end));
  }

  #candidates(prefix: Key): Key[] {
    if (prefix.length >= this.#groupBytes(prefix)) {
      const group = this.#groups.get(prefix.slice(0, this.#groupBytes(prefix)));
      if (group === undefined) return [];
      if (!group.sorted) {
        // A list of JavaScript's sort is quick where a sorted list only had keys appended. Taken back and set again, a key is in it twice.
        group.keys = group.keys.sort(compare).filter((key, index, all) => index === 0 || key !== all[index - 1]);
        group.sorted = true;
      }
      return group.keys;
    }
    // Rare: a whole table whose scans are by group; at a start.
    return [...this.changes.keys()].filter((key) => key.startsWith(prefix)).sort(compare);
  }

  #file(): void {
    for (const key of this.#fresh) {
      const name = key.slice(0, this.#groupBytes(key));
      const group = this.#groups.get(name);
      if (group === undefined) this.#groups.set(name, { keys: [key], sorted: true });
      else {
        group.keys.push(key);
        group.sorted = false;
      }
    }
    this.#fresh = [];
  }
}

function compare(a: Key, b: Key): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
