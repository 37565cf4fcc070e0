/** stats and creates through the library, 64 in flight, beside redis-server's GET rate with 64 clients. */
import { spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { run } from '../test/cluster/cluster.js';
import type { Bench } from './bench.js';
import { best, contest } from './contest.js';
import type { Figure } from './report.js';

const IN_FLIGHT = 64;
const STATS = 60_000;
const CREATES = 20_000;
const FILES = 2_000;
const REDIS_PORT = 17_422;

async function parallel(count: number, one: (index: number) => Promise<unknown>): Promise<number> {
  const start = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await one(index);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return count / ((performance.now() - start) / 1000);
}

async function redis(): Promise<number> {
  const result = await run('redis-benchmark', ['-p', String(REDIS_PORT), '-t', 'get', '-c', '64', '-n', '200000', '--csv']);
  const line = result.stdout.split('\n').find((text) => text.startsWith('"GET"'));
  const rate = Number(line?.split(',')[1]?.replaceAll('"', ''));
  if (!(rate > 0)) throw new Error(`redis-benchmark: ${result.stdout}${result.stderr}`);
  return rate;
}

export async function libraryMetadata(bench: Bench): Promise<Figure[]> {
  const server = spawn('redis-server', ['--port', String(REDIS_PORT), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], {
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  try {
    await pause(500);
    const fileSystem = await bench.cluster.client();
    await fileSystem.mkdir('/library-metadata');
    await parallel(FILES, (index) => fileSystem.writeFile(`/library-metadata/f${index}`, ''));
    let round = 0;
    bench.log('library metadata, 64 in flight');
    const results = await contest(
      [
        { name: 'stat', run: () => parallel(STATS, (index) => fileSystem.stat(`/library-metadata/f${index % FILES}`)) },
        {
          name: 'create',
          prepare: async () => {
            await fileSystem.mkdir(`/library-metadata/${++round}`);
          },
          run: () => parallel(CREATES, async (index) => (await fileSystem.open(`/library-metadata/${round}/f${index}`, 'wx')).close()),
        },
        { name: 'redis GET', run: redis },
      ],
      bench.rounds,
      bench.log,
    );
    await fileSystem.rm('/library-metadata', { recursive: true });
    await fileSystem.close();
    const limit = best(results, 'redis GET', (run) => run.value);
    return (['stat', 'create'] as const).map((what) => {
      const own = best(results, what, (run) => run.value);
      return {
        name: `library ${what}, 64 in flight`,
        unit: '/s',
        value: own.value,
        limit: { name: 'redis GET', value: limit.value },
        goal: { atLeast: what === 'stat' ? 0.4 : 0.15 },
        stolenPercent: Math.max(own.stolenPercent, limit.stolenPercent),
      };
    });
  } finally {
    server.kill();
    await ended;
  }
}
