/**
 * From paths to places and attributes, the fast way where a path's directory was resolved a moment ago, and by
 * a walk otherwise. Changes nothing; who changes a name says so to `cache`.
 */
import { constants } from 'node:fs';
import { IbexError } from '../wire/errors.js';
import type { Fid } from '../wire/fid.js';
import { type Attributes, meta } from '../wire/messages.js';
import type { MetadataCalls } from './backend.js';
import type { ClientCore } from './core.js';
import { fileError } from './errors.js';
import type { OpenFiles } from './open-files.js';
import { checkName, directoryOf, isPlainName, splitPath } from './path.js';
import { PathCache } from './path-cache.js';
import { Stats } from './stats.js';
import type { Abortable } from './types.js';
import { DirectoryFinder, type Found, type NameSource, walk, walkToAttributes } from './walk.js';

const { S_IFMT, S_IFLNK } = constants;

/** Where a name is, or is to be. */
export interface Place {
  readonly parent: Fid;
  /** '' for the root, '..' where the path ends so. */
  readonly name: string;
  readonly mustBeDirectory: boolean;
}

const missing = (name: string): IbexError => new IbexError('ERR_NOT_FOUND', JSON.stringify(name));

function found(name: string, attributes: Attributes | undefined): Attributes {
  if (attributes === undefined) throw missing(name);
  return attributes;
}

export class Paths {
  readonly cache: PathCache;
  readonly source: NameSource;
  readonly #calls: MetadataCalls;
  readonly #files: OpenFiles;
  readonly #finder: DirectoryFinder;

  constructor({ calls, files }: ClientCore, directoryCacheMs: number) {
    this.#calls = calls;
    this.#files = files;
    this.cache = new PathCache(directoryCacheMs);
    this.source = {
      lookup: async (parent, name, signal) => found(name, (await calls.meta(parent, meta.lookup, { parent, name }, { signal })).attributes),
      attributes: async (fid, signal) => (await calls.meta(fid, meta.getAttributes, { fid }, { signal })).attributes,
      readSymlink: async (fid, signal) => (await calls.meta(fid, meta.readSymlink, { fid }, { signal })).target,
    };
    this.#finder = new DirectoryFinder(this.source, this.cache);
  }

  /** The hot path: no async function, no walk, one RPC where the directory is known. */
  attributes(path: string, follow: boolean, syscall: string, options: Abortable | undefined): Promise<Stats> {
    const fail = (error: unknown): never => {
      throw fileError(error, syscall, path);
    };
    const parent = this.#knownParent(path);
    if (parent === undefined) return this.attributesByWalk(path, follow, options?.signal).catch(fail);
    const name = path.slice(path.lastIndexOf('/') + 1);
    try {
      return this.#calls.meta(parent, meta.lookup, { parent, name }, options).then((answer) => {
        if (answer.attributes === undefined) return fail(missing(name));
        const { attributes } = answer;
        if (follow && (attributes.mode & S_IFMT) === S_IFLNK) return this.attributesByWalk(path, true, options?.signal).catch(fail);
        return new Stats(this.#files.merge(attributes));
      }, fail);
    } catch (error) {
      return Promise.reject(fileError(error, syscall, path) as Error);
    }
  }

  /** As a walk to the directory first, so that the next path in it is one RPC; then to the name. */
  async attributesByWalk(path: string, follow: boolean, signal: AbortSignal | undefined): Promise<Stats> {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (isPlainName(name)) {
      splitPath(path);
      const parent = await this.#finder.find(directoryOf(path), signal);
      const attributes = await this.source.lookup(parent, name, signal);
      if (!follow || (attributes.mode & S_IFMT) !== S_IFLNK) return new Stats(this.#files.merge(attributes));
    }
    return new Stats(this.#files.merge(await walkToAttributes(this.source, this.cache, path, follow, signal)));
  }

  /** The directory of a path's last component, where the cache knows it and the name needs no care. */
  #knownParent(path: string): Fid | undefined {
    if (typeof path !== 'string') return undefined;
    const slash = path.lastIndexOf('/');
    const parent = this.cache.path(slash <= 0 ? '' : path.slice(0, slash));
    return parent !== undefined && isPlainName(path.slice(slash + 1)) ? parent : undefined;
  }

  /** Where a name is to be made, removed or replaced. */
  place(path: string, signal: AbortSignal | undefined): Promise<Place> | Place {
    const known = this.#knownParent(path);
    if (known !== undefined) return { parent: known, name: path.slice(path.lastIndexOf('/') + 1), mustBeDirectory: false };
    return this.#placeByWalk(path, signal);
  }

  async #placeByWalk(path: string, signal: AbortSignal | undefined): Promise<Place> {
    const parts = splitPath(path);
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (isPlainName(name)) return { parent: await this.#finder.find(directoryOf(path), signal), name, mustBeDirectory: false };
    return walk(this.source, this.cache, parts, { follow: false, parentOnly: true, signal });
  }

  find(path: string, follow: boolean, signal: AbortSignal | undefined): Promise<Found> {
    return walk(this.source, this.cache, path, { follow, parentOnly: false, signal });
  }

  directory(path: string, signal: AbortSignal | undefined): Promise<Fid> {
    splitPath(path);
    return this.#finder.find(path.replace(/\/+$/, ''), signal);
  }

  /** As the kernel has it: '.' cannot be removed, '..' is never empty, the root is busy. */
  async removable(path: string, signal: AbortSignal | undefined): Promise<Place> {
    if (splitPath(path).last === '.') throw new IbexError('ERR_INVALID', "the path ends in '.'");
    const place = await this.place(path, signal);
    if (place.name === '..') throw new IbexError('ERR_NOT_EMPTY');
    if (place.name === '') throw new IbexError('ERR_NOT_PERMITTED', 'the root directory stays');
    return place;
  }

  async creatable(path: string, signal: AbortSignal | undefined): Promise<Place> {
    const place = await this.place(path, signal);
    if (place.name === '' || place.name === '..') throw new IbexError('ERR_EXISTS');
    if (place.mustBeDirectory) throw new IbexError('ERR_NOT_FOUND', 'only a directory can be named with a slash behind it');
    checkName(place.name);
    return place;
  }
}
