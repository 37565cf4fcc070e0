/**
 * What this mount knows of directories, and what native code may answer from it. A directory's change version makes
 * knowledge of its names sure: an answer with the same version finds them as they were, an own change that raised it
 * by one is the only one since. The metadata server's lease makes it last: until it ends nobody else changes the
 * directory. Attributes are told for their usual validity, with or without a lease.
 *
 * What native code was told may name more than there is: then it asks. It must never name less.
 */
import { type ErrorCode, toIbexError } from '../wire/errors.js';
import type { Fid } from '../wire/fid.js';
import type { Attributes, DirectoryEntry } from '../wire/messages.js';
import type { KernelFacts } from './kernel-facts.js';

/** What an answer says of a directory. */
export interface Seen {
  readonly directory?: Attributes | undefined;
  readonly leaseMs?: number | undefined;
}

export interface Listing extends Seen {
  readonly entries: readonly DirectoryEntry[];
  readonly end: boolean;
}

export interface KnownDirectoriesOptions {
  readonly facts: KernelFacts;
  readonly attributesMs: number;
  readonly nowMs: () => number;
  /** Reads the directory from its start, as far as one answer reaches. */
  readonly list: (fid: Fid) => Promise<Listing>;
}

interface Directory {
  change: number;
  /** Native code was told a superset of its names as of `change`. */
  named: boolean;
  /** Until when native code may answer from them. */
  untilMs: number;
  /** Names looked for in vain since its names were last known. */
  misses: number;
  /** It has more names than one answer holds. */
  large: boolean;
  listing: boolean;
}

const DIRECTORIES_MAX = 4096;
/** Compilers and Python look for many names that are not there: from the second on it pays to know them all. */
const MISSES_BEFORE_LISTING = 2;
/** Of a lease's time: clocks of two machines don't run at quite the same speed. */
const LEASE_SHARE = 0.9;
/** A change that got no answer may still be made; until it surely was or was not, no names are known. */
const DOUBT_MS = 60_000;

/** The metadata server refuses a change, whatever names there are. */
const refusals: ReadonlySet<ErrorCode> = new Set([
  'ERR_NOT_PERMITTED',
  'ERR_ACCESS',
  'ERR_CROSS_DEVICE',
  'ERR_INVALID',
  'ERR_NO_SPACE',
  'ERR_READ_ONLY',
  'ERR_TOO_MANY_LINKS',
  'ERR_NAME_TOO_LONG',
  'ERR_NOT_EMPTY',
  'ERR_NOT_SUPPORTED',
]);
/** It refuses a change that the kernel asks for only where it believes otherwise. */
const surprises: ReadonlySet<ErrorCode> = new Set([
  'ERR_NOT_FOUND',
  'ERR_STALE_FILE',
  'ERR_EXISTS',
  'ERR_NOT_DIRECTORY',
  'ERR_IS_DIRECTORY',
]);

export class KnownDirectories {
  readonly #options: KnownDirectoriesOptions;
  /** Longest not told of first. */
  readonly #directories = new Map<Fid, Directory>();
  /** When a lease was last ended from outside: leases in answers to what was asked before may be the one that was ended. */
  #endedMs = Number.NEGATIVE_INFINITY;
  #doubtUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: KnownDirectoriesOptions) {
    this.#options = options;
  }

  /** A change that was made here; `name`: one that it may have added. askedMs: when it was sent. */
  changed(fid: Fid, { directory, leaseMs }: Seen, askedMs: number, name?: string): void {
    if (directory === undefined) {
      this.forget(fid);
      return;
    }
    const known = this.#directory(fid);
    if (directory.change < known.change) return; // overtaken by a later answer
    // The same change: nothing was changed, as by a rename between two names of one file.
    const named = known.named && directory.change <= known.change + 1;
    if (known.named && !named) this.forget(fid);
    known.change = directory.change;
    known.named = named;
    const { facts, attributesMs } = this.#options;
    // From when it was asked: the answer to a retry may be as old as the first try.
    if (attributesMs > 0) facts.attributes(directory, askedMs + attributesMs);
    if (!named) return;
    known.untilMs = this.#leaseEndMs(leaseMs, askedMs) ?? known.untilMs;
    facts.names(fid, known.untilMs, name);
  }

  /** A directory that was made here: it is empty. */
  made({ fid, change }: Attributes, leaseMs: number | undefined, askedMs: number): void {
    const known = this.#directory(fid);
    known.change = change;
    known.named = true;
    known.untilMs = this.#leaseEndMs(leaseMs, askedMs) ?? askedMs;
    this.#options.facts.empty(fid, known.untilMs);
  }

  /** The metadata server has no such name. */
  missed(fid: Fid, { directory, leaseMs }: Seen, askedMs: number): void {
    if (directory === undefined) return;
    const known = this.#directory(fid);
    if (directory.change < known.change) return;
    if (known.named && directory.change !== known.change) this.forget(fid);
    known.change = directory.change;
    // Asked although native code may answer: it had no room for the names.
    if (!known.named || askedMs < known.untilMs) known.misses++;
    const untilMs = this.#leaseEndMs(leaseMs, askedMs);
    if (untilMs === undefined) return;
    if (known.named && untilMs > known.untilMs) {
      known.untilMs = untilMs;
      this.#options.facts.names(fid, untilMs);
    }
    if (known.misses >= MISSES_BEFORE_LISTING && !known.large && !known.listing) void this.#list(fid, known);
  }

  /** A change failed: it was refused, or it is not known whether it was made or will be. */
  failed(fid: Fid, error: unknown): void {
    const { kind } = toIbexError(error);
    if (refusals.has(kind)) return;
    this.forget(fid);
    if (surprises.has(kind)) return;
    this.#doubtUntilMs = this.#options.nowMs() + DOUBT_MS;
    for (const [other, { named }] of this.#directories) if (named) this.forget(other);
  }

  /** The metadata server ends a lease. From the return on native code answers nothing about the directory, once commands are flushed. */
  end(fid: Fid): void {
    this.#endedMs = this.#options.nowMs();
    this.forget(fid);
  }

  /** Nothing that was told of it holds any more. */
  forget(fid: Fid): void {
    this.#options.facts.forget(fid);
    const known = this.#directories.get(fid);
    if (known === undefined) return;
    known.named = false;
    known.misses = 0;
  }

  /** It is no more: what answers to earlier requests say of it does not count. */
  removed(fid: Fid): void {
    this.forget(fid);
    const known = this.#directories.get(fid);
    if (known !== undefined) known.change = Number.POSITIVE_INFINITY;
  }

  /** Directories about which something may still be answered under a lease. */
  *leased(): Generator<Fid> {
    const nowMs = this.#options.nowMs();
    for (const [fid, { named, untilMs }] of this.#directories) if (named && untilMs > nowMs) yield fid;
  }

  async #list(fid: Fid, known: Directory): Promise<void> {
    known.listing = true;
    try {
      const askedMs = this.#options.nowMs();
      this.#listed(fid, await this.#options.list(fid), askedMs);
    } catch {
      // Whoever needs the directory meets the failure too.
    } finally {
      known.listing = false;
    }
  }

  #listed(fid: Fid, { directory, entries, end, leaseMs }: Listing, askedMs: number): void {
    const known = this.#directory(fid);
    known.misses = 0;
    known.large = !end;
    const untilMs = this.#leaseEndMs(leaseMs, askedMs);
    if (!end || directory === undefined || untilMs === undefined || directory.change < known.change) return;
    const { facts } = this.#options;
    known.change = directory.change;
    known.named = true;
    known.untilMs = untilMs;
    // Nothing is answered before the last name is told.
    facts.empty(fid, 0);
    for (const { name } of entries) facts.names(fid, 0, name);
    facts.names(fid, untilMs);
  }

  #leaseEndMs(leaseMs: number | undefined, askedMs: number): number | undefined {
    if (leaseMs === undefined || askedMs <= this.#endedMs || this.#options.nowMs() < this.#doubtUntilMs) return undefined;
    return askedMs + leaseMs * LEASE_SHARE;
  }

  #directory(fid: Fid): Directory {
    let known = this.#directories.get(fid);
    if (known !== undefined) this.#directories.delete(fid);
    else known = { change: 0, named: false, untilMs: 0, misses: 0, large: false, listing: false };
    if (this.#directories.size >= DIRECTORIES_MAX) this.#forgetOldest();
    this.#directories.set(fid, known);
    return known;
  }

  /** Native code must not answer from names to which changes are added no longer. */
  #forgetOldest(): void {
    const oldest = this.#directories.keys().next().value as Fid;
    this.#options.facts.forget(oldest);
    this.#directories.delete(oldest);
  }
}
