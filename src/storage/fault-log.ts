/** Logs disk faults of targets: the first of each kind at once, a storm of them as a count. */
import { getSystemErrorName } from 'node:util';
import type { Logger } from 'pino';

/** One line a target and status in this time. */
const QUIET_MS = 5_000;

interface Seen {
  loggedAt: number;
  unlogged: number;
}

export class FaultLog {
  readonly #logger: Logger;
  readonly #now: () => number;
  /** Bounded: targets of this daemon times the few statuses that disks give. */
  readonly #seen = new Map<string, Seen>();

  constructor(logger: Logger, now: () => number = () => performance.now()) {
    this.#logger = logger;
    this.#now = now;
  }

  report(target: number, status: number, detail: string): void {
    const key = `${target}:${status}`;
    const seen = this.#seen.get(key) ?? { loggedAt: Number.NEGATIVE_INFINITY, unlogged: 0 };
    this.#seen.set(key, seen);
    const now = this.#now();
    if (now - seen.loggedAt < QUIET_MS) {
      seen.unlogged++;
      return;
    }
    const since = seen.unlogged === 0 ? '' : ` (and ${seen.unlogged} more since the last line)`;
    this.#logger.error(
      { target, status, error: errnoName(status), faults: seen.unlogged + 1 },
      `target ${target}: ${errnoName(status)}: ${detail}${since}`,
    );
    seen.loggedAt = now;
    seen.unlogged = 0;
  }
}

function errnoName(status: number): string {
  const name = getSystemErrorName(-status);
  return name.startsWith('E') ? name : `status ${status}`;
}
