// One-sided operations: the listening end exposes memory and does nothing more; the other reads it, writes it, and
// counts in it atomically.
//   KEY_FILE=key node remote-memory.mjs listen      KEY_FILE=key node remote-memory.mjs connect HOST
import { connect, listen, remoteSlice } from 'ibexfs/rdma';
import { setUp } from './common.mjs';

const rights = { remoteRead: true, remoteWrite: true, remoteAtomic: true };
const { role, domain, completionQueue, address } = setUp();
const arena = domain.createArena(4096, rights);

if (role === 'listen') {
  // Bytes 0 to 7 count visitors, the rest is a board that everybody may write on.
  arena.bytes.set(Buffer.from('nobody was here'), 8);
  const listener = await listen({ ...address, queuePair: rights, data: arena.expose() });
  console.log(`listening on port ${listener.port}`);
  for await (const connection of listener) {
    await connection.queuePair.ended;
    const board = Buffer.from(arena.bytes.subarray(8, 72)).toString().replaceAll('\0', '');
    console.log(`visitors: ${new DataView(arena.bytes.buffer).getBigUint64(0, true)}, board: ${board}`);
  }
} else {
  const connection = await connect({ ...address, queuePair: rights });
  const { queuePair, data: remote } = connection;
  const local = arena.bytes.subarray(0, 64);
  const before = await queuePair.fetchAndAdd(arena.bytes.subarray(64, 72), remoteSlice(remote, 0, 8), 1n);
  await queuePair.read(local, remoteSlice(remote, 8, 64));
  console.log(`visitor ${before + 1n}; the board says: ${Buffer.from(local).toString().replaceAll('\0', '')}`);
  local.fill(0);
  local.set(Buffer.from(`process ${process.pid} was here`));
  await queuePair.write(local, remoteSlice(remote, 8, 64));
  await connection.close();
  await completionQueue.close();
}
