/** Real input: this machine's /usr/include and a file of 1 GiB, through the mount and through the library. */
import { createHash, randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { evict } from '../../bench/cache.js';
import { run, TestCluster } from '../cluster/cluster.js';
import { needs } from '../support/capabilities.js';
import { differences, hashFile, hashTree } from '../support/trees.js';

const TREE = '/usr/include';
const GIB = 2 ** 30;

/** Writes `bytes` of pseudo-random data (a random MiB, each copy stamped with its number); returns its hash. */
async function writeBig(path: string, bytes: number): Promise<string> {
  const block = randomBytes(2 ** 20);
  const hash = createHash('sha256');
  const file = await open(path, 'w');
  try {
    for (let at = 0; at < bytes; at += block.length) {
      block.writeUInt32LE(at / block.length, 0);
      hash.update(block);
      await file.write(block);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

t.test(
  'a real tree and a file of 1 GiB survive the mount, byte for byte, with cold caches',
  { ...needs('root', 'fuse'), timeout: 900_000 },
  async (t) => {
    const cluster = await TestCluster.start(t);
    const mount = await cluster.mount();
    const copied = await run('cp', ['-a', TREE, join(mount.path, 'include')]);
    t.equal(copied.code, 0, copied.stderr);
    const big = await writeBig(join(mount.path, 'big'), GIB);
    await mount.remount();
    await evict([0, 1, 2, 3].map((index) => cluster.targetFolder(index)));
    t.strictSame(differences(await hashTree(join(mount.path, 'include')), await hashTree(TREE)), []);
    t.equal(await hashFile(join(mount.path, 'big')), big);

    t.comment('the same files through the library');
    const fileSystem = await cluster.client();
    const hash = createHash('sha256');
    for await (const part of fileSystem.createReadStream('/big')) hash.update(part as Buffer);
    t.equal(hash.digest('hex'), big);
    t.equal((await fileSystem.readFile('/include/stdio.h')).compare(await (await open(join(TREE, 'stdio.h'))).readFile()), 0);

    t.comment('in and out by ibex cp');
    const inside = await cluster.ibex(['cp', '-r', TREE, 'ibex:/by-cp']);
    t.equal(inside.code, 0, inside.stderr);
    const out = join(cluster.folder, 'out');
    const outside = await cluster.ibex(['cp', '-r', 'ibex:/by-cp', out]);
    t.equal(outside.code, 0, outside.stderr);
    const content = (lines: string[]): string[] => lines.map((line) => line.replace(/ (file|directory) \d+/, ' $1'));
    t.strictSame(differences(content(await hashTree(out)), content(await hashTree(TREE))), []);

    t.comment('what is removed gives its space back');
    const gone = await run('rm', ['-rf', join(mount.path, 'include'), join(mount.path, 'by-cp'), join(mount.path, 'big')]);
    t.equal(gone.code, 0, gone.stderr);
    const chunks = async (): Promise<number> => {
      const found = await run('find', [
        ...[0, 1, 2, 3].map((index) => cluster.targetFolder(index)),
        '-type',
        'f',
        '-size',
        '+0',
        '-path',
        '*chunks*',
      ]);
      return found.stdout.split('\n').filter((line) => line !== '').length;
    };
    const deadline = performance.now() + 60_000;
    while ((await chunks()) > 0 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 200));
    t.equal(await chunks(), 0);
  },
);
