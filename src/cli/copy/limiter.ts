/** Lets at most so many pieces of work run at once; the others wait in order. */
export class Limiter {
  readonly #max: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #idle: (() => void) | undefined;

  constructor(max: number) {
    this.#max = max;
  }

  /** Resolves when a place is free; the caller gives it back with `leave`. */
  async enter(): Promise<void> {
    if (this.#running < this.#max) {
      this.#running++;
      return;
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next();
      return;
    }
    this.#running--;
    if (this.#running === 0) this.#idle?.();
  }

  /** Resolves when nothing runs. New work must not be begun while waiting for it. */
  async idle(): Promise<void> {
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
  }
}
