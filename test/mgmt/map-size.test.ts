import { test } from 'tap';
import { handleRegisterNode } from '../../src/mgmt/handlers/register-node.js';
import { handleRegisterTarget } from '../../src/mgmt/handlers/register-target.js';
import { MAP_BYTES_MAX, mapBytes } from '../../src/mgmt/map-size.js';
import { emptyState, type MgmtState } from '../../src/mgmt/state.js';
import { diffMaps, type NodeEntry, type TargetEntry } from '../../src/wire/cluster-map.js';
import { encodeBody } from '../../src/wire/codec.js';
import type { NodeId, TargetId } from '../../src/wire/fid.js';
import { mgmt } from '../../src/wire/messages.js';
import { refusal } from '../support/properties.js';
import { figures, nextTurn, nodeRequest, TestSession, testManagement } from './support.js';

/** As many as are wanted, with figures of 60 TB disks. */
function stateOf(nodeCount: number, targetCount: number): MgmtState {
  const nodes = Array.from({ length: nodeCount }, (_, index): NodeEntry => {
    const id = (index + 1) as NodeId;
    const addresses = [{ host: '192.168.100.100', port: 7402 }];
    return { id, kind: 'storage', alias: `storage-host${id}-${id}`, addresses, reachability: 'online' };
  });
  const targets = Array.from({ length: targetCount }, (_, index): TargetEntry => {
    const id = (index + 1) as TargetId;
    return {
      id,
      kind: 'storage',
      node: ((index % nodeCount) + 1) as NodeId,
      alias: `target-${id}`,
      pool: 'default',
      reachability: 'online',
      consistency: 'good',
      since: 10_000 + index,
      bytesTotal: 60_000_000_000_000,
      bytesFree: 59_000_000_000_000,
      inodesTotal: 4_000_000_000,
      inodesFree: 3_900_000_000,
    };
  });
  const empty = emptyState('6a0b6e4e-5a3c-4d57-8d4b-0c1f7f1f5b0a');
  const map = { ...empty.map, version: 20_000, nodes, targets };
  const uuids = new Map(nodes.map((node) => [node.id, `uuid-${node.id}`]));
  const tokens = new Map(targets.map((target) => [target.id, `token-${target.id}`]));
  return { ...empty, map, uuids, tokens, nextNode: nodeCount + 1, nextTarget: targetCount + 1 };
}

test('a map of 3,000 targets travels in one message, and so does a change of all of it', (t) => {
  const { map } = stateOf(500, 3_000);
  t.ok(mapBytes(map) <= MAP_BYTES_MAX, `${mapBytes(map)} bytes`);
  t.ok(encodeBody(mgmt.subscribeMap.response, { map }).length > 0);
  const worse = {
    ...map,
    version: map.version + 1,
    nodes: map.nodes.map((node) => ({ ...node, reachability: 'probably-offline' as const })),
    targets: map.targets.map((target) => ({ ...target, reachability: 'probably-offline' as const })),
  };
  t.ok(encodeBody(mgmt.mapChanged.request, { change: diffMaps(map, worse) }).length > 0);
  t.end();
});

test('a known target returns to a full map, new ones do not enter it', (t) => {
  const uuid = '11111111-0000-4000-8000-000000000000';
  let count = 3_000;
  while (mapBytes(stateOf(500, count + 1).map) <= MAP_BYTES_MAX) count++;
  const state = stateOf(500, count);
  const cluster = testManagement({ ...state, uuids: new Map(state.uuids).set(1 as NodeId, uuid) });
  const session = cluster.open(new TestSession('storage')).asSession;
  handleRegisterNode(cluster.management, { ...nodeRequest('storage', 1), uuid }, session);
  const { management } = cluster;
  const back = { kind: 'storage', usage: figures, target: 1 as TargetId, token: 'token-1' } as const;
  t.equal(handleRegisterTarget(management, back, session).target, 1);
  const full = refusal('ERR_NO_SPACE', /cluster map would have \d+ bytes with \d+ nodes and \d+ targets/);
  const other = cluster.open(new TestSession('storage', 'p2')).asSession;
  t.throws(() => handleRegisterNode(management, nodeRequest('storage', 2, 'x'.repeat(4_000)), other), full);
  t.throws(
    () => handleRegisterTarget(management, { kind: 'storage', usage: figures, token: 'n', alias: 'x'.repeat(1_000) }, session),
    full,
  );
  t.end();
});

test('a session to which a change cannot be sent is ended, mgmtd goes on', async (t) => {
  const cluster = testManagement();
  const broken = cluster.open(new TestSession('client', 'p8'));
  const whole = cluster.open(new TestSession('client', 'p9'));
  broken.notify = () => {
    throw new Error('message is larger than 1048576 bytes');
  };
  cluster.management.subscribe(broken.asSession);
  cluster.management.subscribe(whole.asSession);
  const storage = cluster.open(new TestSession('storage')).asSession;
  handleRegisterNode(cluster.management, nodeRequest('storage', 1), storage);
  await nextTurn();
  t.match(broken.closedBecause, /cannot send a change of the cluster map: message is larger/);
  t.equal(whole.changes.length, 1);
  t.equal(cluster.management.feed.subscribers, 1);
});
