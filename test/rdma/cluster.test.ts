/** A cluster with a mount on the machine with an RDMA device. */
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { TestCluster } from '../cluster/cluster.js';
import { needs } from '../support/capabilities.js';
import { differences, hashTree } from '../support/trees.js';

/** Files of no, one, some and many bytes; the largest has stripes on all targets. */
const SIZES = [0, 1, 4_095, 4_096, 65_537, 1_048_576, 5_000_001];

async function makeTree(root: string): Promise<void> {
  for (const folder of ['a', 'a/b', 'c']) {
    await mkdir(join(root, folder), { recursive: true });
    for (const size of SIZES) await writeFile(join(root, folder, `file${size}`), Buffer.alloc(size, `${folder} ${size} `));
  }
}

t.test('a tree copied in and out of the mount is the same', { ...needs('rdma', 'root', 'fuse'), timeout: 400_000 }, async (t) => {
  const cluster = await TestCluster.start(t);
  const mount = await cluster.mount();
  const source = join(cluster.folder, 'source');
  await makeTree(source);
  const expected = await hashTree(source);
  await cp(source, join(mount.path, 'tree'), { recursive: true });
  await mount.remount(); // nothing of it is in the kernel's cache
  t.same(differences(await hashTree(join(mount.path, 'tree')), expected), []);
  const back = join(cluster.folder, 'back');
  await cp(join(mount.path, 'tree'), back, { recursive: true });
  t.same(differences(await hashTree(back), expected), []);
});
