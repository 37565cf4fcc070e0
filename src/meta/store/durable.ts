/**
 * How far the log is on disk. Many waiters share one fdatasync; a round covers what was written when it
 * started. A sync that fails cannot be repeated with meaning (the kernel may have dropped the pages), so the
 * first failure is final.
 */
import type { LogFile } from './log-file.js';

export class DurableLog {
  /** Last sequence known to be on disk. */
  through: number;
  readonly #logs: () => readonly LogFile[];
  readonly #written: () => number;
  readonly #failed: (error: Error) => void;
  #round: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `logs`: files that may hold entries not yet on disk, oldest first. `written`: sequence of the last entry. */
  constructor(through: number, logs: () => readonly LogFile[], written: () => number, failed: (error: Error) => void) {
    this.through = through;
    this.#logs = logs;
    this.#written = written;
    this.#failed = failed;
  }

  /** Settles when everything written before the call is on disk. */
  async sync(): Promise<void> {
    const wanted = this.#written();
    while (this.through < wanted) {
      this.#round ??= this.#run().finally(() => {
        this.#round = undefined;
      });
      await this.#round;
    }
  }

  /** A sync within `delayMs`, unless something else made the log durable by then. */
  syncSoon(delayMs: number): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      // A failure has been reported as fatal.
      this.sync().catch(() => undefined);
    }, delayMs);
    this.#timer.unref();
  }

  /** LMDB holds everything up to `sequence`, which is as good. */
  advance(sequence: number): void {
    this.through = Math.max(this.through, sequence);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #run(): Promise<void> {
    const covered = this.#written();
    try {
      for (const log of this.#logs()) await log.sync();
    } catch (error) {
      this.#failed(error as Error);
      throw error;
    }
    this.advance(covered);
  }
}
