/**
 * Size and time of change that the kernel was last told for regular files. When an open finds the same, what
 * the kernel has cached is what a reader must see. Bounded: what is not known here is treated as changed.
 */
import type { Attributes } from '../wire/messages.js';

interface Told {
  size: number;
  mtime: number;
  mtimeNs: number;
  /** An open was sent back once so that the kernel asks again; the next one is let through. */
  sentBack: boolean;
}

/** About 100 bytes each. */
const TOLD_MAX = 65_536;

export class ToldAttributes {
  readonly #told = new Map<number, Told>();
  readonly #max: number;

  constructor(max = TOLD_MAX) {
    this.#max = max;
  }

  get size(): number {
    return this.#told.size;
  }

  tell({ fid, size, mtime, mtimeNs }: Pick<Attributes, 'fid' | 'size' | 'mtime' | 'mtimeNs'>): void {
    const known = this.#told.get(fid);
    if (known !== undefined) {
      known.size = size;
      known.mtime = mtime;
      known.mtimeNs = mtimeNs;
      return;
    }
    // Maps keep the order of insertion: the oldest makes room.
    if (this.#told.size >= this.#max) this.#told.delete(this.#told.keys().next().value as number);
    this.#told.set(fid, { size, mtime, mtimeNs, sentBack: false });
  }

  matches({ fid, size, mtime, mtimeNs }: Pick<Attributes, 'fid' | 'size' | 'mtime' | 'mtimeNs'>): boolean {
    const known = this.#told.get(fid);
    return known !== undefined && known.size === size && known.mtime === mtime && known.mtimeNs === mtimeNs;
  }

  /**
   * Whether an appending open must be sent back: the kernel appends where it believes the end to be, and only a
   * lookup corrects that. True at most once until the open went through.
   */
  sendBack({ fid, size }: Pick<Attributes, 'fid' | 'size'>): boolean {
    const known = this.#told.get(fid);
    if (known?.sentBack === true || known?.size === size) {
      known.sentBack = false;
      return false;
    }
    this.tell({ fid, size: -1, mtime: 0, mtimeNs: 0 } as Attributes);
    (this.#told.get(fid) as Told).sentBack = true;
    return true;
  }

  forget(fid: number): void {
    this.#told.delete(fid);
  }
}
