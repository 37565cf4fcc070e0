/** Work in pieces, several at once and never more than a bound. */

export interface Piece {
  readonly offset: number;
  readonly length: number;
}

/** The pieces of [start, end), cut where a multiple of `size` lies, so that each stays within whole stripes. */
export function* pieces(start: number, end: number, size: number): Generator<Piece> {
  for (let offset = start; offset < end; ) {
    const stop = Math.min(end, offset - (offset % size) + size);
    yield { offset, length: stop - offset };
    offset = stop;
  }
}

/**
 * Runs `work` for every item with at most `inFlight` at a time. After the first failure nothing new is begun;
 * it rejects once what was begun has ended, so that no buffer is in use any more.
 */
export async function runWindow<T>(
  items: Iterable<T> | AsyncIterable<T>,
  inFlight: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const running = new Set<Promise<void>>();
  let failed = false;
  let failure: unknown;
  const fail = (error: unknown): void => {
    if (!failed) failure = error;
    failed = true;
  };
  try {
    for await (const item of items) {
      if (failed) break;
      const task: Promise<void> = work(item).then(() => undefined, fail);
      const tracked = task.finally(() => running.delete(tracked));
      running.add(tracked);
      if (running.size >= inFlight) await Promise.race(running);
    }
  } catch (error) {
    fail(error);
  }
  await Promise.all(running);
  if (failed) throw failure;
}

/** As `work`, but rejects with the signal's reason when it was raised before `work` had ended: memory is in use until then. */
export async function endedOrAborted<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  signal?.throwIfAborted();
  const value = await work();
  signal?.throwIfAborted();
  return value;
}

/** Waits for `promise` or for the signal, whichever is first. What goes on after an abort must be harmless. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  if (signal.aborted) {
    promise.catch(() => undefined);
    return Promise.reject(signal.reason as Error);
  }
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
