/** A program, or a worker, with operations on the way all the time; ends as its argument says. */
import { isMainThread, parentPort } from 'node:worker_threads';
import { openDevice } from '../../src/rdma/index.js';

const end = process.argv[2];
const device = openDevice();
const domain = device.createProtectionDomain();
const queue = device.createCompletionQueue();
const rights = { remoteRead: true, remoteWrite: true };
const arena = domain.createArena(4 * 2 ** 20, rights);
const left = domain.createQueuePair(queue, rights);
const right = domain.createQueuePair(queue, rights);
left.connect(right.descriptor);
right.connect(left.descriptor);
const source = arena.bytes.subarray(0, 2 ** 20);
const target = arena.expose(arena.bytes.subarray(2 ** 20, 2 ** 21));

let written = 0;
async function keepWriting(): Promise<void> {
  for (;;) {
    await left.write(source, target);
    written += 1;
    if (written === 10) parentPort?.postMessage('busy');
    if (written === 20 && end === 'exit') process.exit(7);
    if (written === 20 && end === 'throw') throw new Error('thrown in the middle');
    if (written === 20 && end === 'close') return void queue.close();
    if (written === 20 && end === 'idle') return;
  }
}

if (end === 'idle') {
  await keepWriting();
} else {
  const ignore = (error: Error): void => {
    if (end === 'close') return;
    throw error;
  };
  for (let i = 0; i < 16; i++) void keepWriting().catch(ignore);
  right.recv(arena.bytes.subarray(2 ** 21, 2 ** 21 + 64)).catch(() => undefined);
  if (!isMainThread && end === 'terminate') setInterval(() => undefined, 1000);
}
