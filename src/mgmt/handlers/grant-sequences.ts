/** mgmt.grantSequences: unused FID sequences for a metadata target of the calling node. */
import { entryOf } from '../../wire/cluster-map.js';
import { IbexError } from '../../wire/errors.js';
import type { mgmt, RequestOf, ResponseOf } from '../../wire/messages.js';
import type { Management, MgmtSession } from '../management.js';
import { grantSequences } from '../state.js';

type Grant = typeof mgmt.grantSequences;

/** A grant whose answer is lost is never given out again: sequences are plenty. */
export function handleGrantSequences(management: Management, request: RequestOf<Grant>, session: MgmtSession): ResponseOf<Grant> {
  const { state } = management;
  const seat = management.seatOf(session);
  if (seat === undefined) throw new IbexError('ERR_NOT_REGISTERED', 'register the node before asking for sequences');
  if (!seat.targets.has(request.target))
    throw new IbexError('ERR_NOT_MY_TARGET', `target ${request.target} has not registered on this session`);
  const target = entryOf(state.map.targets, request.target);
  if (target?.kind !== 'meta') throw new IbexError('ERR_INVALID', `target ${request.target} is not a metadata target`);
  const { state: next, first, last } = grantSequences(state, request.target, request.count);
  management.commit(next);
  management.logger.info(
    { target: request.target, first, last },
    `sequences 0x${first.toString(16)} to 0x${last.toString(16)} go to target ${request.target}`,
  );
  return { first, last };
}
