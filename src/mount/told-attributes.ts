/**
 * What the kernel was last told about regular files, and how old its cached pages may be. An open that finds the
 * same change version keeps the pages: a version, not a time, since the clock of who wrote may be anywhere.
 * Bounded: what is not known here is treated as changed.
 */
import type { Attributes } from '../wire/messages.js';

interface Told {
  size: number;
  mtime: number;
  mtimeNs: number;
  change: number;
  /** What the kernel has of the content is at least as new as this change; 0: not known. */
  pagesChange: number;
  /** An open was sent back once so that the kernel asks again; the next one is let through. */
  sentBack: boolean;
}

/** Size and time beside the version: what was written here counts before it is settled. */
type Seen = Pick<Attributes, 'fid' | 'size' | 'mtime' | 'mtimeNs' | 'change'>;

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

  /** Attributes only: whether the kernel then drops pages is not for sure, since it looks at size and time alone. */
  tell({ fid, size, mtime, mtimeNs, change }: Seen): void {
    const known = this.#known(fid);
    known.size = size;
    known.mtime = mtime;
    known.mtimeNs = mtimeNs;
    known.change = change;
  }

  matches({ fid, size, mtime, mtimeNs, change }: Seen): boolean {
    const known = this.#told.get(fid);
    return known !== undefined && known.change === change && known.size === size && known.mtime === mtime && known.mtimeNs === mtimeNs;
  }

  /** An open succeeds at this change. True: the kernel may keep its pages; else it drops them, and what it reads is as new. */
  opened({ fid, change }: Pick<Attributes, 'fid' | 'change'>): boolean {
    const known = this.#known(fid);
    if (known.pagesChange === change) return true;
    known.pagesChange = change;
    return false;
  }

  /**
   * The answer to a change that was made through this mount, so that the kernel's pages show it. When it is the only
   * one since, they are as new as it; otherwise someone else's change lies between.
   */
  changedHere(attributes: Pick<Attributes, 'fid' | 'change'> | undefined): void {
    if (attributes === undefined) return;
    const known = this.#told.get(attributes.fid);
    if (known?.pagesChange === attributes.change - 1) known.pagesChange = attributes.change;
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
    this.tell({ fid, size: -1, mtime: 0, mtimeNs: 0, change: 0 });
    this.#known(fid).sentBack = true;
    return true;
  }

  forget(fid: number): void {
    this.#told.delete(fid);
  }

  #known(fid: number): Told {
    let known = this.#told.get(fid);
    if (known !== undefined) return known;
    // Maps keep the order of insertion: the oldest makes room.
    if (this.#told.size >= this.#max) this.#told.delete(this.#told.keys().next().value as number);
    known = { size: -1, mtime: 0, mtimeNs: 0, change: 0, pagesChange: 0, sentBack: false };
    this.#told.set(fid, known);
    return known;
  }
}
