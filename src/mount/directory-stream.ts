/**
 * One open directory: serves the kernel's small requests from large pages of the metadata server and asks for
 * the next page while the kernel still reads this one. Knows entries and cookies, not records.
 */
import { constants } from 'node:fs';
import type { Fid } from '../wire/fid.js';
import type { DirectoryEntry } from '../wire/messages.js';

/** Cookies of '.' and '..': far above the metadata server's, which are safe integers. Exact as doubles. */
export const COOKIE_DOT = 2 ** 62;
export const COOKIE_DOT_DOT = 2 ** 62 + 2 ** 61;

export interface Page {
  readonly entries: readonly DirectoryEntry[];
  readonly end: boolean;
  /** Taken before the page was asked for. */
  readonly changeMark: number;
  readonly askedAtMs: number;
}

export type FetchPage = (cookie: number) => Promise<Page>;

export interface Listed {
  readonly entry: DirectoryEntry;
  /** Undefined for '.' and '..'. */
  readonly page: Page | undefined;
}

export class DirectoryStream {
  readonly #fid: Fid;
  readonly #fetch: FetchPage;
  #page: Page | undefined;
  #index = 0;
  /** Cookie before which #index stands. */
  #cookie = -1;
  #ahead: { readonly cookie: number; readonly page: Promise<Page> } | undefined;

  constructor(fid: Fid, fetch: FetchPage) {
    this.#fid = fid;
    this.#fetch = fetch;
  }

  /** Drops what was read: the directory is read from its start again. */
  rewind(): void {
    this.#page = undefined;
    this.#ahead = undefined;
    this.#cookie = -1;
  }

  /** Offers entries from `cookie` on, in order, until `take` refuses one; that one is offered again next time. */
  async read(cookie: number, take: (listed: Listed) => boolean): Promise<void> {
    let at = cookie;
    if (at === 0) {
      this.rewind();
      if (!take(this.#dot('.', COOKIE_DOT))) return;
      at = COOKIE_DOT;
    }
    if (at === COOKIE_DOT) {
      if (!take(this.#dot('..', COOKIE_DOT_DOT))) return;
      at = COOKIE_DOT_DOT;
    }
    let taken = 0;
    let after = at === COOKIE_DOT_DOT ? 0 : at;
    for (;;) {
      const page = await this.#pageAfter(after, taken > 0);
      if (page === undefined) return;
      for (; this.#index < page.entries.length; this.#index++) {
        const entry = page.entries[this.#index] as DirectoryEntry;
        if (!take({ entry, page })) return;
        taken += 1;
        after = entry.cookie;
        this.#cookie = after;
      }
      // What the kernel has is enough for now, unless the next page is here already.
      if (page.end) return;
    }
  }

  /** The page that holds what comes after `cookie`, with #index on it. eager: stop rather than wait for the server. */
  async #pageAfter(cookie: number, eager: boolean): Promise<Page | undefined> {
    if (this.#page !== undefined && this.#cookie !== cookie) this.#seek(cookie);
    if (this.#page !== undefined && this.#index < this.#page.entries.length) return this.#page;
    if (this.#page?.end === true) return undefined;
    if (eager) return undefined;
    const { cookie: aheadCookie, page: coming } = this.#ahead ?? {};
    this.#ahead = undefined;
    const page = await (coming !== undefined && aheadCookie === cookie ? coming : this.#fetch(cookie));
    this.#page = page;
    this.#index = 0;
    this.#cookie = cookie;
    const last = page.entries[page.entries.length - 1];
    if (!page.end && last !== undefined) {
      const next = this.#fetch(last.cookie);
      // When it fails and is wanted, the failure is seen by who awaits it.
      next.catch(() => undefined);
      this.#ahead = { cookie: last.cookie, page: next };
    }
    return page;
  }

  /** The kernel goes on elsewhere: within the page when it is there, else the page is dropped. */
  #seek(cookie: number): void {
    const index = this.#page?.entries.findIndex((entry) => entry.cookie === cookie) ?? -1;
    if (index >= 0) {
      this.#index = index + 1;
      this.#cookie = cookie;
    } else {
      this.rewind();
    }
  }

  #dot(name: string, cookie: number): Listed {
    return { entry: { name, fid: this.#fid, type: constants.S_IFDIR, cookie }, page: undefined };
  }
}
