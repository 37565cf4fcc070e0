/** Waiting that ends early. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves after the pause, or at once when `signal` is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}
