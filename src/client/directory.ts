/** Listing directories page by page; memory does not grow with the directory. */
import { constants } from 'node:fs';
import type { Fid } from '../wire/fid.js';
import { type DirectoryEntry, meta } from '../wire/messages.js';
import type { ClientCore } from './core.js';
import { fileError } from './errors.js';
import { joinPath } from './path.js';
import { Dirent, Stats } from './stats.js';
import type { Directory, ListOptions } from './types.js';

const PAGE_ENTRIES = 1024;
const PAGE_ENTRIES_MAX = 4096;
/** An entry with attributes takes up to some 350 bytes of a reply of 1 MiB. */
const PAGE_ENTRIES_WITH_ATTRIBUTES_MAX = 2048;

export interface PageOptions {
  readonly limit: number;
  readonly withAttributes: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** The entries of one directory, a page at a time; the next page is asked for while this one is used. */
export async function* readPages(core: ClientCore, fid: Fid, options: PageOptions): AsyncGenerator<readonly DirectoryEntry[]> {
  const { limit, withAttributes, signal } = options;
  const ask = (cookie: number) => core.calls.meta(fid, meta.readDirectory, { fid, cookie, limit, withAttributes }, { signal });
  let page = await ask(0);
  for (;;) {
    const { entries } = page;
    const last = entries[entries.length - 1];
    const next = page.end || last === undefined ? undefined : ask(last.cookie);
    // When the consumer stops here nobody awaits it.
    next?.catch(() => undefined);
    if (entries.length > 0) yield entries;
    if (next === undefined) return;
    page = await next;
  }
}

/** All entries below a directory, each directory before what it holds; what vanishes meanwhile is left out. */
export async function* listEntries(core: ClientCore, fid: Fid, path: string, options: ListOptions): AsyncGenerator<Dirent> {
  const withAttributes = options.withStats === true;
  const limit = Math.max(
    1,
    Math.min(options.bufferSize ?? PAGE_ENTRIES, withAttributes ? PAGE_ENTRIES_WITH_ATTRIBUTES_MAX : PAGE_ENTRIES_MAX),
  );
  const directories: { fid: Fid; path: string }[] = [{ fid, path }];
  for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
    try {
      for await (const page of readPages(core, directory.fid, { limit, withAttributes, signal: options.signal })) {
        for (const entry of page) {
          const { attributes } = entry;
          const stats = attributes === undefined ? undefined : new Stats(core.files.merge(attributes));
          const dirent = new Dirent(entry.name, directory.path, entry.fid, entry.type, stats);
          if (options.recursive === true && (entry.type & constants.S_IFMT) === constants.S_IFDIR) {
            directories.push({ fid: entry.fid, path: joinPath(directory.path, entry.name) });
          }
          yield dirent;
        }
      }
    } catch (error) {
      const wrapped = fileError(error, 'scandir', directory.path);
      const { code } = wrapped as { code?: unknown };
      if (directory.fid !== fid && (code === 'ENOENT' || code === 'ESTALE')) continue;
      throw wrapped;
    }
  }
}

export class OpenDirectory implements Directory {
  readonly path: string;
  readonly #entries: AsyncGenerator<Dirent>;

  constructor(path: string, entries: AsyncGenerator<Dirent>) {
    this.path = path;
    this.#entries = entries;
  }

  async read(): Promise<Dirent | null> {
    const { value, done } = await this.#entries.next();
    return done === true ? null : (value as Dirent);
  }

  async close(): Promise<void> {
    await this.#entries.return(undefined);
  }

  [Symbol.asyncIterator](): AsyncGenerator<Dirent> {
    return this.#entries;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
