// A table that clients look up by RDMA READs alone: the server's processor takes no part in a get.
//   KEY_FILE=key node key-value.mjs listen          KEY_FILE=key node key-value.mjs connect HOST
// The table: BUCKETS buckets of 64 bytes: a version (odd while it is written), length, hash of the key, and the value.
import { createHash } from 'node:crypto';
import { connect, listen, remoteSlice } from 'ibexfs/rdma';
import { setUp } from './common.mjs';

const BUCKETS = 4096;
const BUCKET_BYTES = 64;
const HASH_BYTES = 16;
const VALUE_AT = 8 + HASH_BYTES;
const PROBES_MAX = 8;

const hashOf = (key) => createHash('sha256').update(key).digest().subarray(0, HASH_BYTES);
const bucketOf = (hash, probe) => (hash.readUInt32LE(0) + probe) % BUCKETS;

/** The server's side: plain memory. */
class Table {
  constructor(arena) {
    this.bytes = Buffer.from(arena.bytes.buffer);
  }
  set(key, value) {
    const hash = hashOf(key);
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const at = bucketOf(hash, probe) * BUCKET_BYTES;
      const isFree = this.bytes.readUInt32LE(at) === 0;
      if (!isFree && !this.bytes.subarray(at + 8, at + 8 + HASH_BYTES).equals(hash)) continue;
      const version = this.bytes.readUInt32LE(at);
      this.bytes.writeUInt32LE(version + 1, at);
      this.bytes.writeUInt32LE(value.length, at + 4);
      hash.copy(this.bytes, at + 8);
      this.bytes.write(value, at + VALUE_AT);
      this.bytes.writeUInt32LE(version + 2, at);
      return;
    }
    throw new Error('the table is full there');
  }
}

/** The client's side: reads all buckets where the key can be at once. */
async function get(queuePair, remote, local, key) {
  const hash = hashOf(key);
  for (;;) {
    const batch = queuePair.batch();
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const place = local.subarray(probe * BUCKET_BYTES, (probe + 1) * BUCKET_BYTES);
      batch.read(place, remoteSlice(remote, bucketOf(hash, probe) * BUCKET_BYTES, BUCKET_BYTES));
    }
    await batch.submit();
    const buckets = Array.from({ length: PROBES_MAX }, (_, i) => Buffer.from(local.subarray(i * BUCKET_BYTES, (i + 1) * BUCKET_BYTES)));
    // Somebody writes there just now: look again.
    if (buckets.some((bucket) => bucket.readUInt32LE(0) % 2 === 1)) continue;
    const found = buckets.find((bucket) => bucket.readUInt32LE(0) > 0 && bucket.subarray(8, 8 + HASH_BYTES).equals(hash));
    return found?.toString('utf8', VALUE_AT, VALUE_AT + found.readUInt32LE(4));
  }
}

const { role, domain, completionQueue, address } = setUp();
const rights = { remoteRead: true };

if (role === 'listen') {
  const arena = domain.createArena(BUCKETS * BUCKET_BYTES, rights);
  const table = new Table(arena);
  for (let i = 0; i < 1000; i++) table.set(`key ${i}`, `value ${i}`);
  const listener = await listen({ ...address, queuePair: rights, data: arena.expose() });
  console.log(`listening on port ${listener.port}`);
  for await (const connection of listener) console.log(`${connection.peerName} reads`);
} else {
  const connection = await connect(address);
  const local = domain.createArena(4096).bytes;
  const started = performance.now();
  for (let i = 0; i < 1000; i++) {
    const value = await get(connection.queuePair, connection.data, local, `key ${i}`);
    if (value !== `value ${i}`) throw new Error(`key ${i} has ${value}`);
  }
  console.log(`1000 lookups, ${(((performance.now() - started) * 1000) / 1000).toFixed(1)} us each`);
  console.log(`no such key: ${await get(connection.queuePair, connection.data, local, 'nonesuch')}`);
  await connection.close();
  await completionQueue.close();
}
