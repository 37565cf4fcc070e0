/** mgmt.heartbeat: a node and its targets are alive. */
import type { mgmt, RequestOf, ResponseOf } from '../../wire/messages.js';
import type { Management, MgmtSession } from '../management.js';

export function handleHeartbeat(
  management: Management,
  request: RequestOf<typeof mgmt.heartbeat>,
  session: MgmtSession,
): ResponseOf<typeof mgmt.heartbeat> {
  management.heartbeat(session, request.node, request.usage);
  if (request.carriers !== undefined) management.carriers.set(request.node, request.carriers);
  return { mapVersion: management.map.version };
}
