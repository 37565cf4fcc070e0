/**
 * Size and times of change that the kernel was last told for regular files. When an open finds the same, what
 * the kernel has cached is what a reader must see. Bounded: what is not known here is treated as changed.
 */
import type { Attributes } from '../wire/messages.js';

interface Told {
  size: number;
  mtime: number;
  mtimeNs: number;
  ctime: number;
  ctimeNs: number;
  /** An open was sent back once so that the kernel asks again; the next one is let through. */
  sentBack: boolean;
}

/** ctime too: who sets a file's time back after writing, as copying does, does not change what was written. */
type Seen = Pick<Attributes, 'fid' | 'size' | 'mtime' | 'mtimeNs' | 'ctime' | 'ctimeNs'>;

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

  tell({ fid, size, mtime, mtimeNs, ctime, ctimeNs }: Seen): void {
    const known = this.#told.get(fid);
    if (known !== undefined) {
      known.size = size;
      known.mtime = mtime;
      known.mtimeNs = mtimeNs;
      known.ctime = ctime;
      known.ctimeNs = ctimeNs;
      return;
    }
    // Maps keep the order of insertion: the oldest makes room.
    if (this.#told.size >= this.#max) this.#told.delete(this.#told.keys().next().value as number);
    this.#told.set(fid, { size, mtime, mtimeNs, ctime, ctimeNs, sentBack: false });
  }

  matches({ fid, size, mtime, mtimeNs, ctime, ctimeNs }: Seen): boolean {
    const known = this.#told.get(fid);
    if (known === undefined || known.size !== size || known.mtime !== mtime || known.mtimeNs !== mtimeNs) return false;
    return known.ctime === ctime && known.ctimeNs === ctimeNs;
  }

  /**
   * Whether an open must be sent back, so that the kernel looks the name up again. An appending one: the kernel
   * appends where it believes the end to be. One of a file without names: another may have the name by now. True at
   * most once until the open went through, since files without names are opened through /proc/self/fd too.
   */
  sendBack({ fid, size, links }: Pick<Attributes, 'fid' | 'size' | 'links'>, appending: boolean): boolean {
    if (links > 0 && !appending) return false;
    const known = this.#told.get(fid);
    if (known?.sentBack === true || (links > 0 && known?.size === size)) {
      known.sentBack = false;
      return false;
    }
    this.tell({ fid, size: -1, mtime: 0, mtimeNs: 0, ctime: 0, ctimeNs: 0 });
    (this.#told.get(fid) as Told).sentBack = true;
    return true;
  }

  forget(fid: number): void {
    this.#told.delete(fid);
  }
}
