/** Operations on the metadata target as a whole: sync, statistics. */
import { readCounters } from '../counters.js';
import type { Read } from './operation.js';

export const sync: Read<'sync'> = async (state) => {
  await state.store.syncLog();
  return {};
};

export const statistics: Read<'statistics'> = (state) => {
  const { inodes, removals } = readCounters(state.store);
  return { inodes, removalsPending: removals, filesOpen: state.opens.count, operations: state.operations };
};
