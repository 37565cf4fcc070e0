/** mgmtd's figures for Prometheus, read when they are asked for. */
import { readdirSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { Counter, Gauge, Registry } from 'prom-client';
import { carrierTraffic } from '../../net/carrier.js';
import { type CarrierTraffic, catalogue } from '../../wire/messages.js';
import { nodeCarriers } from '../handlers/carriers.js';
import { latestUsage } from '../handlers/usage.js';
import type { Management } from '../management.js';

export interface MetricSources {
  readonly management: Management;
  /** Requests served, by operation. */
  readonly served: () => ReadonlyMap<number, number>;
  /** Counters of native code. */
  readonly native: () => Readonly<Record<string, number>>;
}

/** A registry of its own: several mgmtd in one process (tests) do not meet. */
export function createMetrics(sources: MetricSources): Registry {
  const registry = new Registry();
  clusterMetrics(registry, sources.management);
  sessionMetrics(registry, sources);
  processMetrics(registry);
  return registry;
}

function clusterMetrics(registry: Registry, management: Management): void {
  const registers = [registry];
  new Gauge({
    name: 'ibex_map_version',
    help: 'Version of the cluster map',
    registers,
    collect() {
      this.set(management.map.version);
    },
  });
  new Gauge({
    name: 'ibex_node_reachability',
    help: '1 for the state that a node is in',
    labelNames: ['node', 'alias', 'kind', 'state'],
    registers,
    collect() {
      this.reset();
      for (const node of management.map.nodes) this.set({ node: node.id, alias: node.alias, kind: node.kind, state: node.reachability }, 1);
    },
  });
  new Gauge({
    name: 'ibex_target_reachability',
    help: '1 for the state that a target is in',
    labelNames: ['target', 'alias', 'kind', 'state'],
    registers,
    collect() {
      this.reset();
      for (const target of management.map.targets)
        this.set({ target: target.id, alias: target.alias, kind: target.kind, state: target.reachability }, 1);
    },
  });
  for (const [figure, help] of [
    ['bytesTotal', 'Size of the target'],
    ['bytesFree', 'Free bytes of the target'],
    ['inodesTotal', 'Inodes of the target'],
    ['inodesFree', 'Free inodes of the target'],
  ] as const) {
    new Gauge({
      name: `ibex_target_${figure.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`)}`,
      help,
      labelNames: ['target'],
      registers,
      collect() {
        this.reset();
        for (const usage of latestUsage(management)) this.set({ target: usage.target }, usage[figure]);
      },
    });
  }
}

/** As nodes that are online last reported; mgmtd's own as it is now. */
function* nodeTraffic(
  { map, carriers }: Management,
  native: MetricSources['native'],
): Generator<{ readonly node: number; readonly traffic: CarrierTraffic }> {
  for (const { id, kind, reachability } of map.nodes) {
    const traffic = kind === 'mgmtd' ? carrierTraffic(native()) : carriers.get(id)?.traffic;
    if (traffic !== undefined && reachability === 'online') yield { node: id, traffic };
  }
}

function sessionMetrics(registry: Registry, { management, served, native }: MetricSources): void {
  const registers = [registry];
  new Gauge({
    name: 'ibex_sessions',
    help: 'Open authenticated sessions',
    labelNames: ['kind', 'carrier'],
    registers,
    collect() {
      this.reset();
      for (const { peer } of management.sessions.keys()) this.inc({ kind: peer.kind, carrier: peer.carrier.kind });
    },
  });
  new Gauge({
    name: 'ibex_node_sessions',
    help: 'Sessions of a node by what carries them',
    labelNames: ['node', 'carrier'],
    registers,
    collect() {
      this.reset();
      for (const { node, rdma, tcp } of nodeCarriers(management)) {
        this.set({ node, carrier: 'rdma' }, rdma);
        this.set({ node, carrier: 'tcp' }, tcp);
      }
    },
  });
  new Counter({
    name: 'ibex_node_carrier_bytes_total',
    help: 'Bytes that a node has moved since its start, by what carried them',
    labelNames: ['node', 'carrier', 'direction'],
    registers,
    collect() {
      this.reset();
      for (const { node, traffic } of nodeTraffic(management, native)) {
        this.inc({ node, carrier: 'rdma', direction: 'sent' }, traffic.rdmaSent);
        this.inc({ node, carrier: 'rdma', direction: 'received' }, traffic.rdmaReceived);
        this.inc({ node, carrier: 'tcp', direction: 'sent' }, traffic.tcpSent);
        this.inc({ node, carrier: 'tcp', direction: 'received' }, traffic.tcpReceived);
      }
    },
  });
  new Counter({
    name: 'ibex_node_rdma_copied_bytes_total',
    help: 'Bytes that a node has copied between memory that its RDMA device knows and other memory',
    labelNames: ['node'],
    registers,
    collect() {
      this.reset();
      for (const { node, traffic } of nodeTraffic(management, native)) this.inc({ node }, traffic.rdmaCopied);
    },
  });
  new Counter({
    name: 'ibex_node_rdma_registrations_total',
    help: 'How often a node has registered memory with an RDMA device since its start',
    labelNames: ['node'],
    registers,
    collect() {
      this.reset();
      for (const { node, traffic } of nodeTraffic(management, native)) this.inc({ node }, traffic.registrations);
    },
  });
  new Gauge({
    name: 'ibex_map_subscribers',
    help: 'Sessions that are told of map changes',
    registers,
    collect() {
      this.set(management.feed.subscribers);
    },
  });
  new Counter({
    name: 'ibex_rpc_requests_total',
    help: 'Requests served',
    labelNames: ['operation'],
    registers,
    collect() {
      this.reset();
      for (const [operation, count] of served()) this.inc({ operation: catalogue.get(operation)?.name ?? String(operation) }, count);
    },
  });
  new Gauge({
    name: 'ibex_native',
    help: 'Counters of native code',
    labelNames: ['counter'],
    registers,
    collect() {
      this.reset();
      for (const [counter, value] of Object.entries(native())) this.set({ counter }, value);
    },
  });
}

/** prom-client's own set would wake the process a hundred times a second to measure the event loop. */
function processMetrics(registry: Registry): void {
  const registers = [registry];
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time of this process',
    registers,
    collect() {
      this.reset();
      const { user, system } = process.cpuUsage();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({ name: 'process_start_time_seconds', help: 'Start of this process since 1970', registers }).set(performance.timeOrigin / 1000);
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    name: 'nodejs_heap_used_bytes',
    help: 'JavaScript heap in use',
    registers,
    collect() {
      this.set(process.memoryUsage().heapUsed);
    },
  });
  new Gauge({
    name: 'nodejs_eventloop_utilization',
    help: 'Part of its life that the event loop was busy',
    registers,
    collect() {
      this.set(performance.eventLoopUtilization().utilization);
    },
  });
  new Gauge({
    name: 'process_open_fds',
    help: 'Open file descriptors',
    registers,
    collect() {
      this.set(readdirSync('/proc/self/fd').length);
    },
  });
}
