/**
 * One authenticated conversation with a peer: calls out, and what the peer calls. Made by Endpoint.
 */
import { decodeBody, encodeBody } from '../wire/codec.js';
import { errorFromStatus, IbexError } from '../wire/errors.js';
import { type FrameEvent, FrameType } from '../wire/generated.js';
import type { Identity } from '../wire/handshake.js';
import type { Message, RequestOf, ResponseOf } from '../wire/messages.js';
import type { Carrier } from './carrier.js';
import { monotonicMs, type Runtime } from './runtime.js';
import { canceled } from './waiting.js';

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Default 30,000. For everything that a call waits for: servers, channels, answers. */
  readonly timeoutMs?: number | undefined;
  /** Monotonic milliseconds, instead of timeoutMs: where a call is a part of something that has an end already. */
  readonly deadline?: number | undefined;
  /** Map version that the caller acted on. */
  readonly mapVersion?: number | undefined;
  /** Makes a retry of a changing call recognisable. */
  readonly channel?: CallChannel | undefined;
}

/** Carries the number of a changing call, and is told what became of it: also after the caller has given up. */
export interface CallChannel {
  readonly id: number;
  readonly sequence: number;
  sent(): void;
  /** The peer has answered, or the session has ended without. Once for every `sent`. */
  settled(answered: boolean): void;
}

export interface Peer extends Identity {
  readonly carrier: Carrier;
  /** 'host:port' as the connection has it. */
  readonly address: string;
}

interface PendingCall {
  readonly message: Message;
  readonly deadline: number;
  readonly channel: CallChannel | undefined;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

const CALL_TIMEOUT_MS = 30_000;
/** Calls of one session that wait for answers; more wait for a place in the caller's hands (ERR_OVERLOADED). */
const CALLS_IN_FLIGHT_MAX = 16_384;

export const deadlineOf = ({ deadline, timeoutMs }: CallOptions): number => deadline ?? monotonicMs() + (timeoutMs ?? CALL_TIMEOUT_MS);

export class Session {
  readonly connection: number;
  readonly peer: Peer;
  /** Settles with the reason when the session has ended. */
  readonly closed: Promise<string>;
  /** For the owner of the endpoint: what it keeps about this peer. */
  readonly data = new Map<string, unknown>();
  readonly #runtime: Runtime;
  readonly #onCall: () => void;
  readonly #pending = new Map<number, PendingCall>();
  /** Channels of calls that were given up while the peer may still be at work on them; bounded by the channels there are. */
  readonly #abandoned = new Map<number, CallChannel>();
  readonly #notifyListeners = new Map<number, (body: unknown) => void>();
  #nextRequest = 1;
  #ended: string | undefined;
  #end!: (reason: string) => void;

  /** onCall is told of every call, so that the owner can watch deadlines only while some wait. */
  constructor(runtime: Runtime, connection: number, peer: Peer, onCall: () => void) {
    this.#runtime = runtime;
    this.#onCall = onCall;
    this.connection = connection;
    this.peer = peer;
    this.closed = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  get isOpen(): boolean {
    return this.#ended === undefined;
  }

  /**
   * Calls the peer.
   *
   * @throws IbexError what the peer answered; ERR_CONNECTION_LOST when the session ended (the call may have
   *   happened), ERR_TIMED_OUT, ERR_CANCELED
   */
  call<M extends Message>(message: M, request: RequestOf<M>, options: CallOptions = {}): Promise<ResponseOf<M>> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) throw new IbexError('ERR_CONNECTION_LOST', `${message.name} to ${this.#peerText()}: ${this.#ended}`);
      if (options.signal?.aborted === true) throw canceled(message.name, options.signal);
      if (this.#pending.size >= CALLS_IN_FLIGHT_MAX)
        throw new IbexError('ERR_OVERLOADED', `${message.name}: ${CALLS_IN_FLIGHT_MAX} calls wait already`);
      const requestId = this.#nextRequest++;
      const body = encodeBody(message.request, request);
      this.#runtime.sendFrame(
        {
          connection: this.connection,
          type: FrameType.rpcRequest,
          operation: message.operation,
          requestId,
          mapVersion: options.mapVersion ?? 0,
          channel: options.channel?.id ?? 0,
          sequence: options.channel?.sequence ?? 0,
        },
        body,
      );
      options.channel?.sent();
      this.#pending.set(requestId, {
        message,
        deadline: deadlineOf(options),
        channel: options.channel,
        resolve: resolve as (value: unknown) => void,
        reject,
      });
      this.#onCall();
      if (options.signal !== undefined) this.#watchSignal(requestId, message, options.signal);
    });
  }

  /** One-way; lost when the session ends. */
  notify<M extends Message>(message: M, body: RequestOf<M>): void {
    if (this.#ended !== undefined) return;
    this.#runtime.sendFrame(
      { connection: this.connection, type: FrameType.rpcNotify, operation: message.operation },
      encodeBody(message.request, body),
    );
  }

  onNotify<M extends Message>(message: M, listener: (body: RequestOf<M>) => void): void {
    this.#notifyListeners.set(message.operation, (source) => listener(source as RequestOf<M>));
  }

  close(reason = 'closed'): void {
    if (this.#ended === undefined) this.#runtime.closeConnection(this.connection, reason);
  }

  /** For Endpoint: an rpcResponse or rpcNotify has arrived. */
  receive(frame: FrameEvent, message: Message | undefined, source: Buffer, start: number, stop: number): void {
    if (frame.type === FrameType.rpcNotify) {
      const listener = this.#notifyListeners.get(frame.operation);
      if (message !== undefined && listener !== undefined) listener(decodeBody(message.request, source, start, stop));
      return;
    }
    const call = this.#pending.get(frame.requestId);
    if (call === undefined) {
      // Timed out or aborted before.
      this.#abandoned.get(frame.requestId)?.settled(true);
      this.#abandoned.delete(frame.requestId);
      return;
    }
    this.#pending.delete(frame.requestId);
    call.channel?.settled(true);
    if (frame.status !== 0) {
      call.reject(errorFromStatus(frame.status, source.toString('utf8', start, stop)));
      return;
    }
    try {
      call.resolve(decodeBody(call.message.response, source, start, stop));
    } catch (error) {
      call.reject(error as Error);
    }
  }

  /** For Endpoint: fails calls whose time is over; returns how many still wait. */
  expire(now: number): number {
    for (const [requestId, call] of this.#pending) {
      if (call.deadline > now) continue;
      this.#abandon(requestId, call);
      call.reject(new IbexError('ERR_TIMED_OUT', `${call.message.name} to ${this.#peerText()}`));
    }
    return this.#pending.size;
  }

  /** For Endpoint: the connection has closed. */
  ended(reason: string): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    for (const channel of this.#abandoned.values()) channel.settled(false);
    this.#abandoned.clear();
    for (const call of this.#pending.values()) {
      call.channel?.settled(false);
      call.reject(new IbexError('ERR_CONNECTION_LOST', `${call.message.name} to ${this.#peerText()}: ${reason}`));
    }
    this.#pending.clear();
    this.#end(reason);
  }

  #abandon(requestId: number, call: PendingCall): void {
    this.#pending.delete(requestId);
    if (call.channel !== undefined) this.#abandoned.set(requestId, call.channel);
  }

  #peerText(): string {
    return `${this.peer.kind} ${this.peer.name} (${this.peer.address})`;
  }

  #watchSignal(requestId: number, message: Message, signal: AbortSignal): void {
    const abort = (): void => {
      const call = this.#pending.get(requestId);
      if (call === undefined) return;
      this.#abandon(requestId, call);
      call.reject(canceled(message.name, signal));
    };
    signal.addEventListener('abort', abort, { once: true });
    const call = this.#pending.get(requestId);
    if (call === undefined) return;
    const { resolve, reject } = call;
    call.resolve = (value) => {
      signal.removeEventListener('abort', abort);
      resolve(value);
    };
    call.reject = (error) => {
      signal.removeEventListener('abort', abort);
      reject(error);
    };
  }
}
