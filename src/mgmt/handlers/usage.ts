/** mgmt.usage: the latest figures of every target. */
import type { mgmt, ResponseOf, Usage } from '../../wire/messages.js';
import type { Management } from '../management.js';

/** Where nothing was reported since mgmtd started, what the map has. */
export function latestUsage(management: Management): Usage[] {
  return management.map.targets.map(
    ({ id, bytesTotal, bytesFree, inodesTotal, inodesFree }) =>
      management.usage.get(id) ?? { target: id, bytesTotal, bytesFree, inodesTotal, inodesFree },
  );
}

export function handleUsage(management: Management): ResponseOf<typeof mgmt.usage> {
  return { usage: latestUsage(management) };
}
