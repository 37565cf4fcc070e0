/**
 * Values recently read from LMDB, bounded, oldest half thrown away. Invariant: a key that a generation
 * holds is never here, since the store forgets it on every change.
 */
import type { Key } from './key.js';

export class ReadCache {
  readonly #entriesMax: number;
  #young = new Map<Key, Buffer | null>();
  #old = new Map<Key, Buffer | null>();

  /** Holds between `entriesMax` and twice as many. */
  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  /** null: LMDB has no such key. undefined: not cached. */
  get(key: Key): Buffer | null | undefined {
    const value = this.#young.get(key);
    if (value !== undefined) return value;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: Key, value: Buffer | null): void {
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
