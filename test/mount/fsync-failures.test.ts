/** fsync through a mount under load while a server dies: an error is told to whom it concerns, once, and is over when the server is back. */
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type Mount, TestCluster } from '../cluster/cluster.js';
import { needs } from '../support/capabilities.js';

const able = needs('root', 'fuse');
const MiB = 2 ** 20;
/** Servers are given up soon, so that what waits for them fails soon. */
const settings = {
  'mgmtd.heartbeat': 'interval = "200 ms"\nlost_session_after = "500 ms"\nprobably_offline_after = "1 s"\noffline_after = "3 s"',
};
const impatient = '[client]\nrequest_timeout = "3 s"';

/** Programs that write and sync files of their own, whatever happens. */
class Load {
  readonly #loops: Promise<void>[];
  #stopped = false;
  synced = 0;
  failed = 0;

  constructor(mount: Mount) {
    this.#loops = [0, 1, 2].map((n) => this.#run(join(mount.path, `load-${n}`)));
  }

  async #run(path: string): Promise<void> {
    const file = await fs.open(path, 'w');
    for (let round = 0; !this.#stopped; round++) {
      try {
        await file.write(Buffer.alloc(MiB, round), 0, MiB, (round % 8) * MiB);
        await file.sync();
        this.synced++;
      } catch {
        this.failed++;
      }
    }
    await file.close().catch(() => undefined);
  }

  async until(wanted: (load: this) => boolean): Promise<void> {
    const deadline = performance.now() + 60_000;
    while (!wanted(this)) {
      if (performance.now() > deadline) throw new Error(`not within a minute: ${wanted.toString()}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }
}

t.test('while the storage daemons are dead', { ...able, timeout: 180_000 }, async (t) => {
  const cluster = await TestCluster.start(t, { settings });
  const mount = await cluster.mount('mnt', impatient);
  const path = join(mount.path, 'file');
  const [one, two, late] = [await fs.open(path, 'w+'), await fs.open(path, 'r+'), await fs.open(path, 'r+')];
  await one.write(Buffer.alloc(4 * MiB, 'a'), 0, 4 * MiB, 0);
  await one.sync();
  await two.sync();
  const load = new Load(mount);
  await load.until(({ synced }) => synced > 10);

  for (const storage of cluster.storages) await storage.kill();
  // Accepted, and lost with those who would have stored it.
  await one.write(Buffer.alloc(MiB, 'b'), 0, MiB, 0);
  await t.rejects(one.sync(), { code: 'EIO' });
  await load.until(({ failed }) => failed > 0);

  for (const storage of cluster.storages) storage.start();
  await cluster.ready();
  const { synced } = load;
  await load.until((now) => now.synced > synced + 10);
  await load.stop();
  await t.resolves(one.sync(), 'it was told');
  await t.rejects(two.sync(), { code: 'EIO' }, 'so is the other, also when all is well again');
  await t.resolves(two.sync(), 'once');
  await t.rejects(late.sync(), { code: 'EIO' }, 'and who only looks on: it was open');
  await t.resolves(late.sync());
  const after = await fs.open(path, 'r+');
  await t.resolves(after.sync(), 'who comes later is not concerned');

  await two.write(Buffer.alloc(4 * MiB, 'c'), 0, 4 * MiB, 0);
  await two.sync();
  for (const file of [one, two, late, after]) await file.close();
  await mount.remount();
  t.ok((await fs.readFile(path)).equals(Buffer.alloc(4 * MiB, 'c')));
});

t.test('while the metadata daemon is dead', { ...able, timeout: 180_000 }, async (t) => {
  const cluster = await TestCluster.start(t, { settings });
  const mount = await cluster.mount('mnt', impatient);
  const path = join(mount.path, 'file');
  const [one, two] = [await fs.open(path, 'w+'), await fs.open(path, 'r+')];
  const load = new Load(mount);
  await load.until(({ synced }) => synced > 10);

  await cluster.meta.kill();
  await one.write(Buffer.alloc(4 * MiB, 'a'), 0, 4 * MiB, 0);
  await t.rejects(one.sync(), 'nobody knows the new size');
  await t.rejects(two.sync(), 'whoever asks');
  await load.until(({ failed }) => failed > 0);

  cluster.meta.start();
  await cluster.ready();
  const { synced } = load;
  await load.until((now) => now.synced > synced + 10);
  await load.stop();
  // Nothing was lost: there is nothing to report once it is on disk.
  await t.resolves(two.sync());
  await t.resolves(one.sync());
  for (const file of [one, two]) await file.close();
  await mount.remount();
  t.ok((await fs.readFile(path)).equals(Buffer.alloc(4 * MiB, 'a')));
});
