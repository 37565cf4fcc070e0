/** What the cluster takes at rest, and the memory it reached under the load of the other benchmarks. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Bench } from './bench.js';
import { cpuTimes, processCpuSeconds, processPeakMiB } from './machine.js';
import type { Figure } from './report.js';

const REST_SECONDS = 20;

export async function footprint(bench: Bench): Promise<Figure[]> {
  const processes = [...bench.cluster.daemons, bench.mount.daemon];
  const pids = processes.map((process) => process.pid ?? 0);
  await pause(3000); // what earlier work left behind (log syncs, closed connections) comes to rest
  bench.log(`at rest for ${REST_SECONDS} s`);
  const sum = async (): Promise<number> =>
    (await Promise.all(pids.map((pid) => processCpuSeconds(pid)))).reduce((total, one) => total + one, 0);
  const stolenBefore = await cpuTimes();
  const before = await sum();
  const start = performance.now();
  await pause(REST_SECONDS * 1000);
  const percent = (100 * ((await sum()) - before)) / ((performance.now() - start) / 1000);
  const stolenAfter = await cpuTimes();
  const stolenPercent =
    (100 * (stolenAfter.stolenSeconds - stolenBefore.stolenSeconds)) / (stolenAfter.totalSeconds - stolenBefore.totalSeconds);
  const storage = Math.max(...(await Promise.all(bench.cluster.storages.map((daemon) => processPeakMiB(daemon.pid ?? 0)))));
  return [
    { name: 'whole cluster at rest', unit: '% of a core', value: percent, goal: { atMost: 1 }, stolenPercent },
    { name: 'storage daemon, peak memory', unit: 'MiB', value: storage, goal: { atMost: 300 }, stolenPercent: 0 },
    {
      name: 'mount, peak memory',
      unit: 'MiB',
      value: await processPeakMiB(bench.mount.daemon.pid ?? 0),
      goal: { atMost: 400 },
      stolenPercent: 0,
    },
  ];
}
