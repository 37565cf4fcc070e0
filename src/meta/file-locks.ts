/**
 * One at a time per file, for changes that wait for chunks: cutting a file, giving it another layout. What must
 * not come in between (settling, opening for writing) waits while the lock is held; everything else happens
 * within a turn of the event loop and needs no lock.
 */
import type { Fid } from '../wire/fid.js';

export class FileLocks {
  readonly #last = new Map<Fid, Promise<void>>();

  /** Files that are locked. */
  get count(): number {
    return this.#last.size;
  }

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

  /** As `take`, and then runs `work`, which frees the file when it fails. */
  async takeFor(fid: Fid, work: () => void | Promise<void>): Promise<() => void> {
    const free = await this.take(fid);
    try {
      await work();
    } catch (error) {
      free();
      throw error;
    }
    return free;
  }

  /** As `takeFor`; undefined when the file is free, and then nothing has to be waited for. */
  takeWhenHeld(fid: Fid, work: () => void): Promise<() => void> | undefined {
    return this.isHeld(fid) ? this.takeFor(fid, work) : undefined;
  }
}
