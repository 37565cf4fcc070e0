/** One end of a copy: this machine's files or the cluster's, behind the calls that copying needs. */
import fs from 'node:fs/promises';
import type { FileSystem } from '../../client/types.js';

export type FileKind = 'file' | 'directory' | 'symlink' | 'other';

export interface SideStats {
  readonly kind: FileKind;
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly atime: Date;
  readonly mtime: Date;
}

export interface SideFile {
  read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  write(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
  chmod(mode: number): Promise<void>;
  chown(uid: number, gid: number): Promise<void>;
  utimes(atime: Date, mtime: Date): Promise<void>;
  close(): Promise<void>;
}

export interface Side {
  /** As people write it, for messages. */
  show(path: string): string;
  stat(path: string, follow: boolean): Promise<SideStats>;
  entries(path: string): AsyncIterable<{ readonly name: string }>;
  open(path: string, flags: string, mode?: number): Promise<SideFile>;
  mkdir(path: string, mode: number): Promise<void>;
  readlink(path: string): Promise<string>;
  symlink(target: string, path: string): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
  chown(path: string, uid: number, gid: number): Promise<void>;
  utimes(path: string, atime: Date, mtime: Date): Promise<void>;
  unlink(path: string): Promise<void>;
}

interface StatsLike {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly atime: Date;
  readonly mtime: Date;
}

function sideStats(stats: StatsLike): SideStats {
  const { size, mode, uid, gid, atime, mtime } = stats;
  const kind = stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : stats.isSymbolicLink() ? 'symlink' : 'other';
  return { kind, size, mode: mode & 0o7777, uid, gid, atime, mtime };
}

async function* entriesOf(directory: Promise<AsyncIterable<{ readonly name: string }>>): AsyncIterable<{ readonly name: string }> {
  yield* await directory;
}

export const localSide: Side = {
  show: (path) => path,
  stat: async (path, follow) => sideStats(await (follow ? fs.stat(path) : fs.lstat(path))),
  entries: (path) => entriesOf(fs.opendir(path)),
  open: (path, flags, mode) => fs.open(path, flags, mode),
  mkdir: async (path, mode) => void (await fs.mkdir(path, { mode })),
  readlink: (path) => fs.readlink(path),
  symlink: (target, path) => fs.symlink(target, path),
  chmod: (path, mode) => fs.chmod(path, mode),
  chown: (path, uid, gid) => fs.lchown(path, uid, gid),
  utimes: (path, atime, mtime) => fs.lutimes(path, atime, mtime),
  unlink: (path) => fs.unlink(path),
};

export function remoteSide(files: FileSystem, signal: AbortSignal): Side {
  // The kernel does this for local files.
  const umask = process.umask();
  return {
    show: (path) => `ibex:${path}`,
    stat: async (path, follow) => sideStats(await (follow ? files.stat(path, { signal }) : files.lstat(path, { signal }))),
    entries: (path) => entriesOf(files.opendir(path, { signal })),
    open: (path, flags, mode = 0o666) => files.open(path, flags, mode & ~umask, { signal }),
    mkdir: async (path, mode) => void (await files.mkdir(path, { mode: mode & ~umask, signal })),
    readlink: (path) => files.readlink(path, { signal }),
    symlink: (target, path) => files.symlink(target, path, { signal }),
    chmod: (path, mode) => files.chmod(path, mode, { signal }),
    chown: (path, uid, gid) => files.lchown(path, uid, gid, { signal }),
    utimes: (path, atime, mtime) => files.lutimes(path, atime, mtime, { signal }),
    unlink: (path) => files.unlink(path, { signal }),
  };
}
