/** mgmt.clients: who holds a session without being a node. */
import type { mgmt, ResponseOf } from '../../wire/messages.js';
import type { Management } from '../management.js';

/** As many as fit a message with room to spare. */
const CLIENTS_MAX = 4096;
const clientKinds = new Set(['client', 'mount', 'tool']);

export function connectedClients(management: Management): ResponseOf<typeof mgmt.clients>['clients'] {
  const now = management.now();
  const clients: ResponseOf<typeof mgmt.clients>['clients'] = [];
  for (const [{ peer }, { since }] of management.sessions) {
    if (clients.length === CLIENTS_MAX) break;
    if (!clientKinds.has(peer.kind)) continue;
    clients.push({
      kind: peer.kind,
      name: peer.name,
      address: peer.address,
      connectedSeconds: Math.max(0, Math.floor((now - since) / 1000)),
    });
  }
  return clients;
}

export function handleClients(management: Management): ResponseOf<typeof mgmt.clients> {
  return { clients: connectedClients(management) };
}
