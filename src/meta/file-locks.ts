/**
 * One at a time per file, for changes that wait for chunks: cutting a file, giving it another layout. Everything
 * else happens within a turn of the event loop and needs no lock.
 */
import type { Fid } from '../wire/fid.js';

export class FileLocks {
  readonly #last = new Map<Fid, Promise<void>>();

  isHeld(fid: Fid): boolean {
    return this.#last.has(fid);
  }

  /** Waits its turn; the result ends it. */
  async take(fid: Fid): Promise<() => void> {
    const before = this.#last.get(fid);
    let free = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      free = resolve;
    });
    this.#last.set(fid, held);
    await before;
    return () => {
      if (this.#last.get(fid) === held) this.#last.delete(fid);
      free();
    };
  }
}
