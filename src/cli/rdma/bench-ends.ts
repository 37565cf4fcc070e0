/** The two ends of `ibex rdma bench`, through the public API alone. */
import {
  type Arena,
  type ConnectionOptions,
  connect,
  type Device,
  listen,
  type Message,
  type QueuePair,
  type QueuePairOptions,
  type RemoteMemory,
} from '../../rdma/index.js';
import { arenaBytes } from './bench-memory.js';
import { type BenchGrant, type BenchPlan, batchOf, checkPlan, DEPTH_MAX, type Latencies, latenciesOf } from './bench-plan.js';
import { drain, RECEIVE_BATCHES, stream } from './bench-stream.js';
import { answerTrips, measureTrips, UNSEEN_MAX } from './bench-trips.js';

export interface BenchResult {
  readonly seconds: number;
  /** 2^20 bytes, as perftest has it. */
  readonly mebibytesPerSecond: number;
  readonly messagesPerSecond: number;
  readonly latencyUs: Latencies;
}

const MIB = 2 ** 20;
/** Of the listening end, whatever its client wants; the device lowers them. */
const SERVING_SENDS = 64;
const SERVING_RECEIVES = RECEIVE_BATCHES * (DEPTH_MAX / 2) + 2;
const SERVING_ENTRIES = 2 * (SERVING_SENDS + SERVING_RECEIVES) + 8;
/** The client ends the run. */
const NEVER = new Promise<never>(() => undefined);

const rights = { remoteRead: true, remoteWrite: true };

function optionsFor(plan: BenchPlan, more: QueuePairOptions): QueuePairOptions {
  return { ...more, ...rights, sendDepth: Math.max(plan.depth, UNSEEN_MAX), receiveDepth: RECEIVE_BATCHES * batchOf(plan) + 2 };
}

/** Everything that the measuring end needs. */
interface End extends AsyncDisposable {
  readonly arena: Arena;
  readonly options: ConnectionOptions;
}

function makeEnd(device: Device, plan: BenchPlan, key: Buffer, more: QueuePairOptions): End {
  const domain = device.createProtectionDomain();
  const queuePair = optionsFor(plan, more);
  const completionQueue = device.createCompletionQueue({ entries: (queuePair.sendDepth ?? 0) + (queuePair.receiveDepth ?? 0) + 8 });
  const arena = domain.createArena(arenaBytes(plan), rights);
  return {
    arena,
    options: { domain, completionQueue, key, queuePair },
    [Symbol.asyncDispose]: async () => {
      await completionQueue.close();
      arena.close();
      domain.close();
    },
  };
}

/** Where the other end listens. */
export interface BenchTarget {
  readonly host: string;
  readonly port: number;
  readonly key: Buffer;
  readonly signal: AbortSignal;
  readonly queuePair: QueuePairOptions;
}

/** The measuring end. */
export async function runBench(device: Device, plan: BenchPlan, to: BenchTarget): Promise<BenchResult> {
  await using end = makeEnd(device, plan, to.key, to.queuePair);
  const { arena } = end;
  const grant = arena.expose();
  const { host, port, signal } = to;
  await using connection = await connect({ ...end.options, host, port, signal, data: { plan, memory: grant } });
  const stop = (): void => void connection.close();
  signal.addEventListener('abort', stop, { once: true });
  try {
    const { memory } = connection.data as BenchGrant;
    const seconds = await stream(connection.queuePair, arena, plan, memory);
    const samples = await measureTrips(connection.queuePair, arena, plan, memory);
    return {
      seconds,
      mebibytesPerSecond: (plan.iterations * plan.bytes) / MIB / seconds,
      messagesPerSecond: plan.iterations / seconds,
      latencyUs: latenciesOf(samples),
    };
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** What a listening end does for one client. */
interface Serving {
  readonly plan: BenchPlan;
  readonly arena: Arena;
  readonly remote: RemoteMemory;
  readonly streamed: Promise<unknown>;
  readonly first: Promise<Message>;
}

/** Where the listening end is, and what it tells of its clients. */
export interface BenchListener {
  readonly host: string;
  readonly port: number;
  readonly key: Buffer;
  readonly signal: AbortSignal;
  readonly queuePair: QueuePairOptions;
  listening(port: number): void;
  served(peer: string, plan: BenchPlan): void;
  failed(error: Error, peer: string): void;
}

/** Serves one client after another until the signal. */
export async function serveBench(device: Device, { host, port, key, signal, queuePair, ...told }: BenchListener): Promise<void> {
  await using domain = device.createProtectionDomain();
  await using completionQueue = device.createCompletionQueue({ entries: SERVING_ENTRIES });
  const servings = new WeakMap<QueuePair, Serving>();
  const prepare = (pair: QueuePair, data: unknown): BenchGrant => {
    const { plan: claimed, memory } = (data ?? {}) as { readonly plan?: unknown; readonly memory?: unknown };
    const plan = checkPlan(claimed);
    if (plan === undefined) throw new Error('its plan for a benchmark is none that this version knows');
    const arena = domain.createArena(arenaBytes(plan), rights);
    void pair.ended.then(() => arena.close());
    const { streamed, first } = plan.operation === 'read' ? { streamed: Promise.resolve(), first: NEVER } : drain(pair, arena, plan);
    // Looked at later, when the client has gone perhaps.
    for (const promise of [streamed, first]) promise.catch(() => undefined);
    servings.set(pair, { plan, arena, remote: memory as RemoteMemory, streamed, first });
    return { memory: arena.expose() };
  };
  const options = { ...queuePair, ...rights, sendDepth: SERVING_SENDS, receiveDepth: SERVING_RECEIVES };
  const onRefused = (error: Error, peer: string): void => told.failed(error, peer);
  await using listener = await listen({ domain, completionQueue, key, host, port, queuePair: options, prepare, onRefused });
  signal.addEventListener('abort', () => void listener.close(), { once: true });
  told.listening(listener.port);
  for await (const connection of listener) {
    const serving = servings.get(connection.queuePair) as Serving;
    const stop = (): void => void connection.close();
    signal.addEventListener('abort', stop, { once: true });
    try {
      await serving.streamed;
      const { plan, arena, remote, first } = serving;
      if (plan.operation !== 'read') await answerTrips(connection.queuePair, arena, plan, remote, first);
      told.served(connection.peerName, plan);
      await connection.queuePair.ended;
    } catch (error) {
      if (!signal.aborted) told.failed(error as Error, connection.peerName);
    } finally {
      signal.removeEventListener('abort', stop);
      await connection.close();
    }
  }
}
