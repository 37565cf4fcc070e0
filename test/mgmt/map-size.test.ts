/** As large as a cluster gets: its map over real connections, whole and in changes, and where it ends. */
import { join } from 'node:path';
import { test } from 'tap';
import { everyUsage } from '../../src/client/management-lists.js';
import { startMgmtd } from '../../src/mgmt/daemon.js';
import { addHandlers } from '../../src/mgmt/handlers/index.js';
import { handleRegisterNode } from '../../src/mgmt/handlers/register-node.js';
import { handleRegisterTarget } from '../../src/mgmt/handlers/register-target.js';
import { handleMapPage, handleSubscribeMap } from '../../src/mgmt/handlers/subscribe-map.js';
import { NODES_MAX, TARGETS_MAX } from '../../src/mgmt/map-size.js';
import { emptyState, type MgmtState, observe } from '../../src/mgmt/state.js';
import { MgmtStore } from '../../src/mgmt/store.js';
import { Cluster } from '../../src/net/cluster.js';
import { type ClusterMap, diffMaps, emptyMap, type NodeEntry, type Reachability, type TargetEntry } from '../../src/wire/cluster-map.js';
import { encodeBody } from '../../src/wire/codec.js';
import type { NodeId, TargetId } from '../../src/wire/fid.js';
import { generateKeyFile, readKeyFile } from '../../src/wire/key.js';
import { PAGE_BYTES_MAX, pagesOf } from '../../src/wire/map-pages.js';
import { mgmt } from '../../src/wire/messages.js';
import { endpoint, until } from '../net/support.js';
import { refusal } from '../support/properties.js';
import { daemonSettings, figures, nextTurn, nodeRequest, silent, TestSession, testManagement } from './support.js';

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

/** Targets by state, as 'online 10000'. */
function states(map: ClusterMap): string {
  const counts = new Map<Reachability, number>();
  for (const { reachability } of map.targets) counts.set(reachability, (counts.get(reachability) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${state} ${count}`).join(', ');
}

/** A map as a line for each of its entries, whatever the order of their keys. */
function linesOf(map: ClusterMap): string[] {
  const sorted = (_key: string, value: unknown): unknown =>
    value instanceof Object && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).sort()) : value;
  const line = (name: string, value: unknown): string => `${name}: ${JSON.stringify(value, sorted)}`;
  return Object.entries(map)
    .flatMap(([name, value]) => (Array.isArray(value) ? value.map((entry, index) => line(`${name}[${index}]`, entry)) : line(name, value)))
    .sort();
}

/** What is only in one of two long lists, or which is in another place: a few lines of it. */
function differences(found: readonly string[], wanted: readonly string[]): string[] {
  const [inFound, inWanted] = [new Set(found), new Set(wanted)];
  const lines = [
    ...found.filter((line) => !inWanted.has(line)).map((line) => `found only: ${line}`),
    ...wanted.filter((line) => !inFound.has(line)).map((line) => `missing: ${line}`),
  ];
  if (lines.length === 0 && found.join('\n') !== wanted.join('\n')) lines.push('the same in another order, or several times');
  return lines.length > 6 ? [...lines.slice(0, 6), `and ${lines.length - 6} more`] : lines;
}

test('10,000 targets on 500 nodes: a client of a real mgmtd has them all, and at once what happens to all', async (t) => {
  const folder = t.testdir();
  await generateKeyFile(join(folder, 'key'));
  const large = stateOf(500, 10_000);
  const { store, state } = MgmtStore.open(join(folder, 'data'));
  store.save(state, { ...large, map: { ...large.map, clusterId: state.map.clusterId } });
  await store.close();
  const limits = { 'heartbeat.probably_offline_after': '3 s', 'heartbeat.offline_after': '4 s' };
  const mgmtd = await startMgmtd(daemonSettings(folder, limits), silent, (error) => t.fail(error.message));
  t.teardown(() => mgmtd.stop());
  const client = await Cluster.connect(endpoint(t, { key: await readKeyFile(join(folder, 'key')), logger: silent }), [mgmtd.address]);
  t.teardown(() => client.close());
  const seen = [states(client.map)];
  t.strictSame(differences(linesOf(client.map), linesOf(mgmtd.management.map)), []);
  const ids = large.map.targets.map((target) => String(target.id));
  const told = (await everyUsage(client)).map((usage) => String(usage.target));
  t.strictSame(differences(told, ids), [], 'figures of all targets, in pages');
  client.onMap((map) => seen.push(states(map)));
  const session = client.mgmtdSession;
  await until(() => client.map.targets.every((target) => target.reachability === 'offline'), 20_000);
  t.strictSame(differences(linesOf(client.map), linesOf(mgmtd.management.map)), []);
  // A slow client may see two changes as one; never a part of one.
  t.strictSame(
    [...new Set(seen)].filter((states) => states !== 'probably-offline 10000'),
    ['online 10000', 'offline 10000'],
    'never a part of a version',
  );
  t.equal(client.mgmtdSession, session, 'on one session');
});

test('what changes while a client fetches pages comes after them, in order', async (t) => {
  const cluster = testManagement(stateOf(50, 2_000));
  const { management } = cluster;
  const server = endpoint(t, { kind: 'mgmtd' });
  addHandlers(server, management);
  const history = new Map<number, ClusterMap>([[management.map.version, management.map]]);
  let changes = 0;
  const change = (): void => {
    changes++;
    const node = ((changes % 50) + 1) as NodeId;
    const of = (id: NodeId): Reachability => (id === node ? 'offline' : 'online');
    management.commit(
      observe(management.state, {
        node: of,
        target: (id) => of(management.map.targets[id - 1]?.node as NodeId),
        usage: () => undefined,
      }),
    );
    history.set(management.map.version, management.map);
  };
  let fetches = 0;
  server.handle(mgmt.mapPage, async (request, { session }) => {
    fetches++;
    change();
    await nextTurn();
    return handleMapPage(management, request, session);
  });
  const address = await server.listen({ host: '127.0.0.1', port: 0 });
  const made = endpoint(t);
  const client = await Cluster.connect(made, [address]);
  t.teardown(() => client.close());
  t.ok(fetches > 5, `${fetches} pages were fetched`);
  const seen = [client.map];
  client.onMap((map) => seen.push(map));
  for (let more = 0; more < 20; more++) {
    change();
    await nextTurn();
  }
  await until(() => client.map.version === management.map.version);
  for (const map of seen) t.strictSame(differences(linesOf(map), linesOf(history.get(map.version)!)), [], `version ${map.version}`);
  const versions = seen.map((map) => map.version);
  t.strictSame(
    versions,
    [...new Set(versions)].sort((a, b) => a - b),
    'each once, in order',
  );
  t.equal(server.sessions.size, 1);
});

test('pages fit messages with room to spare, whatever names the entries have', (t) => {
  const { map } = stateOf(300, 2_000);
  const wide = '\u{1f98c}'.repeat(127);
  const addresses = Array.from({ length: 16 }, () => ({ host: wide, port: 65_535 }));
  const widest = {
    ...map,
    nodes: map.nodes.map((node) => ({ ...node, alias: wide, addresses })),
    targets: map.targets.map((target) => ({ ...target, alias: wide, pool: wide, since: 2 ** 53 - 1, bytesTotal: 2 ** 53 - 1 })),
    sequences: Array.from({ length: 5_000 }, (_, first) => ({ first: 2 ** 33 - 5_000 + first, last: 2 ** 33, target: 1 as TargetId })),
  };
  for (const large of [map, widest]) {
    const pages = pagesOf(diffMaps(emptyMap('c'), large));
    const bytes = pages.map((page) => encodeBody(mgmt.mapPage.response, { page }).length);
    t.ok(Math.max(...bytes) <= PAGE_BYTES_MAX + 100, `${pages.length} pages of at most ${Math.max(...bytes)} bytes`);
  }
  t.end();
});

test('a known target returns to a full cluster, new ones do not enter it', (t) => {
  const uuid = '11111111-0000-4000-8000-000000000000';
  const state = stateOf(NODES_MAX, TARGETS_MAX);
  const cluster = testManagement({ ...state, uuids: new Map(state.uuids).set(1 as NodeId, uuid) });
  const session = cluster.open(new TestSession('storage')).asSession;
  handleRegisterNode(cluster.management, { ...nodeRequest('storage', 1), uuid }, session);
  const { management } = cluster;
  const back = { kind: 'storage', usage: figures, target: 1 as TargetId, token: 'token-1' } as const;
  t.equal(handleRegisterTarget(management, back, session).target, 1);
  const other = cluster.open(new TestSession('storage', 'p2')).asSession;
  t.throws(() => handleRegisterNode(management, nodeRequest('storage', 2), other), refusal('ERR_NO_SPACE', /65536 nodes/));
  t.throws(
    () => handleRegisterTarget(management, { kind: 'storage', usage: figures, token: 'n' }, session),
    refusal('ERR_NO_SPACE', /65536 targets/),
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
  handleSubscribeMap(cluster.management, broken.asSession);
  handleSubscribeMap(cluster.management, whole.asSession);
  const storage = cluster.open(new TestSession('storage')).asSession;
  handleRegisterNode(cluster.management, nodeRequest('storage', 1), storage);
  await nextTurn();
  t.match(broken.closedBecause, /cannot send a change of the cluster map: message is larger/);
  t.equal(whole.pages.length, 1);
  t.equal(cluster.management.feed.subscribers, 1);
});
