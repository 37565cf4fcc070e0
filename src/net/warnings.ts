/** Warnings that others can cause as often as they like: a few in a while are written, the rest is counted. */
import type { Logger } from 'pino';

export interface WarningLimits {
  readonly most: number;
  readonly perMs: number;
}

export class Warnings {
  readonly #logger: Logger;
  readonly #limits: WarningLimits;
  #written = 0;
  #leftOut = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(logger: Logger, limits: WarningLimits) {
    this.#logger = logger;
    this.#limits = limits;
  }

  warn(fields: object, text: string): void {
    this.#timer ??= setTimeout(() => this.#next(), this.#limits.perMs).unref();
    if (this.#written < this.#limits.most) {
      this.#written++;
      this.#logger.warn(fields, text);
    } else this.#leftOut++;
  }

  /** Writes what has been counted. */
  close(): void {
    clearTimeout(this.#timer);
    this.#next();
  }

  #next(): void {
    if (this.#leftOut > 0) this.#logger.warn(`${this.#leftOut} more warnings like the last one were left out`);
    this.#timer = undefined;
    this.#written = 0;
    this.#leftOut = 0;
  }
}
