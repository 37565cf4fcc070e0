/** Mounts of ibexfs on this machine: found in the kernel's list, and taken away. */
import { execFile } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { CliError } from './exit-codes.js';

export interface MountPoint {
  readonly path: string;
  readonly source: string;
}

/** Spaces and the like stand as \040 in the list. */
function unescapeField(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Where anything is mounted, of the text of /proc/self/mountinfo. Pure. */
export function mountPaths(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const path = line.split(' ')[4];
    return path === undefined ? [] : [unescapeField(path)];
  });
}

/** The FUSE mounts of ibexfs in the text of /proc/self/mountinfo (proc(5)), the latest last. Pure. */
export function parseMountInfo(text: string): MountPoint[] {
  const mounts: MountPoint[] = [];
  for (const line of text.split('\n')) {
    const [left, right] = line.split(' - ');
    const path = left?.split(' ')[4];
    const [type, source] = right?.split(' ') ?? [];
    if (path === undefined || type === undefined) continue;
    if (type === 'fuse.ibexfs' || type === 'fuse.ibex') mounts.push({ path: unescapeField(path), source: unescapeField(source ?? '') });
  }
  return mounts;
}

export function ibexMounts(): MountPoint[] {
  return parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'));
}

/**
 * `path` (absolute, normal) as the kernel's list has it: symbolic links resolved in the deepest part of it that can be
 * looked at. A dead mount cannot, but what is above it can.
 */
export function realMountPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const above = dirname(path);
    return above === path ? path : join(realMountPath(above), basename(path));
  }
}

/** The mount that `path` (absolute, normal) lies in; the deepest of several. */
export function mountOf(path: string, mounts: readonly MountPoint[]): MountPoint | undefined {
  return mounts
    .filter((mount) => path === mount.path || path.startsWith(mount.path === '/' ? '/' : `${mount.path}/`))
    .sort((a, b) => b.path.length - a.path.length)[0];
}

/** Unmounts through the system's programs: those work for every user and without anything of ours being built. */
export async function unmount(path: string, options: { lazy: boolean }): Promise<void> {
  const lazy = options.lazy ? ['-l'] : [];
  const [program, ...args] =
    process.getuid?.() === 0 ? ['umount', ...lazy, path] : ['fusermount3', '-u', ...(options.lazy ? ['-z'] : []), path];
  try {
    await promisify(execFile)(program as string, args);
  } catch (error) {
    const { stderr, code } = error as { stderr?: string; code?: unknown };
    const reason = code === 'ENOENT' ? `${program} is not installed (Debian, Ubuntu: fuse3)` : (stderr ?? String(error)).trim();
    const advice = /busy/i.test(reason) ? '; a program works in it (fuser -vm shows which), or use --lazy' : '';
    throw new CliError(`cannot unmount ${path}: ${reason}${advice}`);
  }
}
