import { connect } from 'node:net';
import { test } from 'tap';
import { handleCreateGroups } from '../../src/mgmt/handlers/groups.js';
import { handleRegisterNode } from '../../src/mgmt/handlers/register-node.js';
import { handleRegisterTarget } from '../../src/mgmt/handlers/register-target.js';
import { createMetrics } from '../../src/mgmt/http/metrics.js';
import { createHttpServer } from '../../src/mgmt/http/server.js';
import type { TargetId } from '../../src/wire/fid.js';
import { httpToken } from '../../src/wire/key.js';
import { figures, nodeRequest, silent, TestSession, testManagement } from './support.js';

const token = httpToken(Buffer.alloc(32, 7));
const authorized = { authorization: `Bearer ${token}` };
const paths = ['status', 'nodes', 'targets', 'map', 'clients', 'usage', 'carriers', 'groups'].map((name) => `/api/v1/${name}`);

async function server(t: { teardown(done: () => unknown): unknown }) {
  const cluster = testManagement();
  const session = cluster.open(new TestSession('storage'));
  handleRegisterNode(cluster.management, nodeRequest('storage', 1), session.asSession);
  for (const name of ['a', 'b', 'c'])
    handleRegisterTarget(cluster.management, { kind: 'storage', usage: figures, token: `secret-${name}` }, session.asSession);
  cluster.open(new TestSession('mount', 'm', 'laptop'));
  const metrics = createMetrics({ management: cluster.management, served: () => new Map([[202, 5]]), native: () => ({ frames: 3 }) });
  const app = await createHttpServer({ management: cluster.management, metrics, token, logger: silent });
  t.teardown(() => app.close());
  return { app, cluster };
}

test('everything but /health wants the token', async (t) => {
  const { app } = await server(t);
  t.same((await app.inject('/health')).json(), { status: 'ok' });
  const wrong = [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    `Bearer ${token.slice(0, -1)}`,
    `Bearer ${token}x`,
    `bearer: ${token}`,
    `Basic ${token}`,
    token,
  ];
  for (const path of [...paths, '/metrics', '/openapi.json', '/none', '/health/x', '/']) {
    for (const authorization of wrong) {
      const answer = await app.inject({ url: path, headers: authorization === undefined ? {} : { authorization } });
      t.equal(answer.statusCode, 401, `${path} with ${authorization}`);
      t.equal(answer.json().code, 'ERR_NOT_AUTHENTICATED');
    }
  }
  for (const path of [...paths, '/metrics', '/openapi.json'])
    t.equal((await app.inject({ url: path, headers: authorized })).statusCode, 200, path);
});

test('answers tell the cluster as it is, without secrets', async (t) => {
  const { app, cluster } = await server(t);
  const get = async (url: string) => (await app.inject({ url, headers: authorized })).json();
  t.match(await get('/api/v1/status'), {
    clusterId: 'cluster-1',
    mapVersion: cluster.management.map.version,
    clients: 1,
    bytesTotal: 3 * figures.bytesTotal,
    bytesFree: 3 * figures.bytesFree,
    nodes: { online: 1, probablyOffline: 0, offline: 0 },
    targets: { online: 3, probablyOffline: 0, offline: 0 },
  });
  handleCreateGroups(cluster.management, { groups: [{ primary: 1 as TargetId, secondary: 2 as TargetId }], uneven: true });
  const { map } = cluster.management;
  t.same(await get('/api/v1/nodes'), { items: map.nodes });
  t.same(await get('/api/v1/targets'), { items: map.targets });
  t.match(await get('/api/v1/groups'), {
    items: [{ id: 1, alias: 'group-1', epoch: 1, primary: { target: 1 }, secondary: { target: 2 } }],
  });
  t.same(await get('/api/v1/map'), JSON.parse(JSON.stringify(map)));
  t.match(await get('/api/v1/clients'), { items: [{ kind: 'mount', name: 'laptop:1', carrier: 'tcp' }] });
  t.same(await get('/api/v1/carriers'), { items: [] }, 'no node has told');
  for (const { id } of map.nodes) {
    cluster.management.carriers.set(id, { rdma: 2, tcp: 1, reason: 'port down' });
    t.same(await get('/api/v1/carriers'), { items: [{ node: id, rdma: 2, tcp: 1, reason: 'port down' }] });
  }
  t.match(await get('/api/v1/usage'), { items: [{ target: 1, ...figures }, { target: 2 }, { target: 3 }] });
  for (const path of [...paths, '/metrics']) t.notMatch((await app.inject({ url: path, headers: authorized })).body, /secret-|p1/, path);
});

test('lists come in pages', async (t) => {
  const { app, cluster } = await server(t);
  const get = async (query: string) => (await app.inject({ url: `/api/v1/targets?${query}`, headers: authorized })).json();
  for (const list of ['nodes', 'targets', 'usage', 'clients']) {
    const { parameters } = (await app.inject({ url: '/openapi.json', headers: authorized })).json().paths[`/api/v1/${list}`].get;
    t.same(
      parameters.map(({ name, in: place }: { name: string; in: string }) => `${name} in ${place}`),
      ['after in query', 'limit in query'],
      list,
    );
  }
  const first = await get('limit=2');
  t.same(
    first.items.map((target: { id: number }) => target.id),
    [1, 2],
  );
  t.equal(first.next, 2);
  const second = await get('limit=2&after=2');
  t.same(
    second.items.map((target: { id: number }) => target.id),
    [3],
  );
  t.equal(second.next, undefined);
  for (let index = 0; index < 3; index++) cluster.open(new TestSession('client', `c${index}`, `host${index}`));
  const names: string[] = [];
  let after = 0;
  for (let pages = 0; pages < 2; pages++) {
    const { items, next } = (await app.inject({ url: `/api/v1/clients?limit=2&after=${after}`, headers: authorized })).json();
    names.push(...items.map((client: { name: string }) => client.name));
    t.equal(next === undefined, pages === 1);
    after = next;
  }
  t.same(names, ['laptop:1', 'host0:1', 'host1:1', 'host2:1']);
  t.match(await get('limit=0'), { code: 'ERR_INVALID' });
  t.match(await get('limit=1001'), { code: 'ERR_INVALID' });
  t.match(await get('after=x'), { code: 'ERR_INVALID' });
});

test('errors are JSON with a code', async (t) => {
  const { app } = await server(t);
  const missing = await app.inject({ url: '/api/v1/nothing?x=1', headers: authorized });
  t.equal(missing.statusCode, 404);
  t.same(missing.json(), { code: 'ERR_NOT_FOUND', message: 'no GET /api/v1/nothing here; see /openapi.json' });
  const large = await app.inject({
    method: 'POST',
    url: '/api/v1/status',
    headers: { ...authorized, 'content-type': 'application/json' },
    payload: `"${'x'.repeat(10_000)}"`,
  });
  t.equal(large.statusCode, 413, 'nothing takes a body, large ones are not even read');
});

test('the OpenAPI document names every route with its answers', async (t) => {
  const { app } = await server(t);
  const document = (await app.inject({ url: '/openapi.json', headers: authorized })).json();
  t.equal(document.openapi, '3.0.3');
  t.same(Object.keys(document.paths).sort(), [...paths, '/health', '/metrics'].sort());
  for (const path of [...paths, '/health']) t.ok(document.paths[path].get.responses['200'].content['application/json'].schema, path);
  t.same(document.paths['/health'].get.security, []);
});

test('metrics are in the format of Prometheus', async (t) => {
  const { app, cluster } = await server(t);
  const { body, headers } = await app.inject({ url: '/metrics', headers: authorized });
  t.match(headers['content-type'], /^text\/plain; version=0\.0\.4/);
  const lines = body.split('\n');
  for (const expected of [
    `ibex_map_version ${cluster.management.map.version}`,
    'ibex_node_reachability{node="1",alias="storage-host1-1",kind="storage",state="online"} 1',
    `ibex_target_bytes_free{target="2"} ${figures.bytesFree}`,
    `ibex_target_inodes_total{target="3"} ${figures.inodesTotal}`,
    'ibex_sessions{kind="mount",carrier="tcp"} 1',
    'ibex_rpc_requests_total{operation="mgmt.heartbeat"} 5',
    'ibex_native{counter="frames"} 3',
  ])
    t.ok(lines.includes(expected), expected);
  t.match(body, /process_resident_memory_bytes [1-9]/);
  t.ok(
    (await app.inject({ url: '/metrics', headers: authorized })).body.includes('ibex_rpc_requests_total{operation="mgmt.heartbeat"} 5\n'),
    'counters are not counted twice',
  );
});

test('over a real connection: loopback, security headers, malformed requests', async (t) => {
  const { app } = await server(t);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const answer = await fetch(`${url}/api/v1/status`, { headers: authorized });
  t.equal(answer.status, 200);
  t.equal(answer.headers.get('x-content-type-options'), 'nosniff');
  t.equal((await fetch(`${url}/api/v1/status`)).status, 401);
  const port = Number(new URL(url).port);
  const raw = (bytes: string): Promise<string> =>
    new Promise((resolve) => {
      let received = '';
      const socket = connect(port, '127.0.0.1', () => socket.end(bytes));
      socket.on('data', (chunk) => {
        received += String(chunk);
      });
      socket.on('error', () => {});
      socket.on('close', () => resolve(received.split('\r\n')[0] ?? ''));
    });
  t.match(await raw('nonsense\r\n\r\n'), /^HTTP\/1\.1 400/);
  t.match(await raw(`GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 431/);
  t.equal((await fetch(`${url}/health`)).status, 200, 'and it still answers');
});
