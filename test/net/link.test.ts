/** A link reaches the peer that was meant, and neither gives up nor hammers. */
import t, { type Test } from 'tap';
import { Link } from '../../src/net/link.js';
import type { IbexError } from '../../src/wire/errors.js';
import { meta } from '../../src/wire/messages.js';
import { refusal } from '../support/properties.js';
import { clusterOf, endpoint, management, mapOf, metaServer, target, until } from './support.js';

const inMs = (delayMs: number): number => performance.now() + delayMs;

t.test('who answers at an address but is another node or kind is logged and passed over', async (t) => {
  const [other, right] = [await metaServer(t, 8), await metaServer(t, 5)];
  const lines: string[] = [];
  const link = new Link({
    endpoint: endpoint(t, {}, lines),
    addresses: () => [other.address, right.address],
    expected: () => ({ kind: 'meta', nodeId: 5 }),
    what: 'metadata target 1',
  });
  t.teardown(() => link.close());
  t.equal((await link.session(inMs(5_000))).peer.nodeId, 5);
  t.match(lines.join(''), /meta node 5 is expected at 127\.0\.0\.1:\d+, there answers meta node 8/);

  const storage = new Link({
    endpoint: endpoint(t),
    addresses: () => [right.address],
    expected: () => ({ kind: 'storage' }),
    what: 'storage',
  });
  t.teardown(() => storage.close());
  await t.rejects(storage.session(inMs(100)), refusal('ERR_CONNECTION_LOST', /storage is expected.*meta node 5/));
});

t.test('a daemon that does not know its number yet is asked again', async (t) => {
  const server = await metaServer(t, 0);
  const link = new Link({
    endpoint: endpoint(t),
    addresses: () => [server.address],
    expected: () => ({ kind: 'meta', nodeId: 5 }),
    what: 'metadata target 1',
  });
  t.teardown(() => link.close());
  const asked = new Promise<void>((resolve) => server.endpoint.onSession({ opened: () => resolve() }));
  const session = link.session(inMs(5_000));
  await asked;
  server.endpoint.nodeId = 5;
  t.equal((await session).peer.nodeId, 5);
});

t.test('calls follow a metadata target to another node', async (t) => {
  const [before, after] = [await metaServer(t, 1), await metaServer(t, 2)];
  for (const server of [before, after]) {
    const answer = { inodes: server === before ? 1 : 2, removalsPending: 0, filesOpen: 0, operations: 0 };
    server.endpoint.handle(meta.statistics, () => answer);
  }
  const mgmtd = await management(t, mapOf(1, [{ target: 1, node: 1, address: before.address }]));
  const cluster = await clusterOf(t, mgmtd);
  t.equal((await cluster.metaTarget(target(1), meta.statistics, {})).inodes, 1);
  mgmtd.change(mapOf(2, [{ target: 1, node: 2, address: after.address }]));
  await until(() => cluster.map.version === 2);
  t.equal((await cluster.metaTarget(target(1), meta.statistics, {})).inodes, 2);
});

t.test('a server that takes us on and drops us is called with growing pauses', async (t) => {
  const server = await metaServer(t, 1);
  let sessions = 0;
  server.endpoint.onSession({
    opened: (session) => {
      sessions++;
      session.close('dropped');
    },
  });
  const cluster = await clusterOf(t, await management(t, mapOf(1, [{ target: 1, node: 1, address: server.address }])));
  await t.rejects(cluster.metaTarget(target(1), meta.statistics, {}, { timeoutMs: 1_000 }));
  t.ok(sessions >= 2 && sessions <= 8, `${sessions} sessions in a second`);
});

async function unreachable(t: Test): Promise<Link> {
  const link = new Link({
    endpoint: endpoint(t),
    addresses: () => [{ host: '127.0.0.1', port: 1 }],
    expected: () => ({ kind: 'meta' }),
    what: 'nobody',
  });
  t.teardown(() => link.close());
  return link;
}

t.test('waiting for a session ends at its own deadline, at an abort and at close', async (t) => {
  const link = await unreachable(t);
  const forever = link.session(Number.POSITIVE_INFINITY);
  const failed = t.rejects(forever, refusal('ERR_SHUTTING_DOWN'));
  // Nobody listens there: by the deadline the latest try was refused, or, on a busy machine, no try has ended yet.
  const error = await link.session(inMs(100)).catch((reason: unknown) => reason);
  t.match((error as IbexError).kind, /^ERR_(CONNECTION_LOST|TIMED_OUT)$/);
  await t.rejects(link.session(inMs(5_000), AbortSignal.timeout(20)), refusal('ERR_CANCELED'));
  link.close();
  await failed;
  await t.rejects(link.session(inMs(5_000)), refusal('ERR_SHUTTING_DOWN'));
});
