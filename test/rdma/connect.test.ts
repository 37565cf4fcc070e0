/** Bringing queue pairs up over TCP: who is let in, what the ends tell each other, how the end of one is noticed. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import t, { type Test } from 'tap';
import {
  type Connection,
  type ConnectionOptions,
  connect,
  type Listener,
  type ListenOptions,
  listen,
  openDevice,
  type RemoteMemory,
} from '../../src/rdma/index.js';
import { deviceTest, errorOf, filled, sameBytes } from './support.js';

const rights = { remoteRead: true, remoteWrite: true };
const key = randomBytes(32);

interface Ground {
  readonly options: ConnectionOptions;
  readonly refused: Error[];
  listen(more?: Partial<ListenOptions>): Promise<Listener>;
}

function ground(t: Test): Ground {
  const device = openDevice();
  const domain = device.createProtectionDomain();
  const completionQueue = device.createCompletionQueue();
  const options = { domain, completionQueue, key, queuePair: rights };
  const refused: Error[] = [];
  const listeners: Listener[] = [];
  t.teardown(async () => {
    for (const listener of listeners) await listener.close();
    await completionQueue.close();
    domain.close();
    device.close();
  });
  const start = async (more: Partial<ListenOptions> = {}): Promise<Listener> => {
    const listener = await listen({ ...options, onRefused: (error) => refused.push(error), ...more });
    listeners.push(listener);
    return listener;
  };
  return { options, refused, listen: start };
}

async function first(listener: Listener): Promise<Connection> {
  for await (const connection of listener) return connection;
  throw new Error('the listener was closed');
}

deviceTest(t, 'both ends get what the other tells, and a connection that carries data', async (t) => {
  const { options, listen: start } = ground(t);
  const arena = options.domain.createArena(2 ** 16, rights);
  const served = arena.alloc(4096);
  filled(served, 3);
  const inbox = arena.alloc(64);
  const listener = await start({ data: arena.expose(served), prepare: (queuePair) => void queuePair.recv(inbox).catch(() => undefined) });
  const accepted = first(listener);
  const client = await connect({ ...options, host: '127.0.0.1', port: listener.port, data: { name: 'client' } });
  const server = await accepted;
  t.same(server.data, { name: 'client' });
  t.match(client.peerName, /process \d+$/);
  const local = arena.alloc(4096);
  await client.queuePair.read(local, client.data as RemoteMemory);
  sameBytes(t, local, served);
  await client.queuePair.send(local.subarray(0, 64));
  sameBytes(t, inbox, served.subarray(0, 64));
  await client.close();
  t.equal(await server.queuePair.ended, undefined, 'the end of one closes the other');
  await server.close();
  arena.close();
});

deviceTest(t, 'who does not know the key gets nowhere, and is told', async (t) => {
  const { options, refused, listen: start } = ground(t);
  const listener = await start();
  t.match(await errorOf(connect({ ...options, key: randomBytes(32), host: '127.0.0.1', port: listener.port })), {
    kind: 'ERR_HANDSHAKE_REFUSED',
  });
  t.match(await errorOf(connect({ ...options, host: '127.0.0.1', port: listener.port, signal: AbortSignal.abort(new Error('no')) })), {
    message: 'no',
  });
  // Noise, a frame that is too long, and silence.
  for (const noise of [Buffer.from('GET / HTTP/1.0\r\n\r\n'), Buffer.from([1, 255, 255, 255, 255])]) {
    const socket = createConnection(listener.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(noise);
    socket.resume();
    await once(socket, 'close');
  }
  const before = refused.length;
  t.ok(before >= 3, `${before} were refused`);
  t.same(t.passing(), true);
});

deviceTest(t, 'nobody there, silence, and a peer whose port cannot be reached end in time', async (t) => {
  const { options, listen: start } = ground(t);
  const listener = await start({ timeoutMs: 200 });
  const silent = createConnection(listener.port, '127.0.0.1');
  silent.on('error', () => undefined).resume();
  await once(silent, 'close');
  const { port } = listener;
  await listener.close();
  t.match(await errorOf(connect({ ...options, host: '127.0.0.1', port })), {
    code: 'ERR_RDMA_CONNECT',
    message: /no RDMA listener answers at/,
  });
  t.match(await errorOf(connect({ ...options, key: undefined as never, host: '127.0.0.1', port })), { code: 'ERR_RDMA_INVALID' });
});

deviceTest(t, 'many at once, each with a queue pair of its own', async (t) => {
  const { options, listen: start } = ground(t);
  const listener = await start();
  const serving = (async () => {
    const all: Connection[] = [];
    for await (const connection of listener) if (all.push(connection) === 10) return all;
    return all;
  })();
  const clients = await Promise.all(Array.from({ length: 10 }, () => connect({ ...options, host: '127.0.0.1', port: listener.port })));
  const servers = await serving;
  t.equal(new Set(servers.map(({ queuePair }) => queuePair.descriptor.queuePairNumber)).size, 10);
  for (const one of [...clients, ...servers]) await one.close();
});
