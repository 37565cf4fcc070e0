/** Real input: this machine's /usr/include and files of 1 GiB, through the mount and through the library. */
import { createHash, type Hash, randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { evict } from '../../bench/cache.js';
import type { FileSystem } from '../../src/index.js';
import { run, TestCluster } from '../cluster/cluster.js';
import { needs } from '../support/capabilities.js';
import { differences, hashFile, hashTree } from '../support/trees.js';

const TREE = '/usr/include';
const MIB = 2 ** 20;
const GIB = 2 ** 30;
const FILES = '/include';

/** A random MiB, each copy stamped with its number, and the hash of all that were given out. */
class Blocks {
  readonly #block = randomBytes(MIB);
  readonly #hash: Hash = createHash('sha256');

  next(number: number): Buffer {
    this.#block.writeUInt32LE(number, 0);
    this.#hash.update(this.#block);
    return this.#block;
  }

  digest(): string {
    return this.#hash.digest('hex');
  }
}

async function writeThroughMount(path: string): Promise<string> {
  const blocks = new Blocks();
  await using file = await open(path, 'w');
  for (let number = 0; number < GIB / MIB; number++) await file.write(blocks.next(number));
  await file.sync();
  return blocks.digest();
}

/** Zero-copy memory, 16 requests of 1 MiB at once. */
async function writeThroughLibrary(files: FileSystem, path: string): Promise<string> {
  const blocks = new Blocks();
  const slots = 16;
  using memory = files.alloc(slots * MIB);
  const file = await files.open(path, 'w');
  for (let number = 0; number < GIB / MIB; number += slots) {
    for (let slot = 0; slot < slots; slot++) memory.buffer.set(blocks.next(number + slot), slot * MIB);
    await Promise.all(Array.from({ length: slots }, (_, slot) => file.write(memory.buffer, slot * MIB, MIB, (number + slot) * MIB)));
  }
  await file.sync();
  await file.close();
  return blocks.digest();
}

/** Without modes: `ibex cp` leaves them to the umask. */
const content = (lines: readonly string[]): string[] => lines.map((line) => line.replace(/ (file|directory) \d+/, ' $1'));

t.test(
  'a real tree and files of 1 GiB survive, byte for byte, with cold caches',
  { ...needs('root', 'fuse'), timeout: 900_000 },
  async (t) => {
    const cluster = await TestCluster.start(t);
    const mount = await cluster.mount();
    const targets = [0, 1, 2, 3].map((index) => cluster.targetFolder(index));
    const at = (name: string): string => join(mount.path, name);
    const expected = await hashTree(TREE);

    const copied = await run('cp', ['-a', TREE, at(FILES)]);
    t.equal(copied.code, 0, copied.stderr);
    const inside = await cluster.ibex(['cp', '-r', TREE, 'ibex:/by-cp']);
    t.equal(inside.code, 0, inside.stderr);
    const bigByMount = await writeThroughMount(at('big-by-mount'));
    const bigByLibrary = await writeThroughLibrary(await cluster.client(), '/big-by-library');

    await mount.remount();
    await evict(targets);
    t.comment('out through the mount');
    t.strictSame(differences(await hashTree(at(FILES)), expected), []);
    t.strictSame(differences(content(await hashTree(at('by-cp'))), content(expected)), []);
    for (const [name, hash] of [
      ['big-by-mount', bigByMount],
      ['big-by-library', bigByLibrary],
    ] as const)
      t.equal(await hashFile(at(name)), hash, name);

    await evict(targets);
    t.comment('out through the library, by a client that has seen nothing');
    const fresh = await cluster.client();
    t.strictSame(differences(await hashTree(FILES, fresh), expected), []);
    t.equal(await hashFile('/big-by-mount', fresh), bigByMount);
    t.equal(await hashFile('/big-by-library', fresh), bigByLibrary);

    await evict(targets);
    t.comment('out by ibex cp');
    const out = join(cluster.folder, 'out');
    const outside = await cluster.ibex(['cp', '-r', 'ibex:/by-cp', out]);
    t.equal(outside.code, 0, outside.stderr);
    t.strictSame(differences(content(await hashTree(out)), content(expected)), []);

    t.comment('what is removed gives its space back');
    const gone = await run('rm', ['-rf', ...[FILES, 'by-cp', 'big-by-mount', 'big-by-library'].map(at)]);
    t.equal(gone.code, 0, gone.stderr);
    const chunks = async (): Promise<number> => {
      const found = await run('find', [...targets, '-type', 'f', '-size', '+0', '-path', '*chunks*']);
      return found.stdout.split('\n').filter((line) => line !== '').length;
    };
    const deadline = performance.now() + 60_000;
    while ((await chunks()) > 0 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 200));
    t.equal(await chunks(), 0);
  },
);
