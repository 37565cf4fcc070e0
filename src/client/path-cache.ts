/**
 * What earlier walks found out, for a short time: the directory a path leads to, and the directories and
 * symbolic links passed on the way. Plain files are never kept here.
 *
 * Invariant: every component that a kept path passed through is in `#entries`. So a change of (parent, name)
 * can spoil a kept path only if that pair is in `#entries`, and then all paths are dropped.
 */
import type { Fid } from '../wire/fid.js';

export interface CachedEntry {
  readonly fid: Fid;
  /** Of a symbolic link: where it points. */
  readonly target: string | undefined;
  readonly expires: number;
}

interface CachedPath {
  readonly fid: Fid;
  readonly expires: number;
}

/** Each kept component is some 200 bytes: at most about 2 MiB. */
const ENTRIES_MAX = 8192;
const PATHS_MAX = 4096;

export class PathCache {
  readonly #lifetimeMs: number;
  readonly #now: () => number;
  readonly #entries = new Map<string, CachedEntry>();
  readonly #paths = new Map<string, CachedPath>();
  #generation = 0;

  /** `now` is a monotonic clock in milliseconds. */
  constructor(lifetimeMs: number, now: () => number = () => performance.now()) {
    this.#lifetimeMs = lifetimeMs;
    this.#now = now;
  }

  /** Rises with every change of this client that spoils kept paths. A walk that began before it must not be kept. */
  get generation(): number {
    return this.#generation;
  }

  expiry(): number {
    return this.#now() + this.#lifetimeMs;
  }

  /** The directory that `path` led to a moment ago. */
  path(path: string): Fid | undefined {
    const known = this.#paths.get(path);
    return known !== undefined && known.expires > this.#now() ? known.fid : undefined;
  }

  setPath(path: string, fid: Fid, expires: number, generation: number): void {
    if (this.#lifetimeMs <= 0 || generation !== this.#generation) return;
    if (this.#paths.size >= PATHS_MAX) this.#paths.clear();
    this.#paths.set(path, { fid, expires });
  }

  entry(parent: Fid, name: string): CachedEntry | undefined {
    const known = this.#entries.get(`${parent}/${name}`);
    return known !== undefined && known.expires > this.#now() ? known : undefined;
  }

  setEntry(parent: Fid, name: string, entry: CachedEntry, generation: number): void {
    if (this.#lifetimeMs <= 0 || generation !== this.#generation) return;
    if (this.#entries.size >= ENTRIES_MAX) this.clear();
    else this.#entries.set(`${parent}/${name}`, entry);
  }

  /** (parent, name) was removed, replaced or renamed by this client. */
  changed(parent: Fid, name: string): void {
    if (this.#entries.delete(`${parent}/${name}`)) {
      this.#paths.clear();
      this.#generation += 1;
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#paths.clear();
    this.#generation += 1;
  }
}
