/** Real trees of files: their hashes, to compare after a copy. */
import { createHash } from 'node:crypto';
import { createReadStream, type Stats } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** What hashing asks of a file system; the library has it too. */
export interface TreeSource {
  readdir(path: string): Promise<string[]>;
  lstat(path: string): Promise<Pick<Stats, 'mode' | 'size' | 'isDirectory' | 'isSymbolicLink'>>;
  readlink(path: string): Promise<string>;
  createReadStream(path: string, options: { highWaterMark: number }): Readable;
}

const local: TreeSource = { readdir, lstat, readlink: (path) => readlink(path), createReadStream };

/** A tree as sorted lines 'path type mode hash-or-target'; equal trees give equal lists. */
export async function hashTree(root: string, source: TreeSource = local): Promise<string[]> {
  const lines: string[] = [];
  const visit = async (relative: string): Promise<void> => {
    for (const name of (await source.readdir(join(root, relative))).sort()) {
      const path = join(relative, name);
      const full = join(root, path);
      const stat = await source.lstat(full);
      const mode = (stat.mode & 0o7777).toString(8);
      if (stat.isDirectory()) {
        lines.push(`${path} directory ${mode}`);
        await visit(path);
      } else if (stat.isSymbolicLink()) lines.push(`${path} link ${await source.readlink(full)}`);
      else lines.push(`${path} file ${mode} ${stat.size} ${await hashFile(full, source)}`);
    }
  };
  await visit('');
  return lines;
}

export async function hashFile(path: string, source: TreeSource = local): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(source.createReadStream(path, { highWaterMark: 2 ** 20 }), hash);
  return hash.digest('hex');
}

/** The first differences of two lists, for a message that fits a screen. */
export function differences(actual: readonly string[], expected: readonly string[]): string[] {
  const have = new Set(actual);
  const want = new Set(expected);
  return [
    ...expected.filter((line) => !have.has(line)).map((line) => `- ${line}`),
    ...actual.filter((line) => !want.has(line)).map((line) => `+ ${line}`),
  ].slice(0, 10);
}
