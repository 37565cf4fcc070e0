/** `ibex rdma bench`: bandwidth and latency between two machines, through the public API of ibexfs/rdma. */
import { type Command, Option } from 'commander';
import { parseSize } from '../../config/units.js';
import type { QueuePairOptions } from '../../rdma/index.js';
import { readKey } from '../connections.js';
import { action, type Context, examples } from '../context.js';
import { usageError } from '../exit-codes.js';
import { formatBytes, formatCount } from '../output/format.js';
import {
  BENCH_PORT,
  type BenchOperation,
  type BenchPlan,
  BYTES_MAX,
  benchOperations,
  DEPTH_MAX,
  ITERATIONS_MAX,
  ROUND_TRIPS_MAX,
} from '../rdma/bench-plan.js';

interface Options {
  readonly listen?: boolean;
  readonly op: BenchOperation;
  readonly size: string;
  readonly iterations: string;
  readonly depth: string;
  readonly port: string;
  readonly host: string;
  readonly device?: string;
  readonly gidIndex?: string;
}

function whole(flag: string, text: string, largest: number, parse: (text: string) => number | undefined = Number): number {
  const value = text.trim() === '' ? undefined : parse(text);
  if (value === undefined || !Number.isInteger(value) || value < 1 || value > largest)
    throw usageError(`--${flag} ${text}: expected a whole number from 1 to ${largest}`);
  return value;
}

function planOf({ op, size, iterations, depth }: Options): BenchPlan {
  const count = whole('iterations', iterations, ITERATIONS_MAX);
  return {
    operation: op,
    bytes: whole('size', size, BYTES_MAX, parseSize),
    iterations: count,
    depth: whole('depth', depth, DEPTH_MAX),
    roundTrips: Math.min(count, ROUND_TRIPS_MAX),
  };
}

function queuePairOf({ gidIndex }: Options): QueuePairOptions {
  if (gidIndex === undefined) return {};
  const index = Number(gidIndex);
  if (gidIndex.trim() === '' || !Number.isInteger(index) || index < 0 || index > 255)
    throw usageError(`--gid-index ${gidIndex}: expected a whole number from 0 to 255`);
  return { gidIndex: index };
}

async function listenForClients({ out, globals, signal }: Context, options: Options, key: Buffer): Promise<void> {
  const [{ openDevice }, { serveBench }] = await Promise.all([import('../../rdma/index.js'), import('../rdma/bench-ends.js')]);
  await using device = openDevice(options.device);
  const { name } = device;
  await serveBench(device, {
    host: options.host,
    port: whole('port', options.port, 65_535),
    key,
    signal,
    queuePair: queuePairOf(options),
    listening: (port) => {
      if (globals.output === 'json') out.document({ device: name, port });
      else out.line(`${name} waits on TCP port ${port}; on the other machine: ibex rdma bench HOST`);
    },
    served: (peer, plan) => out.note(`${peer}: ${plan.operation}, ${formatCount(plan.iterations)} of ${formatBytes(plan.bytes)}`),
    failed: (error, peer) => out.note(`${peer === '' ? 'a client' : peer}: ${error.message}`),
  });
}

async function measure({ out, signal }: Context, options: Options, host: string, key: Buffer): Promise<void> {
  const plan = planOf(options);
  const queuePair = queuePairOf(options);
  const port = whole('port', options.port, 65_535);
  const [{ openDevice }, { runBench }] = await Promise.all([import('../../rdma/index.js'), import('../rdma/bench-ends.js')]);
  await using device = openDevice(options.device);
  const result = await runBench(device, plan, { host, port, key, signal, queuePair });
  const us = (value: number): string => `${value.toFixed(value < 10 ? 2 : 1)} us`;
  const { latencyUs } = result;
  out.facts(
    [
      ['operation', `${plan.operation} of ${formatBytes(plan.bytes)}, ${plan.depth} at once, ${formatCount(plan.iterations)} times`],
      ['bandwidth', `${result.mebibytesPerSecond.toFixed(1)} MiB/s`],
      ['messages', `${formatCount(Math.round(result.messagesPerSecond))}/s`],
      [plan.operation === 'read' ? 'latency' : 'latency, one way', `${us(latencyUs.p50)} (p50)`],
      ['', `${us(latencyUs.min)} (min)  ${us(latencyUs.p90)} (p90)  ${us(latencyUs.p99)} (p99)`],
      ['', `${us(latencyUs.p999)} (p99.9)  ${us(latencyUs.max)} (max)`],
    ],
    { device: device.name, host, ...plan, ...result },
  );
}

export function define(command: Command): void {
  command
    .usage('[options] --listen | <host>')
    .argument('[host]', 'where the other end listens')
    .option('--listen', 'be the other end, for any number of runs, until Ctrl-C')
    .addOption(new Option('--op <operation>', 'what is measured').choices(benchOperations).default('write'))
    .option('--size <size>', 'bytes of one operation, up to 1M', '64K')
    .option('--iterations <count>', 'operations of the run; latencies are of as many more, at most 10,000', '1000')
    .option('--depth <count>', 'operations at once', '16')
    .option('--port <port>', 'TCP port for bringing up the connection', String(BENCH_PORT))
    .option('--host <address>', 'with --listen: address to listen on', '0.0.0.0')
    .option('--device <name>', 'RDMA device (default: the first that can be used)')
    .option('--gid-index <index>', 'entry of its address table (default: what fits the TCP connection)')
    .action(
      action<Options>(async (context, options, host: string | undefined) => {
        if ((options.listen === true) === (host !== undefined))
          throw usageError('rdma bench needs either --listen or the host that listens');
        const key = await readKey(context);
        if (host === undefined) await listenForClients(context, options, key);
        else await measure(context, options, host, key);
      }),
    );
  command.addHelpText(
    'after',
    `
Both ends prove that they know the cluster key (--key-file; make one with ibex key generate). MiB are 2^20 bytes. The latency of writes and
sends is half of a round trip in which both ends poll, as perftest's ib_write_lat and ib_send_lat have it; of reads it is all of it.`,
  );
  examples(command, [
    ['ibex rdma bench --listen', 'on one machine'],
    ['ibex rdma bench node7', 'on another: writes of 64 KiB, 16 at once'],
    ['ibex rdma bench node7 --op read --size 1M --iterations 10000', 'reads of 1 MiB'],
    ['ibex rdma bench node7 --op send --size 64 --depth 1 --output json', 'small messages, for scripts'],
  ]);
}
