/** Why a daemon cannot start, in one line that says what to do. */
import { type ErrorCode, IbexError } from '../wire/errors.js';

export class StartupError extends IbexError {
  constructor(kind: ErrorCode, message: string, options?: ErrorOptions) {
    super(kind, '', options);
    this.message = message;
  }
}

interface Cause {
  readonly kind: ErrorCode;
  readonly explain: (what: string) => string;
}

const user = (): string => `user ${process.getuid?.() ?? '?'}`;

const fileCauses: Readonly<Record<string, Cause>> = {
  EACCES: {
    kind: 'ERR_ACCESS',
    explain: (what) => `${what}: permission denied for ${user()}; change its owner or mode, or run as another user`,
  },
  EPERM: {
    kind: 'ERR_NOT_PERMITTED',
    explain: (what) => `${what}: not permitted for ${user()}; change its owner or mode, or run as another user`,
  },
  EROFS: {
    kind: 'ERR_READ_ONLY',
    explain: (what) => `${what}: the file system is read-only; mount it writable or configure another folder`,
  },
  ENOSPC: { kind: 'ERR_NO_SPACE', explain: (what) => `${what}: the disk is full; free some space or configure another folder` },
  ENOENT: { kind: 'ERR_NOT_FOUND', explain: (what) => `${what}: does not exist; make it or configure another path` },
  ENOTDIR: { kind: 'ERR_NOT_DIRECTORY', explain: (what) => `${what}: a part of the path is no folder; configure another path` },
  EEXIST: { kind: 'ERR_NOT_DIRECTORY', explain: (what) => `${what}: is a file, not a folder; configure another path` },
  EIO: { kind: 'ERR_IO', explain: (what) => `${what}: the disk reports an input/output error; check the kernel's log` },
};

const listenCauses: Readonly<Record<string, Cause>> = {
  EADDRINUSE: {
    kind: 'ERR_EXISTS',
    explain: (what) => `${what}: another program listens there already; stop it or configure another port`,
  },
  EADDRNOTAVAIL: { kind: 'ERR_INVALID', explain: (what) => `${what}: this machine has no such address; configure one that it has` },
  ENOTFOUND: { kind: 'ERR_INVALID', explain: (what) => `${what}: the host name cannot be resolved; configure an address of this machine` },
  EAI_AGAIN: { kind: 'ERR_INVALID', explain: (what) => `${what}: the host name cannot be resolved; configure an address of this machine` },
  EACCES: { kind: 'ERR_ACCESS', explain: (what) => `${what}: ${user()} may not listen there; configure a port above 1023` },
};

/** For errors of native code, which carry a number. */
const errnoNames: Readonly<Record<number, string>> = { 13: 'EACCES', 98: 'EADDRINUSE', 99: 'EADDRNOTAVAIL' };

function explain(table: Readonly<Record<string, Cause>>, error: unknown, what: string): StartupError {
  if (error instanceof StartupError) return error;
  const { code, status, message } = error as { code?: unknown; status?: unknown; message?: unknown };
  const text = String(message ?? error);
  const named = typeof code === 'string' && Object.hasOwn(table, code) ? code : errnoNames[typeof status === 'number' ? status : 0];
  const name = named ?? Object.keys(table).find((candidate) => text.includes(candidate));
  const cause = name === undefined ? undefined : table[name];
  if (cause !== undefined) return new StartupError(cause.kind, cause.explain(what), { cause: error });
  return new StartupError(error instanceof IbexError ? error.kind : 'ERR_INTERNAL', `${what}: ${text}`, { cause: error });
}

/** `what` names the purpose and the path. */
export function explainFileError(error: unknown, what: string): StartupError {
  return explain(fileCauses, error, what);
}

/** `what` names the address and its configuration key. */
export function explainListenError(error: unknown, what: string): StartupError {
  return explain(listenCauses, error, what);
}
