/**
 * Gives back the chunks of removed files. Works through the table of removals with a bounded number at a time,
 * deletes an entry when every column's target has answered, and comes back to what failed after a growing pause.
 * The table is the only memory, so that it goes on after a crash; while it is empty nothing runs.
 *
 * No chunk goes before its entry is on disk: a power cut may take back the removal of a name, and the file that
 * is there again then must have its data.
 */
import type { Logger } from 'pino';
import type { ClusterMap } from '../wire/cluster-map.js';
import { toIbexError } from '../wire/errors.js';
import { type Fid, formatFid, type TargetId } from '../wire/fid.js';
import { addRemovals, readCounters } from './counters.js';
import { decodeTargets } from './orphans.js';
import type { Store } from './store/store.js';
import { fidAt, REMOVALS, removalKey } from './tables.js';
import type { ChunkOperations, MetaLimits } from './types.js';
import { unlessEnded } from './unless-ended.js';

const PAGE_COUNT = 256;
/** How long removals gather before a pass. */
const GATHER_MS = 20;

interface Removal {
  readonly fid: Fid;
  readonly targets: readonly TargetId[];
}

export class Remover {
  readonly #store: Store;
  readonly #chunks: ChunkOperations;
  readonly #limits: MetaLimits;
  readonly #logger: Logger;
  #running: Promise<void> | undefined;
  /** Entries may have been added behind the pass that runs. */
  #again = false;
  #retryTimer: NodeJS.Timeout | undefined;
  #retryMs: number;
  /** Targets that failed in this pass: the rest of their entries waits for the next one. */
  readonly #away = new Set<TargetId>();
  /** Targets that the cluster map has as not online. */
  readonly #offline = new Set<TargetId>();
  readonly #closing = new AbortController();

  constructor(store: Store, chunks: ChunkOperations, limits: MetaLimits, logger: Logger) {
    this.#store = store;
    this.#chunks = chunks;
    this.#limits = limits;
    this.#logger = logger;
    this.#retryMs = limits.removalRetryMs;
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Committed entries may be there. */
  wake(): void {
    if (this.#closed) return;
    this.#again = true;
    if (this.#running !== undefined || this.#retryTimer !== undefined || readCounters(this.#store).removals === 0) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#again && this.#retryTimer === undefined) this.wake();
    });
  }

  /** Does not wait for the end of the pause when a target that failed has come online. */
  mapChanged(map: ClusterMap): void {
    let back = false;
    for (const { id, reachability } of map.targets) {
      if (reachability !== 'online') this.#offline.add(id);
      else if (this.#offline.delete(id) && this.#away.delete(id)) back = true;
    }
    if (!back || this.#closed) return;
    this.#retryMs = this.#limits.removalRetryMs;
    if (this.#retryTimer === undefined) return;
    this.#stopTimer();
    this.wake();
  }

  /** Does not wait for calls that are on their way: the next start repeats what was not noted as done. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#stopTimer();
    await this.#running;
  }

  async #run(): Promise<void> {
    // Many removals share one sync of the log, and a pass does not begin in the middle of a batch of requests.
    await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
    let failed = false;
    this.#away.clear();
    this.#again = false;
    for (let from = REMOVALS; !this.#closed; ) {
      const page = this.#page(from);
      if (page.length === 0) break;
      if (!(await this.#isOnDisk())) {
        failed = true;
        break;
      }
      if (!(await this.#removePage(page))) failed = true;
      from = `${removalKey(page.at(-1)!.fid)}\0`;
      // Pages of targets that are away cost no waiting: requests must get their turn in between.
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (!failed) this.#retryMs = this.#limits.removalRetryMs;
    else if (!this.#closed) this.#retryLater();
  }

  #page(from: string): Removal[] {
    const page: Removal[] = [];
    this.#store.scan(REMOVALS, from, (key, value) => page.push({ fid: fidAt(key, 1), targets: decodeTargets(value) }) < PAGE_COUNT);
    return page;
  }

  /** Waits until everything that the store has now is on disk. */
  async #isOnDisk(): Promise<boolean> {
    try {
      await this.#store.syncLog();
      return true;
    } catch (error) {
      this.#logger.warn({ err: error }, 'cannot remove chunks before the log is on disk; tried again later');
      return false;
    }
  }

  /** False: some stay behind. */
  async #removePage(page: readonly Removal[]): Promise<boolean> {
    const done: Fid[] = [];
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < page.length && !this.#closed) {
        const removal = page[next++]!;
        if (await this.#remove(removal)) done.push(removal.fid);
      }
    };
    const workers = Array.from({ length: Math.min(this.#limits.removalsInFlightMax, page.length) }, worker);
    // Closed: what was answered until now is noted.
    await unlessEnded(this.#closing.signal, Promise.all(workers)).catch(() => undefined);
    return (await this.#forget([...done])) && done.length === page.length;
  }

  async #remove({ fid, targets }: Removal): Promise<boolean> {
    if (targets.some((target) => this.#away.has(target))) return false;
    const answers = await Promise.allSettled(targets.map((target, column) => this.#chunks.remove(target, fid, column)));
    answers.forEach((answer, column) => {
      const target = targets[column]!;
      if (answer.status === 'fulfilled' || this.#away.has(target) || this.#closed) return;
      this.#away.add(target);
      this.#logger.warn(
        { target, fid: formatFid(fid), reason: toIbexError(answer.reason).message },
        'cannot remove chunks of a removed file; tried again later',
      );
    });
    return answers.every((answer) => answer.status === 'fulfilled');
  }

  async #forget(done: readonly Fid[]): Promise<boolean> {
    if (done.length === 0) return true;
    try {
      this.#store.transaction(() => {
        for (const fid of done) this.#store.delete(removalKey(fid));
        addRemovals(this.#store, -done.length);
      });
      await this.#store.commit();
      return true;
    } catch (error) {
      // Removing a chunk twice is harmless.
      this.#logger.warn({ err: error }, 'cannot note that chunks were removed; tried again later');
      return false;
    }
  }

  #retryLater(): void {
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.wake();
    }, this.#retryMs);
    this.#retryTimer.unref();
    this.#retryMs = Math.min(this.#retryMs * 2, this.#limits.removalRetryMsMax);
  }

  #stopTimer(): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
  }
}
