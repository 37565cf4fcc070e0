/**
 * One operation after another, as the latencies of `ibex rdma bench` are measured, and as perftest does: writes are
 * found in memory (ib_write_lat), messages in the completion queue (ib_send_lat), reads by their completion.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { type Arena, type QueuePair, type RemoteMemory, remoteSlice } from '../../rdma/index.js';
import { inbox, outbox } from './bench-memory.js';
import { type BenchPlan, warmUpOf } from './bench-plan.js';
import { SPIN_US, TURN_MS } from './bench-stream.js';

/** Looks at memory before the event loop has a turn, which learns when the other end has gone. */
const LOOKS_MAX = 2 ** 20;
/** Writes whose ends nobody has looked at yet. */
export const UNSEEN_MAX = 16;

/** Trips have numbers; those below 0 warm up. */
const firstTripOf = (plan: BenchPlan): number => -warmUpOf(plan.roundTrips);

/** How one end tells the other of a trip, and hears of it. */
interface Side {
  tell(trip: number): void;
  /** Nothing to wait for when it was found by looking. */
  hear(trip: number): Promise<void> | undefined;
  /** After the last trip. */
  end(): Promise<void>;
}

/** The last byte of a write says of which trip it is. */
function writingSide(queuePair: QueuePair, arena: Arena, plan: BenchPlan, remote: RemoteMemory): Side {
  const { completionQueue } = queuePair;
  const write = queuePair.batch().write(outbox(arena, plan), remoteSlice(remote, 0, plan.bytes));
  const [told, heard] = [outbox(arena, plan), inbox(arena, plan)];
  const last = plan.bytes - 1;
  // Neighbours differ, and the first is not 0, which was there before.
  const mark = (trip: number): number => ((trip - firstTripOf(plan)) % 255) + 1;
  let unseen: Promise<unknown>[] = [];
  const look = (wanted: number): boolean => {
    // A plain look may be done once for all.
    for (let looks = 0; looks < LOOKS_MAX; looks++) if (Atomics.load(heard, last) === wanted) return true;
    return false;
  };
  const wait = async (wanted: number): Promise<void> => {
    void Promise.allSettled(unseen);
    do {
      await turn();
      if (queuePair.state !== 'connected') throw (await queuePair.ended) ?? new Error('the other end has gone');
    } while (!look(wanted));
  };
  const see = async (): Promise<void> => {
    await completionQueue.spin(Promise.all(unseen), SPIN_US);
    unseen = [];
  };
  return {
    tell: (trip) => {
      told[last] = mark(trip);
      unseen.push(write.submit());
      completionQueue.flush();
    },
    hear: (trip) => {
      if (!look(mark(trip))) return wait(mark(trip));
      return unseen.length < UNSEEN_MAX ? undefined : see();
    },
    end: see,
  };
}

/** A message for each trip. Memory for what comes next is posted together with what goes. */
function messagingSide(queuePair: QueuePair, arena: Arena, plan: BenchPlan, hearsFirst: boolean): Side {
  const { completionQueue } = queuePair;
  const send = queuePair.batch().send(outbox(arena, plan));
  const receive = queuePair.batch().recv(inbox(arena, plan));
  const lastReceive = hearsFirst ? plan.roundTrips - 2 : plan.roundTrips - 1;
  let told: Promise<unknown> | undefined;
  let heard: Promise<unknown> | undefined = hearsFirst ? receive.submit() : undefined;
  return {
    tell: (trip) => {
      if (trip <= lastReceive) heard = receive.submit();
      told = send.submit();
      completionQueue.flush();
    },
    hear: async () => {
      await completionQueue.spin(heard as Promise<unknown>, SPIN_US);
      await told;
    },
    end: async () => void (await told),
  };
}

function sideOf(queuePair: QueuePair, arena: Arena, plan: BenchPlan, remote: RemoteMemory, hearsFirst: boolean): Side {
  return plan.operation === 'send' ? messagingSide(queuePair, arena, plan, hearsFirst) : writingSide(queuePair, arena, plan, remote);
}

/** Half of each round trip, in microseconds. */
async function measureRoundTrips(queuePair: QueuePair, arena: Arena, plan: BenchPlan, remote: RemoteMemory): Promise<Float64Array> {
  const samples = new Float64Array(plan.roundTrips);
  const nothing = arena.bytes.subarray(0, 0);
  const ready = queuePair.recv(nothing);
  await queuePair.send(nothing);
  await ready;
  const side = sideOf(queuePair, arena, plan, remote, false);
  let begin = performance.now();
  let turnAt = begin + TURN_MS;
  for (let trip = firstTripOf(plan); trip < plan.roundTrips; trip++) {
    side.tell(trip);
    const waits = side.hear(trip);
    if (waits !== undefined) await waits;
    const end = performance.now();
    if (trip >= 0) samples[trip] = ((end - begin) * 1000) / 2;
    begin = end;
    if (end < turnAt) continue;
    await turn();
    begin = performance.now();
    turnAt = begin + TURN_MS;
  }
  await side.end();
  return samples;
}

/** Reads have no other half. */
async function measureReads(queuePair: QueuePair, arena: Arena, plan: BenchPlan, remote: RemoteMemory): Promise<Float64Array> {
  const samples = new Float64Array(plan.roundTrips);
  const read = queuePair.batch().read(inbox(arena, plan), remoteSlice(remote, 0, plan.bytes));
  let turnAt = performance.now() + TURN_MS;
  for (let trip = firstTripOf(plan); trip < plan.roundTrips; trip++) {
    const begin = performance.now();
    await queuePair.completionQueue.spin(read.submit(), SPIN_US);
    const end = performance.now();
    if (trip >= 0) samples[trip] = (end - begin) * 1000;
    if (end < turnAt) continue;
    await turn();
    turnAt = performance.now() + TURN_MS;
  }
  return samples;
}

/** Latencies in microseconds: one way, of reads the whole. */
export function measureTrips(queuePair: QueuePair, arena: Arena, plan: BenchPlan, remote: RemoteMemory): Promise<Float64Array> {
  return (plan.operation === 'read' ? measureReads : measureRoundTrips)(queuePair, arena, plan, remote);
}

/** Answers the round trips of a client. `asked` was posted before anything could come. */
export async function answerTrips(
  queuePair: QueuePair,
  arena: Arena,
  plan: BenchPlan,
  remote: RemoteMemory,
  asked: Promise<unknown>,
): Promise<void> {
  // After all that is measured before: no processor is taken from that.
  await asked;
  const side = sideOf(queuePair, arena, plan, remote, true);
  await queuePair.send(arena.bytes.subarray(0, 0));
  for (let trip = firstTripOf(plan); trip < plan.roundTrips; trip++) {
    const waits = side.hear(trip);
    if (waits !== undefined) await waits;
    side.tell(trip);
  }
  await side.end();
}
