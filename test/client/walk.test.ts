import { constants } from 'node:fs';
import { posix } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { PathCache } from '../../src/client/path-cache.js';
import { DirectoryFinder, type NameSource, SYMLINKS_MAX, walk } from '../../src/client/walk.js';
import { IbexError } from '../../src/wire/errors.js';
import { type Fid, ROOT_FID } from '../../src/wire/fid.js';
import type { Attributes } from '../../src/wire/messages.js';
import { checks, refusal } from '../support/properties.js';

type Tree = { readonly [name: string]: Tree | string };

/** Nested objects are directories, '-> x' symbolic links, other strings files. */
class TreeSource implements NameSource {
  readonly #nodes: (Tree | string)[] = [];
  readonly #fids = new Map<Tree | string, Fid>();
  lookups: string[] = [];
  constructor(tree: Tree) {
    this.#nodes[ROOT_FID] = tree;
  }
  #attributes(fid: Fid): Attributes {
    const node = this.#nodes[fid]!;
    const type = typeof node === 'object' ? constants.S_IFDIR : node.startsWith('-> ') ? constants.S_IFLNK : constants.S_IFREG;
    return { fid, mode: type | 0o755 } as Attributes;
  }
  async lookup(parent: Fid, name: string): Promise<Attributes> {
    this.lookups.push(name);
    const node = (this.#nodes[parent] as Tree)[name];
    if (node === undefined) throw new IbexError('ERR_NOT_FOUND', name);
    const fid = typeof node === 'object' ? (this.#fids.get(node) ?? (this.#nodes.length as Fid)) : (this.#nodes.length as Fid);
    if (typeof node === 'object') this.#fids.set(node, fid);
    this.#nodes[fid] = node;
    return this.#attributes(fid);
  }
  async attributes(fid: Fid): Promise<Attributes> {
    return this.#attributes(fid);
  }
  async readSymlink(fid: Fid): Promise<string> {
    return (this.#nodes[fid] as string).slice(3);
  }
}

const chain = Object.fromEntries(Array.from({ length: SYMLINKS_MAX + 1 }, (_, i) => [`l${i}`, `-> ${i === 0 ? 'a/f' : `l${i - 1}`}`]));
const tree: Tree = {
  a: { b: { c: {}, f: 'file' }, f: 'file', up: '-> ..', abs: '-> /a/b', self: '-> .' },
  link: '-> a/b',
  slash: '-> a/b/',
  fileSlash: '-> a/f/',
  dangling: '-> a/nothing',
  loop: '-> loop2',
  loop2: '-> loop',
  ...chain,
};
const options = { follow: true, parentOnly: false };
const fresh = () => new PathCache(1000, () => 0);

async function real(path: string, follow = true): Promise<string> {
  const { directories, name } = await walk(new TreeSource(tree), fresh(), path, { ...options, follow });
  return `/${[...directories, name].filter((part) => part !== '').join('/')}`;
}

t.test('where paths lead', async (t) => {
  const table: readonly (readonly [string, string])[] = [
    ['/', '/'],
    ['//', '/'],
    ['/..', '/'],
    ['a', '/a'],
    ['/a/./b//c/', '/a/b/c'],
    ['/a/b/../f', '/a/f'],
    ['/link/c', '/a/b/c'],
    ['/link/..', '/a'],
    ['/a/up/a/f', '/a/f'],
    ['/a/abs/f', '/a/b/f'],
    ['/a/self/self/f', '/a/f'],
    ['/slash', '/a/b'],
    ['/slash/f', '/a/b/f'],
    [`/l${SYMLINKS_MAX - 1}`, '/a/f'],
  ];
  for (const [path, expected] of table) t.equal(await real(path), expected, path);
  t.equal(await real('/link', false), '/link', 'a link in the last place, not followed');
  t.equal(await real('/link/', false), '/a/b', 'followed all the same with a slash behind it');
});

t.test('which paths are refused', async (t) => {
  const table: readonly (readonly [string, string])[] = [
    ['', 'ERR_NOT_FOUND'],
    ['/nothing', 'ERR_NOT_FOUND'],
    ['/nothing/..', 'ERR_NOT_FOUND'],
    ['/dangling', 'ERR_NOT_FOUND'],
    ['/a/f/', 'ERR_NOT_DIRECTORY'],
    ['/a/f/.', 'ERR_NOT_DIRECTORY'],
    ['/a/f/..', 'ERR_NOT_DIRECTORY'],
    ['/a/f/x', 'ERR_NOT_DIRECTORY'],
    ['/fileSlash', 'ERR_NOT_DIRECTORY'],
    ['/loop', 'ERR_LOOP'],
    ['/loop/x', 'ERR_LOOP'],
    [`/l${SYMLINKS_MAX}`, 'ERR_LOOP'],
    ['/a\0b', 'ERR_INVALID'],
    [`/${'é'.repeat(128)}`, 'ERR_NAME_TOO_LONG'],
    [`/${'a/'.repeat(2048)}`, 'ERR_NAME_TOO_LONG'],
  ];
  for (const [path, kind] of table) await t.rejects(real(path), refusal(kind), path.slice(0, 20));
});

t.test('parentOnly stops before the last name, missing lets it be missing', async (t) => {
  const place = await walk(new TreeSource(tree), fresh(), '/link/new/', { follow: false, parentOnly: true });
  t.match(place, { name: 'new', directories: ['a', 'b'], fid: undefined, mustBeDirectory: true });
  t.match(await walk(new TreeSource(tree), fresh(), '/a/..', { follow: false, parentOnly: true }), { name: '..' });
  t.match(await walk(new TreeSource(tree), fresh(), '/', { follow: false, parentOnly: true }), { name: '' });
  t.match(await walk(new TreeSource(tree), fresh(), '/dangling', { ...options, missing: true }), {
    name: 'nothing',
    directories: ['a'],
    fid: undefined,
  });
  await t.rejects(walk(new TreeSource(tree), fresh(), '/no/thing', { ...options, missing: true }), refusal('ERR_NOT_FOUND'));
});

t.test('without links a walk is path.normalize', async (_t) => {
  const deep: Tree = { a: { a: { a: {}, b: {} }, b: { a: {}, b: {} } }, b: { a: { a: {}, b: {} }, b: {} } };
  const part = fc.constantFrom('a', 'b', '..', '.', '');
  const paths = fc.array(part, { maxLength: 8 }).map((parts) => `/${parts.join('/')}`);
  await fc.assert(
    fc.asyncProperty(paths, async (path) => {
      const normal = posix.normalize(path).replace(/(.)\/$/, '$1');
      try {
        const { directories, name } = await walk(new TreeSource(deep), fresh(), path, options);
        return `/${[...directories, name].filter((one) => one !== '').join('/')}` === normal;
      } catch (error) {
        // Somewhere on its way it went too deep.
        return error instanceof IbexError && error.kind === 'ERR_NOT_FOUND';
      }
    }),
    { numRuns: 300 },
  );
});

t.test('any tangle of links ends, and the cache changes no outcome', async (_t) => {
  const name = fc.constantFrom('a', 'b', 'c');
  const target = fc
    .array(fc.constantFrom('a', 'b', 'c', '..', '.'), { minLength: 1, maxLength: 3 })
    .chain((parts) => fc.boolean().map((root) => `-> ${root ? '/' : ''}${parts.join('/')}`));
  const { tree: trees } = fc.letrec<{ tree: Tree }>((tie) => ({
    tree: fc.dictionary(name, fc.oneof({ depthSize: 'small' }, fc.constant('file'), target, tie('tree') as fc.Arbitrary<Tree>), {
      maxKeys: 3,
      noNullPrototype: true,
    }),
  }));
  const path = fc.array(fc.constantFrom('a', 'b', 'c', '..'), { minLength: 1, maxLength: 5 }).map((parts) => `/${parts.join('/')}`);
  await fc.assert(
    fc.asyncProperty(trees, fc.array(path, { minLength: 1, maxLength: 6 }), async (random, paths) => {
      const shared = fresh();
      const source = new TreeSource(random);
      for (const one of [...paths, ...paths]) {
        const outcome = async (cache: PathCache) =>
          walk(source, cache, one, options).then(
            (found) => [...found.directories, found.name].join('/'),
            (error: unknown) => (error as IbexError).kind,
          );
        if ((await outcome(shared)) !== (await outcome(fresh()))) return false;
      }
      return true;
    }),
    { numRuns: 200 },
  );
});

t.test('many that look for one directory share a walk, and afterwards none is needed', async (t) => {
  const source = new TreeSource(tree);
  let now = 0;
  const cache = new PathCache(1000, () => now);
  const finder = new DirectoryFinder(source, cache);
  const found = await Promise.all(Array.from({ length: 64 }, () => finder.find('/a/b/c')));
  t.equal(new Set(found).size, 1);
  t.equal(source.lookups.length, 3);
  t.equal(cache.path('/a/b/c'), found[0]);
  now = 1001;
  t.equal(cache.path('/a/b/c'), undefined, 'not longer than its lifetime');
});

t.test('a change of a name on the way drops what was kept', async (t) => {
  const source = new TreeSource(tree);
  const cache = new PathCache(1000, () => 0);
  const finder = new DirectoryFinder(source, cache);
  const fid = await finder.find('/link/c');
  cache.changed(ROOT_FID, 'unrelated');
  t.equal(cache.path('/link/c'), fid);
  const { generation } = cache;
  cache.changed(ROOT_FID, 'link');
  t.equal(cache.path('/link/c'), undefined);
  cache.setPath('/late', fid, 1000, generation);
  t.equal(cache.path('/late'), undefined, 'a walk that began before is not kept');
});

t.test('the cache stays bounded', async (t) => {
  checks(
    t,
    fc.property(fc.integer({ min: 1, max: 20_000 }), (count) => {
      const cache = new PathCache(1000, () => 0);
      for (let i = 0; i < count; i++) cache.setPath(`/${i}`, ROOT_FID, 1000, cache.generation);
      return [...Array(count).keys()].filter((i) => cache.path(`/${i}`) !== undefined).length <= 4096;
    }),
    { numRuns: 5 },
  );
});
