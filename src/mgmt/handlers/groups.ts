/** mgmt.createGroups and mgmt.deleteGroup. */
import type { mgmt, RequestOf, ResponseOf } from '../../wire/messages.js';
import { createGroups, deleteGroup } from '../groups.js';
import type { Management } from '../management.js';

export function handleCreateGroups(
  management: Management,
  { groups: requests, uneven }: RequestOf<typeof mgmt.createGroups>,
): ResponseOf<typeof mgmt.createGroups> {
  const { state, groups } = createGroups(management.state, requests, uneven);
  management.commit(state);
  for (const { id, alias, primary, secondary } of groups)
    management.logger.info(
      { group: id, alias, primary, secondary },
      `group ${id} (${alias}) of targets ${primary.target} and ${secondary.target}`,
    );
  return { groups: groups.map(({ id }) => id) };
}

/** No file lies on a group yet: see docs/mirroring.md for what has to be asked before, once files do. */
export function handleDeleteGroup(
  management: Management,
  { group }: RequestOf<typeof mgmt.deleteGroup>,
): ResponseOf<typeof mgmt.deleteGroup> {
  management.commit(deleteGroup(management.state, group));
  management.logger.info({ group }, `group ${group} is deleted`);
  return {};
}
