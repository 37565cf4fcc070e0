/** A reliable connection between two queue pairs, and everything that is done over it. */
import { loadNative } from '../native.js';
import { RdmaStatus } from '../wire/generated.js';
import type { Arena, RemoteMemory } from './arena.js';
import { Batch } from './batch.js';
import type { CompletionQueue } from './completion-queue.js';
import { closed, completionStatusName, fromNative, native, RdmaError } from './errors.js';
import { Lane, WAITING_MAX } from './lane.js';
import { type ReceiveOptions, receiveMessages } from './messages.js';
import type { NativeDescriptor, NativeProtectionDomain, NativeQueuePair } from './native.js';
import { type Message, Operation, type OperationOptions } from './operation.js';
import type { CompletionCursor } from './records.js';
import { type PreparedRequest, Requests } from './requests.js';

/**
 * What two ends tell each other about their queue pairs before they connect them: plain values, fit for JSON. `gid` is an
 * address in text. It is no secret, but who can change it on its way can redirect the connection.
 */
export type ConnectionDescriptor = NativeDescriptor;

/** All optional: the defaults are for adapters, and lowered where the device or soft-RoCE needs it. */
export interface QueuePairOptions {
  /** Port of the device, from 1 on (default 1). */
  readonly port?: number;
  /** IP address whose GID is preferred: the one of this machine that the peer reaches. */
  readonly address?: string;
  /** Entry of the port's address table to use, whatever else is said. */
  readonly gidIndex?: number;
  /** Operations that may be on the way (256; soft-RoCE 128); more wait for a place. */
  readonly sendDepth?: number;
  /** Receives that may be posted (128; soft-RoCE 64). */
  readonly receiveDepth?: number;
  /** Up to so many bytes are copied into the request itself (220; soft-RoCE 128), if the device gives as much. */
  readonly inlineBytes?: number;
  /** In a chain, each so-many-th request reports its end, and always the last (16). */
  readonly signalEvery?: number;
  /** Largest request (1 MiB); longer reads and writes are cut. */
  readonly requestBytesMax?: number;
  /** An unacknowledged packet is sent again after 4.096 microseconds * 2^timeout (14; soft-RoCE 16) ... */
  readonly timeout?: number;
  /** ... so many times (7). */
  readonly retries?: number;
  /** How often a SEND is repeated that finds no receive (6; 7 means for ever). */
  readonly receiverNotReadyRetries?: number;
  /** Of RoCE packets (64). */
  readonly hopLimit?: number;
  readonly trafficClass?: number;
  readonly serviceLevel?: number;
  /** What the peer may do to our memory at all, whatever keys it knows. All false. */
  readonly remoteRead?: boolean;
  readonly remoteWrite?: boolean;
  readonly remoteAtomic?: boolean;
}

export interface SendOptions extends OperationOptions {
  /** Waits for all earlier reads and atomics of the queue pair: for what tells of data that a read fetched. */
  readonly fence?: boolean;
}

export interface MessageOptions extends SendOptions {
  /** 32 bits that the receiver gets along. */
  readonly immediate?: number;
}

/** What both ends agreed upon. */
export interface ConnectionTerms {
  readonly mtuBytes: number;
  /** Reads and atomics that this side answers at once, and has on the way at once. */
  readonly responderDepth: number;
  readonly initiatorDepth: number;
}

export type QueuePairState = 'init' | 'connected' | 'failed' | 'closed';

/** After this, what the device has not given back is ended by destroying the queue pair. */
const DRAIN_MS = 10_000;

/**
 * Made by {@link ProtectionDomain.createQueuePair}. Operations are posted in the order of the calls, those of one turn of
 * JavaScript with one doorbell. The promise of an operation that the adapter has settles when the adapter is done with its
 * memory; only an AbortSignal rejects earlier. After the first failed operation the queue pair is of no more use.
 *
 * Local memory is a view of an {@link Arena} of the same protection domain.
 */
export class QueuePair {
  /** For the peer's {@link QueuePair.connect}. */
  readonly descriptor: ConnectionDescriptor;
  /** Resolves when it has failed (with why) or was closed (with undefined). */
  readonly ended: Promise<RdmaError | undefined>;
  readonly #native: NativeQueuePair;
  readonly #queue: CompletionQueue;
  readonly #slot: number;
  readonly #sends: Lane;
  readonly #receives: Lane;
  readonly #requests: Requests;
  #state: QueuePairState = 'init';
  #failure: RdmaError | undefined;
  #end: (failure: RdmaError | undefined) => void = () => undefined;
  #closing: Promise<void> | undefined;
  #onDrained: (() => void) | undefined;

  /** @internal */
  constructor(domain: NativeProtectionDomain, queue: CompletionQueue, options: QueuePairOptions) {
    queue.requireOpen();
    this.#native = native(() => new (loadNative().rdma.QueuePair)(domain, queue.native, options));
    const { slot, descriptor, sendDepth, receiveDepth, inlineBytesMax, requestBytesMax } = this.#native;
    this.#queue = queue;
    this.#slot = slot;
    this.descriptor = descriptor;
    this.#sends = new Lane(sendDepth);
    this.#receives = new Lane(receiveDepth);
    this.#requests = new Requests(domain, inlineBytesMax, requestBytesMax);
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    queue.adopt(slot, this);
  }

  get state(): QueuePairState {
    return this.#state;
  }

  /** Why it failed. */
  get failure(): RdmaError | undefined {
    return this.#failure;
  }

  get completionQueue(): CompletionQueue {
    return this.#queue;
  }

  /** Operations that may be on the way at once, and receives that may be posted. */
  get sendDepth(): number {
    return this.#sends.depth;
  }
  get receiveDepth(): number {
    return this.#receives.depth;
  }

  /** What the connection uses; all 0 before it is connected. */
  get terms(): ConnectionTerms {
    this.#requireOpen();
    return native(() => this.#native.terms());
  }

  /**
   * Connects with the peer whose descriptor this is; the peer does the same with ours. The peer must be connected before
   * the first operation arrives there, or within the retries.
   *
   * @throws RdmaError ERR_RDMA_CONNECT when the descriptor cannot be used, ERR_RDMA_INVALID when it is connected already,
   *   ERR_RDMA_VERB when there is no route to the peer
   */
  connect(peer: ConnectionDescriptor): void {
    this.#requireOpen();
    native(() => this.#native.connect(peer));
    this.#state = 'connected';
  }

  /**
   * Writes local bytes into memory of the peer, who is not told.
   *
   * @throws RdmaError as all operations: ERR_RDMA_INVALID before anything is posted; ERR_RDMA_COMPLETION with
   *   completionStatus; ERR_RDMA_FLUSHED; ERR_RDMA_QUEUE_FULL; ERR_RDMA_CLOSED
   */
  async write(local: Uint8Array, remote: RemoteMemory, options: SendOptions = {}): Promise<void> {
    await this.#post(this.#requests.write(local, remote, options), options);
  }

  /** Like write; the peer gets 32 bits along, with a receive that it has posted. */
  async writeWithImm(local: Uint8Array, remote: RemoteMemory, immediate: number, options: SendOptions = {}): Promise<void> {
    await this.#post(this.#requests.write(local, remote, options, immediate), options);
  }

  /** Reads memory of the peer into local bytes: as many as `local` has. */
  async read(local: Uint8Array, remote: RemoteMemory, options: SendOptions = {}): Promise<void> {
    await this.#post(this.#requests.read(local, remote, options), options);
  }

  /** Sends a message into the next receive of the peer. It is delivered when this resolves. */
  async send(local: Uint8Array, options: MessageOptions = {}): Promise<void> {
    await this.#post(this.#requests.send(local, options), options);
  }

  /**
   * Posts memory for one message. Receives are taken in the order in which they were posted. After an abort the receive
   * stays posted, and the message that it takes is lost.
   */
  async recv(local: Uint8Array, options: OperationOptions = {}): Promise<Message> {
    const [message] = await this.#post(this.#requests.receive(local), options);
    return message as Message;
  }

  /**
   * If the 8 aligned bytes of the peer hold `expected`, replaces them by `desired`, atomically.
   *
   * @param result 8 local bytes for the value before
   * @returns the value before: `expected` when it was replaced
   */
  async compareAndSwap(
    result: Uint8Array,
    remote: RemoteMemory,
    expected: bigint,
    desired: bigint,
    options: SendOptions = {},
  ): Promise<bigint> {
    await this.#post(this.#requests.compareAndSwap(result, remote, expected, desired, options), options);
    return unsigned64(result);
  }

  /** Adds to the 8 aligned bytes of the peer, atomically (modulo 2^64). @returns the value before */
  async fetchAndAdd(result: Uint8Array, remote: RemoteMemory, add: bigint, options: SendOptions = {}): Promise<bigint> {
    await this.#post(this.#requests.fetchAndAdd(result, remote, add, options), options);
    return unsigned64(result);
  }

  /** Many operations that are made once and posted together, as often as wanted. */
  batch(): Batch {
    return new Batch(this.#requests, (requests, options) => this.#post(requests, options));
  }

  /**
   * All messages that arrive, in order, until it is closed; keeps `count` receives posted. Start it before the peer sends.
   */
  receive(arena: Arena, options: ReceiveOptions = {}): AsyncGenerator<Message, void, undefined> {
    return receiveMessages(this, arena, options);
  }

  #post(request: PreparedRequest, { signal }: OperationOptions): Promise<readonly Message[]> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      this.#requireUsable(request.receives);
      const lane = request.receives ? this.#receives : this.#sends;
      if (!lane.hasRoomFor(request.count)) {
        throw new RdmaError('ERR_RDMA_QUEUE_FULL', `more than ${WAITING_MAX} operations would wait for a place on ${this.#name()}`);
      }
      const operation = new Operation(this, this.#slot, request, (error, messages) => {
        if (error === undefined) resolve(messages);
        else reject(error as Error);
      });
      if (signal !== undefined) operation.watch(signal, () => this.#dropWaiting(lane, closed('operation'), operation));
      const count = lane.enter(operation);
      if (count > 0) this.#queue.append(operation, count);
    });
  }

  #requireOpen(): void {
    if (this.#state === 'closed') throw closed('queue pair');
  }

  #requireUsable(receives: boolean): void {
    this.#requireOpen();
    if (this.#state === 'failed') throw this.#flushed();
    if (this.#state === 'init' && !receives) throw new RdmaError('ERR_RDMA_INVALID', `${this.#name()} is not connected yet`);
  }

  #name(): string {
    return `queue pair ${this.descriptor.queuePairNumber}`;
  }

  #flushed(): RdmaError {
    const why = this.#failure === undefined ? 'it was closed' : this.#failure.message;
    const context = { cause: this.#failure, queuePair: this.descriptor.queuePairNumber, completionStatus: 'flushed' } as const;
    return new RdmaError('ERR_RDMA_FLUSHED', `${this.#name()} ended before the operation did: ${why}`, context);
  }

  #pump(lane: Lane): void {
    lane.pump((operation, count) => this.#queue.append(operation, count));
  }

  /** Takes what waits for a place out, with an error. */
  #dropWaiting(lane: Lane, error: RdmaError, only?: Operation): void {
    for (const { operation, count } of lane.drop(only)) operation.fail(error, count);
  }

  /** Whether operations wait for places. @internal */
  get waits(): boolean {
    return this.#sends.waits || this.#receives.waits;
  }

  /** Posts what waits for places. @internal */
  pump(): void {
    if (this.#sends.waits) this.#pump(this.#sends);
    if (this.#receives.waits) this.#pump(this.#receives);
  }

  /** A request of an operation has ended, or `cursor.count` of them. @internal */
  completed(operation: Operation, cursor: CompletionCursor): void {
    this.#leave(operation, cursor.count);
    if (cursor.status === RdmaStatus.success) operation.complete(cursor);
    else operation.fail(this.#errorOf(cursor), 1);
  }

  /** One request of an operation was not posted. @internal */
  refused(operation: Operation, error: RdmaError): void {
    this.#leave(operation, 1);
    operation.fail(error, 1);
    // A device that refused in the middle of a chain has lost the queue pair; a wrong argument has not.
    if (this.#native.failure() !== undefined) this.#fail(error);
  }

  #leave(operation: Operation, count: number): void {
    const lane = operation.receives ? this.#receives : this.#sends;
    lane.outstanding -= count;
    if (this.#sends.outstanding + this.#receives.outstanding === 0) this.#onDrained?.();
  }

  #errorOf({ operation, status, vendorError }: CompletionCursor): RdmaError {
    const completionStatus = completionStatusName(status);
    if (status === RdmaStatus.flushed) {
      // The cause's own completion may come after those that it flushed.
      if (this.#failure === undefined && this.#closing === undefined) this.#adoptFailure();
      return this.#flushed();
    }
    const text = this.#native.errorOf(operation, status, vendorError) ?? new Error(`an operation ended: ${completionStatus}`);
    const error = fromNative(text, 'ERR_RDMA_COMPLETION', { completionStatus });
    this.#fail(error);
    return error;
  }

  #adoptFailure(): void {
    const failure = this.#native.failure();
    if (failure !== undefined) this.#fail(fromNative(failure, 'ERR_RDMA_COMPLETION'));
  }

  #fail(error: RdmaError): void {
    if (this.#state === 'failed' || this.#state === 'closed') return;
    this.#state = 'failed';
    this.#failure = error;
    this.#end(error);
    for (const lane of [this.#sends, this.#receives]) this.#dropWaiting(lane, this.#flushed());
  }

  /** Its completion queue is broken: nothing on the way will ever complete. @internal */
  lose(error: RdmaError): void {
    this.#fail(error);
    this.#destroy();
  }

  /**
   * Ends the connection: what is on the way comes back as ERR_RDMA_FLUSHED, then the queue pair is destroyed. Resolves
   * after that. Closing twice is fine. The peer finds out by its next operation, so tell it before, or let connect do it.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#queue.flush();
    this.#native.fail('the queue pair was closed');
    const failed = this.#state === 'failed';
    this.#state = 'closed';
    for (const lane of [this.#sends, this.#receives]) this.#dropWaiting(lane, this.#flushed());
    await this.#drained();
    this.#destroy();
    if (!failed) this.#end(undefined);
  }

  async #drained(): Promise<void> {
    if (this.#sends.outstanding + this.#receives.outstanding === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, DRAIN_MS);
      this.#onDrained = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #destroy(): void {
    this.#state = 'closed';
    this.#native.destroy();
    this.#queue.disown(this.#slot, this, this.#flushed());
    this.#onDrained?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function unsigned64(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
}
