/**
 * Hands out FIDs from sequence ranges that mgmtd granted. Object ids are reserved on disk in blocks, in the
 * transaction that first uses one of them; a start goes on after the last block, so that no FID is used twice.
 */
import type { Logger } from 'pino';
import { IbexError } from '../wire/errors.js';
import { FID_OBJECT_MAX, FID_SEQUENCE_MAX, type Fid, makeFid } from '../wire/fid.js';
import type { Store } from './store/store.js';
import { FID_RANGES } from './tables.js';

/** Ids that a crash may leave unused. */
const RESERVED_OBJECTS = 4096;
/** Sequences (of a million FIDs each) asked for at a time, and how few unused ones start the next request. */
const GRANT_COUNT = 8;
const UNUSED_SEQUENCES_MIN = 2;
const RETRY_MS = 500;
const RETRY_MS_MAX = 30_000;

interface Range {
  /** Inclusive. The first range's first sequence is the one in use. */
  readonly first: number;
  readonly last: number;
}

interface Held {
  readonly ranges: readonly Range[];
  /** Objects of the sequence in use up to this are reserved on disk. */
  readonly reserved: number;
}

export class FidAllocator {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #grant: (count: number) => Promise<Range>;
  #held: Held;
  /** Last object handed out of the sequence in use. */
  #object: number;
  #asking: Promise<void> | undefined;
  #pause: { timer: NodeJS.Timeout; end: () => void } | undefined;
  #closed = false;

  constructor(store: Store, grant: (count: number) => Promise<Range>, logger: Logger) {
    this.#store = store;
    this.#grant = grant;
    this.#logger = logger;
    this.#held = decodeHeld(store.get(FID_RANGES));
    this.#object = this.#held.reserved;
  }

  /** Asks for sequences when few are left. Settles when some are there. */
  async ready(): Promise<void> {
    this.#askWhenFew();
    while (this.#unused() === 0 && !this.#closed) await this.#asking;
  }

  /** A FID never used before; inside a transaction. @throws ERR_TRY_AGAIN while no sequence is there */
  next(): Fid {
    if (this.#object >= this.#held.reserved) this.#reserve();
    this.#object++;
    return makeFid(this.#held.ranges[0]!.first, this.#object);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pause?.end();
    await this.#asking;
  }

  #reserve(): void {
    const { ranges, reserved } = this.#held;
    const object = this.#object;
    const before = this.#held;
    if (ranges.length > 0 && reserved < FID_OBJECT_MAX) {
      this.#keep({ ranges, reserved: Math.min(reserved + RESERVED_OBJECTS, FID_OBJECT_MAX) });
    } else {
      const rest = withoutFirst(ranges);
      this.#askWhenFew();
      if (rest.length === 0) throw new IbexError('ERR_TRY_AGAIN', 'this metadata target has no FID sequence yet; is mgmtd reachable?');
      this.#keep({ ranges: rest, reserved: RESERVED_OBJECTS });
      this.#object = 0;
    }
    this.#store.onUndo(() => {
      this.#object = object;
      this.#held = before;
    });
    this.#askWhenFew();
  }

  #keep(held: Held): void {
    this.#held = held;
    this.#store.put(FID_RANGES, encodeHeld(held));
  }

  #unused(): number {
    const total = this.#held.ranges.reduce((sum, range) => sum + range.last - range.first + 1, 0);
    return this.#held.reserved >= FID_OBJECT_MAX ? Math.max(0, total - 1) : total;
  }

  #askWhenFew(): void {
    if (this.#asking !== undefined || this.#closed || this.#unused() >= UNUSED_SEQUENCES_MIN) return;
    this.#asking = this.#ask().finally(() => {
      this.#asking = undefined;
    });
  }

  async #ask(): Promise<void> {
    let pauseMs = RETRY_MS;
    while (!this.#closed) {
      try {
        const { first, last } = await this.#grant(GRANT_COUNT);
        if (!(first >= 1 && first <= last && last <= FID_SEQUENCE_MAX))
          throw new IbexError('ERR_BAD_REQUEST', `mgmtd granted FID sequences ${first} to ${last}`);
        this.#store.transaction(() => this.#add({ first, last }));
        await this.#store.commit();
        return;
      } catch (error) {
        this.#logger.warn({ err: error }, 'cannot get FID sequences from mgmtd; asking again');
        await this.#sleep(pauseMs);
        pauseMs = Math.min(pauseMs * 2, RETRY_MS_MAX);
      }
    }
  }

  #add(range: Range): void {
    const before = this.#held;
    this.#store.onUndo(() => {
      this.#held = before;
    });
    // The very first sequence starts unused; later ones wait behind the one in use.
    this.#keep({ ranges: [...before.ranges, range], reserved: before.ranges.length === 0 ? 0 : before.reserved });
    if (before.ranges.length === 0) this.#object = 0;
  }

  #sleep(ms: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#pause = undefined;
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#pause = { timer, end };
    });
  }
}

function withoutFirst(ranges: readonly Range[]): Range[] {
  const [range, ...rest] = ranges;
  if (range === undefined) return [];
  return range.first < range.last ? [{ first: range.first + 1, last: range.last }, ...rest] : rest;
}

/** Big-endian float64: reserved, then first and last of each range. */
function encodeHeld(held: Held): Buffer {
  const bytes = Buffer.alloc(8 + 16 * held.ranges.length);
  bytes.writeDoubleBE(held.reserved, 0);
  held.ranges.forEach((range, index) => {
    bytes.writeDoubleBE(range.first, 8 + 16 * index);
    bytes.writeDoubleBE(range.last, 16 + 16 * index);
  });
  return bytes;
}

function decodeHeld(bytes: Buffer | undefined): Held {
  if (bytes === undefined) return { ranges: [], reserved: 0 };
  const ranges: Range[] = [];
  for (let at = 8; at < bytes.length; at += 16) ranges.push({ first: bytes.readDoubleBE(at), last: bytes.readDoubleBE(at + 8) });
  return { ranges, reserved: bytes.readDoubleBE(0) };
}
