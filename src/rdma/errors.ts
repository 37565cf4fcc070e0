/** The one error class of `ibexfs/rdma`, and the registry of its codes. */
import { type ErrorCode, errorFromStatus, IbexError } from '../wire/errors.js';
import { RdmaStatus } from '../wire/generated.js';

/** How an operation ended, as the verbs interface names it: `'success'`, `'remoteAccess'`, `'flushed'`, ... */
export type CompletionStatus = keyof typeof RdmaStatus;

const statusNames = Object.fromEntries(Object.entries(RdmaStatus).map(([name, number]) => [number, name])) as Record<
  number,
  CompletionStatus
>;

/** The name of a status number; 'general' for numbers that there are not. */
export function completionStatusName(status: number): CompletionStatus {
  return statusNames[status] ?? 'general';
}

/** Stable codes: what `RdmaError.code` can be, and what it means. */
export const rdmaErrorCodes = {
  ERR_RDMA_UNAVAILABLE: 'there is no RDMA library, or no such device, on this machine',
  ERR_RDMA_CLOSED: 'the object, or one that it was made of, was closed',
  ERR_RDMA_INVALID: 'an argument is wrong, or does not fit the state of the queue pair',
  ERR_RDMA_NOT_SUPPORTED: 'the device, the port or this build of Node cannot do it',
  ERR_RDMA_VERB: 'a verb failed: see verb and errno',
  ERR_RDMA_COMPLETION: 'an operation failed: see completionStatus',
  ERR_RDMA_FLUSHED: 'the queue pair failed or was closed before the operation was done: its outcome is unknown',
  ERR_RDMA_QUEUE_FULL: 'more operations wait for a place in the send or receive queue than are allowed to',
  ERR_RDMA_CONNECT: 'the connection to the peer was refused, did not come up in time, or broke',
} as const;

/** A key of {@link rdmaErrorCodes}. */
export type RdmaErrorCode = keyof typeof rdmaErrorCodes;

/** What is known of an error besides its message. All optional. */
export interface RdmaErrorContext {
  readonly cause?: unknown;
  readonly kind?: ErrorCode;
  readonly verb?: string | undefined;
  readonly device?: string | undefined;
  readonly port?: number | undefined;
  readonly queuePair?: number | undefined;
  readonly peer?: string | undefined;
  readonly completionStatus?: CompletionStatus | undefined;
}

const kinds: Readonly<Record<RdmaErrorCode, ErrorCode>> = {
  ERR_RDMA_UNAVAILABLE: 'ERR_NOT_SUPPORTED',
  ERR_RDMA_CLOSED: 'ERR_BAD_DESCRIPTOR',
  ERR_RDMA_INVALID: 'ERR_INVALID',
  ERR_RDMA_NOT_SUPPORTED: 'ERR_NOT_SUPPORTED',
  ERR_RDMA_VERB: 'ERR_IO',
  ERR_RDMA_COMPLETION: 'ERR_IO',
  ERR_RDMA_FLUSHED: 'ERR_CONNECTION_LOST',
  ERR_RDMA_QUEUE_FULL: 'ERR_OVERLOADED',
  ERR_RDMA_CONNECT: 'ERR_CONNECTION_LOST',
};

/**
 * Every error of `ibexfs/rdma`, except the reason of an AbortSignal, which is passed on as it is.
 * `code` is one of {@link rdmaErrorCodes}; `errno` is negative as in node:fs; the message says in words what failed,
 * where, and what usually helps.
 */
export class RdmaError extends IbexError {
  override readonly code: RdmaErrorCode;
  /** The verb that failed: `'ibv_create_qp'`. */
  readonly verb: string | undefined;
  /** Name of the device: `'mlx5_0'`. */
  readonly device: string | undefined;
  /** Port of the device, from 1 on. */
  readonly port: number | undefined;
  /** Number of our queue pair. */
  readonly queuePair: number | undefined;
  /** The peer: `'queue pair 18 at 10.77.0.2'`. */
  readonly peer: string | undefined;
  /** Of an operation that failed. */
  readonly completionStatus: CompletionStatus | undefined;

  constructor(code: RdmaErrorCode, message: string, context: RdmaErrorContext = {}) {
    super(context.kind ?? kinds[code], message, context.cause === undefined ? undefined : { cause: context.cause });
    this.message = message;
    this.code = code;
    this.verb = context.verb;
    this.device = context.device;
    this.port = context.port;
    this.queuePair = context.queuePair;
    this.peer = context.peer;
    this.completionStatus = context.completionStatus;
  }
}

/** As native code throws it. */
interface NativeError extends Error {
  readonly status?: number;
  readonly closed?: boolean;
  readonly verb?: string;
  readonly device?: string;
  readonly port?: number;
  readonly queuePair?: number;
  readonly peer?: string;
}

function codeOf(error: NativeError, kind: ErrorCode): RdmaErrorCode {
  if (error.closed === true || kind === 'ERR_BAD_DESCRIPTOR') return 'ERR_RDMA_CLOSED';
  if (error.verb !== undefined) return 'ERR_RDMA_VERB';
  if (kind === 'ERR_CONNECTION_LOST' || kind === 'ERR_CANCELED') return 'ERR_RDMA_FLUSHED';
  if (kind === 'ERR_TRY_AGAIN' || kind === 'ERR_OVERLOADED') return 'ERR_RDMA_QUEUE_FULL';
  if (kind === 'ERR_BAD_REQUEST') return 'ERR_RDMA_CONNECT';
  if (kind === 'ERR_NOT_FOUND') return 'ERR_RDMA_UNAVAILABLE';
  return kind === 'ERR_NOT_SUPPORTED' ? 'ERR_RDMA_NOT_SUPPORTED' : 'ERR_RDMA_INVALID';
}

/** Makes an RdmaError of what native code threw or handed over. */
export function fromNative(error: unknown, code?: RdmaErrorCode, context: RdmaErrorContext = {}): RdmaError {
  if (error instanceof RdmaError) return error;
  const native = error as NativeError;
  const { kind } = errorFromStatus(native.status ?? 0);
  const { verb, device, port, queuePair, peer } = native;
  return new RdmaError(code ?? codeOf(native, kind), native.message, { kind, verb, device, port, queuePair, peer, ...context });
}

/** Runs a native call; what it throws becomes an RdmaError. */
export function native<Value>(call: () => Value): Value {
  try {
    return call();
  } catch (error) {
    throw fromNative(error);
  }
}

/** A wrong argument. */
export function invalid(message: string): RdmaError {
  return new RdmaError('ERR_RDMA_INVALID', message);
}

/** `what` was closed before the call. */
export function closed(what: string): RdmaError {
  return new RdmaError('ERR_RDMA_CLOSED', `the ${what} was closed`);
}
