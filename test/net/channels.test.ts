/** Changing calls are numbered, so that a server applies each once however often it has to be sent. */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { type Channel, Channels } from '../../src/net/channels.js';
import type { Cluster } from '../../src/net/cluster.js';
import { meta } from '../../src/wire/messages.js';
import { refusal } from '../support/properties.js';
import { clusterOf, type MetaServer, management, mapOf, metaServer, target, until } from './support.js';

const soon = { what: 'test', deadline: Number.POSITIVE_INFINITY };

async function clusterWithMeta(t: Test): Promise<{ cluster: Cluster; server: MetaServer }> {
  const server = await metaServer(t, 1);
  const cluster = await clusterOf(t, await management(t, mapOf(1, [{ target: 1, node: 1, address: server.address }])));
  return { cluster, server };
}

t.test('a release whose session is lost comes again with the same channel and sequence', async (t) => {
  const { cluster, server } = await clusterWithMeta(t);
  const seen: string[] = [];
  server.endpoint.handle(meta.release, (_request, { session, channel, sequence }) => {
    seen.push(`${channel}/${sequence}`);
    if (seen.length === 1) session.close('lost');
    return seen.length === 1 ? new Promise<never>(() => {}) : {};
  });
  await cluster.metaTarget(target(1), meta.release, { files: [] });
  await cluster.metaTarget(target(1), meta.release, { files: [] });
  t.strictSame(seen, ['1/1', '1/1', '1/2']);
});

t.test('a channel whose call was given up is not used again before its late answer has come', async (t) => {
  const { cluster, server } = await clusterWithMeta(t);
  const seen: string[] = [];
  let answer = (): void => {};
  server.endpoint.handle(meta.release, (_request, { channel, sequence }) => {
    seen.push(`${channel}/${sequence}`);
    if (seen.length > 1) return {};
    return new Promise((resolve) => {
      answer = () => resolve({});
    });
  });
  const release = (timeoutMs: number): Promise<unknown> => cluster.metaTarget(target(1), meta.release, { files: [] }, { timeoutMs });
  await t.rejects(release(50), refusal('ERR_TIMED_OUT'));
  await release(5_000);
  answer();
  await sleep(20);
  await release(5_000);
  t.strictSame(seen, ['1/1', '2/1', '2/2']);
});

t.test('an aborted call leaves its channel behind too', async (t) => {
  const { cluster, server } = await clusterWithMeta(t);
  const seen: number[] = [];
  server.endpoint.handle(meta.release, (_request, { channel }) => {
    seen.push(channel);
    return seen.length === 1 ? new Promise<never>(() => {}) : {};
  });
  const controller = new AbortController();
  const call = cluster.metaTarget(target(1), meta.release, { files: [] }, { signal: controller.signal });
  await until(() => seen.length === 1);
  controller.abort();
  await t.rejects(call, refusal('ERR_CANCELED'));
  await cluster.metaTarget(target(1), meta.release, { files: [] });
  t.strictSame(seen, [1, 2]);
});

t.test('at most 256 channels are live and numbers end at 1023, whatever is given up', async (t) => {
  const channels = new Channels();
  const take = async (): Promise<Channel> => await channels.take(soon);
  const live = await Promise.all(Array.from({ length: 256 }, take));
  const waiting = channels.take(soon);
  t.type(waiting, Promise);
  const first = live[0] as Channel;
  first.sent();
  channels.giveBack(first);
  t.equal((await waiting).id, 257, 'a new number in its place');
  live[0] = await waiting;

  const givenUp: Channel[] = [first];
  while (givenUp.length < 1023 - 256) {
    const channel = live.shift() as Channel;
    channel.sent();
    channels.giveBack(channel);
    givenUp.push(channel);
    live.push(await take());
  }
  const last = live.shift() as Channel;
  last.sent();
  channels.giveBack(last);
  const late = channels.take(soon);
  t.type(late, Promise, 'no number is left');
  const proved = givenUp[5] as Channel;
  const before = proved.sequence;
  proved.settled(true);
  t.equal(await late, proved);
  t.equal(proved.sequence, before + 1);
});

t.test('waiting for a channel ends at the deadline and at an abort, and takes none then', async (t) => {
  const channels = new Channels();
  const live = await Promise.all(Array.from({ length: 256 }, async () => await channels.take(soon)));
  await t.rejects(Promise.resolve(channels.take({ what: 'a', deadline: performance.now() + 20 })), refusal('ERR_TIMED_OUT'));
  const controller = new AbortController();
  const aborted = Promise.resolve(channels.take({ ...soon, signal: controller.signal }));
  controller.abort();
  await t.rejects(aborted, refusal('ERR_CANCELED'));
  const waiting = channels.take(soon);
  const back = live[9] as Channel;
  channels.giveBack(back);
  t.equal(await waiting, back);
});
