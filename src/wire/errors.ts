/**
 * The one registry of errors: stable code, status on the wire, errno name, whether a retry can help.
 * Every error that crosses a process or reaches a user is an IbexError made here.
 */
import { StatusCode } from './generated.js';

interface ErrorKind {
  readonly status: StatusCode;
  /** POSIX name that `code` of the error carries, as in node:fs. */
  readonly errno: string;
  readonly retryable: boolean;
  readonly summary: string;
}

const kind = (status: StatusCode, errno: string, retryable: boolean, summary: string): ErrorKind => ({ status, errno, retryable, summary });

/** Keys are the stable error codes (`IbexError.kind`). */
export const errorKinds = {
  ERR_NOT_PERMITTED: kind(StatusCode.notPermitted, 'EPERM', false, 'operation not permitted'),
  ERR_NOT_FOUND: kind(StatusCode.noEntry, 'ENOENT', false, 'no such file or directory'),
  ERR_INTERRUPTED: kind(StatusCode.interrupted, 'EINTR', true, 'interrupted'),
  ERR_IO: kind(StatusCode.ioError, 'EIO', false, 'input/output error'),
  ERR_BAD_DESCRIPTOR: kind(StatusCode.badDescriptor, 'EBADF', false, 'file is closed or not open for this'),
  ERR_TRY_AGAIN: kind(StatusCode.tryAgain, 'EAGAIN', true, 'try again'),
  ERR_NO_MEMORY: kind(StatusCode.noMemory, 'ENOMEM', true, 'out of memory'),
  ERR_ACCESS: kind(StatusCode.accessDenied, 'EACCES', false, 'permission denied'),
  ERR_EXISTS: kind(StatusCode.exists, 'EEXIST', false, 'file exists'),
  ERR_CROSS_DEVICE: kind(StatusCode.crossDevice, 'EXDEV', false, 'link across metadata targets'),
  ERR_NOT_DIRECTORY: kind(StatusCode.notDirectory, 'ENOTDIR', false, 'not a directory'),
  ERR_IS_DIRECTORY: kind(StatusCode.isDirectory, 'EISDIR', false, 'is a directory'),
  ERR_INVALID: kind(StatusCode.invalid, 'EINVAL', false, 'invalid argument'),
  ERR_FILE_TOO_BIG: kind(StatusCode.fileTooBig, 'EFBIG', false, 'file too large'),
  ERR_NO_SPACE: kind(StatusCode.noSpace, 'ENOSPC', false, 'no space left on target'),
  ERR_READ_ONLY: kind(StatusCode.readOnly, 'EROFS', false, 'read-only'),
  ERR_TOO_MANY_LINKS: kind(StatusCode.tooManyLinks, 'EMLINK', false, 'too many links'),
  ERR_NAME_TOO_LONG: kind(StatusCode.nameTooLong, 'ENAMETOOLONG', false, 'name too long'),
  ERR_NOT_IMPLEMENTED: kind(StatusCode.notImplemented, 'ENOSYS', false, 'not implemented'),
  ERR_NOT_EMPTY: kind(StatusCode.notEmpty, 'ENOTEMPTY', false, 'directory not empty'),
  ERR_LOOP: kind(StatusCode.loop, 'ELOOP', false, 'too many symbolic links'),
  ERR_NO_DATA: kind(StatusCode.noData, 'ENODATA', false, 'no such attribute'),
  ERR_OVERFLOW: kind(StatusCode.overflow, 'EOVERFLOW', false, 'value too large'),
  ERR_NOT_SUPPORTED: kind(StatusCode.notSupported, 'EOPNOTSUPP', false, 'not supported'),
  ERR_CONNECTION_LOST: kind(StatusCode.connectionReset, 'ECONNRESET', true, 'connection lost'),
  ERR_TIMED_OUT: kind(StatusCode.timedOut, 'ETIMEDOUT', true, 'no answer in time'),
  ERR_STALE_FILE: kind(StatusCode.stale, 'ESTALE', false, 'file no longer exists'),
  ERR_CANCELED: kind(StatusCode.canceled, 'ECANCELED', false, 'operation was aborted'),
  ERR_STALE_MAP: kind(StatusCode.staleMap, 'ESTALE', true, 'request acted on an old cluster map'),
  ERR_NOT_MY_TARGET: kind(StatusCode.notMyTarget, 'ENXIO', true, 'target is not served here'),
  ERR_BAD_REQUEST: kind(StatusCode.badRequest, 'EPROTO', false, 'malformed request'),
  ERR_OVERLOADED: kind(StatusCode.overloaded, 'EBUSY', true, 'server has no room for the request'),
  ERR_SHUTTING_DOWN: kind(StatusCode.shuttingDown, 'ESHUTDOWN', true, 'server is shutting down'),
  ERR_UNKNOWN_OPERATION: kind(StatusCode.unknownOperation, 'EPROTO', false, 'operation unknown to this server'),
  ERR_NOT_AUTHENTICATED: kind(StatusCode.notAuthenticated, 'EACCES', false, 'peer has not proved the cluster key'),
  ERR_BAD_FRAME: kind(StatusCode.badFrame, 'EPROTO', false, 'malformed frame'),
  ERR_HANDSHAKE_REFUSED: kind(StatusCode.handshakeRefused, 'EACCES', false, 'handshake refused'),
  ERR_INTERNAL: kind(StatusCode.internal, 'EIO', false, 'internal error'),
  ERR_WRONG_DISK: kind(StatusCode.wrongDisk, 'EACCES', false, 'target folder does not belong here'),
  ERR_NOT_REGISTERED: kind(StatusCode.notRegistered, 'EAGAIN', true, 'node must register first'),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorKinds;

const codeByStatus = new Map<number, ErrorCode>(Object.entries(errorKinds).map(([code, entry]) => [entry.status, code as ErrorCode]));

export class IbexError extends Error {
  override readonly name = 'IbexError';
  /** POSIX name, as in node:fs: 'ENOENT', 'EIO', ... */
  readonly code: string;
  /** Status on the wire; below 1000 it is the Linux errno. */
  readonly status: StatusCode;
  readonly kind: ErrorCode;
  readonly retryable: boolean;

  /** `detail` names what failed and what to do; the summary of `kind` is put before it. */
  constructor(kind: ErrorCode, detail = '', options?: ErrorOptions) {
    const entry = errorKinds[kind];
    super(detail === '' ? `${entry.errno}: ${entry.summary}` : `${entry.errno}: ${entry.summary}: ${detail}`, options);
    this.kind = kind;
    this.code = entry.errno;
    this.status = entry.status;
    this.retryable = entry.retryable;
  }

  /** Negative errno as node:fs has it; -5 (EIO) where the status is not an errno. */
  get errno(): number {
    return this.status < 1000 ? -this.status : -StatusCode.ioError;
  }
}

/** The error that a status of a response stands for. */
export function errorFromStatus(status: number, detail = ''): IbexError {
  const code = codeByStatus.get(status);
  return code === undefined ? new IbexError('ERR_INTERNAL', `unknown status ${status} ${detail}`) : new IbexError(code, detail);
}

/** What to answer for anything that was thrown. */
export function toIbexError(error: unknown): IbexError {
  if (error instanceof IbexError) return error;
  return new IbexError('ERR_INTERNAL', error instanceof Error ? error.message : String(error), { cause: error });
}
