/** `ibex rdma bench` between two processes: every operation ends, with figures that can be, and leaves nothing in use. */
import t from 'tap';
import { needs } from '../support/capabilities.js';
import { counter, released, resources } from './device.js';
import { IbexBench } from './ibex-bench.js';

const PACKET_BYTES = 4096;

t.test('figures of every operation', { ...needs('rdma'), timeout: 500_000 }, async (t) => {
  const before = await resources();
  const listener = await IbexBench.start();
  t.teardown(() => listener.stop());
  for (const [operation, sizeBytes, depth] of [
    ['write', 65_536, 16],
    ['read', 65_536, 16],
    ['send', 65_536, 16],
    ['write', 1, 1],
    ['read', 64, 1],
    ['send', 4_096, 64],
  ] as const) {
    const iterations = 150;
    const sent = await counter('sent_pkts');
    const figures = await listener.run({ operation, sizeBytes, depth, iterations });
    const what = `${operation}, ${sizeBytes} bytes, ${depth} at once`;
    t.match(figures, { operation, bytes: sizeBytes, iterations }, what);
    t.ok(figures.seconds > 0 && figures.messagesPerSecond > 0, `${what}: ${figures.messagesPerSecond} messages/s`);
    const mebibytes = (figures.messagesPerSecond * sizeBytes) / 2 ** 20;
    t.ok(Math.abs(mebibytes / figures.mebibytesPerSecond - 1) < 0.001, `${what}: bandwidth and messages are of one run`);
    const { min, p50, p90, p99, p999, max } = figures.latencyUs;
    t.ok(0 < min && min <= p50 && p50 <= p90 && p90 <= p99 && p99 <= p999 && p999 <= max, `${what}: ${JSON.stringify(figures.latencyUs)}`);
    const packets = 2 * iterations * Math.ceil(sizeBytes / PACKET_BYTES);
    t.ok((await counter('sent_pkts')) - sent >= packets, `${what}: all of it left, and the latencies' operations as well`);
  }
  t.equal(await listener.stop(), 0, 'the listener ends when it is told to');
  t.same(await released(before), before);
});
