// A file to another machine: its blocks are read into registered memory and written by RDMA straight into memory of the
// receiver, who learns of each by its immediate and gives the place back with an empty message.
//   KEY_FILE=key node stream-file.mjs listen        FILE=big.iso KEY_FILE=key node stream-file.mjs connect HOST
// The receiver writes to OUT (default: received).
import { open } from 'node:fs/promises';
import { connect, listen, remoteSlice } from 'ibexfs/rdma';
import { setUp } from './common.mjs';

const BLOCK_BYTES = 1024 * 1024;
const BLOCKS = 8;
const rights = { remoteWrite: true };
const { role, domain, completionQueue, address } = setUp();
const arena = domain.createArena(BLOCK_BYTES * BLOCKS + 4096, rights);
const block = (index) => arena.bytes.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
/** For messages without a body. */
const empty = arena.bytes.subarray(BLOCK_BYTES * BLOCKS, BLOCK_BYTES * BLOCKS);

/** Writes blocks as they come; an immediate is the block's place and length, a length of 0 is the end. */
async function receive({ queuePair }, arrivals, path) {
  const file = await open(path, 'w');
  try {
    for (let bytes = 0; ; ) {
      const { immediate } = await arrivals.shift();
      arrivals.push(queuePair.recv(empty));
      arrivals.at(-1).catch(() => undefined);
      const [place, length] = [immediate % BLOCKS, Math.floor(immediate / BLOCKS)];
      await file.write(block(place), 0, length);
      bytes += length;
      // Also after the end: the sender closes the connection when it has this.
      await queuePair.send(empty);
      if (length === 0) return bytes;
    }
  } finally {
    await file.close();
  }
}

async function send({ queuePair, data: remote }, path) {
  const file = await open(path, 'r');
  const freed = [];
  try {
    let place = 0;
    for (let sent = 0; ; sent++) {
      // As many blocks as there are places may be on the way. A place is free when the adapter is done with ours, and the
      // receiver with its own.
      if (sent >= BLOCKS) await freed.shift();
      const { bytesRead } = await file.read(block(place), 0, BLOCK_BYTES);
      const credit = queuePair.recv(empty);
      const target = remoteSlice(remote, place * BLOCK_BYTES, bytesRead);
      const written = queuePair.writeWithImm(block(place).subarray(0, bytesRead), target, bytesRead * BLOCKS + place);
      const done = Promise.all([credit, written]);
      done.catch(() => undefined);
      freed.push(done);
      // The receiver has everything when it has given every place back.
      if (bytesRead === 0) return await Promise.all(freed);
      place = (place + 1) % BLOCKS;
    }
  } finally {
    await file.close();
  }
}

if (role === 'listen') {
  const arrivals = new WeakMap();
  const prepare = (queuePair) => {
    const posted = Array.from({ length: BLOCKS + 1 }, () => queuePair.recv(empty));
    for (const one of posted) one.catch(() => undefined);
    arrivals.set(queuePair, posted);
  };
  const listener = await listen({
    ...address,
    queuePair: rights,
    prepare,
    data: arena.expose(arena.bytes.subarray(0, BLOCK_BYTES * BLOCKS)),
  });
  console.log(`listening on port ${listener.port}`);
  for await (const connection of listener) {
    const path = process.env.OUT ?? 'received';
    const bytes = await receive(connection, arrivals.get(connection.queuePair), path);
    console.log(`${bytes} bytes in ${path}`);
    await connection.queuePair.ended;
  }
} else {
  const connection = await connect({ ...address, queuePair: rights });
  const started = performance.now();
  const path = process.env.FILE ?? process.argv[1];
  await send(connection, path);
  console.log(`${path} was sent in ${(performance.now() - started).toFixed(0)} ms`);
  await connection.close();
  await completionQueue.close();
}
