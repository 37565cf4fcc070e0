/** mgmt.subscribeMap: the whole map, and every change after it. */
import type { mgmt, ResponseOf } from '../../wire/messages.js';
import type { Management, MgmtSession } from '../management.js';

export function handleSubscribeMap(management: Management, session: MgmtSession): ResponseOf<typeof mgmt.subscribeMap> {
  return { map: management.subscribe(session) };
}
