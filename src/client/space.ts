/** Room in the file system, from the figures of its targets: what statfs says. */
import type { ClusterMap } from '../wire/cluster-map.js';
import type { Usage } from '../wire/messages.js';
import type { Space } from './types.js';

export const SPACE_BLOCK_BYTES = 4096;

/** Bytes count on storage targets, inodes on metadata targets. A target without fresh figures counts as the map has it. */
export function spaceOf(map: ClusterMap, usage: readonly Usage[]): Space {
  const fresh = new Map(usage.map((entry) => [entry.target, entry]));
  let total = 0;
  let free = 0;
  let inodes = 0;
  let inodesFree = 0;
  for (const target of map.targets) {
    const figures = fresh.get(target.id) ?? target;
    if (target.kind === 'storage') {
      total += figures.bytesTotal;
      free += figures.bytesFree;
    } else {
      inodes += figures.inodesTotal;
      inodesFree += figures.inodesFree;
    }
  }
  const blocks = (bytes: number): number => Math.floor(bytes / SPACE_BLOCK_BYTES);
  return { bsize: SPACE_BLOCK_BYTES, blocks: blocks(total), bfree: blocks(free), bavail: blocks(free), files: inodes, ffree: inodesFree };
}
