/**
 * What library I/O over queue pairs costs, counted and not timed: copies, registrations, calls of JavaScript, system calls.
 * Of the client from its own counters, of the nodes from what they report to mgmtd.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { FileSystem } from '../../src/index.js';
import { httpToken, readKeyFile } from '../../src/wire/key.js';
import type { TestCluster } from '../../test/cluster/cluster.js';
import type { Figure } from '../report.js';

/** Longer than nodes take between two reports. */
const REPORTED_MS = 30_000;

interface Counts {
  readonly copiedBytes: number;
  readonly registrations: number;
  readonly scriptCalls: number;
}

async function nodeMetrics(cluster: TestCluster): Promise<string> {
  const headers = { authorization: `Bearer ${httpToken(await readKeyFile(cluster.keyFile))}` };
  return await (await fetch(`http://127.0.0.1:${cluster.httpPort}/metrics`, { headers })).text();
}

/** Of all nodes together. */
function sumOf(metrics: string, name: string): number {
  return metrics
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

/** The nodes' figures when they have told of at least so many bytes over RDMA. */
async function nodesAfter(cluster: TestCluster, bytes: number): Promise<string> {
  const deadline = performance.now() + REPORTED_MS;
  for (;;) {
    const metrics = await nodeMetrics(cluster);
    const moved = metrics
      .split('\n')
      .filter((line) => line.startsWith('ibex_node_carrier_bytes_total{') && line.includes('carrier="rdma"'))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
    if (moved >= bytes) return metrics;
    if (performance.now() > deadline) throw new Error(`the nodes report ${moved} bytes over RDMA, ${bytes} were moved`);
    await pause(200);
  }
}

const movedBy = (client: FileSystem): number => {
  const counters = client.counters();
  return ['sent', 'received'].reduce((sum, way) => sum + (counters[`carrier_bytes_total{carrier="rdma",direction="${way}"}`] ?? 0), 0);
};

async function countsOf(cluster: TestCluster, client: FileSystem): Promise<Counts> {
  const metrics = await nodesAfter(cluster, movedBy(client));
  const own = client.counters();
  return {
    copiedBytes: (own['rdma_bounced_bytes_total'] ?? 0) + sumOf(metrics, 'ibex_node_rdma_copied_bytes_total'),
    registrations: (own['rdma_registrations_total'] ?? 0) + sumOf(metrics, 'ibex_node_rdma_registrations_total'),
    scriptCalls: own['javascript_calls_total'] ?? 0,
  };
}

/** System calls that these processes make meanwhile, by strace: it changes their time, hardly their number. */
async function systemCalls(pids: readonly number[], work: () => Promise<unknown>): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'ibexfs-strace-'));
  const file = join(folder, 'calls');
  const tracer = spawn('strace', ['-f', '-c', '-o', file, ...pids.flatMap((pid) => ['-p', String(pid)])], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  try {
    let attached = '';
    for await (const chunk of tracer.stderr) {
      attached += String(chunk);
      if (pids.every((pid) => attached.includes(`Process ${pid} attached`))) break;
    }
    await work();
    tracer.kill('SIGINT');
    await once(tracer, 'exit');
    const total =
      /^100\.00\s.*\stotal$/m
        .exec(await readFile(file, 'utf8'))?.[0]
        .trim()
        .split(/\s+/) ?? [];
    return Number(total[3]);
  } finally {
    tracer.kill('SIGKILL');
    await rm(folder, { recursive: true });
  }
}

export interface Counted {
  readonly name: string;
  readonly mebibytes: number;
  /** One operation a MiB. */
  run(): Promise<unknown>;
}

/** The adapter's own moves apart, the page cache's copy is one. */
const PAGE_CACHE_COPIES = 1;

export async function counts(cluster: TestCluster, client: FileSystem, { name, mebibytes, run }: Counted): Promise<Figure[]> {
  const before = await countsOf(cluster, client);
  await run();
  const after = await countsOf(cluster, client);
  const storages = cluster.storages.flatMap(({ pid }) => pid ?? []);
  const figure = (what: string, value: number, goal: Figure['goal'] = {}): Figure => ({
    name: `${name}, ${what}`,
    unit: '',
    value,
    goal,
    stolenPercent: 0,
  });
  return [
    figure('copies per byte', PAGE_CACHE_COPIES + (after.copiedBytes - before.copiedBytes) / (mebibytes * 2 ** 20), { atMost: 1 }),
    figure('registrations per 1,000 operations', ((after.registrations - before.registrations) / mebibytes) * 1000, { atMost: 0 }),
    figure('calls of JavaScript per MiB', (after.scriptCalls - before.scriptCalls) / mebibytes, { atMost: 1 }),
    figure('system calls per MiB, client', (await systemCalls([process.pid], run)) / mebibytes),
    figure('system calls per MiB, storage', (await systemCalls(storages, run)) / mebibytes),
  ];
}
