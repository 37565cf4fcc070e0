/**
 * One authenticated conversation with a peer: calls out, and what the peer calls. Made by Endpoint.
 */
import { decodeBody, encodeBody } from '../wire/codec.js';
import { errorFromStatus, IbexError } from '../wire/errors.js';
import { type FrameEvent, FrameType } from '../wire/generated.js';
import type { Identity } from '../wire/handshake.js';
import type { Message, RequestOf, ResponseOf } from '../wire/messages.js';
import { monotonicMs, type Runtime } from './runtime.js';

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** Map version that the caller acted on. */
  readonly mapVersion?: number | undefined;
  /** With sequence: makes a retry of a changing call recognisable. */
  readonly channel?: number | undefined;
  readonly sequence?: number | undefined;
}

export interface Peer extends Identity {
  /** 'host:port' as the connection has it. */
  readonly address: string;
}

interface PendingCall {
  readonly message: Message;
  readonly deadline: number;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export const CALL_TIMEOUT_MS = 30_000;
/** Calls of one session that wait for answers; more wait for a place in the caller's hands (ERR_OVERLOADED). */
const CALLS_IN_FLIGHT_MAX = 16_384;

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
          channel: options.channel ?? 0,
          sequence: options.sequence ?? 0,
        },
        body,
      );
      this.#pending.set(requestId, {
        message,
        deadline: monotonicMs() + (options.timeoutMs ?? CALL_TIMEOUT_MS),
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
    if (call === undefined) return; // timed out or aborted before
    this.#pending.delete(frame.requestId);
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
      this.#pending.delete(requestId);
      call.reject(new IbexError('ERR_TIMED_OUT', `${call.message.name} to ${this.#peerText()}`));
    }
    return this.#pending.size;
  }

  /** For Endpoint: the connection has closed. */
  ended(reason: string): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    for (const call of this.#pending.values()) {
      call.reject(new IbexError('ERR_CONNECTION_LOST', `${call.message.name} to ${this.#peerText()}: ${reason}`));
    }
    this.#pending.clear();
    this.#end(reason);
  }

  #peerText(): string {
    return `${this.peer.kind} ${this.peer.name} (${this.peer.address})`;
  }

  #watchSignal(requestId: number, message: Message, signal: AbortSignal): void {
    const abort = (): void => {
      const call = this.#pending.get(requestId);
      this.#pending.delete(requestId);
      call?.reject(new IbexError('ERR_CANCELED', message.name, { cause: signal.reason }));
    };
    if (signal.aborted) {
      abort();
      return;
    }
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
