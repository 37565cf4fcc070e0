/** What a process knows of its cluster, and how its calls find their servers, while both change. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { diffMaps } from '../../src/wire/cluster-map.js';
import { mgmt } from '../../src/wire/messages.js';
import { clusterOf, endpoint, management, mapOf, until } from './support.js';

const somewhere = { host: '127.0.0.1', port: 9 };
const places = [{ target: 1, node: 1, address: somewhere }];

t.test('changes that come with the map, before or after it, end in the newest one on the same session', async (t) => {
  const mgmtd = await management(t, mapOf(1, places));
  mgmtd.endpoint.handle(mgmt.subscribeMap, (_request, { session }) => {
    const notify = (to: number): void => session.notify(mgmt.mapChanged, { change: diffMaps(mapOf(to - 1, places), mapOf(to, places)) });
    for (const to of [2, 3, 4]) notify(to);
    process.nextTick(notify, 5);
    return { map: mapOf(2, places) };
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
