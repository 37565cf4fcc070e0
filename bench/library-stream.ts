/** Library to storage over loopback: 1 MiB reads, 16 in flight, page cache warm, beside a plain TCP stream. */
import { spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { run } from '../test/cluster/cluster.js';
import type { Bench } from './bench.js';
import { best, contest } from './contest.js';
import type { Figure } from './report.js';

const BLOCK = 2 ** 20;
const BLOCKS = 512;
const PASSES = 6;
const IN_FLIGHT = 16;
const SECONDS = 4;
const PORT = 17_421;

async function iperf(): Promise<number> {
  const server = spawn('iperf3', ['-s', '-1', '-B', '127.0.0.1', '-p', String(PORT)], { stdio: 'ignore' });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  await pause(300);
  const result = await run('iperf3', ['-c', '127.0.0.1', '-p', String(PORT), '-t', String(SECONDS), '-l', '1M', '-J']);
  server.kill();
  await ended;
  if (result.code !== 0) throw new Error(`iperf3: ${result.stdout}${result.stderr}`);
  const { end } = JSON.parse(result.stdout) as { end: { sum_received: { bits_per_second: number } } };
  return end.sum_received.bits_per_second / 8 / 2 ** 20;
}

export async function libraryStream(bench: Bench): Promise<Figure[]> {
  const fileSystem = await bench.cluster.client();
  const path = '/library-stream.dat';
  const buffers = Array.from({ length: IN_FLIGHT }, () => fileSystem.alloc(BLOCK).buffer);
  const handle = await fileSystem.open(path, 'w+');
  /** Every block once, IN_FLIGHT at a time; MiB/s. */
  const pass = async (one: (buffer: Buffer, position: number) => Promise<unknown>): Promise<number> => {
    const start = performance.now();
    let next = 0;
    const worker = async (buffer: Buffer): Promise<void> => {
      for (let block = next++; block < BLOCKS * PASSES; block = next++) await one(buffer, (block % BLOCKS) * BLOCK);
    };
    await Promise.all(buffers.map((buffer) => worker(buffer)));
    return (BLOCKS * PASSES) / ((performance.now() - start) / 1000);
  };
  const write = (buffer: Buffer, position: number): Promise<unknown> => handle.write(buffer, 0, BLOCK, position);
  await pass(write);
  const read = async (buffer: Buffer, position: number): Promise<void> => {
    const { bytesRead } = await handle.read(buffer, 0, BLOCK, position);
    if (bytesRead !== BLOCK) throw new Error(`read ${bytesRead} bytes at ${position}`);
  };
  await pass(read); // warm
  bench.log('library 1 MiB blocks, 16 in flight');
  const results = await contest(
    [
      { name: 'read', run: () => pass(read) },
      { name: 'write', run: () => pass(write) },
      { name: 'iperf3', run: iperf },
    ],
    bench.rounds,
    bench.log,
  );
  await handle.close();
  await fileSystem.unlink(path);
  await fileSystem.close();
  const limit = best(results, 'iperf3', (run) => run.value);
  const figure = (what: string, goal: number): Figure => {
    const own = best(results, what, (run) => run.value);
    return {
      name: `library ${what} 1 MiB x16, warm`,
      unit: 'MiB/s',
      value: own.value,
      limit: { name: 'iperf3', value: limit.value },
      goal: { atLeast: goal },
      stolenPercent: Math.max(own.stolenPercent, limit.stolenPercent),
    };
  };
  return [figure('read', 0.7)];
}
