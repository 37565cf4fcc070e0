/** What the machine did meanwhile: CPU time, time stolen by the host, memory and CPU of processes. */
import { readFile } from 'node:fs/promises';

export interface CpuTimes {
  /** Seconds that all processors together were busy. */
  readonly busySeconds: number;
  readonly stolenSeconds: number;
  readonly totalSeconds: number;
}

const TICKS_PER_SECOND = 100;

export async function cpuTimes(): Promise<CpuTimes> {
  const line = (await readFile('/proc/stat', 'utf8')).split('\n')[0] ?? '';
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = line
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const busy = user + nice + system + irq + softirq;
  return {
    busySeconds: busy / TICKS_PER_SECOND,
    stolenSeconds: steal / TICKS_PER_SECOND,
    totalSeconds: (busy + idle + iowait + steal) / TICKS_PER_SECOND,
  };
}

export interface Measured<Value> {
  readonly value: Value;
  readonly seconds: number;
  readonly busySeconds: number;
  /** Percent of all CPU time in this span that the host took away. */
  readonly stolenPercent: number;
}

/** Runs `work` and says what it took, on the monotonic clock. */
export async function measure<Value>(work: () => Promise<Value>): Promise<Measured<Value>> {
  const before = await cpuTimes();
  const start = performance.now();
  const value = await work();
  const seconds = (performance.now() - start) / 1000;
  const after = await cpuTimes();
  const total = after.totalSeconds - before.totalSeconds;
  return {
    value,
    seconds,
    busySeconds: after.busySeconds - before.busySeconds,
    stolenPercent: total > 0 ? (100 * (after.stolenSeconds - before.stolenSeconds)) / total : 0,
  };
}

/** CPU seconds that a process has used so far. */
export async function processCpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Highest resident memory of a process so far, in MiB. */
export async function processPeakMiB(pid: number): Promise<number> {
  const match = /VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? 0) / 1024;
}
