/** mgmt.registerTarget: a target's folder comes under the node of this session. */
import { randomBytes } from 'node:crypto';
import { entryOf } from '../../wire/cluster-map.js';
import { IbexError } from '../../wire/errors.js';
import type { mgmt, RequestOf, ResponseOf } from '../../wire/messages.js';
import { decideTarget, refusalError, type TargetFacts } from '../guard.js';
import type { Management, MgmtSession } from '../management.js';
import { requireRoom } from '../map-size.js';
import { findTargetByToken, registerTarget } from '../state.js';

type RegisterTarget = typeof mgmt.registerTarget;

export function handleRegisterTarget(
  management: Management,
  request: RequestOf<RegisterTarget>,
  session: MgmtSession,
): ResponseOf<RegisterTarget> {
  const { state } = management;
  const facts = collectFacts(management, request, session);
  const verdict = decideTarget(facts);
  if (verdict.verdict === 'refuse') {
    management.logger.warn(
      { peer: session.peer.address, node: facts.caller?.id, target: request.target },
      `refused a target: ${verdict.reason}`,
    );
    throw refusalError(verdict);
  }
  const id = verdict.verdict === 'new' ? undefined : verdict.id;
  if (request.alias !== undefined && state.map.targets.some((target) => target.alias === request.alias && target.id !== id)) {
    throw new IbexError('ERR_EXISTS', `target alias "${request.alias}" is taken; configure another one`);
  }
  const token = (id === undefined ? request.token : state.tokens.get(id)) ?? randomBytes(16).toString('hex');
  const node = facts.caller?.id ?? raise();
  const next = registerTarget(state, {
    id,
    kind: request.kind,
    node,
    token,
    alias: request.alias,
    pool: request.pool,
    usage: request.usage,
  });
  if (id === undefined) requireRoom(next.state.map);
  management.commit(next.state);
  management.seatTarget(session, next.target.id, { target: next.target.id, ...request.usage });
  const how = verdict.verdict === 'moved' ? `moved from node ${verdict.from}` : verdict.verdict === 'new' ? 'is new' : 'is back';
  management.logger.info({ target: next.target.id, node }, `target ${next.target.id} ${how}, on node ${node}`);
  return { target: next.target.id, token, clusterId: state.map.clusterId, since: next.target.since };
}

function collectFacts(management: Management, request: RequestOf<RegisterTarget>, session: MgmtSession): TargetFacts {
  const { state } = management;
  const seat = management.seatOf(session);
  const known = request.target === undefined ? undefined : entryOf(state.map.targets, request.target);
  const madeForToken = request.target === undefined && request.token !== undefined ? findTargetByToken(state, request.token) : undefined;
  const wanted = known?.id ?? madeForToken?.id;
  return {
    kind: request.kind,
    target: request.target,
    token: request.token,
    clusterId: request.clusterId,
    ownClusterId: state.map.clusterId,
    caller: seat === undefined ? undefined : entryOf(state.map.nodes, seat.node),
    known: known === undefined ? undefined : { kind: known.kind, node: known.node, token: state.tokens.get(known.id) ?? '' },
    madeForToken,
    liveOn: wanted === undefined || seat === undefined ? undefined : management.targetLiveOn(wanted, seat.node),
  };
}

function raise(): never {
  throw new IbexError('ERR_NOT_REGISTERED', 'register the node before its targets');
}
