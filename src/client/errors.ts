/** Gives an error of the wire the context that node:fs errors have: which call, which path. */
import { type ErrorCode, errorKinds, IbexError } from '../wire/errors.js';

/** An IbexError that knows which call on which path failed; the message is node's with the cause after it. */
export class FileError extends IbexError {
  readonly syscall: string;
  readonly path: string | undefined;
  readonly dest: string | undefined;

  constructor(kind: ErrorCode, syscall: string, path?: string, dest?: string, detail = '', options?: ErrorOptions) {
    super(kind, detail, options);
    this.syscall = syscall;
    this.path = path;
    this.dest = dest;
    const { errno, summary } = errorKinds[kind];
    const where = `${path === undefined ? '' : ` '${path}'`}${dest === undefined ? '' : ` -> '${dest}'`}`;
    this.message = `${errno}: ${summary}, ${syscall}${where}${detail === '' ? '' : `: ${detail}`}`;
  }
}

/** What the caller of `syscall` gets to see for `error`: for an aborted call the signal's reason, unchanged. */
export function fileError(error: unknown, syscall: string, path?: string, dest?: string): unknown {
  if (error instanceof FileError) return error;
  if (error instanceof IbexError && error.kind === 'ERR_CANCELED' && error.cause !== undefined) return error.cause;
  // What the program's own iterables and signals throw is the program's.
  if (!(error instanceof IbexError)) return error;
  return new FileError(error.kind, syscall, path, dest, detailOf(error), { cause: error });
}

/** The part of an IbexError's message that its summary does not already say. */
function detailOf(error: IbexError): string {
  const { errno, summary } = errorKinds[error.kind];
  const prefix = `${errno}: ${summary}: `;
  return error.message.startsWith(prefix) ? error.message.slice(prefix.length) : '';
}
