/**
 * From a path to an inode, one component at a time: symbolic links, '..', trailing slashes. What a
 * directory holds is asked of a `NameSource`; the cache saves asking for what was seen a moment ago.
 */
import { constants } from 'node:fs';
import { IbexError } from '../wire/errors.js';
import { type Fid, ROOT_FID } from '../wire/fid.js';
import type { Attributes } from '../wire/messages.js';
import { type PathParts, splitPath } from './path.js';
import type { PathCache } from './path-cache.js';

const { S_IFMT, S_IFDIR, S_IFLNK } = constants;

/** As many as Linux follows in one walk. */
export const SYMLINKS_MAX = 40;

export interface NameSource {
  lookup(parent: Fid, name: string, signal?: AbortSignal): Promise<Attributes>;
  attributes(fid: Fid, signal?: AbortSignal): Promise<Attributes>;
  readSymlink(fid: Fid, signal?: AbortSignal): Promise<string>;
}

export interface WalkOptions {
  /** Follow a symbolic link in the last place. A trailing slash always does. */
  readonly follow: boolean;
  /** Stop before the last component: it need not exist. */
  readonly parentOnly: boolean;
  /** A last component that does not exist is no error: it is to be created. */
  readonly missing?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Found {
  /** Directory that holds the last component; of the root, the root. */
  readonly parent: Fid;
  /** Name in `parent`, where symbolic links and '..' have led; '' for the root. With parentOnly as written. */
  readonly name: string;
  /** Names from the root to `parent`, free of links. */
  readonly directories: readonly string[];
  /** Not set with parentOnly, for what is missing, and where only the cache was asked. */
  readonly attributes: Attributes | undefined;
  /** What was found; undefined with parentOnly and for what is missing. */
  readonly fid: Fid | undefined;
  /** What is there, or will be made there, must be a directory. */
  readonly mustBeDirectory: boolean;
  /** When what the walk relied on is no longer to be trusted. */
  readonly expires: number;
}

interface Step {
  readonly fid: Fid;
  readonly attributes: Attributes | undefined;
  /** Where to go on, of a symbolic link. */
  readonly target: string | undefined;
  readonly directory: boolean;
  readonly expires: number;
}

export async function walk(source: NameSource, cache: PathCache, path: string | PathParts, options: WalkOptions): Promise<Found> {
  const parts = typeof path === 'string' ? splitPath(path) : path;
  const generation = cache.generation;
  // Directories from the root to where the walk stands: what '..' goes back along.
  const stack: { fid: Fid; name: string; attributes: Attributes | undefined }[] = [{ fid: ROOT_FID, name: '', attributes: undefined }];
  const queue = [...parts.names].reverse();
  let mustBeDirectory = parts.directory;
  let links = 0;
  let expires = cache.expiry();

  const place = (name: string, step: Step | undefined): Found => {
    const directories = stack.slice(1).map((above) => above.name);
    return {
      parent: stack[stack.length - 1]!.fid,
      name,
      directories,
      attributes: step?.attributes,
      fid: step?.fid,
      mustBeDirectory,
      expires,
    };
  };

  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const here = stack[stack.length - 1]!.fid;
    const last = queue.length === 0;
    if (last && options.parentOnly) return place(name, undefined);
    if (name === '..') {
      if (stack.length > 1) stack.pop();
      continue;
    }
    const follow = !last || options.follow || mustBeDirectory;
    let step: Step;
    try {
      step = await take(source, cache, here, name, { fresh: last, follow, generation, signal: options.signal });
    } catch (error) {
      if (last && options.missing === true && error instanceof IbexError && error.kind === 'ERR_NOT_FOUND') return place(name, undefined);
      throw error;
    }
    if (step.expires < expires) expires = step.expires;
    if (step.directory) {
      stack.push({ fid: step.fid, name, attributes: step.attributes });
    } else if (step.target !== undefined) {
      links += 1;
      if (links > SYMLINKS_MAX) throw new IbexError('ERR_LOOP', `more than ${SYMLINKS_MAX} were followed`);
      const target = splitPath(step.target);
      if (step.target.startsWith('/')) stack.length = 1;
      if (last && target.directory) mustBeDirectory = true;
      queue.push(...[...target.names].reverse());
    } else if (!last || mustBeDirectory) {
      throw new IbexError('ERR_NOT_DIRECTORY', `'${name}' is not a directory`);
    } else {
      return place(name, step);
    }
  }
  // The walk ended on a directory: by its name, by '..', or at the root.
  const top = stack[stack.length - 1]!;
  const parent = stack[stack.length - 2]?.fid ?? top.fid;
  const directories = stack.slice(1, -1).map((above) => above.name);
  return { parent, name: top.name, directories, attributes: top.attributes, fid: top.fid, mustBeDirectory: true, expires };
}

/** One component: from the cache where that is allowed, else asked. */
async function take(
  source: NameSource,
  cache: PathCache,
  parent: Fid,
  name: string,
  how: { fresh: boolean; follow: boolean; generation: number; signal: AbortSignal | undefined },
): Promise<Step> {
  if (!how.fresh) {
    const known = cache.entry(parent, name);
    if (known !== undefined)
      return { fid: known.fid, attributes: undefined, target: known.target, directory: known.target === undefined, expires: known.expires };
  }
  const expires = cache.expiry();
  const attributes = await source.lookup(parent, name, how.signal);
  const type = attributes.mode & S_IFMT;
  const isLink = type === S_IFLNK && how.follow;
  const target = isLink ? await source.readSymlink(attributes.fid, how.signal) : undefined;
  const directory = type === S_IFDIR;
  if (directory || isLink) cache.setEntry(parent, name, { fid: attributes.fid, target, expires }, how.generation);
  return { fid: attributes.fid, attributes, target, directory, expires };
}

/** Attributes of what `path` names: always fresh from the server. */
export async function walkToAttributes(
  source: NameSource,
  cache: PathCache,
  path: string,
  follow: boolean,
  signal?: AbortSignal,
): Promise<Attributes> {
  const found = await walk(source, cache, path, { follow, parentOnly: false, signal });
  return found.attributes ?? source.attributes(found.fid as Fid, signal);
}

/** The directory that `path` names. Many that ask for the same at once share one walk. */
export class DirectoryFinder {
  readonly #source: NameSource;
  readonly #cache: PathCache;
  readonly #walking = new Map<string, { readonly generation: number; readonly found: Promise<Fid> }>();

  constructor(source: NameSource, cache: PathCache) {
    this.#source = source;
    this.#cache = cache;
  }

  find(path: string, signal?: AbortSignal): Promise<Fid> {
    // A walk that can be aborted by one caller must not be shared with others.
    if (signal !== undefined) return this.#walk(path, signal);
    const { generation } = this.#cache;
    const walking = this.#walking.get(path);
    // A walk that began before this client changed something may have seen what was before.
    if (walking !== undefined && walking.generation === generation) return walking.found;
    const entry = { generation, found: this.#walk(path, undefined) };
    this.#walking.set(path, entry);
    const forget = (): void => {
      if (this.#walking.get(path) === entry) this.#walking.delete(path);
    };
    entry.found.then(forget, forget);
    return entry.found;
  }

  async #walk(path: string, signal: AbortSignal | undefined): Promise<Fid> {
    const generation = this.#cache.generation;
    const found = await walk(this.#source, this.#cache, `${path}/`, { follow: true, parentOnly: false, signal });
    const fid = found.fid as Fid;
    this.#cache.setPath(path, fid, found.expires, generation);
    return fid;
  }
}
