/**
 * What is on the way for one promise: one request, or many of a batch or of a transfer that was cut into pieces. Settles
 * when the adapter is done with the last of them; an aborted one settles at once, and its memory stays set aside until
 * then.
 */
import { Arena } from './arena.js';
import type { RdmaError } from './errors.js';
import type { QueuePair } from './queue-pair.js';
import type { CompletionCursor } from './records.js';
import type { PreparedRequest } from './requests.js';

/** Of all operations that are no receives. */
const NO_MESSAGES: Message[] = [];

/** What a receive got. */
export interface Message {
  /** The part of the receive's memory that was filled; empty for a WRITE with immediate, whose bytes lie where it wrote. */
  readonly data: Uint8Array<ArrayBufferLike>;
  /** 32 bits that the sender gave along. */
  readonly immediate?: number;
  /** It was taken by a WRITE with immediate of so many bytes. */
  readonly writtenBytes?: number;
}

export interface OperationOptions {
  /** Aborting rejects with the signal's reason at once. What the adapter has cannot be called back. */
  readonly signal?: AbortSignal | undefined;
}

/** How an operation ended: the messages of its receives, or the error of the first request that failed. */
export type Settle = (error: unknown, messages: readonly Message[]) => void;

export class Operation {
  readonly queuePair: QueuePair;
  /** Of the queue pair: what an older one with the same tag left behind is not taken for this. */
  readonly slot: number;
  /** Requests of it, REQUEST_WORDS each. */
  readonly words: Uint32Array;
  readonly count: number;
  /** Memory that it uses; of receives one for each, in their order. */
  readonly views: readonly Uint8Array[];
  readonly receives: boolean;
  /** In the table of its completion queue; -1 before and after. */
  tag = -1;
  /** How many of its requests were handed on, and how many of these have ended. */
  posted = 0;
  completed = 0;
  #remaining: number;
  #settle: Settle | undefined;
  #error: RdmaError | undefined;
  #messages: Message[] = NO_MESSAGES;
  #released: (() => void)[] | undefined;
  #signal: AbortSignal | undefined;
  #onAbort: (() => void) | undefined;

  constructor(queuePair: QueuePair, slot: number, { words, count, views, receives }: PreparedRequest, settle: Settle) {
    this.queuePair = queuePair;
    this.slot = slot;
    this.words = words;
    this.count = count;
    this.views = views;
    this.receives = receives;
    this.#remaining = count;
    this.#settle = settle;
    if (receives) this.#messages = [];
  }

  /** All requests have ended: nothing is on the way any more. */
  get ended(): boolean {
    return this.#remaining === 0;
  }

  get unposted(): number {
    return this.count - this.posted;
  }

  /** `dropUnposted` takes the requests that were not posted yet out of their queue. */
  watch(signal: AbortSignal, dropUnposted: () => void): void {
    this.#signal = signal;
    this.#onAbort = () => {
      // First, so that what is dropped does not settle it with another error.
      const settle = this.#take();
      dropUnposted();
      if (!this.ended) this.#released = this.views.map((view) => Arena.quarantine(view));
      settle?.(signal.reason, []);
    };
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** One request ended well, or `cursor.count` that are no receives. */
  complete(cursor: CompletionCursor): void {
    if (this.receives) {
      const { index, bytes, immediate, receivedWrite } = cursor;
      const view = this.views[index] as Uint8Array;
      this.#messages[index] = {
        data: view.subarray(0, receivedWrite ? 0 : bytes),
        ...(immediate === undefined ? {} : { immediate }),
        ...(receivedWrite ? { writtenBytes: bytes } : {}),
      };
    }
    this.#end(cursor.count);
  }

  /** `count` requests ended badly, or will never be posted. */
  fail(error: RdmaError, count: number): void {
    this.#error ??= error;
    this.#end(count);
  }

  #end(count: number): void {
    this.#remaining -= count;
    if (this.#remaining > 0) return;
    for (const release of this.#released ?? []) release();
    this.#released = undefined;
    this.#take()?.(this.#error, this.#messages);
  }

  #take(): Settle | undefined {
    const settle = this.#settle;
    this.#settle = undefined;
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#onAbort = undefined;
    return settle;
  }
}
