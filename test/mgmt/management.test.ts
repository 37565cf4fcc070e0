import { test } from 'tap';
import { connectedClients, countClients, handleClients } from '../../src/mgmt/handlers/clients.js';
import { handleGrantSequences } from '../../src/mgmt/handlers/grant-sequences.js';
import { handleHeartbeat } from '../../src/mgmt/handlers/heartbeat.js';
import { handleRegisterNode } from '../../src/mgmt/handlers/register-node.js';
import { handleRegisterTarget } from '../../src/mgmt/handlers/register-target.js';
import { handleSubscribeMap } from '../../src/mgmt/handlers/subscribe-map.js';
import { handleUsage } from '../../src/mgmt/handlers/usage.js';
import type { ClusterMap } from '../../src/wire/cluster-map.js';
import type { NodeId, TargetId } from '../../src/wire/fid.js';
import type { mgmt, ResponseOf } from '../../src/wire/messages.js';
import { refusal } from '../support/properties.js';
import { figures, nextTurn, nodeRequest, type TestManagement, TestSession, testManagement } from './support.js';

type Target = ResponseOf<typeof mgmt.registerTarget>;

interface Storage {
  readonly session: TestSession;
  readonly node: NodeId;
  readonly target: Target;
}

function join(cluster: TestManagement, kind: 'meta' | 'storage', digit: number, process = `p${digit}`): Storage {
  const session = cluster.open(new TestSession(kind, process, `host${digit}`));
  const { node } = handleRegisterNode(cluster.management, nodeRequest(kind, digit), session.asSession);
  const target = handleRegisterTarget(cluster.management, { kind, usage: figures, token: `token-${digit}` }, session.asSession);
  return { session, node, target };
}

const targetOf = (map: ClusterMap, id: number) => map.targets.find((target) => target.id === id);
const nodeOf = (map: ClusterMap, id: number) => map.nodes.find((node) => node.id === id);

function leave(cluster: TestManagement, { session }: Storage): void {
  session.isOpen = false;
  cluster.management.closed(session.asSession, 'gone');
}

test('a daemon registers, reports, goes silent, and comes back', async (t) => {
  const cluster = testManagement();
  const { management } = cluster;
  const storage = join(cluster, 'storage', 1);
  t.equal(nodeOf(management.map, storage.node)?.alias, 'storage-host1-1');
  t.equal(storage.target.token, 'token-1', 'the token of the folder is kept');
  t.equal(storage.target.since, management.map.version);

  for (let second = 0; second < 10; second++) {
    cluster.pass(1_000);
    const usage = [{ target: storage.target.target, ...figures, bytesFree: figures.bytesFree - second }];
    t.equal(handleHeartbeat(management, { node: storage.node, usage }, storage.session.asSession).mapVersion, management.map.version);
  }
  t.equal(cluster.saved.length, 2, 'one change for the node, one for the target, none for heartbeats');
  t.equal(handleUsage(management, {}).usage[0]?.bytesFree, figures.bytesFree - 9, 'usage is newer than the map');

  cluster.pass(5_000);
  t.equal(nodeOf(management.map, storage.node)?.reachability, 'probably-offline');
  t.equal(targetOf(management.map, storage.target.target)?.reachability, 'probably-offline');
  cluster.pass(10_000);
  t.equal(targetOf(management.map, storage.target.target)?.reachability, 'offline');
  t.equal(targetOf(management.map, storage.target.target)?.bytesFree, figures.bytesFree - 9, 'with its last figures');
  handleHeartbeat(management, { node: storage.node, usage: [{ target: storage.target.target, ...figures }] }, storage.session.asSession);
  cluster.pass(250);
  t.equal(targetOf(management.map, storage.target.target)?.reachability, 'online');
});

test('a target that is left out of the heartbeats goes alone', async (t) => {
  const cluster = testManagement();
  const storage = join(cluster, 'storage', 1);
  const second = handleRegisterTarget(cluster.management, { kind: 'storage', usage: figures, token: 'token-x' }, storage.session.asSession);
  for (let beat = 0; beat < 16; beat++) {
    cluster.pass(1_000);
    handleHeartbeat(
      cluster.management,
      { node: storage.node, usage: [{ target: storage.target.target, ...figures }] },
      storage.session.asSession,
    );
  }
  t.equal(nodeOf(cluster.management.map, storage.node)?.reachability, 'online');
  t.equal(targetOf(cluster.management.map, storage.target.target)?.reachability, 'online');
  t.equal(targetOf(cluster.management.map, second.target)?.reachability, 'offline');
});

test('a lost session is noticed sooner than silence, and a restart in time is not noticed', async (t) => {
  const cluster = testManagement();
  const storage = join(cluster, 'storage', 1);
  leave(cluster, storage);
  cluster.pass(1_250);
  t.equal(nodeOf(cluster.management.map, storage.node)?.reachability, 'online');
  cluster.pass(250);
  t.equal(nodeOf(cluster.management.map, storage.node)?.reachability, 'probably-offline');
  t.equal(targetOf(cluster.management.map, storage.target.target)?.reachability, 'probably-offline');
  t.throws(
    () => handleHeartbeat(cluster.management, { node: storage.node, usage: [] }, storage.session.asSession),
    refusal('ERR_NOT_REGISTERED'),
  );

  const again = join(cluster, 'storage', 1, 'p2');
  t.equal(again.node, storage.node);
  t.equal(again.target.target, storage.target.target, 'the same token, the same target');
  t.equal(again.target.since, storage.target.since);
  const { version } = cluster.management.map;
  leave(cluster, again);
  join(cluster, 'storage', 1, 'p3');
  cluster.pass(1_000);
  t.equal(cluster.management.map.version, version, 'nobody needs to know');
});

test('copied data folders and cloned disks are refused while the original lives', async (t) => {
  const cluster = testManagement();
  const { management } = cluster;
  const original = join(cluster, 'storage', 1);
  const copy = cluster.open(new TestSession('storage', 'other', 'host9'));
  t.throws(
    () => handleRegisterNode(management, nodeRequest('storage', 1), copy.asSession),
    refusal('ERR_TRY_AGAIN', /data folder was copied/),
  );

  handleRegisterNode(management, nodeRequest('storage', 2), copy.asSession);
  const { target, token, clusterId } = original.target;
  const clone = { kind: 'storage', usage: figures, target, token, clusterId } as const;
  t.throws(() => handleRegisterTarget(management, clone, copy.asSession), refusal('ERR_WRONG_DISK', /alive on node 1/));
  t.throws(() => handleRegisterTarget(management, { ...clone, token: 'x' }, copy.asSession), refusal('ERR_WRONG_DISK', /token/));
  t.throws(() => handleRegisterTarget(management, { ...clone, clusterId: 'x' }, copy.asSession), refusal('ERR_WRONG_DISK', /cluster x/));
  t.throws(
    () => handleRegisterTarget(management, { ...clone, target: 99 as TargetId }, copy.asSession),
    refusal('ERR_WRONG_DISK', /unknown here/),
  );
  t.equal(targetOf(management.map, target)?.node, original.node, 'nothing has changed');

  leave(cluster, original);
  const moved = handleRegisterTarget(management, clone, copy.asSession);
  t.equal(moved.target, target);
  t.equal(targetOf(management.map, target)?.node, 2, 'a disk that was moved');
  t.equal(moved.since, management.map.version, 'who acted on an older map is told');
});

test('a new connection of the same process takes over from the old one', async (t) => {
  const cluster = testManagement();
  const first = join(cluster, 'storage', 1);
  const second = join(cluster, 'storage', 1);
  t.match(first.session.closedBecause, /registered on another session/);
  t.throws(
    () => handleHeartbeat(cluster.management, { node: first.node, usage: [] }, first.session.asSession),
    refusal('ERR_NOT_REGISTERED'),
  );
  leave(cluster, first);
  handleHeartbeat(
    cluster.management,
    { node: second.node, usage: [{ target: second.target.target, ...figures }] },
    second.session.asSession,
  );
  cluster.pass(2_000);
  t.equal(nodeOf(cluster.management.map, second.node)?.reachability, 'online', 'the end of the old one means nothing');
});

test('a process that only claims to be a daemon gets nothing', async (t) => {
  const cluster = testManagement();
  const client = cluster.open(new TestSession('client'));
  t.throws(() => handleRegisterNode(cluster.management, nodeRequest('storage', 1), client.asSession), refusal('ERR_NOT_PERMITTED'));
  t.throws(
    () => handleRegisterTarget(cluster.management, { kind: 'storage', usage: figures }, client.asSession),
    refusal('ERR_NOT_REGISTERED'),
  );
  t.throws(
    () => handleGrantSequences(cluster.management, { target: 1 as TargetId, count: 1 }, client.asSession),
    refusal('ERR_NOT_REGISTERED'),
  );
  t.equal(cluster.saved.length, 0);
});

test("usage of targets that are not the caller's own is ignored", async (t) => {
  const cluster = testManagement();
  const one = join(cluster, 'storage', 1);
  const two = join(cluster, 'storage', 2);
  handleHeartbeat(
    cluster.management,
    { node: one.node, usage: [{ target: two.target.target, ...figures, bytesFree: 0 }] },
    one.session.asSession,
  );
  t.throws(() => handleHeartbeat(cluster.management, { node: two.node, usage: [] }, one.session.asSession), refusal('ERR_NOT_REGISTERED'));
  cluster.pass(250);
  t.equal(targetOf(cluster.management.map, two.target.target)?.bytesFree, figures.bytesFree);
});

test('sequences are granted to the metadata target of the caller only', async (t) => {
  const cluster = testManagement();
  const { management } = cluster;
  const storage = join(cluster, 'storage', 1);
  const one = join(cluster, 'meta', 2);
  const two = join(cluster, 'meta', 3);
  t.same(handleGrantSequences(management, { target: one.target.target, count: 16 }, one.session.asSession), { first: 0x400, last: 0x40f });
  t.same(handleGrantSequences(management, { target: two.target.target, count: 1 }, two.session.asSession), { first: 0x410, last: 0x410 });
  t.throws(
    () => handleGrantSequences(management, { target: two.target.target, count: 1 }, one.session.asSession),
    refusal('ERR_NOT_MY_TARGET'),
  );
  t.throws(
    () => handleGrantSequences(management, { target: storage.target.target, count: 1 }, storage.session.asSession),
    refusal('ERR_INVALID'),
  );
  t.equal(management.map.rootTarget, one.target.target);
  t.equal(management.map.sequences.length, 2);
});

test('an alias that another has is refused', async (t) => {
  const cluster = testManagement();
  const one = cluster.open(new TestSession('storage', 'p1'));
  const two = cluster.open(new TestSession('storage', 'p2'));
  handleRegisterNode(cluster.management, nodeRequest('storage', 1, 'big'), one.asSession);
  t.throws(
    () => handleRegisterNode(cluster.management, nodeRequest('storage', 2, 'big'), two.asSession),
    refusal('ERR_EXISTS', /"big" belongs to node 1/),
  );
  t.ok(handleRegisterNode(cluster.management, nodeRequest('storage', 1, 'big'), one.asSession), 'its owner may repeat it');
});

test('subscribers are told what changes, after the answer that came with the whole map, once a turn', async (t) => {
  const cluster = testManagement();
  const client = cluster.open(new TestSession('client'));
  client.subscribed(handleSubscribeMap(cluster.management, client.asSession));
  join(cluster, 'storage', 1);
  join(cluster, 'meta', 2);
  t.equal(client.pages.length, 0, 'not within the turn');
  await nextTurn();
  t.equal(client.pages.length, 1);
  t.strictSame(client.map, cluster.management.map);
  t.notMatch(JSON.stringify(client.pages), /token-/, 'no secret leaves mgmtd');
  cluster.management.closed(client.asSession, 'bye');
  join(cluster, 'storage', 3);
  await nextTurn();
  t.equal(client.pages.length, 1, 'who is gone is told nothing');
  t.throws(() => handleSubscribeMap(cluster.management, client.asSession), refusal('ERR_CONNECTION_LOST'));
});

test('a change that cannot be stored has not happened', async (t) => {
  let full = false;
  const cluster = testManagement(undefined, {
    save: () => {
      if (full) throw new Error('disk full');
    },
  });
  const client = cluster.open(new TestSession('client'));
  handleSubscribeMap(cluster.management, client.asSession);
  const { map } = cluster.management;
  full = true;
  t.throws(() => join(cluster, 'storage', 1), /disk full/);
  await nextTurn();
  t.equal(cluster.management.map, map);
  t.equal(client.pages.length, 0);
});

test('after a restart of mgmtd everybody gets the same time to come back', async (t) => {
  const before = testManagement();
  const storage = join(before, 'storage', 1);
  const meta = join(before, 'meta', 2);
  const after = testManagement(before.management.state);
  after.pass(4_750);
  t.equal(after.saved.length, 0, 'no state is lost at once');
  const back = after.open(new TestSession('storage', 'p1', 'host1'));
  t.equal(handleRegisterNode(after.management, nodeRequest('storage', 1), back.asSession).node, storage.node);
  handleRegisterTarget(after.management, { kind: 'storage', usage: figures, ...storage.target }, back.asSession);
  after.pass(4_000);
  t.equal(nodeOf(after.management.map, storage.node)?.reachability, 'online');
  t.equal(nodeOf(after.management.map, meta.node)?.reachability, 'probably-offline');
  after.pass(10_000);
  t.equal(targetOf(after.management.map, meta.target.target)?.reachability, 'offline');
});

test("a machine that slept does not take its own sleep for the others' silence", async (t) => {
  const cluster = testManagement();
  const storage = join(cluster, 'storage', 1);
  cluster.clock.at += 3_600_000;
  cluster.management.tick();
  t.equal(nodeOf(cluster.management.map, storage.node)?.reachability, 'online');
  cluster.pass(5_000);
  t.equal(nodeOf(cluster.management.map, storage.node)?.reachability, 'probably-offline');
});

test('clients are who is no node', async (t) => {
  const cluster = testManagement();
  join(cluster, 'storage', 1);
  cluster.open(new TestSession('mount', 'm', 'hostm'));
  cluster.clock.at += 61_500;
  t.same(
    [...connectedClients(cluster.management)],
    [{ id: 2, kind: 'mount', name: 'hostm:1', address: 'hostm:5000', connectedSeconds: 61, carrier: 'tcp', carrierDetail: '' }],
  );
});

test('clients come in pages that those who come and go do not disturb', async (t) => {
  const cluster = testManagement();
  const { management } = cluster;
  join(cluster, 'storage', 1);
  const sessions = Array.from({ length: 2_500 }, (_, index) => cluster.open(new TestSession('client', `p${index}`, `host${index}`)));
  const first = handleClients(management, {});
  management.closed(sessions[0]?.asSession as never, 'bye');
  management.closed(sessions[1_200]?.asSession as never, 'bye');
  cluster.open(new TestSession('client', 'late', 'late'));
  const second = handleClients(management, { after: first.next ?? 0 });
  const third = handleClients(management, { after: second.next ?? 0 });
  t.strictSame([first.clients.length, second.clients.length, third.clients.length], [1_000, 1_000, 500]);
  t.equal(third.next, undefined);
  const names = [first, second, third].flatMap(({ clients }) => clients.map((client) => client.name.split(':')[0]));
  t.strictSame(
    names,
    [...sessions.keys()]
      .filter((index) => index !== 1_200)
      .map((index) => `host${index}`)
      .concat('late'),
    'each once, in order; the first page was read before its first entry left',
  );
  t.equal(countClients(management), 2_499);
});
