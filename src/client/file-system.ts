/**
 * What connect() gives: paths in, RPCs out. The common case of every call, a path in a directory that was
 * resolved a moment ago, is exactly one RPC; everything else goes through the walk.
 */
import { constants } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import type { ClusterMap } from '../wire/cluster-map.js';
import { IbexError } from '../wire/errors.js';
import type { Fid } from '../wire/fid.js';
import { meta, type RequestOf } from '../wire/messages.js';
import type { ManagementCalls } from './backend.js';
import { toSize } from './bytes.js';
import { copyData } from './copy.js';
import type { ClientCore } from './core.js';
import { listEntries, OpenDirectory } from './directory.js';
import { FileError, fileError } from './errors.js';
import { OpenFileHandle } from './file-handle.js';
import { parseFlags } from './flags.js';
import { everyUsage } from './management-lists.js';
import { makeMemory } from './memory.js';
import { definedOnly, openPath } from './open-path.js';
import { directoryOf } from './path.js';
import { Paths } from './paths.js';
import { type Identity, permits } from './permission.js';
import { FileReadStream } from './read-stream.js';
import { removeTree } from './remove-tree.js';
import { spaceOf } from './space.js';
import type { Dirent, Stats } from './stats.js';
import { toTimestamp } from './time.js';
import type {
  Abortable,
  Directory,
  Encoding,
  FileData,
  FileSystem,
  LayoutInfo,
  LayoutOptions,
  ListOptions,
  Memory,
  OpenFlags,
  OpenOptions,
  ReadFileOptions,
  ReadStreamOptions,
  Space,
  WriteFileOptions,
  WriteStreamOptions,
} from './types.js';
import type { Found } from './walk.js';
import { FileWriteStream } from './write-stream.js';

const { S_IFMT, S_IFLNK, S_IFDIR } = constants;

export interface FileSystemParts {
  readonly core: ClientCore;
  readonly management: ManagementCalls;
  readonly map: () => ClusterMap;
  readonly identity: Identity;
  readonly umask: number;
  readonly directoryCacheMs: number;
  /** Ends the connections; after it nothing of this client works. */
  readonly shutdown: () => Promise<void>;
  readonly counters: () => Readonly<Record<string, number>>;
}

type Time = number | string | Date;
type Change = Omit<RequestOf<typeof meta.setAttributes>, 'fid'>;

export class ClusterFileSystem implements FileSystem {
  readonly #parts: FileSystemParts;
  readonly #core: ClientCore;
  readonly #paths: Paths;
  readonly #handles = new Set<OpenFileHandle>();
  #closing: Promise<void> | undefined;

  constructor(parts: FileSystemParts) {
    this.#parts = parts;
    this.#core = parts.core;
    this.#paths = new Paths(parts.core, parts.directoryCacheMs);
  }

  get clusterId(): string {
    return this.#parts.map().clusterId;
  }

  stat(path: string, options?: Abortable): Promise<Stats> {
    if (this.#closing !== undefined) return Promise.reject(closedError('stat', path));
    return this.#paths.attributes(path, true, 'stat', options);
  }

  lstat(path: string, options?: Abortable): Promise<Stats> {
    if (this.#closing !== undefined) return Promise.reject(closedError('lstat', path));
    return this.#paths.attributes(path, false, 'lstat', options);
  }

  async #run<T>(syscall: string, path: string, work: () => Promise<T>, dest?: string): Promise<T> {
    if (this.#closing !== undefined) throw closedError(syscall, path, dest);
    try {
      return await work();
    } catch (error) {
      throw fileError(error, syscall, path, dest);
    }
  }

  open(path: string, flags: OpenFlags = 'r', mode = 0o666, options: OpenOptions = {}): Promise<OpenFileHandle> {
    return this.#run('open', path, async () => {
      const intent = parseFlags(flags);
      const opened = await openPath({ core: this.#core, paths: this.#paths, identity: this.#parts.identity }, path, intent, {
        mode: mode & 0o7777 & ~this.#parts.umask,
        layout: options.layout,
        signal: options.signal,
      });
      const handle = new OpenFileHandle(this.#core, opened, path, intent, (closed) => this.#handles.delete(closed));
      this.#handles.add(handle);
      if (this.#closing !== undefined) {
        await handle.close();
        await this.#core.files.released();
        throw closedError('open', path);
      }
      return handle;
    });
  }

  readFile(path: string, options?: ({ encoding?: null | undefined; flag?: OpenFlags | undefined } & Abortable) | null): Promise<Buffer>;
  readFile(path: string, options: Encoding | ({ encoding: Encoding; flag?: OpenFlags | undefined } & Abortable)): Promise<string>;
  async readFile(path: string, options?: Encoding | ReadFileOptions | null): Promise<Buffer | string> {
    const { encoding, flag, signal }: ReadFileOptions = typeof options === 'string' ? { encoding: options } : (options ?? {});
    await using handle = await this.open(path, flag ?? 'r', 0o666, { signal });
    return handle.readFile({ encoding, signal } as { encoding: Encoding });
  }

  async writeFile(path: string, data: FileData, options?: Encoding | WriteFileOptions | null): Promise<void> {
    await this.#put(path, data, 'w', typeof options === 'string' ? { encoding: options } : (options ?? {}));
  }

  async appendFile(path: string, data: FileData, options?: Encoding | WriteFileOptions | null): Promise<void> {
    await this.#put(path, data, 'a', typeof options === 'string' ? { encoding: options } : (options ?? {}));
  }

  async #put(path: string, data: FileData, flag: OpenFlags, options: WriteFileOptions): Promise<void> {
    const { encoding, signal, mode, layout } = options;
    const handle = await this.open(path, options.flag ?? flag, mode ?? 0o666, { layout, signal });
    try {
      await handle.writeFile(data, { encoding, signal });
      if (options.flush === true) await handle.sync({ signal });
    } catch (error) {
      await handle.close().catch(() => undefined);
      throw error;
    }
    await handle.close();
  }

  createReadStream(path: string, options: ReadStreamOptions = {}): Readable {
    return new FileReadStream(() => this.open(path, 'r', 0o666, { signal: options.signal }), options);
  }

  createWriteStream(
    path: string,
    options: WriteStreamOptions & { flags?: OpenFlags; mode?: number; layout?: LayoutOptions } = {},
  ): Writable {
    const open = (): Promise<OpenFileHandle> =>
      this.open(path, options.flags ?? 'w', options.mode ?? 0o666, { layout: options.layout, signal: options.signal });
    return new FileWriteStream(open, options);
  }

  readdir(path: string, options?: ListOptions & { withFileTypes?: false | undefined }): Promise<string[]>;
  readdir(path: string, options: ListOptions & { withFileTypes: true }): Promise<Dirent[]>;
  readdir(path: string, options: ListOptions & { withFileTypes?: boolean | undefined } = {}): Promise<string[] | Dirent[]> {
    return this.#run('scandir', path, async () => {
      const fid = await this.#paths.directory(path, options.signal);
      const entries: Dirent[] = [];
      for await (const entry of listEntries(this.#core, fid, path, options)) entries.push(entry);
      if (options.withFileTypes === true) return entries;
      // With recursive: names relative to `path`, as node gives them.
      const prefix = path.endsWith('/') ? path.length : path.length + 1;
      return entries.map((entry) => (entry.parentPath === path ? entry.name : `${entry.parentPath.slice(prefix)}/${entry.name}`));
    });
  }

  opendir(path: string, options: ListOptions = {}): Promise<Directory> {
    return this.#run('opendir', path, async () => {
      const fid = await this.#paths.directory(path, options.signal);
      return new OpenDirectory(path, listEntries(this.#core, fid, path, options));
    });
  }

  access(path: string, mode: number = constants.F_OK, options?: Abortable): Promise<void> {
    return this.#run('access', path, async () => {
      const { attributes } = await this.#paths.attributes(path, true, 'access', options);
      if (!permits(attributes, this.#parts.identity, mode)) throw new IbexError('ERR_ACCESS');
    });
  }

  mkdir(
    path: string,
    options: number | ({ recursive?: boolean | undefined; mode?: number | undefined } & Abortable) = {},
  ): Promise<string | undefined> {
    const { recursive, mode = 0o777, signal } = typeof options === 'number' ? { mode: options } : { recursive: false, ...options };
    return this.#run('mkdir', path, async () => {
      if (recursive === true) return this.#mkdirRecursive(path, mode, signal);
      await this.#mkdir(path, mode, signal);
      return undefined;
    });
  }

  async #mkdir(path: string, mode: number, signal: AbortSignal | undefined): Promise<void> {
    const { parent, name } = await this.#paths.place(path, signal);
    if (name === '' || name === '..') throw new IbexError('ERR_EXISTS');
    const { uid, gid } = this.#parts.identity;
    const request = { parent, name, mode: S_IFDIR | (mode & 0o7777 & ~this.#parts.umask), uid, gid };
    await this.#core.calls.meta(parent, meta.makeDirectory, request, { signal });
  }

  /** From the deepest directory that exists, down again; the first one made is the answer. */
  async #mkdirRecursive(path: string, mode: number, signal: AbortSignal | undefined): Promise<string | undefined> {
    const pending = [path.length > 1 ? path.replace(/\/+$/, '') || '/' : path];
    let first: string | undefined;
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      try {
        await this.#mkdir(next, mode, signal);
        first ??= next;
      } catch (error) {
        if (!(error instanceof IbexError)) throw error;
        if (error.kind === 'ERR_NOT_FOUND' && first === undefined && directoryOf(next) !== '') {
          pending.push(next, directoryOf(next));
        } else if (error.kind !== 'ERR_EXISTS' || !(await this.#paths.attributesByWalk(next, true, signal)).isDirectory()) {
          throw error;
        }
      }
    }
    return first;
  }

  rm(path: string, options: { recursive?: boolean | undefined; force?: boolean | undefined } & Abortable = {}): Promise<void> {
    const { signal } = options;
    return this.#run('rm', path, async () => {
      try {
        const { parent, name, mustBeDirectory } = await this.#paths.removable(path, signal);
        const attributes = await this.#paths.source.lookup(parent, name, signal);
        const directory = (attributes.mode & S_IFMT) === S_IFDIR;
        if (mustBeDirectory && !directory) throw new IbexError('ERR_NOT_DIRECTORY');
        if (!directory) {
          await this.#unlink(parent, name, signal);
          return;
        }
        if (options.recursive !== true) throw new IbexError('ERR_IS_DIRECTORY', 'use recursive');
        const removed = (above: Fid, below: string): void => this.#paths.cache.changed(above, below);
        await removeTree({ core: this.#core, signal, removed }, parent, name, attributes.fid, path);
      } catch (error) {
        if (options.force !== true || !(error instanceof IbexError) || error.kind !== 'ERR_NOT_FOUND') throw error;
      }
    });
  }

  rmdir(path: string, options: Abortable = {}): Promise<void> {
    return this.#run('rmdir', path, async () => {
      const { parent, name } = await this.#paths.removable(path, options.signal);
      try {
        await this.#core.calls.meta(parent, meta.removeDirectory, { parent, name }, options);
      } finally {
        this.#paths.cache.changed(parent, name);
      }
    });
  }

  unlink(path: string, options: Abortable = {}): Promise<void> {
    return this.#run('unlink', path, async () => {
      const { parent, name, mustBeDirectory } = await this.#paths.place(path, options.signal);
      if (name === '' || name === '..') throw new IbexError('ERR_IS_DIRECTORY');
      if (mustBeDirectory) {
        const { mode } = await this.#paths.source.lookup(parent, name, options.signal);
        throw new IbexError((mode & S_IFMT) === S_IFDIR ? 'ERR_IS_DIRECTORY' : 'ERR_NOT_DIRECTORY');
      }
      await this.#unlink(parent, name, options.signal);
    });
  }

  async #unlink(parent: Fid, name: string, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#core.calls.meta(parent, meta.unlink, { parent, name }, { signal });
    } finally {
      this.#paths.cache.changed(parent, name);
    }
  }

  rename(from: string, to: string, options: Abortable = {}): Promise<void> {
    return this.#run(
      'rename',
      from,
      async () => {
        const [source, destination] = await Promise.all([
          this.#paths.removable(from, options.signal),
          this.#paths.removable(to, options.signal),
        ]);
        if (source.mustBeDirectory || destination.mustBeDirectory) {
          const { mode } = await this.#paths.source.lookup(source.parent, source.name, options.signal);
          if ((mode & S_IFMT) !== S_IFDIR) throw new IbexError('ERR_NOT_DIRECTORY');
        }
        const request = {
          parent: source.parent,
          name: source.name,
          newParent: destination.parent,
          newName: destination.name,
          mode: 'replace',
        } as const;
        try {
          await this.#core.calls.meta(source.parent, meta.rename, request, options);
        } finally {
          this.#paths.cache.changed(source.parent, source.name);
          this.#paths.cache.changed(destination.parent, destination.name);
        }
      },
      to,
    );
  }

  link(existing: string, path: string, options: Abortable = {}): Promise<void> {
    return this.#run(
      'link',
      existing,
      async () => {
        const [found, place] = await Promise.all([
          this.#paths.find(existing, false, options.signal),
          this.#paths.creatable(path, options.signal),
        ]);
        await this.#core.calls.meta(place.parent, meta.link, { fid: found.fid as Fid, parent: place.parent, name: place.name }, options);
      },
      path,
    );
  }

  symlink(target: string, path: string, options: Abortable = {}): Promise<void> {
    return this.#run(
      'symlink',
      target,
      async () => {
        if (target === '') throw new IbexError('ERR_NOT_FOUND', 'the target is empty');
        const { parent, name } = await this.#paths.creatable(path, options.signal);
        const { uid, gid } = this.#parts.identity;
        await this.#core.calls.meta(parent, meta.makeSymlink, { parent, name, target, uid, gid }, options);
      },
      path,
    );
  }

  readlink(path: string, options: Abortable = {}): Promise<string> {
    return this.#run('readlink', path, async () => {
      const found = await this.#paths.find(path, false, options.signal);
      if (found.attributes === undefined || (found.attributes.mode & S_IFMT) !== S_IFLNK)
        throw new IbexError('ERR_INVALID', 'not a symbolic link');
      return this.#paths.source.readSymlink(found.attributes.fid, options.signal);
    });
  }

  realpath(path: string, options: Abortable = {}): Promise<string> {
    return this.#run('realpath', path, async () => {
      const { directories, name } = await this.#paths.find(path, true, options.signal);
      return `/${(name === '' ? directories : [...directories, name]).join('/')}`;
    });
  }

  chmod(path: string, mode: number, options: Abortable = {}): Promise<void> {
    return this.#change('chmod', path, true, { mode: mode & 0o7777 }, options);
  }

  chown(path: string, uid: number, gid: number, options: Abortable = {}): Promise<void> {
    return this.#change('chown', path, true, { ...(uid < 0 ? {} : { uid }), ...(gid < 0 ? {} : { gid }) }, options);
  }

  lchown(path: string, uid: number, gid: number, options: Abortable = {}): Promise<void> {
    return this.#change('lchown', path, false, { ...(uid < 0 ? {} : { uid }), ...(gid < 0 ? {} : { gid }) }, options);
  }

  utimes(path: string, atime: Time, mtime: Time, options: Abortable = {}): Promise<void> {
    return this.#change('utime', path, true, () => timesOf(atime, mtime), options);
  }

  lutimes(path: string, atime: Time, mtime: Time, options: Abortable = {}): Promise<void> {
    return this.#change('lutime', path, false, () => timesOf(atime, mtime), options);
  }

  truncate(path: string, length = 0, options: Abortable = {}): Promise<void> {
    return this.#change('truncate', path, true, () => ({ size: toSize(length) }), options);
  }

  #change(syscall: string, path: string, follow: boolean, change: Change | (() => Change), options: Abortable): Promise<void> {
    return this.#run(syscall, path, async () => {
      const wanted = typeof change === 'function' ? change() : change;
      const { fid } = await this.#paths.find(path, follow, options.signal);
      if (fid === undefined) throw new IbexError('ERR_NOT_FOUND');
      const { files, calls } = this.#core;
      if (wanted.size !== undefined || wanted.mtime !== undefined) await files.settleBeforeChange(fid, path, options.signal);
      const { attributes } = await calls.meta(fid, meta.setAttributes, { fid, ...wanted }, options);
      if (wanted.size !== undefined) files.resized(fid, attributes.size);
    });
  }

  copyFile(from: string, to: string, options: { exclusive?: boolean | undefined } & Abortable = {}): Promise<void> {
    return this.#run(
      'copyfile',
      from,
      async () => {
        const { signal } = options;
        await using source = await this.open(from, 'r', 0, { signal });
        const { mode } = await source.stat({ signal });
        const destination = await this.open(to, options.exclusive === true ? 'wx' : 'w', mode & 0o777, { signal });
        try {
          if (destination.fid !== source.fid) await copyData(source.data, destination.data, signal);
        } catch (error) {
          await destination.close().catch(() => undefined);
          throw error;
        }
        await destination.close();
      },
      to,
    );
  }

  statfs(options: Abortable = {}): Promise<Space> {
    return this.#run('statfs', '/', async () => {
      const usage = await everyUsage(this.#parts.management, options);
      return spaceOf(this.#parts.map(), usage);
    });
  }

  getLayout(path: string, options: Abortable = {}): Promise<LayoutInfo> {
    return this.#run('getlayout', path, async () => {
      const { fid } = (await this.#paths.find(path, true, options.signal)) as Found & { fid: Fid };
      const { layout, defaults, own } = await this.#core.calls.meta(fid, meta.getLayout, { fid }, options);
      if (layout !== undefined) {
        const { pattern, pool, stripeSize, targets } = layout;
        return { fid, pattern, pool, stripeSize, stripeCount: targets.length, targets, own: true };
      }
      if (defaults === undefined) throw new IbexError('ERR_INVALID', 'only files and directories have a layout');
      return { fid, ...defaults, own };
    });
  }

  setLayout(path: string, layout: LayoutOptions, options: Abortable = {}): Promise<void> {
    return this.#run('setlayout', path, async () => {
      const { fid } = (await this.#paths.find(path, true, options.signal)) as Found & { fid: Fid };
      await this.#core.calls.meta(fid, meta.setLayout, { fid, layout: definedOnly(layout) }, options);
    });
  }

  alloc(size: number): Memory {
    if (this.#closing !== undefined) throw closedError('alloc');
    return makeMemory(this.#core.buffers, size);
  }

  counters(): Readonly<Record<string, number>> {
    if (this.#closing !== undefined) throw closedError('counters');
    return this.#parts.counters();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const closed = await Promise.allSettled([...this.#handles].map((handle) => handle.close()));
    try {
      await this.#core.files.released();
    } finally {
      this.#core.buffers.close();
      await this.#parts.shutdown();
    }
    const failed = closed.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
}

function closedError(syscall: string, path?: string, dest?: string): FileError {
  return new FileError('ERR_SHUTTING_DOWN', syscall, path, dest, 'this client was closed');
}

function timesOf(atime: Time, mtime: Time): Change {
  const [access, change] = [toTimestamp(atime), toTimestamp(mtime)];
  return { atime: access.seconds, atimeNs: access.nanoseconds, mtime: change.seconds, mtimeNs: change.nanoseconds };
}
