/** The file system over queue pairs, on a machine with an RDMA device (soft-RoCE as rxe0 on d0, see test/rxe). */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { connect, type FileSystem } from '../../src/index.js';
import type { RdmaPolicy } from '../../src/net/carrier.js';
import { TestCluster } from '../cluster/cluster.js';
import { needs } from '../support/capabilities.js';
import { differences, hashTree } from '../support/trees.js';
import { type Resources, released, resources } from './device.js';

const run = promisify(execFile);
const LIMIT_MS = 550_000;
const STATUS_MS = 20_000;
/** Looks whether RDMA can be used again come at intervals that double from a second on. */
const RETURNED_MS = 90_000;

interface NodeCarriers {
  readonly node: number;
  readonly rdma: number;
  readonly tcp: number;
  readonly reason: string;
}

interface Status {
  readonly carriers: readonly NodeCarriers[];
  readonly clients: readonly { readonly kind: string; readonly name: string; readonly carrier: string; readonly carrierDetail: string }[];
}

const quick = {
  'mgmtd.heartbeat': 'interval = "300 ms"\nlost_session_after = "1 s"\nprobably_offline_after = "3 s"\noffline_after = "300 s"',
};
const policies = (policy: RdmaPolicy): Record<string, string> =>
  Object.fromEntries(['mgmtd', 'meta', 'storage'].map((kind) => [`${kind}.rdma`, `policy = "${policy}"`]));

/** Protection domains, completion queues, queue pairs, memory regions are back to what they were. */
async function expectReleased(t: Test, before: Resources): Promise<void> {
  t.same(await released(before), before);
}

/** Nodes report with their heartbeats: waits until the status is as wanted. */
async function statusOnce(cluster: TestCluster, wanted: (status: Status) => boolean, limitMs = STATUS_MS): Promise<Status> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const { stdout } = await cluster.ibex(['status', '--output', 'json']);
    const status = JSON.parse(stdout) as Status;
    if (wanted(status) || performance.now() > deadline) return status;
    await pause(200);
  }
}

const overRdmaAlone = ({ carriers, clients }: Status): boolean =>
  carriers.length === 4 && carriers.every(({ rdma, tcp }) => rdma > 0 && tcp === 0) && clients.every(({ carrier }) => carrier === 'rdma');

function client(cluster: TestCluster, policy: RdmaPolicy): Promise<FileSystem> {
  // A daemon takes its time to start again where the processor is emulated.
  return connect({ mgmtd: cluster.address, keyFile: cluster.keyFile, rdma: { policy }, requestTimeoutMs: 120_000 });
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

t.test('a cluster that requires RDMA carries everything over it', { ...needs('rdma', 'root', 'fuse'), timeout: LIMIT_MS }, async (t) => {
  const before = await resources();
  const cluster = await TestCluster.start(t, { settings: { ...quick, ...policies('require') } });
  const fileSystem = await client(cluster, 'require');
  await t.test('striped files of the library keep every byte', async (t) => {
    for (const bytes of [1, 5_000, 70_000, 3_000_001, 24 * 2 ** 20 + 17]) {
      const content = randomBytes(bytes);
      await fileSystem.writeFile(`/f${bytes}`, content);
      t.equal(sha256(await fileSystem.readFile(`/f${bytes}`)), sha256(content), `${bytes} bytes`);
    }
  });
  await t.test('a tree goes into a mount and out of it', async (t) => {
    const mount = await cluster.mount('mnt', '[rdma]\npolicy = "require"');
    const source = join(cluster.folder, 'source');
    await mkdir(join(source, 'deep/er'), { recursive: true });
    for (const size of [0, 1, 4_096, 65_537, 1_048_576, 5_000_001]) {
      await writeFile(join(source, `f${size}`), randomBytes(size));
      await writeFile(join(source, 'deep/er', `f${size}`), randomBytes(size));
    }
    const expected = await hashTree(source);
    await cp(source, join(mount.path, 'tree'), { recursive: true });
    await mount.remount();
    t.same(differences(await hashTree(join(mount.path, 'tree')), expected), []);
    const status = await statusOnce(cluster, overRdmaAlone);
    t.ok(overRdmaAlone(status), JSON.stringify(status.carriers));
    t.match(status.clients.find(({ kind }) => kind === 'mount')?.carrierDetail, /rxe0 port 1, queue pair \d+, peer .*MTU/);
    await mount.stop();
  });
  await t.test('a client that may not use RDMA is refused with the reason', async (t) => {
    await t.rejects(client(cluster, 'off'), /rdma\.policy is "require"/);
  });
  await fileSystem.close();
  await cluster.stop();
  await expectReleased(t, before);
});

t.test(
  'where one side has no RDMA, TCP carries on, and the status says why',
  { ...needs('rdma', 'root', 'fuse'), timeout: LIMIT_MS },
  async (t) => {
    const before = await resources();
    const cluster = await TestCluster.start(t, { settings: { ...quick, 'storage.rdma': 'policy = "off"' } });
    const fileSystem = await client(cluster, 'prefer');
    const content = randomBytes(5_000_000);
    await fileSystem.writeFile('/f', content);
    t.equal(sha256(await fileSystem.readFile('/f')), sha256(content));
    const status = await statusOnce(cluster, ({ carriers }) => carriers.filter(({ reason }) => reason.includes('off')).length >= 2);
    t.ok(
      status.carriers.some(({ rdma, reason }) => rdma === 0 && reason.includes('"off"')),
      JSON.stringify(status.carriers),
    );
    t.ok(
      status.clients.every(({ carrier }) => carrier === 'rdma'),
      'while mgmtd, which has RDMA, is reached over it',
    );
    await fileSystem.close();
    await cluster.stop();
    await expectReleased(t, before);
  },
);

t.test(
  'a storage daemon that is killed, and a port that goes down, in the middle of copies',
  { ...needs('rdma', 'root', 'fuse'), timeout: LIMIT_MS },
  async (t) => {
    const before = await resources();
    const cluster = await TestCluster.start(t, { settings: { ...quick, ...policies('prefer') } });
    const fileSystem = await client(cluster, 'prefer');
    const contents = Array.from({ length: 6 }, () => randomBytes(6_000_000));
    const copyAll = (folder: string): Promise<unknown> =>
      Promise.all(contents.map((content, i) => fileSystem.writeFile(`${folder}/f${i}`, content)));
    const check = async (t: Test, folder: string): Promise<void> => {
      for (const [i, content] of contents.entries())
        t.equal(sha256(await fileSystem.readFile(`${folder}/f${i}`)), sha256(content), `file ${i}`);
    };
    await t.test('kill -9', async (t) => {
      await fileSystem.mkdir('/killed');
      const copied = copyAll('/killed');
      await pause(300);
      await cluster.storages[0]?.kill();
      cluster.storages[0]?.start();
      await copied;
      await check(t, '/killed');
      t.ok(overRdmaAlone(await statusOnce(cluster, overRdmaAlone)), 'over RDMA again');
    });
    await t.test('port down', async (t) => {
      await fileSystem.mkdir('/down');
      const copied = copyAll('/down');
      await pause(300);
      await run('ip', ['link', 'set', 'dummy0', 'down']);
      await copied;
      await check(t, '/down');
      const status = await statusOnce(cluster, ({ carriers }) => carriers.some(({ reason }) => reason.includes('down')));
      t.ok(
        status.carriers.some(({ reason }) => reason.includes('down')),
        JSON.stringify(status.carriers),
      );
    });
    await t.test('port up again, in the middle of copies', async (t) => {
      await fileSystem.mkdir('/up');
      let returned = false;
      let rounds = 0;
      const copying = (async () => {
        for (; !returned; rounds++) await copyAll('/up');
      })();
      await run('ip', ['link', 'set', 'dummy0', 'up']);
      const status = await statusOnce(cluster, overRdmaAlone, RETURNED_MS);
      returned = true;
      await copying;
      t.ok(rounds > 0, `${rounds} rounds of copies went on, and no request failed`);
      await check(t, '/up');
      t.ok(overRdmaAlone(status), `over RDMA again: ${JSON.stringify(status.carriers)}`);
    });
    await fileSystem.close();
    await cluster.stop();
    await expectReleased(t, before);
  },
);
