/** Removing a directory with all that it holds. */
import { constants } from 'node:fs';
import { IbexError } from '../wire/errors.js';
import type { Fid } from '../wire/fid.js';
import { type DirectoryEntry, meta } from '../wire/messages.js';
import type { ClientCore } from './core.js';
import { readPages } from './directory.js';
import { fileError } from './errors.js';
import { joinPath } from './path.js';
import { runWindow } from './window.js';

const REMOVALS_IN_FLIGHT = 64;
const PAGE_ENTRIES = 1024;
/** Others may create while we remove: this often a directory is emptied again before that is reported. */
const ROUNDS_MAX = 8;

const gone = (error: unknown): boolean => error instanceof IbexError && (error.kind === 'ERR_NOT_FOUND' || error.kind === 'ERR_STALE_FILE');
const isDirectory = (entry: DirectoryEntry): boolean => (entry.type & constants.S_IFMT) === constants.S_IFDIR;

export interface Removal {
  readonly core: ClientCore;
  readonly signal: AbortSignal | undefined;
  /** Tells the path cache that (parent, name) is no more. */
  readonly removed: (parent: Fid, name: string) => void;
}

/** Removes directory `fid`, which is `name` in `parent`. What is already gone is no error. */
export async function removeTree(removal: Removal, parent: Fid, name: string, fid: Fid, path: string): Promise<void> {
  for (let round = 1; ; round++) {
    await empty(removal, fid, path);
    try {
      await removal.core.calls.meta(parent, meta.removeDirectory, { parent, name }, { signal: removal.signal });
      removal.removed(parent, name);
      return;
    } catch (error) {
      if (gone(error)) return;
      const refilled = error instanceof IbexError && error.kind === 'ERR_NOT_EMPTY';
      if (!refilled || round === ROUNDS_MAX) throw fileError(error, 'rmdir', path);
    }
  }
}

async function empty(removal: Removal, fid: Fid, path: string): Promise<void> {
  const { core, signal } = removal;
  try {
    for await (const page of readPages(core, fid, { limit: PAGE_ENTRIES, withAttributes: false, signal })) {
      await runWindow(
        page.filter((entry) => !isDirectory(entry)),
        REMOVALS_IN_FLIGHT,
        (entry) => unlink(removal, fid, entry.name, path),
      );
      for (const entry of page) {
        if (isDirectory(entry)) await removeTree(removal, fid, entry.name, entry.fid, joinPath(path, entry.name));
      }
    }
  } catch (error) {
    if (!gone(error)) throw fileError(error, 'scandir', path);
  }
}

async function unlink({ core, signal, removed }: Removal, parent: Fid, name: string, path: string): Promise<void> {
  try {
    await core.calls.meta(parent, meta.unlink, { parent, name }, { signal });
  } catch (error) {
    if (!gone(error)) throw fileError(error, 'unlink', joinPath(path, name));
  } finally {
    removed(parent, name);
  }
}
