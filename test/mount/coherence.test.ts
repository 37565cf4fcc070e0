/** Two mounts of one cluster: what one makes, the other has at once, also where it answers for absent names by itself. */
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import { defaultMetaLimits } from '../../src/meta/types.js';
import { Cluster } from '../../src/net/cluster.js';
import { Endpoint } from '../../src/net/endpoint.js';
import { ROOT_FID } from '../../src/wire/fid.js';
import { readKeyFile } from '../../src/wire/key.js';
import { meta } from '../../src/wire/messages.js';
import { type Mount, TestCluster } from '../cluster/cluster.js';
import { needs } from '../support/capabilities.js';

const able = needs('root', 'fuse');
const ROUNDS = 60;
const LEASE_MS = defaultMetaLimits.leaseMs;

const exists = (path: string): Promise<boolean> =>
  fs.stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      return false;
    },
  );

/** Ways to make the name `x` in the directory `d` of a mount; `spare` is a name elsewhere. */
const ways: Readonly<Record<string, (d: string, spare: string) => Promise<unknown>>> = {
  create: (d) => fs.writeFile(join(d, 'x'), 'content'),
  mkdir: (d) => fs.mkdir(join(d, 'x')),
  symlink: (d) => fs.symlink('/', join(d, 'x')),
  link: async (d, spare) => {
    await fs.writeFile(spare, '');
    await fs.link(spare, join(d, 'x'));
  },
  'rename from elsewhere': async (d, spare) => {
    await fs.writeFile(spare, '');
    await fs.rename(spare, join(d, 'x'));
  },
  'rename in it': async (d) => {
    await fs.writeFile(join(d, 'y'), '');
    await fs.rename(join(d, 'y'), join(d, 'x'));
  },
};

/** Ways in which a mount comes to know the directory `d`. */
const acquaintances: Readonly<Record<string, (d: string) => Promise<unknown>>> = {
  made: (d) => fs.mkdir(d),
  'made and filled': async (d) => {
    await fs.mkdir(d);
    for (const name of ['a', 'b', 'c']) await fs.writeFile(join(d, name), name);
    await fs.unlink(join(d, 'b'));
    await fs.rename(join(d, 'a'), join(d, 'b'));
  },
  'made elsewhere and moved': async (d) => {
    await fs.mkdir(`${d}-before`);
    await exists(join(`${d}-before`, 'x'));
    await fs.rename(`${d}-before`, d);
  },
};

/** Counts the calls that the metadata server has handled. */
async function operationsOf(t: Tap, cluster: TestCluster): Promise<() => Promise<number>> {
  const endpoint = new Endpoint({ key: await readKeyFile(cluster.keyFile), kind: 'tool', logger: pino({ level: 'silent' }) });
  const tool = await Cluster.connect(endpoint, [{ host: '127.0.0.1', port: cluster.mgmtdPort }]);
  t.teardown(async () => {
    await tool.close();
    await endpoint.close();
  });
  return async () => (await tool.meta(ROOT_FID, meta.statistics, {})).operations;
}

type Tap = { teardown(done: () => Promise<void>): unknown };

async function twoMounts(t: Tap): Promise<{ cluster: TestCluster; a: Mount; b: Mount }> {
  const cluster = await TestCluster.start({ teardown: (done) => void t.teardown(done) }, { storageNodes: 1 });
  const [a, b] = [await cluster.mount('a'), await cluster.mount('b')];
  return { cluster, a, b };
}

t.test('two mounts', { ...able, timeout: 300_000 }, async (t) => {
  const { cluster, a, b } = await twoMounts(t);
  const operations = await operationsOf(t, cluster);

  for (const [how, meet] of Object.entries(acquaintances)) {
    for (const [what, make] of Object.entries(ways)) {
      await t.test(`${what} in a directory that the other has ${how} is seen there at once`, async (t) => {
        let late = 0;
        for (let round = 0; round < ROUNDS; round++) {
          const [knows, makes] = round % 2 === 0 ? [a, b] : [b, a];
          const name = `${how} ${what} ${round}`;
          await meet(join(knows.path, name));
          if (await exists(join(knows.path, name, 'x'))) throw new Error('x is there already');
          await make(join(makes.path, name), join(makes.path, `spare ${name}`));
          if (!(await exists(join(knows.path, name, 'x')))) late++;
        }
        t.equal(late, 0, `of ${ROUNDS}`);
      });
    }
  }

  t.test('a directory that was there before is known after some misses, and told by others at once', async (t) => {
    for (let round = 0; round < 10; round++) await fs.mkdir(join(b.path, `old ${round}`));
    await fs.writeFile(join(b.path, 'old 0', 'there'), '');
    // When the lease of who made it has run out.
    const deadline = performance.now() + 30_000;
    for (let calls = 20; calls >= 20; ) {
      const before = await operations();
      for (let round = 0; round < 20; round++) if (await exists(join(a.path, 'old 0', `missing ${round}`))) t.fail('not missing');
      calls = (await operations()) - before;
      if (performance.now() > deadline) throw new Error('the directory has not become known within 30 s');
    }
    t.ok(await exists(join(a.path, 'old 0', 'there')));
    for (let round = 0; round < 10; round++) {
      const d = `old ${round}`;
      for (let miss = 0; miss < 4; miss++) await exists(join(a.path, d, `x${miss}`));
      await fs.writeFile(join(b.path, d, 'x3'), '');
      t.ok(await exists(join(a.path, d, 'x3')), d);
    }
  });

  t.test('what is not in a known directory is answered without the metadata server', async (t) => {
    const d = join(a.path, 'counted');
    await fs.mkdir(d);
    const before = await operations();
    for (let miss = 0; miss < 200; miss++) if (await exists(join(d, `missing ${miss}`))) t.fail('not missing');
    // One is the count itself; the lease is renewed now and then.
    t.ok((await operations()) - before < 20, 'misses');
    const filling = await operations();
    for (let file = 0; file < 200; file++) await (await fs.open(join(d, `file ${file}`), 'wx')).close();
    const calls = (await operations()) - filling;
    // Closed files are released in batches.
    t.ok(calls < 300, `${calls} calls for 200 files`);
    t.comment(`${calls} calls for 200 files`);
  });
});

t.test(
  'a mount that is stopped delays others until its lease has run out, and is right when it goes on',
  { ...able, timeout: 120_000 },
  async (t) => {
    const { a, b } = await twoMounts(t);
    for (let round = 0; round < 3; round++) {
      const d = `stopped ${round}`;
      const beforeGranted = performance.now();
      await fs.mkdir(join(a.path, d));
      t.notOk(await exists(join(a.path, d, 'x')));
      a.daemon.signal('SIGSTOP');
      // Asked of the stopped mount: answered when it goes on, after the file was made.
      const looking = exists(join(a.path, d, 'x'));
      try {
        await fs.writeFile(join(b.path, d, 'x'), '');
        t.ok(performance.now() - beforeGranted >= LEASE_MS, 'it waited');
      } finally {
        a.daemon.signal('SIGCONT');
      }
      t.ok(await exists(join(a.path, d, 'x')));
      await looking;
    }
  },
);

t.test('a mount that is killed delays others until its lease has run out', { ...able, timeout: 120_000 }, async (t) => {
  const { a, b } = await twoMounts(t);
  const beforeGranted = performance.now();
  await fs.mkdir(join(a.path, 'd'));
  t.notOk(await exists(join(a.path, 'd', 'x')));
  await a.abandon();
  await fs.writeFile(join(b.path, 'd', 'x'), '');
  t.ok(performance.now() - beforeGranted >= LEASE_MS, 'it waited');
  t.ok(await exists(join(b.path, 'd', 'x')));
});

t.test('after the metadata server was killed, what it had granted still holds', { ...able, timeout: 120_000 }, async (t) => {
  const { cluster, a, b } = await twoMounts(t);
  for (let round = 0; round < 3; round++) {
    const d = `restart ${round}`;
    await fs.mkdir(join(a.path, d));
    t.notOk(await exists(join(a.path, d, 'x')));
    await cluster.meta.kill();
    const beforeStarted = performance.now();
    cluster.meta.start();
    await fs.writeFile(join(b.path, d, 'x'), '');
    t.ok(performance.now() - beforeStarted >= LEASE_MS, 'it waited');
    t.ok(await exists(join(a.path, d, 'x')));
  }
});
