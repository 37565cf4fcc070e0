/** Waiting for something that may take longer than whoever waits has time to end. */

/**
 * Settles as `work` does, or rejects with the signal's reason when that comes first; then `work` goes on unseen.
 * Unlike Promise.race with a promise of the end it leaves nothing behind that lives until then.
 */
export function unlessEnded<Result>(signal: AbortSignal, work: Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const end = (): void => reject(signal.reason);
    const done = (): void => signal.removeEventListener('abort', end);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
    work.then(resolve, reject).finally(done);
  });
}
