/** What the commands about mirror groups share: how groups and targets are named, and how they are shown. */
import { type ClusterMap, entryOf, type GroupRecord, type TargetEntry } from '../wire/cluster-map.js';
import { CliError, exitCodes } from './exit-codes.js';
import { paintConsistency } from './output/state.js';
import type { Column } from './output/table.js';

/** By id or alias. */
function find<Entry extends { readonly id: number; readonly alias: string }>(entries: readonly Entry[], text: string, what: string): Entry {
  const found = entries.find((entry) => entry.alias === text) ?? entries.find((entry) => String(entry.id) === text);
  if (found === undefined)
    throw new CliError(
      `there is no ${what} "${text}"; ibex ${what === 'group' ? 'mirror' : what} list shows all`,
      exitCodes.notFound,
      'ENOENT',
    );
  return found;
}

export const findTarget = (map: ClusterMap, text: string): TargetEntry => find(map.targets, text, 'target');
export const findGroup = (map: ClusterMap, text: string): GroupRecord => find(map.groups, text, 'group');

export function targetName(map: ClusterMap, id: TargetEntry['id']): string {
  const target = entryOf(map.targets, id);
  const node = target && entryOf(map.nodes, target.node);
  return `${target?.alias ?? '?'} (${id}) on ${node?.alias ?? '?'}`;
}

export function groupColumns(map: ClusterMap): readonly Column<GroupRecord>[] {
  return [
    { title: 'ID', align: 'right', value: (group) => String(group.id) },
    { title: 'NAME', value: (group) => group.alias },
    { title: 'EPOCH', align: 'right', value: (group) => String(group.epoch) },
    { title: 'PRIMARY', value: (group) => targetName(map, group.primary.target) },
    { title: 'SECONDARY', value: (group) => targetName(map, group.secondary.target) },
    {
      title: 'ITS DATA',
      value: (group) => group.secondary.consistency,
      paint: (cell, group) => paintConsistency(cell, group.secondary.consistency),
    },
  ];
}
