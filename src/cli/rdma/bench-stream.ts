/** Many operations at once, as the bandwidth of `ibex rdma bench` is measured: what its two ends do. */
import { setImmediate as turn } from 'node:timers/promises';
import { type Arena, type Batch, type Message, type QueuePair, type RemoteMemory, remoteSlice } from '../../rdma/index.js';
import { inbox, offsetOf } from './bench-memory.js';
import { type BenchPlan, batchOf, warmUpOf } from './bench-plan.js';

/** The measuring end polls, as perftest does, ... */
export const SPIN_US = 1_000_000;
/** ... but gives the event loop a turn so often: for Ctrl-C, and to learn when the other end has gone. */
export const TURN_MS = 100;
/** Submissions of receives that are posted at once. */
export const RECEIVE_BATCHES = 4;

/** How many submissions a stream has, and of how many operations each is. Those before `measuredFrom` warm up. */
function batchesOf(plan: BenchPlan): { readonly count: number; readonly measuredFrom: number; size(index: number): number } {
  const size = batchOf(plan);
  const measured = Math.ceil(plan.iterations / size);
  const measuredFrom = Math.ceil(warmUpOf(plan.iterations) / size);
  const count = measuredFrom + measured;
  return { count, measuredFrom, size: (index) => (index === count - 1 ? plan.iterations - (measured - 1) * size : size) };
}

/** Batches of as many operations as are asked for; the two sizes that a stream has are made once. */
function batchMaker(queuePair: QueuePair, plan: BenchPlan, add: (batch: Batch, offset: number) => void): (size: number) => Batch {
  const make = (size: number): Batch => {
    const batch = queuePair.batch();
    for (let index = 0; index < size; index++) add(batch, offsetOf(plan, index));
    return batch;
  };
  const { count, size } = batchesOf(plan);
  const [whole, last] = [make(batchOf(plan)), make(size(count - 1))];
  return (wanted) => (wanted === whole.length ? whole : last);
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

/** All operations of the plan, of which `depth` at most are on the way. Gives the seconds that the measured ones took. */
export async function stream(queuePair: QueuePair, arena: Arena, plan: BenchPlan, remote: RemoteMemory): Promise<number> {
  const batches = batchesOf(plan);
  const credits = plan.operation === 'send' ? new Credits(queuePair, arena, Math.max(0, batches.count - RECEIVE_BATCHES)) : undefined;
  const batchOfSize = batchMaker(queuePair, plan, (batch, offset) => {
    const local = arena.bytes.subarray(offset, offset + plan.bytes);
    if (plan.operation === 'send') batch.send(local);
    else batch[plan.operation](local, remoteSlice(remote, offset, plan.bytes));
  });
  let next = 0;
  let start = performance.now();
  let turnAt = start + TURN_MS;
  const lane = async (): Promise<void> => {
    while (next < batches.count) {
      const index = next++;
      if (index >= RECEIVE_BATCHES) await credits?.next();
      if (performance.now() > turnAt) {
        await turn();
        turnAt = performance.now() + TURN_MS;
      }
      if (index === batches.measuredFrom) start = performance.now();
      await queuePair.completionQueue.spin(batchOfSize(batches.size(index)).submit(), SPIN_US);
    }
  };
  await Promise.all(plan.depth === 1 ? [lane()] : [lane(), lane()]);
  return (performance.now() - start) / 1000;
}

/** Receives for all messages of a stream, and behind them the first of the round trips. */
export function drain(
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
