/** What strangers can do to a listening daemon: nothing but be refused, in bounded time and memory. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { loadNative } from '../../src/native.js';
import { Endpoint } from '../../src/net/endpoint.js';
import { encodeBody } from '../../src/wire/codec.js';
import { FRAME_HEADER_BYTES, FrameType, PROTOCOL_MAGIC, PROTOCOL_VERSION, writeFrameHeader } from '../../src/wire/generated.js';
import { ClientHandshake } from '../../src/wire/handshake.js';
import { meta, mgmt } from '../../src/wire/messages.js';
import { refusal } from '../support/properties.js';

const key = randomBytes(32);

interface Server {
  readonly endpoint: Endpoint;
  readonly port: number;
  readonly lines: string[];
}

function endpoint(t: Test, withKey: Buffer, lines: string[] = []): Endpoint {
  const logger = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const made = new Endpoint({ key: withKey, kind: 'storage', name: 'test', logger });
  t.teardown(() => made.close());
  return made;
}

async function serve(t: Test): Promise<Server> {
  const lines: string[] = [];
  const made = endpoint(t, key, lines);
  made.handle(mgmt.usage, () => ({ usage: [] }));
  const { port } = await made.listen({ host: '127.0.0.1', port: 0 });
  return { endpoint: made, port, lines };
}

async function raw(t: Test, port: number): Promise<Socket> {
  const socket = connectTcp(port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

function frame(type: FrameType, body: Uint8Array, changes: Record<string, number> = {}): Buffer {
  const bytes = Buffer.alloc(FRAME_HEADER_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  writeFrameHeader(view, 0, { magic: PROTOCOL_MAGIC, version: PROTOCOL_VERSION, type, bodyLength: body.length, ...changes });
  bytes.writeUInt32LE(changes['headerCrc'] ?? loadNative().crc32c(bytes.subarray(0, 60)), 60);
  return Buffer.concat([bytes, body]);
}

const ended = async (socket: Socket, withinMs: number): Promise<boolean> => {
  const gone = once(socket, 'close').then(() => true);
  socket.resume();
  return Promise.race([gone, pause(withinMs, false)]);
};

/** The server still serves who knows the key. */
async function stillServes(t: Test, server: Server): Promise<void> {
  const session = await endpoint(t, key).connect({ host: '127.0.0.1', port: server.port });
  t.strictSame(await session.call(mgmt.usage, {}), { usage: [] });
}

const hello = (): Buffer => {
  const step = new ClientHandshake(key, { kind: 'client', name: 'raw', clientId: randomBytes(16).toString('hex'), nodeId: 0 }).start();
  return step.frame?.body ?? Buffer.alloc(0);
};

t.test('peers with the same key talk; errors keep their kind and text', async (t) => {
  const server = await serve(t);
  server.endpoint.handle(meta.readSymlink, () => {
    throw new Error('boom');
  });
  const session = await endpoint(t, key).connect({ host: '127.0.0.1', port: server.port });
  t.equal(session.peer.kind, 'storage');
  t.strictSame(await session.call(mgmt.usage, {}), { usage: [] });
  await t.rejects(session.call(mgmt.clients, {}), refusal('ERR_UNKNOWN_OPERATION'));
  await t.rejects(session.call(meta.readSymlink, { fid: 1 as never }), refusal('ERR_INTERNAL', /boom/));
});

t.test('1000 calls in flight are all answered', async (t) => {
  const server = await serve(t);
  const session = await endpoint(t, key).connect({ host: '127.0.0.1', port: server.port });
  const answers = await Promise.all(Array.from({ length: 1000 }, () => session.call(mgmt.usage, {})));
  t.equal(answers.length, 1000);
});

t.test('a wrong key is refused on both sides, with the reason in the log', async (t) => {
  const server = await serve(t);
  await t.rejects(
    endpoint(t, randomBytes(32)).connect({ host: '127.0.0.1', port: server.port }),
    refusal('ERR_HANDSHAKE_REFUSED', /same key file/),
  );
  await stillServes(t, server);
});

t.test('a client that cannot prove the key is refused and logged', async (t) => {
  const server = await serve(t);
  const socket = await raw(t, server.port);
  socket.write(frame(FrameType.hello, hello()));
  await once(socket, 'data');
  socket.write(frame(FrameType.proof, randomBytes(32)));
  t.ok(await ended(socket, 3000));
  t.match(server.lines.join(''), /handshake refused.*cluster key/);
  await stillServes(t, server);
});

const malformed: Record<string, () => Buffer> = {
  'random bytes': () => randomBytes(300),
  'another protocol': () => Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.padEnd(64)),
  'a wrong magic': () => frame(FrameType.hello, hello(), { magic: 1 }),
  'a wrong checksum': () => frame(FrameType.hello, hello(), { headerCrc: 1 }),
  'an unknown frame type': () => frame(99 as FrameType, hello()),
  'an unknown protocol version in the header': () => frame(FrameType.hello, hello(), { version: 77 }),
  'an oversized hello': () => frame(FrameType.hello, Buffer.alloc(1025)),
  'a hello with a data part': () => Buffer.concat([frame(FrameType.hello, hello(), { dataLength: 4096 }), Buffer.alloc(4096)]),
  'a truncated hello body': () => frame(FrameType.hello, hello().subarray(0, 20)),
  'an RPC before the handshake': () => frame(FrameType.rpcRequest, Buffer.from([0x90]), { operation: 206, requestId: 1 }),
  'a chunk request before the handshake': () => frame(FrameType.chunkRequest, Buffer.alloc(64), { operation: 1, requestId: 1 }),
};

for (const [what, make] of Object.entries(malformed)) {
  t.test(`${what}: that connection is closed, with a logged reason`, async (t) => {
    const server = await serve(t);
    const socket = await raw(t, server.port);
    socket.write(make());
    t.ok(await ended(socket, 3000), 'closed');
    await pause(20);
    t.match(server.lines.join(''), /127\.0\.0\.1:\d+/, 'the log names the peer');
    await stillServes(t, server);
  });
}

t.test('slow-loris: a peer that sends a byte now and then loses its place at the deadline', { timeout: 20_000 }, async (t) => {
  const server = await serve(t);
  const bytes = frame(FrameType.hello, hello());
  const sockets = await Promise.all(Array.from({ length: 20 }, () => raw(t, server.port)));
  let at = 0;
  const drip = setInterval(() => {
    for (const socket of sockets) if (!socket.destroyed) socket.write(bytes.subarray(at, at + 1));
    at++;
  }, 200);
  t.teardown(() => clearInterval(drip));
  await stillServes(t, server);
  t.ok(
    (await Promise.all(sockets.map((socket) => ended(socket, 9000)))).every((gone) => gone),
    'all closed by the deadline',
  );
  t.match(server.lines.join(''), /no handshake within/);
  await stillServes(t, server);
});

t.test('a flood of strangers takes bounded memory and does not lock out who knows the key', { timeout: 60_000 }, async (t) => {
  const server = await serve(t);
  const before = process.memoryUsage().rss;
  for (let wave = 0; wave < 5; wave++) {
    const sockets = await Promise.all(Array.from({ length: 200 }, () => raw(t, server.port)));
    for (const socket of sockets) socket.write(randomBytes(100));
    await Promise.all(sockets.map((socket) => ended(socket, 5000)));
  }
  t.ok(process.memoryUsage().rss - before < 64 * 2 ** 20, `grew by ${process.memoryUsage().rss - before} bytes`);
  await stillServes(t, server);
});

t.test('a lost session fails its calls with the cause', async (t) => {
  const server = await serve(t);
  const forever = new Promise<never>(() => {});
  server.endpoint.handle(mgmt.clients, () => forever);
  const session = await endpoint(t, key).connect({ host: '127.0.0.1', port: server.port });
  const call = session.call(mgmt.clients, {});
  const rejected = t.rejects(call, refusal('ERR_CONNECTION_LOST'));
  await server.endpoint.close();
  await rejected;
  t.type(await session.closed, 'string');
});

t.test('calls end at their deadline and at an abort', async (t) => {
  const server = await serve(t);
  server.endpoint.handle(mgmt.clients, () => new Promise<never>(() => {}));
  const session = await endpoint(t, key).connect({ host: '127.0.0.1', port: server.port });
  await t.rejects(session.call(mgmt.clients, {}, { timeoutMs: 100 }), refusal('ERR_TIMED_OUT', /mgmt\.clients/));
  await t.rejects(session.call(mgmt.clients, {}, { signal: AbortSignal.abort() }), refusal('ERR_CANCELED'));
  await t.rejects(session.call(mgmt.clients, {}, { signal: AbortSignal.timeout(50) }), refusal('ERR_CANCELED'));
});

t.test('a port in use is one line that says so', async (t) => {
  const server = await serve(t);
  await t.rejects(endpoint(t, key).listen({ host: '127.0.0.1', port: server.port }), { message: /in use/i });
});

/** A peer that knows the key, frame by frame. */
async function authenticated(t: Test, port: number): Promise<Socket> {
  const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  const handshake = new ClientHandshake(key, { kind: 'client', name: 'raw', clientId: randomBytes(16).toString('hex'), nodeId: 0 });
  let next = handshake.start();
  for (;;) {
    if (next.frame !== undefined) socket.write(frame(next.frame.type, Buffer.from(next.frame.body)));
    if (next.result !== undefined) return socket;
    const { type, body } = await nextFrame(socket);
    next = handshake.receive(type, body);
  }
}

async function nextFrame(socket: Socket): Promise<{ type: FrameType; status: number; requestId: bigint; body: Buffer }> {
  const take = async (length: number): Promise<Buffer> => {
    for (;;) {
      const bytes = length === 0 ? Buffer.alloc(0) : (socket.read(length) as Buffer | null);
      if (bytes !== null) return bytes;
      await once(socket, 'readable');
    }
  };
  const header = await take(FRAME_HEADER_BYTES);
  const body = await take(header.readUInt32LE(24));
  return { type: header[5] as FrameType, status: header.readUInt32LE(32), requestId: header.readBigUInt64LE(8), body };
}

t.test('a peer that closes its half has its session ended, and what it asked for is dropped', async (t) => {
  const server = await serve(t);
  const ends: string[] = [];
  server.endpoint.onSession({ closed: (_session, reason) => void ends.push(reason) });
  const answers: ((answer: { target: string }) => void)[] = [];
  server.endpoint.handle(meta.readSymlink, () => new Promise((resolve) => void answers.push(resolve)));
  const socket = await authenticated(t, server.port);
  const request = frame(FrameType.rpcRequest, encodeBody(meta.readSymlink.request, { fid: 1 as never }), {
    operation: meta.readSymlink.operation,
    requestId: 1,
  });
  // Three requests, the last of them cut off, and the end: in one piece.
  socket.end(Buffer.concat([request, request, request.subarray(0, request.length - 1)]));
  socket.resume();
  await once(socket, 'close');
  t.equal(answers.length, 2, 'what came whole before the end was begun');
  t.equal(ends.length, 1);
  t.match(ends[0], /closed it in the middle of a frame/);
  t.equal(server.endpoint.sessions.size, 0);
  for (const answer of answers) answer({ target: 'nobody waits' });
  await stillServes(t, server);
});

t.test('a request id that is still in flight means nothing to a server: each request is answered', async (t) => {
  const server = await serve(t);
  const answers: ((answer: { target: string }) => void)[] = [];
  server.endpoint.handle(meta.readSymlink, () => new Promise((resolve) => void answers.push(resolve)));
  const socket = await authenticated(t, server.port);
  const request = frame(FrameType.rpcRequest, encodeBody(meta.readSymlink.request, { fid: 1 as never }), {
    operation: meta.readSymlink.operation,
    requestId: 7,
  });
  const usage = frame(FrameType.rpcRequest, Buffer.from([0x90]), { operation: mgmt.usage.operation, requestId: 7 });
  socket.write(Buffer.concat([request, request, usage]));
  t.match(await nextFrame(socket), { status: 0, requestId: 7n });
  t.equal(answers.length, 2);
  answers[1]?.({ target: 'second' });
  t.match((await nextFrame(socket)).body.toString('latin1'), /second$/);
  answers[0]?.({ target: 'first' });
  t.match((await nextFrame(socket)).body.toString('latin1'), /first$/);
});

t.test('answers that come twice, or that nobody asked for, are dropped', async (t) => {
  const server = await serve(t);
  const client = endpoint(t, key);
  const session = await client.connect({ host: '127.0.0.1', port: server.port });
  server.endpoint.handle(meta.readSymlink, (_request, { session: peer }) => {
    for (const requestId of [1, 1, 99]) {
      server.endpoint.runtime.sendFrame(
        { connection: peer.connection, type: FrameType.rpcResponse, operation: meta.readSymlink.operation, requestId },
        encodeBody(meta.readSymlink.response, { target: `for ${requestId}` }),
      );
    }
    return { target: 'late' };
  });
  t.strictSame(await session.call(meta.readSymlink, { fid: 1 as never }), { target: 'for 1' });
  t.strictSame(await session.call(mgmt.usage, {}), { usage: [] });
  t.ok(session.isOpen);
});
