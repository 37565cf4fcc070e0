/** Bad luck: daemons killed under load, disks full, a storage daemon away. */
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { FileSystem } from '../../src/index.js';
import { needs } from '../support/capabilities.js';
import { seed } from '../support/properties.js';
import { ibex, type ListedTarget, run, TestCluster } from './cluster.js';
import type { Daemon } from './daemon.js';

const body = (index: number, bytes: number): Buffer => Buffer.alloc(bytes, `<${index}>`);
const quick = {
  'mgmtd.heartbeat': 'interval = "200 ms"\nlost_session_after = "500 ms"\nprobably_offline_after = "1 s"\noffline_after = "3 s"',
};

const storageIs =
  (state: ListedTarget['reachability']) =>
  (targets: readonly ListedTarget[]): boolean =>
    targets.length > 0 && targets.every(({ kind, reachability }) => kind === 'meta' || reachability === state);

/** Writes files one after the other until told to stop; what close acknowledged is in `done`. */
async function writer(fileSystem: FileSystem, folder: string, done: Map<string, Buffer>, stopped: () => boolean): Promise<void> {
  for (let index = 0; !stopped(); index++) {
    const path = `${folder}/f${index}`;
    const content = body(index, (index * 7919) % 3_000_000);
    await fileSystem.writeFile(path, content);
    done.set(path, content);
  }
}

t.test('kill -9 of each daemon under load loses nothing that was acknowledged', { timeout: 300_000 }, async (t) => {
  // With the heartbeats of a real cluster: on a busy machine a daemon may need longer to start than the quick ones allow.
  const cluster = await TestCluster.start(t);
  const victims: [string, Daemon][] = [
    ['storage', cluster.storages[0] as Daemon],
    ['meta', cluster.meta],
    ['mgmtd', cluster.mgmtd],
  ];
  for (const [name, victim] of victims) {
    t.test(name, async (t) => {
      const fileSystem = await cluster.client();
      await fileSystem.mkdir(`/${name}`);
      const done = new Map<string, Buffer>();
      let stop = false;
      const writers = [0, 1, 2, 3].map(async (n) => {
        await fileSystem.mkdir(`/${name}/${n}`);
        await writer(fileSystem, `/${name}/${n}`, done, () => stop);
      });
      const all = Promise.all(writers);
      let failed = false;
      all.catch(() => {
        failed = true;
      });
      for (let round = 0; round < 3 && !failed; round++) {
        const before = done.size;
        while (done.size < before + 20 && !failed) await new Promise((resolve) => setTimeout(resolve, 10));
        await victim.kill();
        victim.start();
        await cluster.ready();
      }
      stop = true;
      await t.resolves(all, 'no error reached the application: requests waited for the daemon');
      const reader = await cluster.client();
      for (const [path, content] of done) {
        const found = await reader.readFile(path);
        if (!found.equals(content)) t.fail(`${path}: ${found.length} bytes instead of ${content.length}`);
      }
      t.pass(`${done.size} files are whole`);
    });
  }
});

t.test('kill -9 of everything: names and files that fsync acknowledged are there after a restart', { timeout: 120_000 }, async (t) => {
  const cluster = await TestCluster.start(t, { settings: quick });
  const fileSystem = await cluster.client();
  const handle = await fileSystem.open('/kept', 'w');
  await handle.write(body(1, 2_500_000));
  await handle.sync();
  for (const daemon of cluster.daemons) await daemon.kill();
  cluster.startDaemons();
  await cluster.ready();
  const again = await cluster.client();
  t.ok((await again.readFile('/kept')).equals(body(1, 2_500_000)));
});

t.test(
  'a dead storage daemon: EIO after a bounded wait, named in the log; works again when it is back',
  { ...needs('root', 'fuse'), timeout: 120_000 },
  async (t) => {
    const cluster = await TestCluster.start(t, { settings: quick });
    const mount = await cluster.mount();
    const path = join(mount.path, 'file');
    const content = body(3, 4 * 2 ** 20);
    await fs.writeFile(path, content);
    await mount.remount();
    for (const storage of cluster.storages) await storage.kill();
    const start = performance.now();
    await t.rejects(fs.readFile(path), { code: 'EIO' });
    t.ok(performance.now() - start < 40_000, `took ${Math.round(performance.now() - start)} ms`);
    t.match(mount.daemon.log(), /target \d+/i, 'the log names the target');
    t.match(mount.daemon.log(), /\[?0x[0-9a-f]+:0x[0-9a-f]+/, 'and the file');
    for (const storage of cluster.storages) storage.start();
    await cluster.ready();
    t.ok((await fs.readFile(path)).equals(content), 'back without a remount');
  },
);

t.test(
  'a file that is created while all storage targets are away for a moment waits for them, and is not told of a lack of space',
  { ...needs('root', 'fuse'), timeout: 120_000 },
  async (t) => {
    const patient = 'interval = "200 ms"\nlost_session_after = "300 ms"\nprobably_offline_after = "1 s"\noffline_after = "10 min"';
    const cluster = await TestCluster.start(t, { settings: { 'mgmtd.heartbeat': patient } });
    const mount = await cluster.mount();
    const fileSystem = await cluster.client();
    for (const storage of cluster.storages) await storage.kill();
    await cluster.until(storageIs('probably-offline'));
    let ended = 0;
    const writes = [fs.writeFile(join(mount.path, 'a'), 'content'), fileSystem.writeFile('/b', 'content')];
    for (const write of writes) write.finally(() => ended++).catch(() => undefined);
    await fileSystem.mkdir('/d'); // the metadata server goes on answering
    t.equal(ended, 0, 'both wait');
    for (const storage of cluster.storages) storage.start();
    await Promise.all(writes);
    t.equal(await fileSystem.readFile('/a', 'utf8'), 'content');
    t.equal(await fs.readFile(join(mount.path, 'b'), 'utf8'), 'content');
  },
);

t.test(
  'a file that is created while all storage targets are gone fails at once, and says that they are',
  { ...needs('root', 'fuse'), timeout: 120_000 },
  async (t) => {
    const cluster = await TestCluster.start(t, { settings: quick });
    const mount = await cluster.mount();
    const fileSystem = await cluster.client();
    for (const storage of cluster.storages) await storage.kill();
    await cluster.until(storageIs('offline'));
    await t.rejects(fs.writeFile(join(mount.path, 'a'), 'content'), { code: 'EIO' });
    t.match(mount.daemon.log(), /none of the 4 storage targets of pool .*4 not online/, 'the log says why');
    await t.rejects(fileSystem.writeFile('/b', 'content'), { code: 'EIO', message: /4 not online/ });
  },
);

t.test('a full target is ENOSPC and what was there stays whole', { ...needs('root', 'fuse'), timeout: 120_000 }, async (t) => {
  const small = await fs.mkdtemp('/tmp/ibexfs-small-');
  t.equal((await run('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', small])).code, 0);
  t.teardown(async () => {
    await run('umount', ['-l', small]);
    await fs.rm(small, { recursive: true, force: true });
  });
  const cluster = await TestCluster.start(t, { storageNodes: 1, targetsPerNode: 1, targetFolder: () => join(small, 'target') });
  const mount = await cluster.mount();
  await fs.writeFile(join(mount.path, 'before'), body(1, 8 * 2 ** 20));
  await t.rejects(fs.writeFile(join(mount.path, 'too-big'), body(2, 40 * 2 ** 20)), { code: 'ENOSPC' });
  const fileSystem = await cluster.client();
  await t.rejects(fileSystem.writeFile('/too-big-2', body(2, 40 * 2 ** 20)), { code: 'ENOSPC' });
  await mount.remount();
  t.ok((await fs.readFile(join(mount.path, 'before'))).equals(body(1, 8 * 2 ** 20)));
  await fs.rm(join(mount.path, 'too-big'));
  await fileSystem.unlink('/too-big-2');
  const deadline = performance.now() + 20_000;
  for (;;) {
    try {
      await fs.writeFile(join(mount.path, 'after'), body(3, 8 * 2 ** 20));
      break;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      // Until the chunks of the removed files are gone from the disks.
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  t.pass('space came back');
});

t.test('a retried change is answered, not applied again', { timeout: 60_000 }, async (t) => {
  const cluster = await TestCluster.start(t, { settings: quick });
  const fileSystem = await cluster.client();
  let failed = 0;
  let stop = false;
  const work = (async () => {
    for (let i = 0; !stop; i++) {
      // Each of these fails if it is applied twice: EEXIST, then ENOENT.
      await fileSystem.mkdir(`/d${i}`).catch(() => failed++);
      await fileSystem.rename(`/d${i}`, `/e${i}`).catch(() => failed++);
      await fileSystem.rmdir(`/e${i}`).catch(() => failed++);
    }
  })();
  for (let round = 0; round < 5; round++) {
    // Any moment will do: each round kills at another one of the changes under way.
    await new Promise((resolve) => setTimeout(resolve, 200 + (seed() % 100)));
    await cluster.meta.kill();
    cluster.meta.start();
    await cluster.ready();
  }
  stop = true;
  await work;
  t.equal(failed, 0);
});

t.test('wrong configurations are one line that says what to do', async (t) => {
  const folder = t.testdir({
    'bad.toml': '[storage]\ntargts = ["/x"]\n',
    'broken.toml': '[storage\n',
    'value.toml': '[listen]\nport = "many"\n',
  });
  for (const [file, pattern] of [
    ['bad.toml', /bad\.toml:2.*targets/],
    ['broken.toml', /broken\.toml:1/],
    ['value.toml', /value\.toml:2.*port/],
    ['missing.toml', /missing\.toml/],
  ] as const) {
    const result = await ibex(['storage', '--config', join(folder, file)]);
    t.not(result.code, 0);
    t.match(result.stderr, pattern);
    t.equal(result.stderr.trim().split('\n').length, 1, result.stderr);
  }
});
