/** Which carrier a session gets where RDMA is off on one side: the same with and without a device. Over one: test/rdma. */
import t from 'tap';
import { Backoff } from '../../src/net/backoff.js';
import { type RdmaPolicy, type RdmaSettings, rdmaDefaults } from '../../src/net/carrier.js';
import { untilRdmaIsBack } from '../../src/net/rdma-return.js';
import { peer } from '../../src/wire/messages.js';
import { refusal } from '../support/properties.js';
import { endpoint, until } from './support.js';

const rdma = (policy: RdmaPolicy): RdmaSettings => ({ ...rdmaDefaults, policy });

t.test('TCP carries a session where one side has RDMA off, and both sides know why', async (t) => {
  const lines: string[] = [];
  for (const [own, other] of [
    ['off', 'prefer'],
    ['prefer', 'off'],
    ['off', 'off'],
  ] as const) {
    const server = endpoint(t, { kind: 'mgmtd', rdma: rdma(other) }, lines);
    const opened: string[] = [];
    server.onSession({ opened: ({ peer }) => void opened.push(`${peer.carrier.kind}: ${peer.carrier.detail}`) });
    const address = await server.listen({ host: '127.0.0.1', port: 0 });
    const session = await endpoint(t, { rdma: rdma(own) }, lines).connect(address);
    t.equal(session.peer.carrier.kind, 'tcp');
    if (own === 'off') t.match(session.peer.carrier.detail, /rdma\.policy is "off"/);
    await until(() => opened.length === 1);
    t.match(opened[0], /^tcp: ./, 'with a reason');
  }
  t.ok(
    lines.some((line) => line.includes('goes over TCP: rdma.policy is \\"off\\"')),
    'the log says so',
  );
});

t.test('a side that requires RDMA refuses a session without it, by name', async (t) => {
  const strict = endpoint(t, { kind: 'mgmtd', rdma: rdma('require') });
  const address = await strict.listen({ host: '127.0.0.1', port: 0 });
  await t.rejects(endpoint(t, { rdma: rdma('off') }).connect(address), refusal('ERR_HANDSHAKE_REFUSED', /rdma\.policy is "require"/));
  const lenient = endpoint(t, { kind: 'mgmtd', rdma: rdma('off') });
  const other = await lenient.listen({ host: '127.0.0.1', port: 0 });
  await t.rejects(endpoint(t, { rdma: rdma('require') }).connect(other), refusal('ERR_HANDSHAKE_REFUSED', /rdma\.policy is "require"/));
});

t.test('RDMA is back when both sides say that nothing is in its way, and not before', async (t) => {
  const server = endpoint(t, { kind: 'mgmtd', rdma: rdma('off') });
  const client = endpoint(t, { rdma: rdma('off') });
  const session = await client.connect(await server.listen({ host: '127.0.0.1', port: 0 }));
  t.match(await session.call(peer.rdmaTrouble, {}), { trouble: 'rdma.policy is "off"' }, 'every process answers');
  const [own, asked] = [
    ['down', ''],
    ['down', 'down', ''],
  ];
  server.handle(peer.rdmaTrouble, () => ({ trouble: asked.shift() ?? 'asked too often' }));
  const backoff = new Backoff(1, 2);
  t.ok(await untilRdmaIsBack(session, { trouble: () => own.shift() ?? '' }, backoff));
  t.same([own, asked], [[], []], 'the peer was not asked while this side could not, and then until it could');
});

t.test('a session that ends is not waited for', async (t) => {
  const server = endpoint(t, { kind: 'mgmtd', rdma: rdma('off') });
  const client = endpoint(t, { rdma: rdma('off') });
  const session = await client.connect(await server.listen({ host: '127.0.0.1', port: 0 }));
  const back = untilRdmaIsBack(session, client.carriers, new Backoff(1, 2));
  session.close();
  t.notOk(await back);
});
