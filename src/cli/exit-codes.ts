/** What the exit code of `ibex` means; scripts rely on it, so numbers never change their meaning. */
import { type ErrorCode, IbexError } from '../wire/errors.js';

export const exitCodes = {
  ok: 0,
  failure: 1,
  usage: 2,
  unreachable: 3,
  notFound: 4,
  refused: 5,
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export const exitCodeHelp = `Exit codes:
  0    done
  1    failed
  2    wrong use: unknown option, bad value, wrong configuration
  3    the cluster cannot be reached
  4    no such file, directory, node or target
  5    refused: wrong key, or permission denied
  130  interrupted by Ctrl-C`;

const byKind: Partial<Record<ErrorCode, ExitCode>> = {
  ERR_NOT_FOUND: exitCodes.notFound,
  ERR_CONNECTION_LOST: exitCodes.unreachable,
  ERR_TIMED_OUT: exitCodes.unreachable,
  ERR_SHUTTING_DOWN: exitCodes.unreachable,
  ERR_ACCESS: exitCodes.refused,
  ERR_NOT_PERMITTED: exitCodes.refused,
  ERR_HANDSHAKE_REFUSED: exitCodes.refused,
  ERR_NOT_AUTHENTICATED: exitCodes.refused,
  ERR_CANCELED: exitCodes.interrupted,
};

/** An error whose message is all that the user needs, with the exit code it ends in. */
export class CliError extends Error {
  readonly exitCode: ExitCode;
  /** Stable name for scripts, as in `--output json`. */
  readonly code: string;

  constructor(message: string, exitCode: ExitCode = exitCodes.failure, code = 'EFAILED', options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
    this.code = code;
  }
}

export function usageError(message: string): CliError {
  return new CliError(message, exitCodes.usage, 'EUSAGE');
}

export interface ErrorReport {
  readonly exitCode: ExitCode;
  readonly code: string;
  readonly message: string;
}

const isConfigError = (error: Error): boolean => 'problems' in error;

/** How an error ends the command: exit code, stable code, text for people. */
export function reportOf(error: unknown): ErrorReport {
  if (error instanceof CliError) return { exitCode: error.exitCode, code: error.code, message: error.message };
  if (error instanceof IbexError) {
    if (isConfigError(error)) return { exitCode: exitCodes.usage, code: 'ECONFIG', message: error.message };
    return { exitCode: byKind[error.kind] ?? exitCodes.failure, code: error.code, message: error.message };
  }
  if (!(error instanceof Error)) return { exitCode: exitCodes.failure, code: 'EFAILED', message: String(error) };
  if (error.name === 'AbortError') return { exitCode: exitCodes.interrupted, code: 'ECANCELED', message: 'interrupted' };
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return { exitCode: exitCodes.notFound, code, message: error.message };
  if (code === 'EACCES' || code === 'EPERM') return { exitCode: exitCodes.refused, code, message: error.message };
  return { exitCode: exitCodes.failure, code: typeof code === 'string' ? code : 'EFAILED', message: error.message };
}
