/**
 * Library to storage over loopback: 1 MiB reads, 16 in flight, page cache warm, beside a plain TCP stream; and
 * writes, which go to the disk. The stream uses the congestion control that ibexfs chooses on loopback
 * (set_loopback_options): with a pacing one, BBR, it is half as fast, and no measure of what a socket can carry.
 */
import { spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { run } from '../test/cluster/cluster.js';
import type { Bench } from './bench.js';
import { best, contest } from './contest.js';
import type { Figure } from './report.js';

const BLOCK = 2 ** 20;
const BLOCKS = 512;
const PASSES = 12;
const IN_FLIGHT = 16;
const SECONDS = 4;
const PORT = 17_421;

async function iperf(): Promise<number> {
  const server = spawn('iperf3', ['-s', '-1', '-B', '127.0.0.1', '-p', String(PORT)], { stdio: 'ignore' });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  await pause(300);
  const stream = ['-C', 'reno', '-t', String(SECONDS), '-l', '1M'];
  const result = await run('iperf3', ['-c', '127.0.0.1', '-p', String(PORT), '-J', ...stream]);
  server.kill();
  await ended;
  if (result.code !== 0) throw new Error(`iperf3: ${result.stdout}${result.stderr}`);
  const { end } = JSON.parse(result.stdout) as { end: { sum_received: { bits_per_second: number } } };
  return end.sum_received.bits_per_second / 8 / 2 ** 20;
}

export async function libraryStream(bench: Bench): Promise<Figure[]> {
  const fileSystem = await bench.cluster.client();
  const buffers = Array.from({ length: IN_FLIGHT }, () => fileSystem.alloc(BLOCK).buffer);
  // Two files: large writes go past the page cache and would take the pages of what is read from it.
  const [source, sink] = ['/library-read.dat', '/library-write.dat'] as const;
  const sourceHandle = await fileSystem.open(source, 'w+');
  const sinkHandle = await fileSystem.open(sink, 'w');
  /** Every block `passes` times, IN_FLIGHT at a time; MiB/s. */
  const pass = async (passes: number, one: (buffer: Buffer, position: number) => Promise<unknown>): Promise<number> => {
    const start = performance.now();
    let next = 0;
    const worker = async (buffer: Buffer): Promise<void> => {
      for (let block = next++; block < BLOCKS * passes; block = next++) await one(buffer, (block % BLOCKS) * BLOCK);
    };
    await Promise.all(buffers.map((buffer) => worker(buffer)));
    return (BLOCKS * passes) / ((performance.now() - start) / 1000);
  };
  const read = async (buffer: Buffer, position: number): Promise<void> => {
    const { bytesRead } = await sourceHandle.read(buffer, 0, BLOCK, position);
    if (bytesRead !== BLOCK) throw new Error(`read ${bytesRead} bytes at ${position}`);
  };
  const write = (buffer: Buffer, position: number): Promise<unknown> => sinkHandle.write(buffer, 0, BLOCK, position);
  await pass(1, (buffer, position) => sourceHandle.write(buffer, 0, BLOCK, position));
  await pass(PASSES, read); // warm: the first pass goes past the page cache, the second fills it
  bench.log('library 1 MiB blocks, 16 in flight');
  const results = await contest(
    [
      { name: 'read', run: () => pass(PASSES, read) },
      { name: 'write', run: () => pass(1, write) },
      { name: 'iperf3', run: iperf },
    ],
    bench.rounds,
    bench.log,
  );
  for (const handle of [sourceHandle, sinkHandle]) await handle.close();
  for (const path of [source, sink]) await fileSystem.unlink(path);
  await fileSystem.close();
  const limit = best(results, 'iperf3', (run) => run.value);
  const figure = (what: string, name: string, goal: Figure['goal']): Figure => {
    const own = best(results, what, (run) => run.value);
    return {
      name,
      unit: 'MiB/s',
      value: own.value,
      limit: { name: 'iperf3', value: limit.value },
      goal,
      stolenPercent: Math.max(own.stolenPercent, limit.stolenPercent),
    };
  };
  return [figure('read', 'library read 1 MiB x16, warm', { atLeast: 0.7 }), figure('write', 'library write 1 MiB x16', {})];
}
