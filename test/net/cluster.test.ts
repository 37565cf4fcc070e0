/** What a process knows of its cluster, and how its calls find their servers, while both change. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { IbexError } from '../../src/wire/errors.js';
import { ROOT_FID } from '../../src/wire/fid.js';
import { meta, mgmt } from '../../src/wire/messages.js';
import { refusal } from '../support/properties.js';
import { clusterOf, endpoint, fidOf, management, mapOf, metaServer, pageOf, target, until, wholePage } from './support.js';

const somewhere = { host: '127.0.0.1', port: 9 };
const places = [{ target: 1, node: 1, address: somewhere }];

t.test('changes that come with the map, before or after it, end in the newest one on the same session', async (t) => {
  const mgmtd = await management(t, mapOf(1, places));
  mgmtd.endpoint.handle(mgmt.subscribeMap, (_request, { session }) => {
    const notify = (to: number): void => session.notify(mgmt.mapChanged, { page: pageOf(mapOf(to - 1, places), mapOf(to, places)) });
    for (const to of [2, 3, 4]) notify(to);
    process.nextTick(notify, 5);
    return { clusterId: 'test', page: wholePage(mapOf(2, places)) };
  });
  const cluster = await clusterOf(t, mgmtd);
  const session = cluster.mgmtdSession;
  await until(() => cluster.map.version === 5);
  await sleep(50);
  t.equal(cluster.mgmtdSession, session);
});

t.test('a gap in the changes leads to a new subscription', async (t) => {
  const mgmtd = await management(t, mapOf(1, places));
  const cluster = await clusterOf(t, mgmtd);
  mgmtd.map = mapOf(2, places);
  mgmtd.change(mapOf(3, places));
  await until(() => cluster.map.version === 3);
  t.pass('has the newest map');
});

t.test('a process that mgmtd refused is back as soon as mgmtd takes it again', { timeout: 30_000 }, async (t) => {
  const first = await management(t, mapOf(1, places));
  const { port } = first.address;
  const lines: string[] = [];
  const cluster = await clusterOf(t, first, endpoint(t, {}, lines));
  await first.endpoint.close();
  const stranger = await management(t, mapOf(1, places), { key: randomBytes(32) }, port);
  await until(() => lines.join('').includes('asked again until there is one'));
  t.equal(lines.filter((line) => line.includes('asked again until')).length, 1, 'one line');
  await stranger.endpoint.close();
  await management(t, mapOf(7, places), {}, port);
  await until(() => cluster.map.version === 7);
  t.strictSame(await cluster.mgmtd(mgmt.usage, {}), { usage: [] });
});

t.test('after "not my target" the one whom the newer map names is called, with a channel of its own', async (t) => {
  const [first, second] = [await metaServer(t, 1), await metaServer(t, 2)];
  const both = [
    { target: 1, node: 1, address: first.address },
    { target: 2, node: 2, address: second.address },
  ];
  const mgmtd = await management(t, mapOf(1, both));
  const cluster = await clusterOf(t, mgmtd);
  const fid = fidOf(1);
  first.endpoint.handle(meta.removeXattr, () => {
    const map = mapOf(2, both);
    mgmtd.change({ ...map, sequences: [{ first: 1, last: 1, target: target(2) }] });
    throw new IbexError('ERR_NOT_MY_TARGET', 'moved');
  });
  const seen: string[] = [];
  second.endpoint.handle(meta.removeXattr, (_request, { channel, sequence }) => {
    seen.push(`${channel}/${sequence}`);
    return {};
  });
  await cluster.meta(fid, meta.removeXattr, { fid, name: 'user.x' });
  await cluster.meta(fid, meta.removeXattr, { fid, name: 'user.x' });
  t.strictSame(seen, ['1/1', '1/2']);
});

t.test('a call waits for a map that knows its file, once, and for the first metadata target', async (t) => {
  const server = await metaServer(t, 1);
  server.endpoint.handle(meta.readSymlink, () => ({ target: 'there' }));
  const mgmtd = await management(t, mapOf(1, []));
  const cluster = await clusterOf(t, mgmtd);
  const root = cluster.meta(ROOT_FID, meta.readSymlink, { fid: ROOT_FID });
  const file = cluster.meta(fidOf(1), meta.readSymlink, { fid: fidOf(1) });
  await t.rejects(
    cluster.meta(ROOT_FID, meta.readSymlink, { fid: ROOT_FID }, { timeoutMs: 20 }),
    refusal('ERR_TRY_AGAIN', /start ibex meta/),
  );
  mgmtd.change(mapOf(2, [{ target: 1, node: 1, address: server.address }]));
  t.strictSame(await root, { target: 'there' });
  t.strictSame(await file, { target: 'there' });
  await t.rejects(cluster.meta(fidOf(9), meta.readSymlink, { fid: fidOf(9) }), refusal('ERR_STALE_FILE'));
});

t.test('deadline and abort hold while the server is away', async (t) => {
  const cluster = await clusterOf(t, await management(t, mapOf(1, [{ target: 1, node: 1, address: { host: '127.0.0.1', port: 1 } }])));
  const call = (options: object): Promise<unknown> => cluster.meta(fidOf(1), meta.readSymlink, { fid: fidOf(1) }, options);
  const start = performance.now();
  await t.rejects(call({ timeoutMs: 50 }), refusal('ERR_CONNECTION_LOST'));
  await t.rejects(call({ signal: AbortSignal.timeout(50) }), refusal('ERR_CANCELED'));
  await t.rejects(call({ signal: AbortSignal.abort() }), refusal('ERR_CANCELED'));
  t.ok(performance.now() - start < 1_000, `${performance.now() - start} ms`);
});

t.test('an abort ends the pause between two tries', async (t) => {
  const server = await metaServer(t, 1);
  let calls = 0;
  server.endpoint.handle(meta.readSymlink, () => {
    calls++;
    throw new IbexError('ERR_TRY_AGAIN', 'not yet');
  });
  const cluster = await clusterOf(t, await management(t, mapOf(1, [{ target: 1, node: 1, address: server.address }])));
  const controller = new AbortController();
  const call = cluster.meta(fidOf(1), meta.readSymlink, { fid: fidOf(1) }, { signal: controller.signal });
  await until(() => calls === 6);
  const start = performance.now();
  controller.abort();
  await t.rejects(call, refusal('ERR_CANCELED'));
  t.ok(performance.now() - start < 100, `${performance.now() - start} ms`);
});

t.test('a call that is aborted already is not sent', async (t) => {
  const server = await metaServer(t, 1);
  let calls = 0;
  server.endpoint.handle(meta.readSymlink, () => {
    calls++;
    return { target: '' };
  });
  const session = await endpoint(t).connect(server.address);
  await t.rejects(session.call(meta.readSymlink, { fid: fidOf(1) }, { signal: AbortSignal.abort() }), refusal('ERR_CANCELED'));
  await session.call(meta.readSymlink, { fid: fidOf(1) });
  t.equal(calls, 1);
});
