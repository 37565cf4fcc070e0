/** Which handler answers which message. */
import type { Endpoint } from '../../net/endpoint.js';
import { mgmt } from '../../wire/messages.js';
import type { Management } from '../management.js';
import { handleCarriers } from './carriers.js';
import { handleClients } from './clients.js';
import { handleGrantSequences } from './grant-sequences.js';
import { handleCreateGroups, handleDeleteGroup } from './groups.js';
import { handleHeartbeat } from './heartbeat.js';
import { handleRegisterNode } from './register-node.js';
import { handleRegisterTarget } from './register-target.js';
import { handleMapPage, handleSubscribeMap } from './subscribe-map.js';
import { handleUsage } from './usage.js';

export function addHandlers(endpoint: Pick<Endpoint, 'handle' | 'onSession'>, management: Management): void {
  endpoint.onSession({
    opened: (session) => management.opened(session),
    closed: (session, reason) => management.closed(session, reason),
  });
  endpoint.handle(mgmt.registerNode, (request, { session }) => handleRegisterNode(management, request, session));
  endpoint.handle(mgmt.registerTarget, (request, { session }) => handleRegisterTarget(management, request, session));
  endpoint.handle(mgmt.heartbeat, (request, { session }) => handleHeartbeat(management, request, session));
  endpoint.handle(mgmt.subscribeMap, (_request, { session }) => handleSubscribeMap(management, session));
  endpoint.handle(mgmt.mapPage, (request, { session }) => handleMapPage(management, request, session));
  endpoint.handle(mgmt.grantSequences, (request, { session }) => handleGrantSequences(management, request, session));
  endpoint.handle(mgmt.usage, (request) => handleUsage(management, request));
  endpoint.handle(mgmt.clients, (request) => handleClients(management, request));
  endpoint.handle(mgmt.createGroups, (request) => handleCreateGroups(management, request));
  endpoint.handle(mgmt.deleteGroup, (request) => handleDeleteGroup(management, request));
  endpoint.handle(mgmt.carriers, (request) => handleCarriers(management, request));
}
