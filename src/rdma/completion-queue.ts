/**
 * Where operations end. Requests that were made in one turn of JavaScript go to native code in one call; completions
 * come back in batches through the event loop's own poll of the queue's descriptor: one call of JavaScript a batch.
 */
import { loadNative } from '../native.js';
import { RdmaOperation } from '../wire/generated.js';
import { closed, fromNative, native, type RdmaError } from './errors.js';
import type { NativeCompletionQueue, NativeDevice, NativeRefusal } from './native.js';
import type { Operation } from './operation.js';
import type { QueuePair } from './queue-pair.js';
import { addressRequest, CompletionCursor, operationOfRequest, queuePairOfRequest, REQUEST_WORDS, tagOfRequest } from './records.js';

export interface CompletionQueueOptions {
  /**
   * Completions that it can hold (default 4096; lowered to what the device allows). Every queue pair takes as many as
   * its send and receive depth plus one.
   */
  readonly entries?: number;
}

const ENTRIES = 4096;
/** What is chained to it runs with the next microtasks; queueMicrotask makes an AsyncResource for each. */
const TURN = Promise.resolve();
/** Native code polls for so long at a time. */
const SPIN_US_MAX = 1_000_000;
/** And at first: what is waited for may have ended before, and only what it settled has not run yet. */
const FIRST_SPIN_US_MAX = 20;
/** Turns of the microtasks in which most of what waits for an operation has run. */
const SHORT_TURNS = 4;

/**
 * Made by {@link Device.createCompletionQueue}; serves any number of queue pairs. It keeps the process alive exactly
 * while operations (posted receives among them) are on the way.
 */
export class CompletionQueue {
  /** Completions that it can hold. */
  readonly entries: number;
  readonly #native: NativeCompletionQueue;
  readonly #requests: Uint32Array;
  readonly #requestsMax: number;
  readonly #cursor: CompletionCursor;
  #filled = 0;
  #flushScheduled = false;
  readonly #flush = (): void => {
    this.#flushScheduled = false;
    this.flush();
  };
  readonly #tagged: (Operation | undefined)[] = [];
  readonly #freeTags: number[] = [];
  readonly #queuePairs = new Map<number, QueuePair>();
  /** Those that got places in their queues free with the batch at hand. */
  readonly #toPump = new Set<QueuePair>();
  #open = true;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(device: NativeDevice, options: CompletionQueueOptions) {
    const entries = options.entries ?? ENTRIES;
    const onCompletions = (count: number, broken?: Error): void => {
      if (broken === undefined) this.#deliver(count);
      else this.#break(fromNative(broken));
    };
    this.#native = native(() => new (loadNative().rdma.CompletionQueue)(device, entries, onCompletions));
    this.#requests = new Uint32Array(this.#native.requests);
    this.#requestsMax = this.#requests.length / REQUEST_WORDS;
    this.#cursor = new CompletionCursor(this.#native.completions);
    this.entries = this.#native.entries;
  }

  /** @internal */
  get native(): NativeCompletionQueue {
    return this.#native;
  }

  /** @internal */
  adopt(slot: number, queuePair: QueuePair): void {
    this.#queuePairs.set(slot, queuePair);
  }

  /** What of it is still on the way will never complete. @internal */
  disown(slot: number, queuePair: QueuePair, error: RdmaError): void {
    this.flush();
    this.#queuePairs.delete(slot);
    for (const operation of this.#tagged) {
      if (operation?.queuePair !== queuePair) continue;
      this.#untag(operation);
      operation.fail(error, operation.posted - operation.completed);
    }
  }

  /** Appends the next `count` requests of an operation. @internal */
  append(operation: Operation, count: number): void {
    if (operation.tag < 0) this.#tag(operation);
    for (let left = count; left > 0; ) {
      const part = Math.min(left, this.#requestsMax - this.#filled);
      const from = operation.posted * REQUEST_WORDS;
      const to = this.#filled * REQUEST_WORDS;
      // Word by word: making a view of some of them costs more than copying one request.
      for (let i = 0; i < part * REQUEST_WORDS; i++) this.#requests[to + i] = operation.words[from + i] as number;
      for (let i = 0; i < part; i++)
        addressRequest(this.#requests, to + i * REQUEST_WORDS, operation.tag, operation.posted + i, operation.slot);
      operation.posted += part;
      this.#filled += part;
      left -= part;
      if (this.#filled === this.#requestsMax) this.flush();
    }
    if (this.#filled === 0 || this.#flushScheduled) return;
    this.#flushScheduled = true;
    void TURN.then(this.#flush);
  }

  /**
   * Posts what was asked for in this turn of JavaScript now. Otherwise it is posted when the turn ends, together with
   * what comes until then, each queue pair's in one chain.
   */
  flush(): void {
    const count = this.#filled;
    if (count === 0 || !this.#open) return;
    this.#filled = 0;
    const refusals = native(() => this.#native.submit(count));
    for (const refusal of refusals ?? []) this.#refuse(refusal, count);
  }

  /**
   * Takes completions that are there now, without waiting for the event loop; gives the number of records that tell of
   * them: 0 when there was none. What they settle runs with the next microtasks.
   *
   * @throws RdmaError ERR_RDMA_CLOSED; ERR_RDMA_VERB when the queue is broken
   */
  poll(): number {
    return this.#poll(0);
  }

  #poll(limitUs: number): number {
    const count = native(() => this.#native.poll(limitUs));
    if (count > 0) this.#deliver(count);
    return count;
  }

  /**
   * Waits for `promise` by polling, for at most so many microseconds, then by the event loop like everybody. Saves the
   * wake-up where an answer comes within microseconds, at the price of a busy processor; other work of the event loop
   * waits meanwhile.
   */
  async spin<Value>(promise: Promise<Value>, limitUs: number): Promise<Value> {
    let settled = false;
    const note = (): void => {
      settled = true;
    };
    promise.then(note, note);
    this.flush();
    const deadline = performance.now() + limitUs / 1000;
    for (let lookUs = Math.min(FIRST_SPIN_US_MAX, limitUs); this.#open && lookUs >= 0; ) {
      this.#poll(Math.floor(lookUs));
      // What was settled, and all that follows from it at once, runs before the next look. Most often that is little.
      for (let turn = 0; turn < SHORT_TURNS && !settled; turn++) await TURN;
      if (settled) break;
      await new Promise<void>((resolve) => process.nextTick(resolve));
      if (settled) break;
      lookUs = Math.min(SPIN_US_MAX, (deadline - performance.now()) * 1000);
    }
    return await promise;
  }

  #deliver(count: number): void {
    for (let record = 0; record < count; record++) {
      const cursor = this.#cursor.moveTo(record);
      const operation = this.#tagged[cursor.tag];
      // Of a queue pair that is gone.
      if (operation === undefined || operation.slot !== cursor.queuePair) continue;
      const { queuePair } = operation;
      queuePair.completed(operation, cursor);
      operation.completed += cursor.count;
      if (operation.completed === operation.count || operation.ended) this.#untag(operation);
      if (queuePair.waits) this.#toPump.add(queuePair);
    }
    for (const queuePair of this.#toPump) queuePair.pump();
    this.#toPump.clear();
    this.flush();
  }

  /** The requests of one queue pair of the submission at hand, from the first that was not posted on. */
  #refuse({ queuePair: slot, receives, posted, error }: NativeRefusal, count: number): void {
    const failure = fromNative(error);
    let own = 0;
    for (let i = 0; i < count; i++) {
      const at = i * REQUEST_WORDS;
      if (queuePairOfRequest(this.#requests, at) !== slot) continue;
      if ((operationOfRequest(this.#requests, at) === RdmaOperation.receive) !== receives) continue;
      own += 1;
      if (own <= posted) continue;
      const operation = this.#tagged[tagOfRequest(this.#requests, at)];
      if (operation === undefined) continue;
      operation.completed += 1;
      operation.queuePair.refused(operation, failure);
      if (operation.completed === operation.count || operation.ended) this.#untag(operation);
    }
  }

  #tag(operation: Operation): void {
    operation.tag = this.#freeTags.pop() ?? this.#tagged.length;
    this.#tagged[operation.tag] = operation;
  }

  #untag(operation: Operation): void {
    if (operation.tag < 0) return;
    this.#tagged[operation.tag] = undefined;
    this.#freeTags.push(operation.tag);
    operation.tag = -1;
  }

  /** The queue itself failed, which loses its queue pairs. */
  #break(error: RdmaError): void {
    for (const queuePair of [...this.#queuePairs.values()]) queuePair.lose(error);
  }

  /**
   * Closes its queue pairs, takes no new ones, and then closes itself. Operations on the way end with ERR_RDMA_FLUSHED.
   * Closing twice is fine.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#queuePairs.values()].map((queuePair) => queuePair.close()));
    this.#open = false;
    this.#native.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** @throws RdmaError ERR_RDMA_CLOSED @internal */
  requireOpen(): void {
    if (this.#closing !== undefined) throw closed('completion queue');
  }
}
