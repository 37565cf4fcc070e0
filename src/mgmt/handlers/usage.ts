/** mgmt.usage: the latest figures of every target. */
import type { mgmt, RequestOf, ResponseOf, Usage } from '../../wire/messages.js';
import type { Management } from '../management.js';
import { page } from '../page.js';

/** Where nothing was reported since mgmtd started, what the map has. In order of targets. */
export function* latestUsage(management: Management): Generator<Usage> {
  for (const { id, bytesTotal, bytesFree, inodesTotal, inodesFree } of management.map.targets)
    yield management.usage.get(id) ?? { target: id, bytesTotal, bytesFree, inodesTotal, inodesFree };
}

export function handleUsage(management: Management, request: RequestOf<typeof mgmt.usage>): ResponseOf<typeof mgmt.usage> {
  const { items, ...rest } = page(latestUsage(management), (usage) => usage.target, request);
  return { usage: items, ...rest };
}
