/** What people write as a path of the file system: `ibex:/a`, `/a`, or a path below a mount of it on this machine. */
import { posix, resolve } from 'node:path';
import { usageError } from './exit-codes.js';
import { ibexMounts, type MountPoint, mountOf } from './mounts.js';

const PREFIX = 'ibex:';

export function isRemote(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** `ibex:a` and `ibex:/a` -> '/a'. */
export function remotePath(text: string): string {
  return posix.normalize(`/${text.slice(PREFIX.length)}`);
}

/** Path in the file system of what was written. Pure. @param folder the working directory */
export function resolveFilePath(text: string, folder: string, mounts: readonly MountPoint[]): string {
  if (isRemote(text)) return remotePath(text);
  const local = resolve(folder, text);
  const mount = mountOf(local, mounts);
  // A slash at the end says that a directory is meant.
  const slash = text.endsWith('/') ? '/' : '';
  if (mount !== undefined) return posix.normalize(`/${local.slice(mount.path.length)}${slash}`);
  if (text.startsWith('/')) return posix.normalize(text);
  throw usageError(`'${text}' lies in no ibexfs mount of this machine; write ibex:/PATH, or /PATH from the root of the file system`);
}

export function filePath(text: string): string {
  return resolveFilePath(text, process.cwd(), isRemote(text) ? [] : ibexMounts());
}
