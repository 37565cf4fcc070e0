import { test } from 'tap';
import { createGroups, deleteGroup, type GroupRequest } from '../../src/mgmt/groups.js';
import { emptyState, type MgmtState, registerNode, registerTarget } from '../../src/mgmt/state.js';
import type { GroupId, TargetId } from '../../src/wire/fid.js';
import { refusal } from '../support/properties.js';
import { figures, uuid } from './support.js';

/** Two storage nodes with targets 1 to 4, two each, and a metadata target 5; target 6 is small, 7 in a pool of its own, both on node 2. */
function cluster(): MgmtState {
  let state = emptyState('c');
  const nodes = [1, 2, 3].map((digit) => {
    const kind = digit === 3 ? 'meta' : 'storage';
    const registered = registerNode(state, { uuid: uuid(digit), kind, hostName: 'h', addresses: [] });
    ({ state } = registered);
    return registered.node.id;
  });
  const add = (node: number, kind: 'storage' | 'meta', more: { pool?: string; bytesTotal?: number } = {}): void => {
    const { pool, ...usage } = more;
    const token = `t${state.map.targets.length}`;
    state = registerTarget(state, { kind, node: nodes[node]!, token, pool, usage: { ...figures, ...usage } }).state;
  };
  for (const node of [0, 0, 1, 1]) add(node, 'storage');
  add(2, 'meta');
  add(1, 'storage', { bytesTotal: figures.bytesTotal / 2 });
  add(1, 'storage', { pool: 'fast' });
  return state;
}

const pair = (primary: number, secondary: number, alias?: string): GroupRequest => ({
  primary: primary as TargetId,
  secondary: secondary as TargetId,
  alias,
});

test('groups are made all or none, numbered on, and deleted', async (t) => {
  const before = cluster();
  const { state, groups } = createGroups(before, [pair(1, 3), pair(4, 2, 'fast')], false);
  t.match(groups, [
    { id: 1, alias: 'group-1', epoch: 1, primary: { target: 1, consistency: 'good' }, secondary: { target: 3, consistency: 'good' } },
    { id: 2, alias: 'fast', primary: { target: 4 }, secondary: { target: 2 } },
  ]);
  t.equal(state.map.version, before.map.version + 1);
  t.throws(() => createGroups(state, [pair(6, 6)], false), refusal('ERR_INVALID', /mirror itself/));
  const deleted = deleteGroup(state, 1 as GroupId);
  t.same(
    deleted.map.groups.map(({ id }) => id),
    [2],
  );
  t.equal(createGroups(deleted, [pair(1, 3)], false).groups[0]?.id, 3, 'ids are not used again');
  t.throws(() => deleteGroup(deleted, 1 as GroupId), refusal('ERR_NOT_FOUND'));
});

test('what cannot be a group', async (t) => {
  const { state } = createGroups(cluster(), [pair(1, 3, 'taken')], false);
  const table: readonly [string, GroupRequest, string, RegExp][] = [
    ['one node', pair(2, 2), 'ERR_INVALID', /mirror itself/],
    ['no target', pair(2, 99), 'ERR_NOT_FOUND', /no target 99/],
    ['a metadata target', pair(2, 5), 'ERR_INVALID', /meta target/],
    ['a member of another', pair(2, 3), 'ERR_EXISTS', /in group "taken" already/],
    ['sizes', pair(2, 6), 'ERR_INVALID', /differ in size/],
    ['pools', pair(2, 7), 'ERR_INVALID', /different pools/],
    ['a name that is taken', pair(2, 4, 'taken'), 'ERR_EXISTS', /called "taken" already/],
    ['a name like an id', pair(2, 4, '7'), 'ERR_INVALID', /cannot be a name/],
    ['a name that a shell would take apart', pair(2, 4, 'a b'), 'ERR_INVALID', /cannot be a name/],
  ];
  for (const [name, request, kind, message] of table) t.throws(() => createGroups(state, [request], false), refusal(kind, message), name);
  t.throws(() => createGroups(state, [pair(4, 6)], false), refusal('ERR_INVALID', /both on node 2/));
  t.equal(createGroups(state, [pair(2, 6), pair(4, 7)].slice(0, 1), true).groups.length, 1, 'uneven, when it is wanted');
  t.throws(() => createGroups(state, [pair(2, 4), pair(2, 6)], true), refusal('ERR_EXISTS'), 'twice in one request');
});
