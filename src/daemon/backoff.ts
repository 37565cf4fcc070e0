/** Pauses between attempts: each twice the last one, with jitter so that many nodes do not knock together. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface BackoffLimits {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** Pause before retry `attempt` (from 0): between half and all of the doubled one; random is in [0, 1). */
export function backoffMs(attempt: number, limits: BackoffLimits, random: number): number {
  const full = Math.min(limits.longestMs, limits.firstMs * 2 ** Math.min(attempt, 30));
  return full / 2 + (full / 2) * random;
}

/** Resolves after the pause, or at once when `signal` is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}
