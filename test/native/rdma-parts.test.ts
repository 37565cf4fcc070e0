/** Parts of ibexfs/rdma that need no device: records, free space of an arena, the queue in front of a queue pair. */
import fc from 'fast-check';
import t from 'tap';
import { checkPlan, latenciesOf } from '../../src/cli/rdma/bench-plan.js';
import { FreeSpace } from '../../src/rdma/free-space.js';
import { Lane, WAITING_MAX } from '../../src/rdma/lane.js';
import { Operation, type Settle } from '../../src/rdma/operation.js';
import { addressRequest, CompletionCursor, encodeRequest, REQUEST_WORDS } from '../../src/rdma/records.js';
import { RdmaCompletionBytes, RdmaCompletionFlag, readRdmaRequest, writeRdmaCompletion } from '../../src/wire/generated.js';
import { checks } from '../support/properties.js';

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const uint53 = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

/** Of no queue pair: none of these is posted. */
function operationOf(count: number, settle: Settle): Operation {
  return new Operation(undefined as never, 0, { words: new Uint32Array(0), count, views: [], receives: false }, settle);
}

t.test('requests as words are those of the schema', async (t) => {
  const fields = fc.record({
    operation: fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 7),
    flags: fc.integer({ min: 0, max: 7 }),
    arena: uint32,
    offset: uint53,
    length: uint32,
    remoteKey: uint32,
    remoteAddress: uint53,
    immediate: uint32,
  });
  checks(
    t,
    fc.property(fields, uint53, uint53, uint32, (given, compareOrAdd, swap, tag) => {
      const words = new Uint32Array(2 * REQUEST_WORDS);
      const request = { ...given, operation: given.operation as 0 };
      encodeRequest(words, REQUEST_WORDS, { ...request, compareOrAdd: BigInt(compareOrAdd), swap: BigInt(swap) });
      addressRequest(words, REQUEST_WORDS, tag, 3, 5);
      const read = readRdmaRequest(new DataView(words.buffer), REQUEST_WORDS * 4);
      const wanted: Record<string, number> = { ...request, compareOrAdd, swap, tag, index: 3, queuePair: 5 };
      return (
        Object.entries(read).every(([name, value]) => wanted[name] === value) &&
        words.subarray(0, REQUEST_WORDS).every((word) => word === 0)
      );
    }),
  );
});

t.test('completions as words are those of the schema', async (t) => {
  const bytes = new ArrayBuffer(2 * RdmaCompletionBytes);
  const fields = { tag: 1, index: 2, queuePair: 3, operation: 7, status: 5, bytes: 4096, immediate: 2 ** 32 - 1, vendorError: 9, count: 3 };
  writeRdmaCompletion(new DataView(bytes), RdmaCompletionBytes, { ...fields, flags: RdmaCompletionFlag.immediate });
  const cursor = new CompletionCursor(bytes).moveTo(1);
  const { tag, index, queuePair, operation, status, bytes: length, immediate, vendorError, count, receivedWrite } = cursor;
  t.same({ tag, index, queuePair, operation, status, bytes: length, immediate, vendorError, count }, fields);
  t.notOk(receivedWrite);
  t.equal(cursor.moveTo(0).immediate, undefined);
});

t.test('free space never gives a byte twice, and joins what comes back', async (t) => {
  const step = fc.record({ take: fc.boolean(), length: fc.integer({ min: 1, max: 5000 }), which: fc.nat() });
  checks(
    t,
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const space = new FreeSpace(65_536);
      const taken: { offset: number; length: number }[] = [];
      for (const { take, length, which } of steps) {
        if (take) {
          let offset: number;
          try {
            offset = space.take(length);
          } catch {
            continue;
          }
          const overlaps = taken.some((other) => offset < other.offset + other.length && other.offset < offset + length);
          if (overlaps || offset % 64 !== 0 || offset + length > 65_536) return false;
          taken.push({ offset, length });
        } else if (taken.length > 0) {
          const [gone] = taken.splice(which % taken.length, 1);
          space.give((gone as { offset: number }).offset);
        }
      }
      for (const { offset } of taken) space.give(offset);
      return space.freeBytes === 65_536 && space.take(65_536) === 0;
    }),
  );
});

t.test('a lane hands on in order and never more than its depth', async (t) => {
  checks(
    t,
    fc.property(fc.integer({ min: 1, max: 20 }), fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 30 }), (depth, counts) => {
      const lane = new Lane(depth);
      const order: number[] = [];
      const operations = counts.map((count, index) => {
        const operation = operationOf(count, () => undefined);
        operation.tag = index;
        return operation;
      });
      const post = (operation: Operation, count: number): void => {
        operation.posted += count;
        for (let i = 0; i < count; i++) order.push(operation.tag);
      };
      for (const operation of operations) post(operation, lane.enter(operation));
      const pump = (): void => lane.pump(post);
      for (pump(); lane.outstanding > 0; pump()) {
        if (lane.outstanding > depth) return false;
        lane.outstanding -= 1;
      }
      return order.join() === counts.flatMap((count, index) => Array.from({ length: count }, () => index)).join() && !lane.waits;
    }),
  );
});

t.test('what waits is bounded, and can be taken out', async (t) => {
  const lane = new Lane(1);
  const make = (count: number): Operation => operationOf(count, () => undefined);
  const [large, small] = [make(WAITING_MAX), make(1)];
  large.posted = lane.enter(large);
  t.equal(large.posted, 1, 'what has a place does not wait');
  t.ok(lane.hasRoomFor(1));
  t.notOk(lane.hasRoomFor(2));
  t.equal(lane.enter(small), 0);
  t.notOk(lane.hasRoomFor(1));
  t.same(lane.drop(small), [{ operation: small, count: 1 }]);
  t.same(lane.drop(small), []);
  t.ok(lane.hasRoomFor(1));
  t.equal(lane.drop()[0]?.count, WAITING_MAX - 1);
  t.ok(lane.hasRoomFor(WAITING_MAX));
});

t.test('an operation settles once, when the last of its requests has ended', async (t) => {
  const settled: unknown[] = [];
  const reason = new Error('aborted');
  const abort = new AbortController();
  const operation = operationOf(2, (error) => settled.push(error));
  operation.watch(abort.signal, () => undefined);
  abort.abort(reason);
  t.same(settled, [reason]);
  t.notOk(operation.ended, 'the adapter still has it');
  operation.fail(new Error('flushed') as never, 2);
  t.ok(operation.ended);
  t.equal(settled.length, 1);
});

t.test('plans of a peer are checked', async (t) => {
  const plan = { operation: 'read', bytes: 4096, iterations: 10, depth: 4, roundTrips: 10 };
  t.same(checkPlan({ ...plan, more: 1 }), plan);
  const wrong = [
    null,
    7,
    {},
    { ...plan, operation: 'erase' },
    { ...plan, bytes: 2 ** 30 },
    { ...plan, depth: 0 },
    { ...plan, iterations: 1.5 },
  ];
  for (const value of wrong) t.equal(checkPlan(value), undefined);
  t.match(latenciesOf(Float64Array.from({ length: 1000 }, (_, i) => 1000 - i)), { min: 1, p50: 501, p99: 991, max: 1000 });
});
