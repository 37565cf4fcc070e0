/** What people write as a path of the file system: `ibex:/a`, `/a`, or a path below a mount of it on this machine. */
import { posix, resolve } from 'node:path';
import { usageError } from './exit-codes.js';
import { ibexMounts, type MountPoint, mountOf, realMountPath } from './mounts.js';

const PREFIX = 'ibex:';

export function isRemote(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** `ibex:a` and `ibex:/a` -> '/a'. */
export function remotePath(text: string): string {
  return posix.normalize(`/${text.slice(PREFIX.length)}`);
}

/**
 * `path`, absolute, from the first symbolic link on that leads into a mount; links within a mount are left to the
 * file system. Where it leads into none it stays.
 */
function intoMount(path: string, mounts: readonly MountPoint[], real: (path: string) => string): string {
  if (mounts.length === 0 || mountOf(path, mounts) !== undefined) return path;
  for (let end = path.indexOf('/', 1); ; end = path.indexOf('/', end + 1)) {
    const start = end < 0 ? path : path.slice(0, end);
    const led = real(start);
    if (mountOf(led, mounts) !== undefined) return led + path.slice(start.length);
    if (end < 0) return path;
  }
}

/** Path in the file system of what was written. @param folder the working directory @param real resolves symbolic links of this machine */
export function resolveFilePath(
  text: string,
  folder: string,
  mounts: readonly MountPoint[],
  real: (path: string) => string = (path) => path,
): string {
  if (isRemote(text)) return remotePath(text);
  const local = intoMount(resolve(folder, text), mounts, real);
  const mount = mountOf(local, mounts);
  // A slash at the end says that a directory is meant.
  const slash = text.endsWith('/') ? '/' : '';
  if (mount !== undefined) return posix.normalize(`/${local.slice(mount.path.length)}${slash}`);
  if (text.startsWith('/')) return posix.normalize(text);
  throw usageError(`'${text}' lies in no ibexfs mount of this machine; write ibex:/PATH, or /PATH from the root of the file system`);
}

export function filePath(text: string): string {
  return resolveFilePath(text, process.cwd(), isRemote(text) ? [] : ibexMounts(), realMountPath);
}
