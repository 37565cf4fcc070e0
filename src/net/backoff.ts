/** Pauses between tries: doubling from first to most, each with up to a quarter of jitter so that a crowd spreads out. */
export class Backoff {
  readonly #firstMs: number;
  readonly #mostMs: number;
  #tries = 0;

  constructor(firstMs = 50, mostMs = 2_000) {
    this.#firstMs = firstMs;
    this.#mostMs = mostMs;
  }

  reset(): void {
    this.#tries = 0;
  }

  nextMs(): number {
    const pause = Math.min(this.#mostMs, this.#firstMs * 2 ** Math.min(this.#tries++, 16));
    return pause * (1 + Math.random() / 4);
  }
}
