/**
 * Attributes of directories that came along with the answer to a change in them. The kernel forgets a directory's
 * attributes at every change it makes there and asks for them at the next path walk: this answers it for the
 * rest of their validity, which the kernel would have had without the change. Bounded; the oldest go first.
 */
import type { Fid } from '../wire/fid.js';
import type { Attributes } from '../wire/messages.js';

const DIRECTORIES_MAX = 1024;

interface Known {
  readonly attributes: Attributes;
  readonly untilMs: number;
}

export class DirectoryAttributes {
  readonly #known = new Map<Fid, Known>();
  readonly #validityMs: number;
  readonly #nowMs: () => number;

  constructor(validityMs: number, nowMs: () => number) {
    this.#validityMs = validityMs;
    this.#nowMs = nowMs;
  }

  learn(attributes: Attributes | undefined): void {
    if (attributes === undefined || this.#validityMs === 0) return;
    this.#known.delete(attributes.fid);
    this.#known.set(attributes.fid, { attributes, untilMs: this.#nowMs() + this.#validityMs });
    if (this.#known.size <= DIRECTORIES_MAX) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      break;
    }
  }

  /** What is still valid, and for how long; undefined when the metadata server must be asked. */
  find(fid: Fid): { attributes: Attributes; validMs: number } | undefined {
    const known = this.#known.get(fid);
    if (known === undefined) return undefined;
    const validMs = known.untilMs - this.#nowMs();
    if (validMs > 0) return { attributes: known.attributes, validMs };
    this.#known.delete(fid);
    return undefined;
  }

  /** Changed in a way that no answer told. */
  forget(fid: Fid): void {
    this.#known.delete(fid);
  }
}
