// Messages there and back, and how long that takes.
//   KEY_FILE=key node ping-pong.mjs listen          KEY_FILE=key node ping-pong.mjs connect HOST
import { connect, listen } from 'ibexfs/rdma';
import { setUp } from './common.mjs';

const ROUNDS = 1000;
const { role, domain, completionQueue, address } = setUp();
const arena = domain.createArena(64 * 1024);

/** Sends back what comes, until the peer closes. */
async function echo({ queuePair }, messages) {
  const answer = arena.alloc(64);
  for await (const { data } of messages) {
    answer.set(data);
    await queuePair.send(answer.subarray(0, data.length));
  }
}

if (role === 'listen') {
  // Receives are posted before the peer can send: in prepare.
  const inboxes = new WeakMap();
  const prepare = (queuePair) => void inboxes.set(queuePair, queuePair.receive(arena, { count: 4, bytes: 64 }));
  const listener = await listen({ ...address, prepare });
  console.log(`listening on port ${listener.port}`);
  for await (const connection of listener) {
    console.log(`${connection.peerName} at ${connection.peerAddress}`);
    await echo(connection, inboxes.get(connection.queuePair));
    await connection.close();
  }
} else {
  const connection = await connect(address);
  const { queuePair } = connection;
  const ping = arena.alloc(64);
  const pong = arena.alloc(64);
  const started = performance.now();
  for (let round = 0; round < ROUNDS; round++) {
    ping.set(Buffer.from(`round ${round}`.padEnd(64)));
    const answer = queuePair.recv(pong);
    await queuePair.send(ping);
    // Polls for up to 50 microseconds before it waits for the event loop.
    const { data } = await completionQueue.spin(answer, 50);
    if (Buffer.compare(data, ping) !== 0) throw new Error('another message came back');
  }
  console.log(`${ROUNDS} round trips, ${(((performance.now() - started) * 1000) / ROUNDS).toFixed(1)} us each`);
  await connection.close();
  await completionQueue.close();
}
