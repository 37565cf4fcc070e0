/** How many inodes and pending removals the target holds, changed in the transactions that change them. */
import type { Store } from './store/store.js';
import { COUNTERS } from './tables.js';

export function readCounters(store: Store): { inodes: number; removals: number } {
  const bytes = store.get(COUNTERS);
  return bytes === undefined ? { inodes: 0, removals: 0 } : { inodes: bytes.readDoubleBE(0), removals: bytes.readDoubleBE(8) };
}

function add(store: Store, inodes: number, removals: number): void {
  const before = readCounters(store);
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeDoubleBE(before.inodes + inodes, 0);
  bytes.writeDoubleBE(before.removals + removals, 8);
  store.put(COUNTERS, bytes);
}

export const addInodes = (store: Store, count: number): void => add(store, count, 0);
export const addRemovals = (store: Store, count: number): void => add(store, 0, count);
