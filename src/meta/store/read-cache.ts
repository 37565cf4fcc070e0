/**
 * Values recently read from LMDB, bounded, oldest half thrown away. Invariant: a key that a generation
 * holds is never here, since the store forgets it on every change. Keys that LMDB lacks are not remembered:
 * most are looked for only to be created.
 */
import type { Key } from './key.js';

export class ReadCache {
  readonly #entriesMax: number;
  #young = new Map<Key, Buffer>();
  #old = new Map<Key, Buffer>();

  /** Holds between `entriesMax` and twice as many. */
  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  get(key: Key): Buffer | undefined {
    const value = this.#young.get(key);
    if (value !== undefined) return value;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: Key, value: Buffer): void {
    if (this.#young.size >= this.#entriesMax) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }

  delete(key: Key): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }
}
