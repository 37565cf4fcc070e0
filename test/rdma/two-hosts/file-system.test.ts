/**
 * Two machines on one wire that loses and reorders packets: a cluster on the first, a client and a mount on the second,
 * over RDMA alone. What one has written the other reads, byte for byte.
 */
import { createHash, randomBytes } from 'node:crypto';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { connect, type FileSystem } from '../../../src/index.js';
import { Mount, run, TestCluster } from '../../cluster/cluster.js';
import { Daemon } from '../../cluster/daemon.js';
import { needs } from '../../support/capabilities.js';
import { differences, hashTree } from '../../support/trees.js';
import { counter, HOST_ADDRESSES, released, resources } from '../device.js';

const host = process.argv[2] ?? '';
const SERVER = HOST_ADDRESSES['1'] ?? '';
/** Where the second machine is told of the cluster, and tells what it has found. */
const PORT = 18_600;
const LIMIT_MS = 550_000;
const require = 'policy = "require"';
const settings = Object.fromEntries(
  ['mgmtd', 'meta', 'storage'].flatMap((kind) => [
    [`${kind}.rdma`, require],
    [`${kind}.listen`, 'host = "0.0.0.0"'],
  ]),
);
const SIZES = [0, 1, 4_096, 65_537, 1_048_576, 3_000_001];

interface Bulletin {
  readonly mgmtdPort: number;
  /** Of the cluster, in hexadecimal digits. */
  readonly key: string;
}

/** What the second machine has found: the tree as the mount shows it. */
type Found = readonly string[];

async function makeWireBad(t: Test): Promise<void> {
  const { code, stderr } = await run('tc', [
    'qdisc',
    'add',
    'dev',
    'eth0',
    'root',
    'netem',
    'delay',
    '1ms',
    'reorder',
    '98%',
    'loss',
    '0.5%',
  ]);
  t.equal(code, 0, stderr);
}

async function packetsLost(): Promise<number> {
  const { stdout } = await run('tc', ['-s', '-j', 'qdisc', 'show', 'dev', 'eth0']);
  const [first] = JSON.parse(stdout) as { drops: number }[];
  return first?.drops ?? 0;
}

const packetsRepaired = async (): Promise<number> =>
  (await counter('duplicate_request')) + (await counter('out_of_seq_request')) + (await counter('rcvd_seq_err'));

/** Gives the bulletin to who asks, until the second machine has sent what it found. */
async function exchange(bulletin: Bulletin): Promise<Found> {
  const server: Server = createServer();
  const found = new Promise<Found>((resolve) => {
    server.on('request', (request, response) => {
      if (request.method === 'GET') {
        response.end(JSON.stringify(bulletin));
        return;
      }
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        response.end();
        resolve(JSON.parse(Buffer.concat(chunks).toString()) as Found);
      });
    });
  });
  server.listen(PORT, SERVER);
  try {
    return await Promise.race([found, pause(LIMIT_MS, undefined, { ref: false }).then(() => Promise.reject(new Error('nothing heard')))]);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** The other machine boots meanwhile. */
async function askForBulletin(): Promise<Bulletin> {
  const deadline = performance.now() + LIMIT_MS / 2;
  for (;;) {
    try {
      const answer = await fetch(`http://${SERVER}:${PORT}/`, { signal: AbortSignal.timeout(5_000) });
      return (await answer.json()) as Bulletin;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await pause(500);
    }
  }
}

async function serve(t: Test): Promise<void> {
  const cluster = await TestCluster.start(t, { storageNodes: 1, settings });
  const found = await exchange({ mgmtdPort: cluster.mgmtdPort, key: (await readFile(cluster.keyFile)).toString('hex') });
  const fileSystem = await connect({ mgmtd: cluster.address, keyFile: cluster.keyFile, rdma: { policy: 'require' } });
  t.same(differences(await hashTree('/tree', fileSystem), [...found]), [], 'here the tree is as the other machine sees it');
  await fileSystem.close();
  await cluster.stop();
}

async function roundTrips(t: Test, fileSystem: FileSystem): Promise<void> {
  const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
  for (const bytes of [1, 5_000, 70_000, 4 * 2 ** 20 + 17]) {
    const content = randomBytes(bytes);
    await fileSystem.writeFile(`/f${bytes}`, content);
    t.equal(sha256(await fileSystem.readFile(`/f${bytes}`)), sha256(content), `${bytes} bytes`);
  }
}

async function use(t: Test): Promise<void> {
  const folder = t.testdir();
  const { mgmtdPort, key } = await askForBulletin();
  const keyFile = join(folder, 'key');
  await writeFile(keyFile, Buffer.from(key, 'hex'), { mode: 0o600 });
  const mgmtd = `${SERVER}:${mgmtdPort}`;
  const fileSystem = await connect({ mgmtd, keyFile, rdma: { policy: 'require' }, requestTimeoutMs: 120_000 });
  await roundTrips(t, fileSystem);
  await fileSystem.close();

  const config = join(folder, 'mount.toml');
  await writeFile(config, `[cluster]\nkey_file = "${keyFile}"\nmgmtd = ["${mgmtd}"]\n[rdma]\n${require}\n`);
  const path = join(folder, 'mnt');
  const source = join(folder, 'source');
  await mkdir(path);
  const mount = new Mount(path, new Daemon('mount', join(folder, 'mount.log'), ['mount', path, '--config', config]));
  t.teardown(() => mount.abandon());
  await mount.start();
  await mkdir(join(source, 'deep/er'), { recursive: true });
  for (const size of SIZES) await writeFile(join(source, 'deep/er', `f${size}`), randomBytes(size));
  await cp(source, join(path, 'tree'), { recursive: true });
  await mount.remount();
  const found = await hashTree(join(path, 'tree'));
  t.same(differences(found, await hashTree(source)), [], 'the tree comes back from the mount as it went in');
  await mount.stop();
  await fetch(`http://${SERVER}:${PORT}/`, { method: 'POST', body: JSON.stringify(found) });
}

t.test(`a file system over a bad wire, host ${host}`, { ...needs('rdma', 'root', 'fuse'), timeout: LIMIT_MS }, async (t) => {
  const before = await resources();
  await makeWireBad(t);
  await (host === '1' ? serve(t) : use(t));
  const [lost, repaired] = [await packetsLost(), await packetsRepaired()];
  t.ok(lost > 0, `${lost} packets were lost on the way out`);
  t.ok(repaired > 0, `${repaired} packets came again or too early`);
  t.same(await released(before), before, 'nothing of the device is in use any more');
});
