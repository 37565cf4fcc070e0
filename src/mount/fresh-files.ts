/**
 * Files that this mount has just created: they have no extended attributes, and the kernel, which asks for
 * `security.capability` before the first write to every file, is answered at once. Believed as long as any
 * other attribute is (the attribute validity). Bounded; the oldest go first.
 */
import type { Fid } from '../wire/fid.js';

const FILES_MAX = 4096;

export class FreshFiles {
  readonly #untilMs = new Map<Fid, number>();
  readonly #validityMs: number;
  readonly #nowMs: () => number;

  constructor(validityMs: number, nowMs: () => number) {
    this.#validityMs = validityMs;
    this.#nowMs = nowMs;
  }

  created(fid: Fid): void {
    this.#untilMs.set(fid, this.#nowMs() + this.#validityMs);
    if (this.#untilMs.size <= FILES_MAX) return;
    for (const oldest of this.#untilMs.keys()) {
      this.#untilMs.delete(oldest);
      break;
    }
  }

  /** It has no extended attributes. */
  isBare(fid: Fid): boolean {
    const untilMs = this.#untilMs.get(fid);
    if (untilMs === undefined) return false;
    if (this.#nowMs() < untilMs) return true;
    this.#untilMs.delete(fid);
    return false;
  }

  /** It was given one. */
  forget(fid: Fid): void {
    this.#untilMs.delete(fid);
  }
}
