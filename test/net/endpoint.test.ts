/** An endpoint ends politely, waits for nothing without an end, and survives what its listeners do. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { meta, mgmt } from '../../src/wire/messages.js';
import { refusal } from '../support/properties.js';
import { endpoint, fidOf, metaServer, until } from './support.js';

t.test('answers that wait for the log when the endpoint is closed still leave', async (t) => {
  const server = await metaServer(t, 1);
  let written = (): void => {};
  server.endpoint.handle(meta.readSymlink, () => ({ target: 'there' }));
  server.endpoint.beforeReplies(
    () =>
      new Promise((resolve) => {
        written = resolve;
      }),
  );
  const session = await endpoint(t).connect(server.address);
  const call = session.call(meta.readSymlink, { fid: fidOf(1) });
  await sleep(50);
  const closed = server.endpoint.close();
  await sleep(20);
  written();
  t.strictSame(await call, { target: 'there' });
  await closed;
});

t.test('an answer of the turn in which the endpoint is closed still leaves', async (t) => {
  const server = await metaServer(t, 1);
  let answer = (): void => {};
  server.endpoint.handle(
    meta.readSymlink,
    () =>
      new Promise((resolve) => {
        answer = () => resolve({ target: 'there' });
      }),
  );
  const session = await endpoint(t).connect(server.address);
  const call = session.call(meta.readSymlink, { fid: fidOf(1) });
  await sleep(50);
  answer();
  await Promise.resolve(); // the reply is queued, the end of the turn has not come
  await Promise.all([server.endpoint.close(), server.endpoint.close()]);
  t.strictSame(await call, { target: 'there' });
});

t.test('looking up a host name ends with the time for connecting; numbers are not looked up', async (t) => {
  const asked: string[] = [];
  const client = endpoint(t, {
    resolveHost: (host) => {
      asked.push(host);
      return new Promise<never>(() => {});
    },
  });
  const start = performance.now();
  await t.rejects(client.connect({ host: 'far.example', port: 1 }, { timeoutMs: 50 }), refusal('ERR_TIMED_OUT', /far\.example:1/));
  await t.rejects(client.connect({ host: 'far.example', port: 1 }, { signal: AbortSignal.timeout(20) }), refusal('ERR_CANCELED'));
  t.ok(performance.now() - start < 1_000);
  t.strictSame(asked, ['far.example', 'far.example']);
  const server = await metaServer(t, 1);
  t.equal((await client.connect(server.address)).peer.nodeId, 1);
  t.equal(asked.length, 2);
  await t.rejects(
    endpoint(t).connect({ host: 'name.invalid', port: 1 }),
    refusal('ERR_CONNECTION_LOST', /name\.invalid cannot be resolved/),
  );
});

t.test('refused strangers cost a few lines a second, and a count', async (t) => {
  const lines: string[] = [];
  const server = endpoint(t, { kind: 'storage' }, lines);
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
  await Promise.all(
    Array.from({ length: 40 }, async () => {
      const socket = connectTcp(port, '127.0.0.1').on('error', () => {});
      await once(socket, 'connect');
      socket.write(randomBytes(100));
      socket.resume();
      await once(socket, 'close');
    }),
  );
  await server.close();
  const warnings = lines.filter((line) => line.includes('"level":40'));
  t.ok(warnings.length >= 2 && warnings.length <= 12, `${warnings.length} lines`);
  t.match(warnings.join(''), /\d+ more warnings like the last one were left out/);
});

t.test('what throws at the end of a batch is logged, and neither frames nor the ring wait for it', async (t) => {
  const lines: string[] = [];
  const server = endpoint(t, { kind: 'mgmtd' }, lines);
  server.handle(mgmt.usage, () => ({ usage: [] }));
  const { batchEnd } = server.runtime.listeners;
  server.runtime.listeners.batchEnd = () => {
    batchEnd?.();
    throw new Error('end of batch');
  };
  const session = await endpoint(t).connect(await server.listen({ host: '127.0.0.1', port: 0 }));
  const answers = await Promise.all(Array.from({ length: 10_000 }, () => session.call(mgmt.usage, {})));
  t.equal(answers.length, 10_000);
  t.match(lines.join(''), /end of batch/);
});

t.test('where native code serves chunks, a client that connects again ends its earlier session', async (t) => {
  const client = endpoint(t);
  const [bulk, calls] = [
    endpoint(t, { kind: 'storage', serving: 'threads', runtime: { reactorThreads: 1 } }),
    endpoint(t, { kind: 'meta' }),
  ];
  const [chunks, rpc] = [await bulk.listen({ host: '127.0.0.1', port: 0 }), await calls.listen({ host: '127.0.0.1', port: 0 })];
  const first = await client.connect(chunks);
  const stranger = await endpoint(t).connect(chunks);
  const second = await client.connect(chunks);
  await first.closed;
  t.ok(second.isOpen && stranger.isOpen);
  await until(() => bulk.sessions.size === 2);
  const pair = [await client.connect(rpc), await client.connect(rpc)];
  t.ok(pair.every((session) => session.isOpen));
  t.equal(calls.sessions.size, 2, 'RPCs that come again are known by their numbers');
});
