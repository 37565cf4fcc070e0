/** Room of the file system under a folder, as heartbeats report it. */
import { statfs } from 'node:fs/promises';

export interface FolderUsage {
  readonly bytesTotal: number;
  readonly bytesFree: number;
  readonly inodesTotal: number;
  readonly inodesFree: number;
}

/** Free is what an unprivileged user may still use. File systems without a fixed number of inodes report 0 of 0. */
export async function folderUsage(folder: string): Promise<FolderUsage> {
  const { bsize, blocks, bavail, files, ffree } = await statfs(folder);
  const bounded = (value: number): number => Math.min(Math.max(0, Math.floor(value)), Number.MAX_SAFE_INTEGER);
  return {
    bytesTotal: bounded(bsize * blocks),
    bytesFree: bounded(bsize * bavail),
    inodesTotal: bounded(files),
    inodesFree: bounded(ffree),
  };
}
