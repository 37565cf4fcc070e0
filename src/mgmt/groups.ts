/** Making and deleting mirror groups: pure functions from one state of mgmtd to the next. */

import { areEven } from '../mirror/pairs.js';
import { entryOf, type GroupRecord, type TargetEntry } from '../wire/cluster-map.js';
import { IbexError } from '../wire/errors.js';
import type { GroupId, TargetId } from '../wire/fid.js';
import { changeMap, type MgmtState } from './state.js';

export interface GroupRequest {
  readonly primary: TargetId;
  readonly secondary: TargetId;
  readonly alias?: string | undefined;
}

/** As node and target aliases: what needs no quoting in a shell, and is not taken for an id. */
const ALIAS = /^[A-Za-z._-][A-Za-z0-9._-]{0,63}$/;

/**
 * Makes all of the groups. Both copies are good: there is nothing in them yet.
 *
 * @throws IbexError for the first one that cannot be made; then none is
 */
export function createGroups(
  state: MgmtState,
  requests: readonly GroupRequest[],
  uneven: boolean,
): { readonly state: MgmtState; readonly groups: readonly GroupRecord[] } {
  const first = state.nextGroup;
  const groups = [...state.map.groups];
  for (const [index, request] of requests.entries()) {
    checkPair(state, groups, request, uneven);
    const id = (first + index) as GroupId;
    const alias = request.alias ?? `group-${id}`;
    if (!ALIAS.test(alias))
      throw new IbexError('ERR_INVALID', `"${alias}" cannot be a name: letters, digits, ".", "_" and "-", no digit first`);
    if (groups.some((group) => group.alias === alias)) throw new IbexError('ERR_EXISTS', `a group is called "${alias}" already`);
    // Which process serves a target is not known before it says so.
    const member = (target: TargetId) => ({ target, start: 0, consistency: 'good' as const });
    groups.push({ id, alias, epoch: 1, primary: member(request.primary), secondary: member(request.secondary), lingering: [] });
  }
  return { state: changeMap(state, { groups }, { nextGroup: first + requests.length }), groups: groups.slice(state.map.groups.length) };
}

/** @throws IbexError ERR_NOT_FOUND */
export function deleteGroup(state: MgmtState, group: GroupId): MgmtState {
  const record = entryOf(state.map.groups, group);
  if (record === undefined) throw new IbexError('ERR_NOT_FOUND', `there is no group ${group}`);
  return changeMap(state, { groups: state.map.groups.filter((other) => other !== record) });
}

function checkPair(state: MgmtState, groups: readonly GroupRecord[], request: GroupRequest, uneven: boolean): void {
  const primary = storageTarget(state, groups, request.primary);
  const secondary = storageTarget(state, groups, request.secondary);
  const pair = `targets ${primary.id} and ${secondary.id}`;
  if (primary.id === secondary.id) throw new IbexError('ERR_INVALID', `target ${primary.id} cannot mirror itself`);
  if (primary.pool !== secondary.pool)
    throw new IbexError('ERR_INVALID', `${pair} are in different pools, "${primary.pool}" and "${secondary.pool}"`);
  if (uneven) return;
  if (primary.node === secondary.node)
    throw new IbexError(
      'ERR_INVALID',
      `${pair} are both on node ${primary.node}, with which both copies would go; --force makes the group all the same`,
    );
  if (!areEven(primary, secondary))
    throw new IbexError(
      'ERR_INVALID',
      `${pair} differ in size by more than a tenth; the larger one's rest would be lost; --force makes the group all the same`,
    );
}

function storageTarget(state: MgmtState, groups: readonly GroupRecord[], id: TargetId): TargetEntry {
  const target = entryOf(state.map.targets, id);
  if (target === undefined) throw new IbexError('ERR_NOT_FOUND', `there is no target ${id}`);
  if (target.kind !== 'storage')
    throw new IbexError('ERR_INVALID', `target ${id} is a ${target.kind} target; storage targets are mirrored`);
  const group = groups.find(({ primary, secondary }) => primary.target === id || secondary.target === id);
  if (group !== undefined) throw new IbexError('ERR_EXISTS', `target ${id} is in group "${group.alias}" already`);
  return target;
}
