/** The programs in examples/rdma, each as a listener and one that connects. */
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { ibex, run } from '../cluster/cluster.js';
import { needs } from '../support/capabilities.js';
import { DEVICE_ADDRESS, released, resources } from './device.js';
import { type Server, startServer } from './pair.js';

const PORT = 7431;
const CLIENT_MS = 120_000;

async function runExample(t: Test, name: string, settings: readonly string[], folder: string): Promise<{ client: string; server: Server }> {
  const before = await resources();
  const program = fileURLToPath(new URL(`../../../examples/rdma/${name}`, import.meta.url));
  const key = join(folder, 'key');
  t.equal((await ibex(['key', 'generate', key])).code, 0);
  const environment = [`KEY_FILE=${key}`, ...settings, process.execPath, program];
  const server = await startServer('env', [...environment, 'listen', String(PORT)], PORT);
  const client = await run('env', [...environment, 'connect', DEVICE_ADDRESS, String(PORT)], { timeoutMs: CLIENT_MS });
  server.interrupt();
  await server.ended();
  t.equal(client.code, 0, `${client.stdout}${client.stderr}${server.output()}`);
  t.same(await released(before), before);
  return { client: client.stdout, server };
}

for (const [name, says] of [
  ['ping-pong.mjs', /round trips/],
  ['remote-memory.mjs', /visitor 1;/],
  ['key-value.mjs', /1000 lookups/],
] as const) {
  t.test(name, { ...needs('rdma'), timeout: 300_000 }, async (t) => {
    const { client } = await runExample(t, name, [], t.testdir());
    t.match(client, says);
  });
}

t.test('stream-file.mjs brings every byte', { ...needs('rdma'), timeout: 300_000 }, async (t) => {
  const folder = t.testdir();
  const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
  // The last block is not a whole one, and the places were used more than once.
  const content = randomBytes(20 * 2 ** 20 + 4711);
  await writeFile(join(folder, 'sent'), content);
  const { server } = await runExample(t, 'stream-file.mjs', [`FILE=${join(folder, 'sent')}`, `OUT=${join(folder, 'received')}`], folder);
  t.match(server.output(), new RegExp(`${content.length} bytes in`));
  t.equal(sha256(await readFile(join(folder, 'received'))), sha256(content));
});
