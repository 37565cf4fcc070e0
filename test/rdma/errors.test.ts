/** What fails: by whom it is noticed, what the error says, and what still works afterwards. */
import t from 'tap';
import { openDevice, type QueuePair, remoteSlice } from '../../src/rdma/index.js';
import { needs } from '../support/capabilities.js';
import { allRights, deviceTest, errorOf, filled, makePair } from './support.js';

deviceTest(t, 'a wrong key fails the operation with all that is known, and the queue pair with it', async (t) => {
  const { left, right, device } = makePair(t);
  const local = left.arena.alloc(64);
  const remote = right.arena.expose(right.arena.alloc(64));
  const first = errorOf(left.queuePair.write(local, { ...remote, key: remote.key ^ 0x5500 }));
  const second = errorOf(left.queuePair.write(local, remote));
  const error = await first;
  t.match(error, {
    code: 'ERR_RDMA_COMPLETION',
    completionStatus: 'remoteAccess',
    device: device.name,
    port: 1,
    queuePair: left.queuePair.descriptor.queuePairNumber,
    peer: new RegExp(`queue pair ${right.queuePair.descriptor.queuePairNumber} at`),
    message: /WRITE on .*remote access error; the peer's key is wrong/,
  });
  t.match(await second, { code: 'ERR_RDMA_FLUSHED', completionStatus: 'flushed', message: /remote access error/ });
  t.equal(left.queuePair.state, 'failed');
  t.equal((await left.queuePair.ended)?.message, error['message']);
  t.match(await errorOf(left.queuePair.read(local, remote)), { code: 'ERR_RDMA_FLUSHED', message: /remote access error/ });
});

deviceTest(t, 'rights that were not given are refused by the peer', async (t) => {
  const readOnly = makePair(t, {}, { remoteRead: true });
  const local = readOnly.left.arena.alloc(64);
  const remote = readOnly.right.arena.expose(readOnly.right.arena.alloc(64));
  await readOnly.left.queuePair.read(local, remote);
  t.match(await errorOf(readOnly.left.queuePair.write(local, remote)), { completionStatus: 'remoteAccess' });
  const secret = makePair(t, {}, {});
  t.throws(() => secret.left.arena.expose(), { code: 'ERR_RDMA_INVALID', message: /without any right for peers/ });
});

deviceTest(t, 'a key is void once its arena was closed', async (t) => {
  const { left, right } = makePair(t);
  const remote = right.arena.expose();
  right.arena.close();
  t.match(await errorOf(left.queuePair.read(left.arena.alloc(64), remote)), { completionStatus: 'remoteAccess' });
});

deviceTest(t, 'what is out of bounds is refused before anything is posted, and everything goes on', async (t) => {
  const { left, right, domain } = makePair(t);
  const local = left.arena.alloc(64);
  const remote = right.arena.expose(right.arena.alloc(64));
  const refused: readonly (readonly [() => Promise<unknown>, RegExp])[] = [
    [() => left.queuePair.write(new Uint8Array(64), remote), /not memory of an arena/],
    [() => left.queuePair.write(left.arena.alloc(128), remote), /the remote memory has 64 bytes, the local 128/],
    [() => left.queuePair.read(local, { ...remote, address: -1 }), /not what Arena\.expose gives/],
    [() => left.queuePair.read(local, { ...remote, key: 2 ** 32 }), /not what Arena\.expose gives/],
    [() => left.queuePair.send(local, { immediate: 1.5 }), /whole number of 32 bits/],
    [() => left.queuePair.fetchAndAdd(local, remote, 1n), /needs 8 bytes/],
    [() => left.queuePair.fetchAndAdd(local.subarray(0, 8), { ...remote, address: remote.address + 4 }, 1n), /8 aligned bytes/],
    [() => left.queuePair.compareAndSwap(local.subarray(0, 8), remote, -1n, 1n), /give 64 bits/],
    [() => left.queuePair.send(left.arena.bytes), /longer than one may be/],
  ];
  for (const [call, message] of refused) t.match(await errorOf(call()), { code: 'ERR_RDMA_INVALID', message });
  t.throws(() => remoteSlice(remote, 60, 8), { code: 'ERR_RDMA_INVALID' });
  const stranger = makePair(t);
  t.match(await errorOf(left.queuePair.write(stranger.left.arena.alloc(64), remote)), { message: /arena of another protection domain/ });
  t.throws(() => domain.createArena(0), { code: 'ERR_RDMA_INVALID' });
  t.throws(() => domain.createArena(Number.NaN), { code: 'ERR_RDMA_INVALID' });
  t.throws(() => left.arena.alloc(2 ** 40), { code: 'ERR_RDMA_QUEUE_FULL' });
  t.equal(left.queuePair.state, 'connected');
  await left.queuePair.write(local, remote);
});

deviceTest(t, 'a peer without a posted receive is named as the cause', async (t) => {
  const { left } = makePair(t, { receiverNotReadyRetries: 1 });
  t.match(await errorOf(left.queuePair.send(left.arena.alloc(64))), {
    completionStatus: 'receiverNotReady',
    message: /the peer has no receive posted/,
  });
});

deviceTest(t, 'a message that is too long fails at both ends', async (t) => {
  const { left, right } = makePair(t);
  const received = errorOf(right.queuePair.recv(right.arena.alloc(64)));
  t.match(await errorOf(left.queuePair.send(left.arena.alloc(128))), { completionStatus: /remoteInvalidRequest|remoteOperation/ });
  t.match(await received, { code: /ERR_RDMA_(COMPLETION|FLUSHED)/ });
});

deviceTest(t, 'descriptors that cannot be are refused by what is wrong with them', async (t) => {
  const device = openDevice();
  const domain = device.createProtectionDomain();
  const queue = device.createCompletionQueue();
  const queuePair = domain.createQueuePair(queue);
  t.teardown(async () => {
    await queue.close();
    domain.close();
    device.close();
  });
  const { descriptor } = queuePair;
  t.same(JSON.parse(JSON.stringify(descriptor)), descriptor);
  const wrong: readonly (readonly [object, RegExp])[] = [
    [{}, /missing or out of range/],
    [{ ...descriptor, gid: 'nowhere' }, /missing or out of range/],
    [{ ...descriptor, queuePairNumber: 2 ** 24 }, /no valid queue pair number/],
    [{ ...descriptor, queuePairNumber: 'x' }, /missing or out of range/],
    [{ ...descriptor, mtuBytes: 1000 }, /an MTU that there is not/],
    [{ ...descriptor, linkLayer: 'infiniband' }, /InfiniBand while our port is RoCE/],
  ];
  for (const [peer, message] of wrong) {
    t.throws(() => queuePair.connect(peer as QueuePair['descriptor']), { code: 'ERR_RDMA_CONNECT', message });
  }
  t.match(await errorOf(queuePair.send(domain.createArena(4096).bytes.subarray(0, 8))), { message: /not connected yet/ });
  queuePair.connect(descriptor);
  t.throws(() => queuePair.connect(descriptor), { code: 'ERR_RDMA_INVALID', message: /cannot be connected/ });
  t.throws(() => domain.createQueuePair(queue, { port: 9 }), { message: /no port 9/ });
  t.throws(() => domain.createQueuePair(queue, { sendDepth: -1 }), { code: 'ERR_RDMA_INVALID', message: /sendDepth/ });
});

deviceTest(t, 'everything that was closed says so', async (t) => {
  const { left, right, domain, device, queue } = makePair(t);
  const local = left.arena.alloc(64);
  const remote = right.arena.expose(right.arena.alloc(64));
  const batch = left.queuePair.batch().write(local, remote);
  await left.queuePair.close();
  await left.queuePair.close();
  t.equal(left.queuePair.state, 'closed');
  t.equal(await left.queuePair.ended, undefined);
  for (const call of [() => left.queuePair.write(local, remote), () => left.queuePair.recv(local), () => batch.submit()]) {
    t.match(await errorOf(call()), { code: 'ERR_RDMA_CLOSED', message: 'the queue pair was closed' });
  }
  t.throws(() => left.queuePair.connect(right.queuePair.descriptor), { code: 'ERR_RDMA_CLOSED' });
  left.arena.close();
  t.equal(local.length, 0, 'nobody sees the memory of a closed arena');
  t.throws(() => left.arena.alloc(8), { code: 'ERR_RDMA_CLOSED' });
  t.throws(() => left.arena.expose(), { code: 'ERR_RDMA_CLOSED' });
  t.match(await errorOf(right.queuePair.write(local, remote)), { code: 'ERR_RDMA_CLOSED', message: 'the arena was closed' });
  await queue.close();
  t.throws(() => queue.poll(), { code: 'ERR_RDMA_CLOSED' });
  t.throws(() => domain.createQueuePair(queue), { code: 'ERR_RDMA_CLOSED', message: 'the completion queue was closed' });
  domain.close();
  t.throws(() => domain.createArena(64), { code: 'ERR_RDMA_CLOSED' });
  device.close();
  t.throws(() => device.port(), { code: 'ERR_RDMA_CLOSED' });
  t.throws(() => device.createCompletionQueue(), { code: 'ERR_RDMA_CLOSED' });
});

deviceTest(t, 'an aborted operation rejects at once, and its memory stays set aside until it has ended', async (t) => {
  const { left, right } = makePair(t);
  const reason = new Error('not wanted any more');
  t.rejects(left.queuePair.send(left.arena.alloc(8), { signal: AbortSignal.abort(reason) }), reason);
  const abort = new AbortController();
  const memory = right.arena.alloc(1024);
  const received = right.queuePair.recv(memory, { signal: abort.signal });
  await new Promise(setImmediate); // posted: the adapter has it
  abort.abort(reason);
  await t.rejects(received, reason);
  const free = right.arena.freeBytes;
  right.arena.free(memory);
  t.equal(right.arena.freeBytes, free, 'the adapter may still write there');
  t.throws(() => right.arena.free(right.arena.bytes.subarray(64, 128)), { code: 'ERR_RDMA_INVALID' });
  // The message that it takes ends it.
  const next = right.queuePair.recv(right.arena.alloc(1024));
  await left.queuePair.send(filled(left.arena.alloc(100), 1));
  await left.queuePair.send(filled(left.arena.alloc(50), 2));
  t.equal((await next).data.length, 50);
  t.equal(right.arena.freeBytes, free + 1024 - 1024, 'and gives the memory back, while the next receive has taken as much');
  // Without a message, closing does.
  const another = right.arena.alloc(2048);
  const stop = new AbortController();
  const never = right.queuePair.recv(another, { signal: stop.signal });
  await new Promise(setImmediate);
  stop.abort(reason);
  await t.rejects(never, reason);
  right.arena.free(another);
  const before = right.arena.freeBytes;
  await right.queuePair.close();
  t.equal(right.arena.freeBytes, before + 2048);
});

deviceTest(t, 'an aborted operation that still waits for its place is never posted', async (t) => {
  const { left, right } = makePair(t, { sendDepth: 4 });
  const target = right.arena.alloc(1024);
  const writes = Array.from({ length: 8 }, () => left.queuePair.write(left.arena.bytes.subarray(0, 64), right.arena.expose(target)));
  const abort = new AbortController();
  const marked = filled(left.arena.bytes.subarray(64, 128), 5);
  const late = left.queuePair.write(marked, right.arena.expose(target.subarray(512)), { signal: abort.signal });
  abort.abort();
  await t.rejects(late, { name: 'AbortError' });
  await Promise.all(writes);
  await left.queuePair.write(left.arena.bytes.subarray(0, 64), right.arena.expose(target));
  t.ok(target.subarray(512, 576).every((byte) => byte === 0));
});

deviceTest(t, 'a completion queue that has no entries left refuses queue pairs', async (t) => {
  const device = openDevice();
  const domain = device.createProtectionDomain();
  const queue = device.createCompletionQueue({ entries: 64 });
  t.teardown(async () => {
    await queue.close();
    domain.close();
    device.close();
  });
  t.throws(() => domain.createQueuePair(queue, { sendDepth: 64, receiveDepth: 64 }), {
    code: 'ERR_RDMA_QUEUE_FULL',
    message: /use another completion queue, or a larger one/,
  });
  domain.createQueuePair(queue, { ...allRights, sendDepth: 16, receiveDepth: 16 });
});

t.test('ports and devices that there are not', needs('rdma'), async (t) => {
  t.throws(() => openDevice('nonesuch0'), { code: 'ERR_RDMA_UNAVAILABLE', message: /no RDMA device nonesuch0/ });
});

deviceTest(t, 'a completion queue that is closing takes no queue pairs', async (t) => {
  const { domain, queue } = makePair(t);
  const closing = queue.close();
  t.throws(() => domain.createQueuePair(queue), { code: 'ERR_RDMA_CLOSED', message: 'the completion queue was closed' });
  await closing;
});

deviceTest(t, 'an arena that is closed in the same turn refuses its own operation and those behind it, not those before', async (t) => {
  const { left, right, domain } = makePair(t);
  const remote = right.arena.expose(right.arena.alloc(4096));
  const other = domain.createArena(4096);
  const source = filled(left.arena.alloc(4096), 3);
  const before = left.queuePair.write(source, remote);
  const refused = errorOf(left.queuePair.write(other.alloc(4096), remote));
  const behind = errorOf(left.queuePair.write(source, remote));
  other.close();
  await before;
  t.match(await refused, { message: /arena that was closed/ });
  t.match(await behind, { message: /arena that was closed/ });
  t.equal(left.queuePair.state, 'connected');
  await left.queuePair.write(source, remote);
});

deviceTest(t, 'a completion queue of another opened device is refused', async (t) => {
  const { domain, close } = makePair(t);
  const device = openDevice();
  const queue = device.createCompletionQueue();
  t.throws(() => domain.createQueuePair(queue), { code: 'ERR_RDMA_INVALID', message: /same opened device/ });
  await queue.close();
  device.close();
  await close();
});
