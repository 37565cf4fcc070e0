/** mgmt.subscribeMap and mgmt.mapPage: the whole map, and every change after it. */
import type { mgmt, RequestOf, ResponseOf } from '../../wire/messages.js';
import type { Management, MgmtSession } from '../management.js';

export function handleSubscribeMap(management: Management, session: MgmtSession): ResponseOf<typeof mgmt.subscribeMap> {
  return { clusterId: management.map.clusterId, page: management.feed.subscribe(management.subscriberOf(session)) };
}

export function handleMapPage(
  management: Management,
  request: RequestOf<typeof mgmt.mapPage>,
  session: MgmtSession,
): ResponseOf<typeof mgmt.mapPage> {
  return { page: management.feed.nextPage(management.subscriberOf(session), request.to, request.page) };
}
