/**
 * Which inodes this mount has changed lately. A directory page that was fetched before such a change must not
 * tell the kernel attributes from before it. Bounded: when it is full, everything counts as changed.
 */
const CHANGES_MAX = 8192;

export class RecentChanges {
  readonly #changes = new Map<number, number>();
  readonly #max: number;
  #clock = 1;
  /** Marks older than this know nothing any more. */
  #floor = 0;

  constructor(max = CHANGES_MAX) {
    this.#max = max;
  }

  /** To be taken before a page is asked for. */
  mark(): number {
    return this.#clock;
  }

  note(node: number): void {
    if (this.#changes.size >= this.#max && !this.#changes.has(node)) {
      this.#changes.clear();
      this.#floor = this.#clock;
    }
    this.#changes.set(node, this.#clock++);
  }

  changedSince(node: number, mark: number): boolean {
    if (mark <= this.#floor) return true;
    const changed = this.#changes.get(node);
    return changed !== undefined && changed >= mark;
  }
}
