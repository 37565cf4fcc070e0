/** mgmt.registerNode: a daemon makes itself known on this session. */
import type { mgmt, RequestOf, ResponseOf } from '../../wire/messages.js';
import { decideNode, refusalError } from '../guard.js';
import type { Management, MgmtSession } from '../management.js';
import { requireRoom } from '../map-size.js';
import { findNode, registerNode } from '../state.js';

type RegisterNode = typeof mgmt.registerNode;

export function handleRegisterNode(
  management: Management,
  request: RequestOf<RegisterNode>,
  session: MgmtSession,
): ResponseOf<RegisterNode> {
  const { state } = management;
  const known = findNode(state, request.uuid);
  const live = known === undefined ? undefined : management.liveSession(known.id);
  const aliasOwner =
    request.alias === undefined ? undefined : state.map.nodes.find((node) => node.alias === request.alias && node.id !== known?.id);
  const verdict = decideNode({
    uuid: request.uuid,
    kind: request.kind,
    peerKind: session.peer.kind,
    known,
    alias: request.alias,
    aliasOwner: aliasOwner?.id,
    liveElsewhere:
      live === undefined || live === session
        ? undefined
        : { sameProcess: live.peer.clientId === session.peer.clientId, address: live.peer.address },
  });
  if (verdict.verdict === 'refuse') {
    management.logger.warn({ peer: session.peer.address, uuid: request.uuid }, `refused a node: ${verdict.reason}`);
    throw refusalError(verdict);
  }
  const hostName = session.peer.name.split(':')[0]?.replace(/[^A-Za-z0-9._-]/g, '') || 'host';
  const next = registerNode(state, {
    uuid: request.uuid,
    kind: request.kind,
    alias: request.alias,
    addresses: request.addresses,
    hostName,
  });
  if (verdict.verdict === 'new') requireRoom(next.state.map);
  management.commit(next.state);
  management.seatNode(session, next.node.id);
  management.logger.info(
    { node: next.node.id, alias: next.node.alias, addresses: next.node.addresses },
    `node ${next.node.id} (${next.node.alias}) registered`,
  );
  return { node: next.node.id, clusterId: state.map.clusterId, heartbeatMs: management.heartbeatMs };
}
