/** mgmt.clients: who holds a session without being a node. */
import type { mgmt, RequestOf, ResponseOf } from '../../wire/messages.js';
import type { Management } from '../management.js';
import { page } from '../page.js';

export type ClientEntry = ResponseOf<typeof mgmt.clients>['clients'][number];

const clientKinds = new Set(['client', 'mount', 'tool']);

/** In the order in which they came, which is that of their ids. */
export function* connectedClients(management: Management): Generator<ClientEntry> {
  const now = management.now();
  for (const [{ peer }, { id, since }] of management.sessions) {
    if (!clientKinds.has(peer.kind)) continue;
    yield {
      id,
      kind: peer.kind,
      name: peer.name,
      address: peer.address,
      connectedSeconds: Math.max(0, Math.floor((now - since) / 1000)),
      carrier: peer.carrier.kind,
      carrierDetail: peer.carrier.detail,
    };
  }
}

export function countClients(management: Management): number {
  let count = 0;
  for (const { peer } of management.sessions.keys()) if (clientKinds.has(peer.kind)) count++;
  return count;
}

export function handleClients(management: Management, request: RequestOf<typeof mgmt.clients>): ResponseOf<typeof mgmt.clients> {
  const { items, ...rest } = page(connectedClients(management), (client) => client.id, request);
  return { clients: items, ...rest };
}
