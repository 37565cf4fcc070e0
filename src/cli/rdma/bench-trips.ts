/** One operation after another, as the latencies of `ibex rdma bench` are measured: what its two ends do. */
import { type Arena, type Batch, type Message, type QueuePair, type RemoteMemory, remoteSlice } from '../../rdma/index.js';
import { inbox, outbox } from './bench-memory.js';
import { type BenchPlan, warmUpOf } from './bench-plan.js';

/** Waits for the other end by polling: as perftest does, and as who wants these latencies has to. */
const SPIN_US = 1_000_000;

const tripsOf = (plan: BenchPlan): number => warmUpOf(plan.roundTrips) + plan.roundTrips;

/** What moves between the ends in one round trip: a message, or a write that tells of itself; and memory for the answer. */
function makeTrip(queuePair: QueuePair, arena: Arena, plan: BenchPlan, remote: RemoteMemory): { readonly tell: Batch; readonly hear: Batch } {
  const tell = queuePair.batch();
  if (plan.operation === 'send') tell.send(outbox(arena, plan));
  else tell.writeWithImm(outbox(arena, plan), remoteSlice(remote, 0, plan.bytes), 0);
  return { tell, hear: queuePair.batch().recv(inbox(arena, plan)) };
}

/** Half of each round trip; of reads, which have no other half, the whole. In microseconds. */
export async function measureTrips(queuePair: QueuePair, arena: Arena, plan: BenchPlan, remote: RemoteMemory): Promise<Float64Array> {
  const { completionQueue } = queuePair;
  const samples = new Float64Array(plan.roundTrips);
  const { tell, hear } = makeTrip(queuePair, arena, plan, remote);
  const reading = queuePair.batch().read(inbox(arena, plan), remoteSlice(remote, 0, plan.bytes));
  const usPerMs = plan.operation === 'read' ? 1000 : 1000 / 2;
  const start = tripsOf(plan) - plan.roundTrips;
  for (let trip = -start; trip < plan.roundTrips; trip++) {
    const begin = performance.now();
    if (plan.operation === 'read') {
      await completionQueue.spin(reading.submit(), SPIN_US);
    } else {
      const heard = hear.submit();
      const told = tell.submit();
      await completionQueue.spin(heard, SPIN_US);
      await told;
    }
    if (trip >= 0) samples[trip] = (performance.now() - begin) * usPerMs;
  }
  return samples;
}

/** Answers the round trips of a client. `first` was posted before any could come. */
export async function answerTrips(
  queuePair: QueuePair,
  arena: Arena,
  plan: BenchPlan,
  remote: RemoteMemory,
  first: Promise<unknown>,
): Promise<void> {
  const { completionQueue } = queuePair;
  const { tell, hear } = makeTrip(queuePair, arena, plan, remote);
  const trips = tripsOf(plan);
  // It comes after all that is measured before: no processor is taken from that.
  await first;
  for (let trip = 1; trip <= trips; trip++) {
    const heard: Promise<readonly Message[]> | undefined = trip < trips ? hear.submit() : undefined;
    const told = tell.submit();
    await completionQueue.spin(heard ?? told, SPIN_US);
    await told;
  }
}
