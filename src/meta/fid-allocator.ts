/**
 * Hands out FIDs from sequence ranges that mgmtd granted. Object ids are reserved in blocks, ahead of need, and a
 * block is used only when its reservation is on disk; a start goes on after the last block. So no FID is used
 * twice, whatever a power cut takes back: chunks of a file that it took back may still be there.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { IbexError } from '../wire/errors.js';
import { FID_OBJECT_MAX, FID_SEQUENCE_MAX, type Fid, makeFid } from '../wire/fid.js';
import type { Store } from './store/store.js';
import { FID_RANGES } from './tables.js';

/** Ids of a block, about what a start leaves unused. Half of them last longer than a sync of the log takes. */
const BLOCK_OBJECTS = 32_768;
/** Sequences (of a million FIDs each) asked for at a time, and how few unused ones start the next request. */
const GRANT_COUNT = 8;
const UNUSED_SEQUENCES_MIN = 2;
const RETRY_MS = 500;
const RETRY_MS_MAX = 30_000;

interface Range {
  /** Inclusive. The first range's first sequence is the one that blocks are reserved of. */
  readonly first: number;
  readonly last: number;
}

interface Held {
  readonly ranges: readonly Range[];
  /** Objects of the first sequence up to this are reserved. */
  readonly reserved: number;
}

/** Objects whose reservation is on disk. */
interface Block {
  readonly sequence: number;
  next: number;
  /** Inclusive. */
  readonly last: number;
}

export class FidAllocator {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #grant: (count: number) => Promise<Range>;
  readonly #blockObjects: number;
  /** As in the store, perhaps not yet on disk. */
  #held: Held;
  /** In the order of use. */
  readonly #blocks: Block[] = [];
  /** Objects in `blocks`. */
  #left = 0;
  #asking: Promise<void> | undefined;
  #reserving: Promise<void> | undefined;
  readonly #closing = new AbortController();

  constructor(store: Store, grant: (count: number) => Promise<Range>, logger: Logger, blockObjects = BLOCK_OBJECTS) {
    this.#store = store;
    this.#grant = grant;
    this.#logger = logger;
    this.#blockObjects = blockObjects;
    this.#held = decodeHeld(store.get(FID_RANGES));
  }

  /** Reserves a block when a sequence is there, and asks for more in the background when few are. */
  async start(): Promise<void> {
    if (this.#unused() > 0) await this.#reserve();
    this.#askWhenFew();
  }

  /** Settles when FIDs are there, or the allocator was closed. */
  async ready(): Promise<void> {
    while (this.#left === 0 && !this.#closed) {
      this.#askWhenFew();
      this.#reserveAhead();
      await (this.#reserving ?? this.#asking);
    }
  }

  /** A FID never used before. @throws ERR_TRY_AGAIN while none is there */
  next(): Fid {
    const block = this.#blocks[0];
    if (this.#left <= this.#blockObjects / 2) this.#reserveAhead();
    if (block === undefined) {
      this.#askWhenFew();
      throw new IbexError(
        'ERR_TRY_AGAIN',
        this.#reserving === undefined
          ? 'this metadata target has no FID sequence yet; is mgmtd reachable?'
          : 'this metadata target waits for its disk to have more FIDs reserved',
      );
    }
    const fid = makeFid(block.sequence, block.next++);
    if (block.next > block.last) this.#blocks.shift();
    this.#left--;
    return fid;
  }

  /** Does not wait for mgmtd: what it grants now is never used. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#reserving;
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted;
  }

  #reserveAhead(): void {
    if (this.#reserving !== undefined || this.#closed || this.#unused() === 0) return;
    this.#reserving = this.#reserveEnough().finally(() => {
      this.#reserving = undefined;
    });
  }

  async #reserveEnough(): Promise<void> {
    // Not in the middle of a transaction.
    await new Promise((resolve) => setImmediate(resolve));
    await this.#untilDone('reserve FIDs', async () => {
      while (this.#left <= this.#blockObjects / 2 && this.#unused() > 0 && !this.#closed) await this.#reserve();
    });
  }

  async #reserve(): Promise<void> {
    const block = this.#store.transaction(() => this.#extend());
    this.#askWhenFew();
    await this.#store.syncLog();
    this.#blocks.push(block);
    this.#left += block.last - block.next + 1;
  }

  /** The next block; inside a transaction, while a sequence is unused. */
  #extend(): Block {
    const before = this.#held;
    const used = before.reserved >= FID_OBJECT_MAX;
    const ranges = used ? withoutFirst(before.ranges) : before.ranges;
    const first = used ? 1 : before.reserved + 1;
    const last = Math.min(first + this.#blockObjects - 1, FID_OBJECT_MAX);
    this.#keep({ ranges, reserved: last });
    return { sequence: ranges[0]!.first, next: first, last };
  }

  /** Inside a transaction. */
  #keep(held: Held): void {
    const before = this.#held;
    this.#store.onUndo(() => {
      this.#held = before;
    });
    this.#held = held;
    this.#store.put(FID_RANGES, encodeHeld(held));
  }

  /** Sequences of which blocks can be reserved. */
  #unused(): number {
    const total = this.#held.ranges.reduce((sum, range) => sum + range.last - range.first + 1, 0);
    return this.#held.reserved >= FID_OBJECT_MAX ? Math.max(0, total - 1) : total;
  }

  #askWhenFew(): void {
    if (this.#asking !== undefined || this.#closed || this.#unused() >= UNUSED_SEQUENCES_MIN) return;
    this.#asking = this.#untilDone('get FID sequences from mgmtd', () => this.#ask()).finally(() => {
      this.#asking = undefined;
      if (this.#left <= this.#blockObjects / 2) this.#reserveAhead();
    });
  }

  async #ask(): Promise<void> {
    const { first, last } = await this.#grant(GRANT_COUNT);
    if (this.#closed) return;
    if (!(first >= 1 && first <= last && last <= FID_SEQUENCE_MAX))
      throw new IbexError('ERR_BAD_REQUEST', `mgmtd granted FID sequences ${first} to ${last}`);
    const { ranges, reserved } = this.#held;
    // The very first sequence starts unused; later ones wait behind the one in use.
    this.#store.transaction(() => this.#keep({ ranges: [...ranges, { first, last }], reserved: ranges.length === 0 ? 0 : reserved }));
    await this.#store.commit();
  }

  /** Repeats `work` with growing pauses until it succeeds or the allocator is closed. */
  async #untilDone(what: string, work: () => Promise<void>): Promise<void> {
    for (let pauseMs = RETRY_MS; !this.#closed; pauseMs = Math.min(pauseMs * 2, RETRY_MS_MAX)) {
      try {
        return await work();
      } catch (error) {
        this.#logger.warn({ err: error }, `cannot ${what}; trying again`);
        await pause(pauseMs, undefined, { signal: this.#closing.signal }).catch(() => undefined);
      }
    }
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
