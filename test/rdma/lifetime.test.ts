/**
 * Ends of everything in the middle of operations: close, garbage collection, exceptions, exit, workers. Memory must
 * never be let go while the adapter may touch it, and nothing may be left over.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { needs } from '../support/capabilities.js';
import { collectGarbage, deviceTest, errorOf, expectNothingLeft, filled, makePair, sameBytes } from './support.js';

const busy = fileURLToPath(new URL('./busy.js', import.meta.url));
const LIMIT_MS = 60_000;

deviceTest(t, 'closing with operations on the way ends each of them', async (t) => {
  const { left, right, queue } = makePair(t);
  const target = right.arena.expose(right.arena.alloc(2 ** 20));
  const source = left.arena.alloc(2 ** 20);
  const outcomes = Array.from({ length: 300 }, () =>
    left.queuePair.write(source, target).then(
      () => 'done',
      (error) => error.code,
    ),
  );
  const receives = Array.from({ length: 100 }, () => errorOf(right.queuePair.recv(right.arena.bytes.subarray(0, 64))));
  await outcomes[0];
  await left.queuePair.close();
  await queue.close();
  const ends = await Promise.all(outcomes);
  t.ok(ends.includes('ERR_RDMA_FLUSHED'), 'some were on the way');
  t.ok(ends.every((end) => end === 'done' || end === 'ERR_RDMA_FLUSHED'));
  for (const error of await Promise.all(receives)) t.match(error, { code: 'ERR_RDMA_FLUSHED', message: /it was closed/ });
});

deviceTest(t, 'an arena that is closed under operations stays registered until they have ended', async (t) => {
  const { left, right } = makePair(t);
  const remote = right.arena.expose();
  const writes = Array.from({ length: 50 }, () => left.queuePair.write(left.arena.bytes.subarray(0, 2 ** 20), remote));
  await new Promise(setImmediate);
  left.arena.close();
  await Promise.all(writes);
  t.equal(left.queuePair.state, 'connected');
});

deviceTest(t, 'memory that JavaScript has forgotten is collected only after the operations that use it', async (t) => {
  const { left, right, domain } = makePair(t);
  const target = right.arena.alloc(2 ** 20);
  for (let round = 0; round < 20; round++) {
    const forgotten = (): Promise<void>[] => {
      const source = filled(domain.createArena(2 ** 16).bytes, round);
      return Array.from({ length: 16 }, (_, i) =>
        left.queuePair.write(source, right.arena.expose(target.subarray(i * 2 ** 16, (i + 1) * 2 ** 16))),
      );
    };
    const writes = forgotten();
    collectGarbage();
    await new Promise(setImmediate);
    collectGarbage();
    await Promise.all(writes);
    sameBytes(t, target.subarray(15 * 2 ** 16), filled(new Uint8Array(2 ** 16), round));
  }
});

deviceTest(t, 'an exception where a completion is handled loses no other completion', async (t) => {
  const { left, right } = makePair(t);
  const remote = right.arena.expose(right.arena.alloc(64));
  const caught: unknown[] = [];
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => caught.push(error));
  t.teardown(() => {
    process.removeAllListeners('uncaughtException');
    for (const listener of listeners) process.on('uncaughtException', listener);
  });
  let handled = 0;
  const writes = Array.from({ length: 100 }, (_, i) =>
    left.queuePair.write(left.arena.bytes.subarray(0, 64), remote).then(() => {
      handled += 1;
      if (i === 10)
        process.nextTick(() => {
          throw new Error('in a handler');
        });
    }),
  );
  await Promise.all(writes);
  await new Promise(setImmediate);
  t.equal(handled, 100);
  t.match(caught, [{ message: 'in a handler' }]);
  await left.queuePair.read(left.arena.bytes.subarray(0, 64), remote);
});

/** Runs busy.js in a process of its own. */
async function runBusy(end: string): Promise<{ code: number | null; signal: string | null; stderr: string }> {
  const child = spawn(process.execPath, [busy, end], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code, signal, stderr };
}

t.test(
  'a process that exits, throws or just ends in the middle of operations ends cleanly',
  { ...needs('rdma'), timeout: 300_000 },
  async (t) => {
    t.match(await runBusy('exit'), { code: 7, signal: null, stderr: '' });
    t.match(await runBusy('throw'), { code: 1, signal: null, stderr: /thrown in the middle/ });
    t.match(await runBusy('close'), { code: 0, signal: null, stderr: '' });
    t.match(await runBusy('idle'), { code: 0, signal: null, stderr: '' }, 'what has nothing on the way does not keep the process');
  },
);

t.test(
  'workers that are terminated, exit or throw in the middle of operations leave nothing',
  { ...needs('rdma'), timeout: 300_000 },
  async (t) => {
    for (const end of ['terminate', 'exit', 'throw', 'terminate']) {
      const worker = new Worker(busy, { argv: [end], execArgv: [] });
      const exited = new Promise<number>((resolve) => worker.once('exit', resolve));
      const thrown = new Promise<Error>((resolve) => worker.once('error', resolve));
      if (end === 'terminate') {
        await once(worker, 'message');
        await worker.terminate();
      }
      if (end === 'throw') t.match(await thrown, { message: 'thrown in the middle' });
      t.equal(await exited, end === 'exit' ? 7 : 1, end);
      await expectNothingLeft(t);
    }
  },
);
