/**
 * Waiting that always ends: who waits says for what, until when, and which signal calls it off.
 * Nothing here knows what is waited for.
 */
import { IbexError } from '../wire/errors.js';
import { monotonicMs } from './runtime.js';

export interface Patience {
  /** For the error: 'meta.create', 'connecting to host:port'. */
  readonly what: string;
  /** Monotonic milliseconds; Infinity: for ever. */
  readonly deadline: number;
  readonly signal?: AbortSignal | undefined;
}

/** Longest delay that setTimeout takes; a longer one would be over at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * A promise that `start` settles by the functions it gets. It may give back how to stop, which runs once
 * the promise is settled, however that came.
 *
 * @throws IbexError ERR_TIMED_OUT (or what `expired` says) at the deadline, ERR_CANCELED at an abort
 */
export function waitFor<Value>(
  patience: Patience,
  start: (resolve: (value: Value) => void, reject: (error: unknown) => void) => (() => void) | undefined,
  expired: () => Error = () => new IbexError('ERR_TIMED_OUT', patience.what),
): Promise<Value> {
  const { what, deadline, signal } = patience;
  return new Promise((resolve, reject) => {
    let over = false;
    let stop: (() => void) | undefined;
    let timer: NodeJS.Timeout | undefined;
    const end = (settle: () => void): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      stop?.();
      settle();
    };
    const abort = (): void => end(() => reject(canceled(what, signal)));
    if (signal?.aborted === true) {
      abort();
      return;
    }
    signal?.addEventListener('abort', abort, { once: true });
    stop = start(
      (value) => end(() => resolve(value)),
      (error) => end(() => reject(error)),
    );
    if (over) stop?.();
    else if (deadline !== Number.POSITIVE_INFINITY) {
      const delayMs = Math.min(TIMER_MS_MAX, Math.max(0, deadline - monotonicMs()));
      timer = setTimeout(() => end(() => reject(expired())), delayMs);
    }
  });
}

/** Sleeps, at most until the deadline. @throws IbexError ERR_CANCELED */
export function pause(pauseMs: number, { what, deadline, signal }: Patience): Promise<void> {
  const wakeAt = Math.min(monotonicMs() + pauseMs, deadline);
  return waitFor<void>({ what, deadline: Number.POSITIVE_INFINITY, signal }, (resolve) => {
    const timer = setTimeout(resolve, Math.max(0, wakeAt - monotonicMs()));
    return () => clearTimeout(timer);
  });
}

export const canceled = (what: string, signal: AbortSignal | undefined): IbexError =>
  new IbexError('ERR_CANCELED', what, { cause: signal?.reason });
