/** Every operation of ibexfs/rdma, alone and in batches, on a real device. */
import t from 'tap';
import { liveObjects, remoteSlice } from '../../src/rdma/index.js';
import { deviceTest, filled, makePair, sameBytes } from './support.js';

deviceTest(t, 'write and read move the bytes they name and no others', async (t) => {
  const { left, right } = makePair(t);
  const source = filled(left.arena.alloc(100_000), 7);
  const target = right.arena.alloc(100_064);
  await left.queuePair.write(source, right.arena.expose(target.subarray(32, 32 + source.length)));
  sameBytes(t, target.subarray(32, 32 + source.length), source);
  t.equal(target[31], 0);
  t.equal(target[32 + source.length], 0);
  const back = left.arena.alloc(1000);
  await left.queuePair.read(back, remoteSlice(right.arena.expose(target), 32 + 500, 1000));
  sameBytes(t, back, source.subarray(500, 1500));
});

deviceTest(t, 'what is longer than one request is cut, and an immediate comes with its end', async (t) => {
  const { left, right } = makePair(t, { requestBytesMax: 65_536 });
  const source = filled(left.arena.alloc(1_000_000), 3);
  const target = right.arena.alloc(1_000_000);
  const arrived = right.queuePair.recv(right.arena.alloc(64));
  await left.queuePair.writeWithImm(source, right.arena.expose(target), 0xfeedbeef);
  const message = await arrived;
  t.equal(message.immediate, 0xfeedbeef);
  t.equal(message.writtenBytes, 1_000_000 % 65_536);
  t.equal(message.data.length, 0);
  sameBytes(t, target, source);
  const back = left.arena.alloc(1_000_000);
  await left.queuePair.read(back, right.arena.expose(target));
  sameBytes(t, back, source);
});

deviceTest(t, 'messages arrive in order, inline and not, with and without an immediate', async (t) => {
  const { left, right } = makePair(t);
  const sizes = [0, 1, 64, 129, 4096, 60_000];
  const received = sizes.map(() => right.queuePair.recv(right.arena.alloc(65_536)));
  const sent = sizes.map((size, index) => {
    const message = filled(left.arena.alloc(Math.max(size, 1)).subarray(0, size), index);
    return left.queuePair.send(message, index % 2 === 0 ? {} : { immediate: index });
  });
  await Promise.all(sent);
  for (const [index, size] of sizes.entries()) {
    const { data, immediate, writtenBytes } = await (received[index] as (typeof received)[number]);
    t.equal(data.length, size);
    sameBytes(t, data, filled(new Uint8Array(size), index));
    t.equal(immediate, index % 2 === 0 ? undefined : index);
    t.equal(writtenBytes, undefined);
  }
});

deviceTest(t, 'atomics change 8 bytes of the peer and give the value before', async (t) => {
  const { left, right } = makePair(t);
  const counter = right.arena.alloc(8);
  const view = new DataView(counter.buffer, counter.byteOffset, 8);
  view.setBigUint64(0, 2n ** 63n + 5n, true);
  const remote = right.arena.expose(counter);
  const result = left.arena.alloc(8);
  t.equal(await left.queuePair.fetchAndAdd(result, remote, 2n ** 63n), 2n ** 63n + 5n);
  t.equal(view.getBigUint64(0, true), 5n, 'modulo 2^64');
  t.equal(await left.queuePair.compareAndSwap(result, remote, 4n, 9n), 5n);
  t.equal(view.getBigUint64(0, true), 5n, 'left alone');
  t.equal(await left.queuePair.compareAndSwap(result, remote, 5n, 2n ** 64n - 1n), 5n);
  t.equal(view.getBigUint64(0, true), 2n ** 64n - 1n);
});

deviceTest(t, 'a batch is one promise, and can be submitted again and again at once', async (t) => {
  const { left, right, queue } = makePair(t);
  const counter = right.arena.alloc(8);
  const results = left.arena.alloc(8 * 1000);
  const batch = left.queuePair.batch();
  for (let i = 0; i < 500; i++) batch.fetchAndAdd(results.subarray(i * 8, i * 8 + 8), right.arena.expose(counter), 1n);
  t.equal(batch.length, 500);
  t.same(await Promise.all([batch.submit(), batch.submit(), batch.submit()]), [[], [], []]);
  t.equal(new DataView(counter.buffer, counter.byteOffset, 8).getBigUint64(0, true), 1500n);
  batch.clear();
  t.same(await batch.submit(), []);
  t.throws(() => left.queuePair.batch().recv(results).send(results), { code: 'ERR_RDMA_INVALID' });
  t.equal(queue.poll(), 0);
});

deviceTest(t, 'a batch of receives gives its messages in order', async (t) => {
  const { left, right } = makePair(t, { receiveDepth: 256 });
  const receives = right.queuePair.batch();
  const sends = left.queuePair.batch();
  for (let i = 0; i < 200; i++) {
    receives.recv(right.arena.alloc(256));
    sends.send(filled(left.arena.alloc(100 + i), i).subarray(0, 100 + (i % 100)), { immediate: i });
  }
  t.ok(200 > left.queuePair.sendDepth, 'more than it has places for');
  const messages = receives.submit();
  await sends.submit();
  for (const [index, { data, immediate }] of (await messages).entries()) {
    t.equal(immediate, index);
    t.equal(data.length, 100 + (index % 100));
    t.equal(data[99], filled(new Uint8Array(100), index)[99]);
  }
});

deviceTest(t, 'thousands of operations at once wait for their places, and nothing is registered for them', async (t) => {
  const { left, right } = makePair(t);
  const before = liveObjects().registrations;
  const source = filled(left.arena.alloc(4096), 1);
  const target = right.arena.alloc(4096);
  const writes = Array.from({ length: 3000 }, (_, i) =>
    left.queuePair.write(source.subarray(0, 1 + (i % 4096)), right.arena.expose(target)),
  );
  await Promise.all(writes);
  sameBytes(t, target.subarray(0, 3000), source.subarray(0, 3000));
  t.equal(liveObjects().registrations, before);
});

deviceTest(t, 'messages can be iterated until the queue pair is closed', async (t) => {
  const { left, right } = makePair(t);
  const free = right.arena.freeBytes;
  const messages = right.queuePair.receive(right.arena, { count: 8, bytes: 128 });
  const texts: string[] = [];
  const sender = (async () => {
    const memory = left.arena.alloc(128);
    for (let i = 0; i < 50; i++) {
      const text = Buffer.from(`message ${i}`);
      memory.set(text);
      await left.queuePair.send(memory.subarray(0, text.length));
    }
  })();
  for await (const { data } of messages) {
    texts.push(Buffer.from(data).toString());
    if (texts.length === 50) void right.queuePair.close();
  }
  await sender;
  t.same(
    texts,
    Array.from({ length: 50 }, (_, i) => `message ${i}`),
  );
  t.equal(right.arena.freeBytes, free, 'the memory of the receives was given back');
});

deviceTest(t, 'spinning finds completions without the event loop', async (t) => {
  const { left, right, queue } = makePair(t);
  const local = filled(left.arena.alloc(64), 9);
  const target = right.arena.alloc(64);
  let turns = 0;
  const count = setInterval(() => turns++, 1);
  for (let i = 0; i < 20; i++) await queue.spin(left.queuePair.write(local, right.arena.expose(target)), 1_000_000);
  clearInterval(count);
  t.equal(turns, 0);
  sameBytes(t, target, local);
  await queue.spin(left.queuePair.read(local, right.arena.expose(target)), 0);
});
