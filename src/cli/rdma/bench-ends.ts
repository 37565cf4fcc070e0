/** The two ends of `ibex rdma bench`, through the public API alone. */
import {
  type Arena,
  type Batch,
  type Connection,
  type ConnectionOptions,
  connect,
  type Device,
  listen,
  type Message,
  type QueuePair,
  type QueuePairOptions,
  type RemoteMemory,
  remoteSlice,
} from '../../rdma/index.js';
import {
  type BenchGrant,
  type BenchPlan,
  batchOf,
  checkPlan,
  DEPTH_MAX,
  type Latencies,
  latenciesOf,
  placesOf,
  strideOf,
} from './bench-plan.js';

export interface BenchResult {
  readonly seconds: number;
  /** 2^20 bytes, as perftest has it. */
  readonly mebibytesPerSecond: number;
  readonly messagesPerSecond: number;
  readonly latencyUs: Latencies;
}

/** Waits for the other end by polling: as perftest does, and as who wants these latencies has to. */
const SPIN_US = 1_000_000;
const MIB = 2 ** 20;
/** Submissions of receives that are posted at once. */
const RECEIVE_BATCHES = 4;
/** Of the listening end, whatever its client wants; the device lowers them. */
const SERVING_SENDS = 64;
const SERVING_RECEIVES = RECEIVE_BATCHES * (DEPTH_MAX / 2) + 2;
const SERVING_ENTRIES = 2 * (SERVING_SENDS + SERVING_RECEIVES) + 8;
/** The client ends the run. */
const NEVER = new Promise<never>(() => undefined);

const rights = { remoteRead: true, remoteWrite: true };

function optionsFor(plan: BenchPlan, more: QueuePairOptions): QueuePairOptions {
  return { ...more, ...rights, sendDepth: Math.max(plan.depth, 2), receiveDepth: RECEIVE_BATCHES * batchOf(plan) + 2 };
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

/** The two messages of the round trips, then the places of the operations. */
const arenaBytes = (plan: BenchPlan): number => (2 + placesOf(plan)) * strideOf(plan);
const inbox = (arena: Arena, plan: BenchPlan): Uint8Array => arena.bytes.subarray(0, plan.bytes);
const outbox = (arena: Arena, plan: BenchPlan): Uint8Array => arena.bytes.subarray(strideOf(plan), strideOf(plan) + plan.bytes);
const placesStart = (plan: BenchPlan): number => 2 * strideOf(plan);

/** What moves between the ends in one round trip: as a message, or as a write that tells of itself. */
function tell(queuePair: QueuePair, arena: Arena, plan: BenchPlan, remote: RemoteMemory): Promise<void> {
  if (plan.operation === 'send') return queuePair.send(outbox(arena, plan));
  return queuePair.writeWithImm(outbox(arena, plan), remoteSlice(remote, 0, plan.bytes), 0);
}

/** How many submissions a stream has, and of how many operations each is. */
function batchesOf(plan: BenchPlan): { readonly count: number; size(index: number): number } {
  const size = batchOf(plan);
  const count = Math.ceil(plan.iterations / size);
  return { count, size: (index) => (index === count - 1 ? plan.iterations - index * size : size) };
}

/** Batches of as many operations as are asked for; the usual size is made once. */
function batchMaker(queuePair: QueuePair, plan: BenchPlan, add: (batch: Batch, offset: number) => void): (size: number) => Batch {
  const places = placesOf(plan);
  const make = (size: number): Batch => {
    const batch = queuePair.batch();
    for (let index = 0; index < size; index++) add(batch, placesStart(plan) + (index % places) * strideOf(plan));
    return batch;
  };
  const whole = make(batchOf(plan));
  return (size) => (size === whole.length ? whole : make(size));
}

/** What tells the sender of a stream that the receiver has posted memory for another submission: empty messages. */
class Credits {
  readonly #queuePair: QueuePair;
  readonly #nothing: Uint8Array;
  readonly #posted: Promise<Message>[] = [];
  #left: number;

  constructor(queuePair: QueuePair, arena: Arena, total: number) {
    this.#queuePair = queuePair;
    this.#nothing = arena.bytes.subarray(0, 0);
    this.#left = total;
    for (let i = 0; i < RECEIVE_BATCHES; i++) this.#post();
  }

  #post(): void {
    if (this.#left === 0) return;
    this.#left -= 1;
    const message = this.#queuePair.recv(this.#nothing);
    message.catch(() => undefined);
    this.#posted.push(message);
  }

  async next(): Promise<void> {
    const message = this.#posted.shift();
    this.#post();
    await message;
  }
}

/** All operations of the plan, of which `depth` at most are on the way. */
async function stream(queuePair: QueuePair, arena: Arena, plan: BenchPlan, remote: RemoteMemory): Promise<void> {
  const batches = batchesOf(plan);
  const credits = plan.operation === 'send' ? new Credits(queuePair, arena, Math.max(0, batches.count - RECEIVE_BATCHES)) : undefined;
  const batchOfSize = batchMaker(queuePair, plan, (batch, offset) => {
    const local = arena.bytes.subarray(offset, offset + plan.bytes);
    if (plan.operation === 'send') batch.send(local);
    else batch[plan.operation](local, remoteSlice(remote, offset, plan.bytes));
  });
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < batches.count) {
      const index = next++;
      if (index >= RECEIVE_BATCHES) await credits?.next();
      await batchOfSize(batches.size(index)).submit();
    }
  };
  await Promise.all(plan.depth === 1 ? [lane()] : [lane(), lane()]);
}

/** Receives for all messages of a stream, and behind them the first of the round trips. */
function drain(
  queuePair: QueuePair,
  arena: Arena,
  plan: BenchPlan,
): { readonly streamed: Promise<unknown>; readonly first: Promise<Message> } {
  if (plan.operation !== 'send') return { streamed: Promise.resolve(), first: queuePair.recv(inbox(arena, plan)) };
  const batches = batchesOf(plan);
  const batchOfSize = batchMaker(queuePair, plan, (batch, offset) => batch.recv(arena.bytes.subarray(offset, offset + plan.bytes)));
  const nothing = arena.bytes.subarray(0, 0);
  let next = 0;
  let first: (message: Promise<Message>) => void = () => undefined;
  const firstTrip = new Promise<Message>((resolve) => {
    first = resolve;
  });
  const lane = async (): Promise<void> => {
    while (next < batches.count) {
      const index = next++;
      const received = batchOfSize(batches.size(index)).submit();
      if (next === batches.count) first(queuePair.recv(inbox(arena, plan)));
      if (index >= RECEIVE_BATCHES) await queuePair.send(nothing);
      await received;
    }
  };
  return { streamed: Promise.all(Array.from({ length: RECEIVE_BATCHES }, lane)), first: firstTrip };
}

/** Half of each round trip; of reads, which have no other half, the whole. In microseconds. */
async function measureLatencies({ queuePair }: Connection, arena: Arena, plan: BenchPlan, remote: RemoteMemory): Promise<Float64Array> {
  const { completionQueue } = queuePair;
  const samples = new Float64Array(plan.roundTrips);
  for (let trip = 0; trip < plan.roundTrips; trip++) {
    const answer = plan.operation === 'read' ? undefined : queuePair.recv(inbox(arena, plan));
    const start = performance.now();
    if (answer === undefined) {
      await completionQueue.spin(queuePair.read(inbox(arena, plan), remoteSlice(remote, 0, plan.bytes)), SPIN_US);
    } else {
      const told = tell(queuePair, arena, plan, remote);
      await completionQueue.spin(answer, SPIN_US);
      samples[trip] = ((performance.now() - start) * 1000) / 2;
      await told;
      continue;
    }
    samples[trip] = (performance.now() - start) * 1000;
  }
  return samples;
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
    const start = performance.now();
    await stream(connection.queuePair, arena, plan, memory);
    const seconds = (performance.now() - start) / 1000;
    const samples = await measureLatencies(connection, arena, plan, memory);
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

/** Answers the round trips of a client. */
async function answerTrips(queuePair: QueuePair, { plan, arena, remote, first }: Serving): Promise<void> {
  const { completionQueue } = queuePair;
  let next = first;
  for (let trip = 0; trip < plan.roundTrips; trip++) {
    // The first comes after all that is measured before: no processor is taken from that.
    if (trip === 0) await next;
    else await completionQueue.spin(next, SPIN_US);
    if (trip + 1 < plan.roundTrips) next = queuePair.recv(inbox(arena, plan));
    await completionQueue.spin(tell(queuePair, arena, plan, remote), SPIN_US);
  }
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
      if (serving.plan.operation !== 'read') await answerTrips(connection.queuePair, serving);
      told.served(connection.peerName, serving.plan);
      await connection.queuePair.ended;
    } catch (error) {
      if (!signal.aborted) told.failed(error as Error, connection.peerName);
    } finally {
      signal.removeEventListener('abort', stop);
      await connection.close();
    }
  }
}
