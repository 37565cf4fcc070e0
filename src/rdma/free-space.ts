/** Which bytes of an arena are taken: first fit, neighbours joined. Pure. */
import { invalid, RdmaError } from './errors.js';

/** A cache line, and what atomics need. */
const ALIGNMENT = 64;

export class FreeSpace {
  /** Gaps in order of their place: [offset, length]. */
  readonly #gaps: [offset: number, length: number][];
  /** Length by offset, as rounded up. */
  readonly #taken = new Map<number, number>();

  constructor(bytes: number) {
    this.#gaps = [[0, bytes - (bytes % ALIGNMENT)]];
  }

  get freeBytes(): number {
    return this.#gaps.reduce((sum, [, length]) => sum + length, 0);
  }

  take(length: number): number {
    if (!Number.isSafeInteger(length) || length <= 0) throw invalid(`alloc of ${length} bytes: give a whole number above 0`);
    const rounded = Math.ceil(length / ALIGNMENT) * ALIGNMENT;
    const index = this.#gaps.findIndex(([, room]) => room >= rounded);
    const gap = this.#gaps[index];
    if (gap === undefined) {
      throw new RdmaError('ERR_RDMA_QUEUE_FULL', `the arena has no gap of ${length} bytes; ${this.freeBytes} bytes are free in all`);
    }
    const [offset, room] = gap;
    if (room === rounded) this.#gaps.splice(index, 1);
    else this.#gaps[index] = [offset + rounded, room - rounded];
    this.#taken.set(offset, rounded);
    return offset;
  }

  /** The length of what was taken at `offset`. @throws RdmaError when nothing was */
  check(offset: number): number {
    const length = this.#taken.get(offset);
    if (length === undefined) throw invalid(`nothing was allocated at offset ${offset} of the arena, or it was freed before`);
    return length;
  }

  give(offset: number): void {
    const length = this.check(offset);
    this.#taken.delete(offset);
    const at = this.#gaps.findIndex(([start]) => start > offset);
    const index = at < 0 ? this.#gaps.length : at;
    this.#gaps.splice(index, 0, [offset, length]);
    this.#join(index);
    if (index > 0) this.#join(index - 1);
  }

  #join(index: number): void {
    const [gap, next] = [this.#gaps[index], this.#gaps[index + 1]];
    if (gap === undefined || next === undefined || gap[0] + gap[1] !== next[0]) return;
    gap[1] += next[1];
    this.#gaps.splice(index + 1, 1);
  }
}
