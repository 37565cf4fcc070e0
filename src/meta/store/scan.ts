/**
 * A range scan over both generations and LMDB as one sorted sequence; the newest of equal keys wins.
 */
import type { Database } from './database.js';
import type { Generation } from './generation.js';
import type { Key } from './key.js';

/** Returns false to stop the scan. It must not change the store. */
export type Visit = (key: Key, value: Buffer) => boolean;

export function mergeScan(
  current: Generation,
  frozen: Generation | undefined,
  database: Database,
  prefix: Key,
  from: Key,
  visit: Visit,
): void {
  const changed = changesFrom(current, frozen, prefix, from);
  let index = 0;
  for (const { key, value } of database.range(prefix, from)) {
    while (index < changed.length && changed[index]!.key < key) {
      const change = changed[index++]!;
      if (change.value !== null && !visit(change.key, change.value)) return;
    }
    if (index < changed.length && changed[index]!.key === key) {
      const change = changed[index++]!;
      if (change.value !== null && !visit(key, change.value)) return;
    } else if (!visit(key, value)) return;
  }
  for (; index < changed.length; index++) {
    const change = changed[index]!;
    if (change.value !== null && !visit(change.key, change.value)) return;
  }
}

interface Change {
  readonly key: Key;
  readonly value: Buffer | null;
}

/** What the generations say about the range, in key order. */
function changesFrom(current: Generation, frozen: Generation | undefined, prefix: Key, from: Key): Change[] {
  const newer = current.keysFrom(prefix, from);
  const older = frozen?.keysFrom(prefix, from) ?? [];
  const changes: Change[] = [];
  let newerIndex = 0;
  let olderIndex = 0;
  while (newerIndex < newer.length || olderIndex < older.length) {
    const newerKey = newer[newerIndex];
    const olderKey = older[olderIndex];
    const takeNewer = olderKey === undefined || (newerKey !== undefined && newerKey <= olderKey);
    const key = takeNewer ? newerKey! : olderKey;
    const value = (takeNewer ? current : frozen!).changes.get(key);
    if (takeNewer) newerIndex++;
    else olderIndex++;
    // Taken back in the current generation: the older one's word counts, if it has one.
    if (value === undefined) continue;
    if (takeNewer && olderKey === key) olderIndex++;
    changes.push({ key, value });
  }
  return changes;
}
