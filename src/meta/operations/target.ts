/** Operations on the metadata target as a whole: sync, statistics, giveBackLeases. */
import { readCounters } from '../counters.js';
import type { MetaState } from '../state.js';
import type { Read, Response } from './operation.js';

export const sync: Read<'sync'> = async (state) => {
  await state.store.syncLog();
  return {};
};

export function statisticsOf(state: MetaState): Response<'statistics'> {
  const { inodes, removals } = readCounters(state.store);
  return { inodes, removalsPending: removals, filesOpen: state.opens.count, operations: state.operations };
}

export const statistics: Read<'statistics'> = (state) => statisticsOf(state);

export const giveBackLeases: Read<'giveBackLeases'> = (state, _request, { clientId }) => {
  state.leases.giveBack(clientId);
  return {};
};
