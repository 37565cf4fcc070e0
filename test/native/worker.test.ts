/** The end of an environment that has a native runtime: worker threads and whole processes, while busy. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { Runtime } from '../../src/net/runtime.js';

const busy = new URL('./busy-worker.js', import.meta.url);
const module = JSON.stringify(new URL('../../src/net/runtime.js', import.meta.url).href);

/** Starts a worker, lets it get busy, and ends it; resolves with its exit code. */
function endWhileBusy(end: (worker: Worker) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(fileURLToPath(busy));
    worker.once('message', () => end(worker));
    worker.once('error', reject);
    worker.once('exit', resolve);
  });
}

function run(program: string): { status: number | null; signal: string | null; stderr: string } {
  const { status, signal, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', `import { Runtime } from ${module}; ${program}`],
    {
      encoding: 'utf8',
      timeout: 20_000,
    },
  );
  return { status, signal, stderr };
}

await t.test('a worker that exits while its runtime is busy leaves the process alive', async (t) => {
  for (let round = 0; round < 5; round++) {
    const both = [endWhileBusy((worker) => worker.postMessage('exit')), endWhileBusy((worker) => worker.postMessage('exit'))];
    t.same(await Promise.all(both), [7, 7]);
  }
});

await t.test('a worker that is terminated while its runtime is busy leaves the process alive', async (t) => {
  t.equal(await endWhileBusy((worker) => void worker.terminate()), 1);
});

await t.test('a process with an open runtime exits', async (t) => {
  t.match(run('new Runtime({ reactorThreads: 1 }); setImmediate(() => process.exit(3));'), { status: 3, signal: null });
  const busyExit = `const r = new Runtime({ reactorThreads: 1 }); const { port } = r.native.listen('127.0.0.1', 0, 'threads');
    r.listeners.accepted = () => process.exit(4); r.native.connect('127.0.0.1', port, 0);`;
  t.match(run(busyExit), { status: 4, signal: null });
});

await t.test('a process whose runtime was closed ends by itself', async (t) => {
  t.match(run('new Runtime({ reactorThreads: 1 }).close();'), { status: 0, signal: null });
});

await t.test('options that cannot work are refused by name', async (t) => {
  t.throws(() => new Runtime({ eventRingBytes: 1 << 20 }), { message: /eventRingBytes is 1048576, expected a whole number of bytes from/ });
  t.throws(() => new Runtime({ eventRingBytes: 5 << 20 }), { message: /eventRingBytes is 5242880, expected a power of two/ });
  t.throws(() => new Runtime({ commandBytes: 4096 }), { message: /commandBytes is 4096, expected/ });
  t.throws(() => new Runtime({ bufferBytes: Number.NaN }), { message: /bufferBytes is NaN, expected/ });
});
