/** mgmt.carriers: whether the nodes' sessions go over RDMA or TCP, and why. */
import { countCarriers } from '../../net/carrier.js';
import type { mgmt, RequestOf, ResponseOf } from '../../wire/messages.js';
import type { Management } from '../management.js';
import { page } from '../page.js';

export type NodeCarriers = ResponseOf<typeof mgmt.carriers>['carriers'][number];

/** In order of nodes. */
export function* nodeCarriers(management: Management): Generator<NodeCarriers> {
  for (const { id, kind, reachability } of management.map.nodes) {
    const reported = kind === 'mgmtd' ? countCarriers(management.sessions.keys()) : management.carriers.get(id);
    if (reported !== undefined && reachability === 'online') yield { node: id, ...reported };
  }
}

export function handleCarriers(management: Management, request: RequestOf<typeof mgmt.carriers>): ResponseOf<typeof mgmt.carriers> {
  const { items, ...rest } = page(nodeCarriers(management), (entry) => entry.node, request);
  return { carriers: items, ...rest };
}
