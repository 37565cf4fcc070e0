/** Numbers of the kernel's FUSE interface and of errno that TypeScript needs; from uapi linux/fuse.h and asm-generic/errno.h. */
import { constants as os } from 'node:os';
import { type ErrorCode, IbexError } from '../wire/errors.js';

export const Fattr = {
  mode: 1 << 0,
  uid: 1 << 1,
  gid: 1 << 2,
  size: 1 << 3,
  atime: 1 << 4,
  mtime: 1 << 5,
  handle: 1 << 6,
  atimeNow: 1 << 7,
  mtimeNow: 1 << 8,
  killSetId: 1 << 11,
} as const;

export const OpenReply = {
  /** Pages of the file that are cached stay. */
  keepCache: 1 << 1,
  /** Nothing is to be told when it is closed. */
  noFlush: 1 << 5,
  parallelDirectWrites: 1 << 6,
} as const;

export const Errno = {
  ENOENT: 2,
  EIO: 5,
  EEXIST: 17,
  EINVAL: 22,
  EFBIG: 27,
  ERANGE: 34,
  ENODATA: 61,
  EILSEQ: 84,
  EOPNOTSUPP: 95,
  ESTALE: 116,
} as const;

/** An errno that no IbexError stands for. */
export class ErrnoError extends Error {
  readonly errno: number;
  constructor(errno: number, message: string) {
    super(message);
    this.errno = errno;
  }
}

const errnos: Readonly<Record<string, number>> = os.errno;

/** What the kernel gets to hear for an error. Statuses that only this protocol knows are EIO to programs. */
export function errnoOf(error: unknown): number {
  if (error instanceof ErrnoError) return error.errno;
  if (!(error instanceof IbexError) || error.status >= 1000) return Errno.EIO;
  return errnos[error.code] ?? Errno.EIO;
}

/** A server failed, or was not there for as long as a request may take. */
const serverTroubles: ReadonlySet<ErrorCode> = new Set(['ERR_IO', 'ERR_TIMED_OUT', 'ERR_CONNECTION_LOST', 'ERR_TRY_AGAIN']);

/** Whether an operator should hear of it: the outcome is not about what the program asked for. */
export function isWorthLogging(error: unknown): boolean {
  if (error instanceof ErrnoError) return false;
  if (!(error instanceof IbexError) || error.status >= 1000) return true;
  return serverTroubles.has(error.kind);
}

/** The name as the wire carries it. Names that are not UTF-8 cannot exist here. */
export function decodeName(source: Buffer, start: number, length: number): string {
  const name = source.toString('utf8', start, start + length);
  // A replacement character may be part of the name; only then the bytes are compared.
  if (name.includes('\ufffd') && !Buffer.from(name).equals(source.subarray(start, start + length))) {
    throw new ErrnoError(Errno.EILSEQ, 'the name is not valid UTF-8');
  }
  return name;
}
