/** How much memory this process may lock, which RDMA does with the memory that it moves. */
import { readFileSync } from 'node:fs';

/** Below this, arenas and buffer pools of ordinary size cannot be registered. */
const WANTED_BYTES = 64 * 2 ** 20;

export function lockedMemory(): { limitBytes: number; enough: boolean } {
  const soft = /^Max locked memory\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 'unlimited';
  const limitBytes = soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
  // Root is not bound by the limit.
  return { limitBytes, enough: limitBytes >= WANTED_BYTES || process.geteuid?.() === 0 };
}
