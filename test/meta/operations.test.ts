/** POSIX semantics of the operations, by cases. */
import t from 'tap';
import { FileType } from '../../src/meta/inode.js';
import { type Fid, ROOT_FID } from '../../src/wire/fid.js';
import type { Attributes } from '../../src/wire/messages.js';
import { openTarget, type TestTarget, testFolder } from './support.js';

const user = { uid: 1000, gid: 100 };
const root = ROOT_FID;

async function start(t: { teardown(done: () => unknown): unknown }): Promise<TestTarget> {
  const opened = await openTarget(testFolder(t), { limits: { fileLinksMax: 4, directoryLinksMax: 4 } });
  t.teardown(() => opened.target.close());
  return opened;
}

const makeFile = async (m: TestTarget, name: string, parent: Fid = root, mode = 0o644): Promise<Attributes> =>
  (await m.call('makeNode', { parent, name, mode: FileType.file | mode, device: 0, ...user })).attributes;
const makeDir = async (m: TestTarget, name: string, parent: Fid = root, mode = 0o755): Promise<Attributes> =>
  (await m.call('makeDirectory', { parent, name, mode, ...user })).attributes;
const attributes = async (m: TestTarget, fid: Fid): Promise<Attributes> => (await m.call('getAttributes', { fid })).attributes;
const names = async (m: TestTarget, fid: Fid = root): Promise<string[]> =>
  (await m.call('readDirectory', { fid, cookie: 0, limit: 4096, withAttributes: false })).entries.map((entry) => entry.name).sort();
const rename = (
  m: TestTarget,
  parent: Fid,
  name: string,
  newParent: Fid,
  newName: string,
  mode: 'replace' | 'keep' | 'exchange' = 'replace',
): Promise<object> => m.call('rename', { parent, name, newParent, newName, mode });

t.test('the root directory', async (t) => {
  const m = await start(t);
  const { attributes: found } = await m.call('getAttributes', { fid: root });
  t.match(found, { fid: 1, mode: 0o40755, links: 2, uid: 0, gid: 0, size: 4096 });
});

t.test('create, look up, list, unlink', async (t) => {
  const m = await start(t);
  const made = await m.call('create', { parent: root, name: 'a', mode: 0o640, ...user, exclusive: true });
  t.match(made, {
    created: true,
    attributes: { mode: 0o100640, links: 1, uid: 1000, gid: 100, size: 0 },
    layout: { pattern: 'plain', pool: 'default', stripeSize: 1 << 20 },
  });
  t.equal(new Set(made.layout.targets).size, 4);
  t.strictSame((await m.call('lookup', { parent: root, name: 'a' })).attributes, made.attributes);
  const again = await m.call('create', { parent: root, name: 'a', mode: 0o600, ...user, exclusive: false });
  t.match(again, { created: false, attributes: { fid: made.attributes.fid, mode: 0o100640 } });
  await t.rejects(m.call('create', { parent: root, name: 'a', mode: 0o600, ...user, exclusive: true }), { code: 'EEXIST' });
  const striped = await m.call('create', {
    parent: root,
    name: 'b',
    mode: 0o600,
    ...user,
    exclusive: true,
    layout: { stripeCount: 2, stripeSize: 65536 },
  });
  t.equal(striped.layout.targets.length, 2);
  t.equal(
    (await m.call('create', { parent: root, name: 'c', mode: 0o600, ...user, exclusive: true, layout: { stripeCount: 0 } })).layout.targets
      .length,
    4,
  );
  await t.rejects(m.call('create', { parent: root, name: 'd', mode: 0o600, ...user, exclusive: true, layout: { stripeSize: 100_000 } }), {
    code: 'EINVAL',
  });
  await t.rejects(m.call('create', { parent: root, name: 'd', mode: 0o600, ...user, exclusive: true, layout: { pool: 'fast' } }), {
    code: 'ENOSPC',
    message: /pool "fast" has no storage targets; there are "default"/,
  });
  t.strictSame(await names(m), ['a', 'b', 'c']);
  await m.call('unlink', { parent: root, name: 'b' });
  t.match(await m.call('lookup', { parent: root, name: 'b' }), { attributes: undefined, directory: { fid: root } }, 'a miss is no error');
  await t.rejects(m.call('unlink', { parent: root, name: 'b' }), { code: 'ENOENT' });
  await makeDir(m, 'dir');
  await t.rejects(m.call('unlink', { parent: root, name: 'dir' }), { code: 'EISDIR' });
  await t.rejects(m.call('create', { parent: root, name: 'dir', mode: 0o600, ...user, exclusive: false }), { code: 'EISDIR' });
  await t.rejects(m.call('lookup', { parent: made.attributes.fid, name: 'x' }), { code: 'ENOTDIR' });
  await t.rejects(m.call('create', { parent: made.attributes.fid, name: 'x', mode: 0o600, ...user, exclusive: false }), {
    code: 'ENOTDIR',
  });
});

t.test('names', async (t) => {
  const m = await start(t);
  const cases: [string, string | undefined][] = [
    ['x'.repeat(255), undefined],
    ['ü'.repeat(127), undefined],
    ['ü'.repeat(128), 'ENAMETOOLONG'],
    ['日本語 файл 🐐', undefined],
    ['\x01\n"', undefined],
    ['.', 'EINVAL'],
    ['..', 'EINVAL'],
    ['...', undefined],
    ['a/b', 'EINVAL'],
    ['a\0b', 'EINVAL'],
    ['\ud800', 'EINVAL'],
  ];
  const made: string[] = [];
  for (const [name, code] of cases) {
    if (code === undefined) {
      await makeFile(m, name);
      made.push(name);
    } else await t.rejects(makeFile(m, name), { code }, JSON.stringify(name));
  }
  t.strictSame(await names(m), made.sort());
});

t.test('directories count their subdirectories', async (t) => {
  const m = await start(t);
  const dir = await makeDir(m, 'dir');
  t.match(dir, { mode: 0o40755, links: 2 });
  t.equal((await attributes(m, root)).links, 3);
  await makeDir(m, 'one', dir.fid);
  await makeDir(m, 'two', dir.fid);
  await t.rejects(makeDir(m, 'three', dir.fid), { code: 'EMLINK' });
  await makeFile(m, 'file', dir.fid);
  t.equal((await attributes(m, dir.fid)).links, 4);
  await t.rejects(m.call('removeDirectory', { parent: root, name: 'dir' }), { code: 'ENOTEMPTY' });
  await t.rejects(m.call('removeDirectory', { parent: dir.fid, name: 'file' }), { code: 'ENOTDIR' });
  await m.call('removeDirectory', { parent: dir.fid, name: 'one' });
  await m.call('removeDirectory', { parent: dir.fid, name: 'two' });
  await m.call('unlink', { parent: dir.fid, name: 'file' });
  t.equal((await attributes(m, dir.fid)).links, 2);
  await m.call('removeDirectory', { parent: root, name: 'dir' });
  t.equal((await attributes(m, root)).links, 2);
  await t.rejects(makeFile(m, 'late', dir.fid), { code: 'ENOENT' }, 'nothing is created in a removed directory');
  await t.rejects(m.call('readDirectory', { fid: dir.fid, cookie: 0, limit: 1, withAttributes: false }), { code: 'ENOENT' });
});

t.test('set-group-id directories pass on their group and, to directories, the bit', async (t) => {
  const m = await start(t);
  const dir = await makeDir(m, 'dir');
  await m.call('setAttributes', { fid: dir.fid, mode: 0o2775, gid: 55 });
  t.match(await attributes(m, dir.fid), { mode: 0o42775, gid: 55 });
  t.match(await makeFile(m, 'file', dir.fid), { mode: 0o100644, gid: 55 });
  t.match(await makeDir(m, 'sub', dir.fid), { mode: 0o42755, gid: 55 });
  t.match(await makeFile(m, 'outside'), { gid: 100 });
});

t.test('symbolic links and special files', async (t) => {
  const m = await start(t);
  const { attributes: link } = await m.call('makeSymlink', { parent: root, name: 'link', target: 'to/ü', ...user });
  t.match(link, { mode: 0o120777, size: 5, links: 1 });
  t.strictSame(await m.call('readSymlink', { fid: link.fid }), { target: 'to/ü' });
  await t.rejects(m.call('makeSymlink', { parent: root, name: 'empty', target: '', ...user }), { code: 'ENOENT' });
  await t.rejects(m.call('makeSymlink', { parent: root, name: 'long', target: 'ü'.repeat(2048), ...user }), { code: 'ENAMETOOLONG' });
  await t.rejects(m.call('readSymlink', { fid: root }), { code: 'EINVAL' });
  await t.rejects(m.call('open', { fid: link.fid, write: false, truncate: false }), { code: 'EINVAL' });
  await t.rejects(m.call('open', { fid: root, write: false, truncate: false }), { code: 'EISDIR' });
  const { attributes: device } = await m.call('makeNode', {
    parent: root,
    name: 'null',
    mode: FileType.character | 0o666,
    device: 259,
    ...user,
  });
  t.match(device, { mode: 0o20666, device: 259 });
  const { attributes: fifo } = await m.call('makeNode', { parent: root, name: 'fifo', mode: FileType.fifo | 0o600, device: 7, ...user });
  t.match(fifo, { mode: 0o10600, device: 0 });
  await t.rejects(m.call('makeNode', { parent: root, name: 'no', mode: FileType.directory | 0o600, device: 0, ...user }), {
    code: 'EINVAL',
  });
  t.strictSame(
    (await m.call('readDirectory', { fid: root, cookie: 0, limit: 10, withAttributes: true })).entries
      .map((entry) => [entry.name, entry.type, entry.attributes?.mode])
      .sort(),
    [
      ['fifo', 0o10000, 0o10600],
      ['link', 0o120000, 0o120777],
      ['null', 0o20000, 0o20666],
    ],
  );
});

t.test('hard links', async (t) => {
  const m = await start(t);
  const file = await makeFile(m, 'a');
  t.match(await m.call('link', { fid: file.fid, parent: root, name: 'b' }), { attributes: { links: 2, fid: file.fid } });
  await t.rejects(m.call('link', { fid: file.fid, parent: root, name: 'a' }), { code: 'EEXIST' });
  await t.rejects(m.call('link', { fid: root, parent: root, name: 'd' }), { code: 'EPERM' });
  await m.call('link', { fid: file.fid, parent: root, name: 'c' });
  await m.call('link', { fid: file.fid, parent: root, name: 'd' });
  await t.rejects(m.call('link', { fid: file.fid, parent: root, name: 'e' }), { code: 'EMLINK' });
  for (const name of ['a', 'b', 'c']) await m.call('unlink', { parent: root, name });
  t.equal((await attributes(m, file.fid)).links, 1);
  await m.call('unlink', { parent: root, name: 'd' });
  await t.rejects(attributes(m, file.fid), { code: 'ENOENT' });
});

t.test('times', async (t) => {
  const m = await start(t);
  const past = { atime: 100, atimeNs: 1, mtime: 200, mtimeNs: 2 };
  const dir = await makeDir(m, 'dir');
  const file = await makeFile(m, 'file', dir.fid);
  const settled = await m.call('setAttributes', { fid: file.fid, ...past });
  t.match(settled.attributes, past);
  t.ok(settled.attributes.ctime >= file.ctime && settled.attributes.ctime > 1e9);
  const moved = async (
    what: string,
    work: () => Promise<unknown>,
    fid: Fid,
    expected: { mtime: boolean; ctime: boolean },
  ): Promise<void> => {
    await m.call('setAttributes', { fid, mtime: 5, mtimeNs: 0 });
    const before = await attributes(m, fid);
    await new Promise((resolve) => setTimeout(resolve, 2));
    await work();
    const after = await attributes(m, fid);
    t.equal(after.mtime !== 5, expected.mtime, `${what}: mtime`);
    t.equal(after.ctime !== before.ctime || after.ctimeNs !== before.ctimeNs, expected.ctime, `${what}: ctime`);
    t.equal(after.atime, before.atime, `${what}: atime`);
    t.equal(after.change > before.change, expected.ctime, `${what}: change`);
  };
  const all = { mtime: true, ctime: true };
  const onlyChange = { mtime: false, ctime: true };
  const nothing = { mtime: false, ctime: false };
  await moved('create in a directory', () => makeFile(m, 'x', dir.fid), dir.fid, all);
  await moved('link into a directory', () => m.call('link', { fid: file.fid, parent: dir.fid, name: 'y' }), dir.fid, all);
  await moved('link of a file', () => m.call('link', { fid: file.fid, parent: dir.fid, name: 'z' }), file.fid, onlyChange);
  await moved('unlink in a directory', () => m.call('unlink', { parent: dir.fid, name: 'z' }), dir.fid, all);
  await moved('unlink of a file', () => m.call('unlink', { parent: dir.fid, name: 'y' }), file.fid, onlyChange);
  await moved('rename of a file', () => rename(m, dir.fid, 'file', root, 'file'), file.fid, onlyChange);
  await moved('rename into a directory', () => rename(m, root, 'file', dir.fid, 'file'), dir.fid, all);
  await moved('rename out of a directory', () => rename(m, dir.fid, 'file', root, 'file'), dir.fid, all);
  await moved('chmod', () => m.call('setAttributes', { fid: file.fid, mode: 0o600 }), file.fid, onlyChange);
  await moved('truncate', () => m.call('setAttributes', { fid: file.fid, size: 0 }), file.fid, all);
  await moved(
    'setXattr',
    () => m.call('setXattr', { fid: file.fid, name: 'user.a', value: Buffer.from('b'), mode: 'any' }),
    file.fid,
    onlyChange,
  );
  await moved('lookup', () => m.call('lookup', { parent: dir.fid, name: 'x' }), dir.fid, nothing);
  await moved(
    'a failed create',
    () => m.call('create', { parent: dir.fid, name: 'x', mode: 0, ...user, exclusive: true }).catch(() => undefined),
    dir.fid,
    nothing,
  );
});

t.test('an answer tells the change it made, so that a caller sees whether another one came in between', async (t) => {
  const m = await start(t);
  const dir = await makeDir(m, 'dir');
  const file = await makeFile(m, 'file');
  const settled = await m.call('settle', { fid: file.fid, size: 0, mtime: 1, mtimeNs: 0, durable: false });
  t.equal(settled.attributes.change, file.change + 1, 'also when neither size nor time tell of it');
  const chosen = await m.call('setAttributes', { fid: file.fid, mode: 0o600, mtime: 1, mtimeNs: 0 });
  t.equal(chosen.attributes.change, file.change + 2);
  const before = (await attributes(m, root)).change;
  const there = await m.call('rename', { parent: root, name: 'file', newParent: dir.fid, newName: 'x', mode: 'replace' });
  t.match(there, { moved: { fid: file.fid, change: file.change + 3 }, directory: { fid: root, change: before + 1 } });
  t.strictSame(there.newDirectory, await attributes(m, dir.fid));
  const onSpot = await m.call('rename', { parent: dir.fid, name: 'x', newParent: dir.fid, newName: 'y', mode: 'replace' });
  t.strictSame(onSpot, { moved: await attributes(m, file.fid), directory: await attributes(m, dir.fid) });
  t.equal(onSpot.directory.change, there.newDirectory!.change + 1);
  await m.call('link', { fid: file.fid, parent: dir.fid, name: 'z' });
  const linked = await attributes(m, dir.fid);
  const same = await m.call('rename', { parent: dir.fid, name: 'y', newParent: dir.fid, newName: 'z', mode: 'replace' });
  t.equal(same.directory.change, linked.change, 'two names of one file stay');
});

t.test('chown clears set-user-id, and set-group-id of what the group executes', async (t) => {
  const m = await start(t);
  for (const [mode, expected] of [
    [0o6755, 0o0755],
    [0o6745, 0o2745],
    [0o4644, 0o0644],
  ] as const) {
    const file = await makeFile(m, `file-${mode}`, root, mode);
    t.equal((await m.call('setAttributes', { fid: file.fid, uid: 7 })).attributes.mode & 0o7777, expected);
  }
  const dir = await makeDir(m, 'dir', root, 0o2755);
  t.equal((await m.call('setAttributes', { fid: dir.fid, uid: 7, gid: 8 })).attributes.mode & 0o7777, 0o2755);
  const both = await makeFile(m, 'both', root, 0o4755);
  t.match((await m.call('setAttributes', { fid: both.fid, uid: 7, mode: 0o4711 })).attributes, { uid: 7, gid: 100, mode: 0o104711 });
});

t.test('rename, by cases', async (t) => {
  interface Case {
    readonly from: string;
    readonly to: string;
    readonly mode?: 'replace' | 'keep' | 'exchange';
    readonly code?: string;
    /** Paths expected afterwards, with the id of what lies there. */
    readonly after?: Record<string, string>;
  }
  // Before each case: f, g (files), h (hard link to f), d/ (empty), e/ (holds e/in), e/sub/ (holds e/sub/deep).
  const before: Record<string, string> = { f: 'f', g: 'g', h: 'f', d: 'd', e: 'e', 'e/in': 'in', 'e/sub': 'sub', 'e/sub/deep': 'deep' };
  const without = (...paths: string[]): Record<string, string> =>
    Object.fromEntries(Object.entries(before).filter(([path]) => !paths.some((gone) => path === gone || path.startsWith(`${gone}/`))));
  const cases: Case[] = [
    { from: 'f', to: 'new', after: { ...without('f'), new: 'f' } },
    { from: 'f', to: 'd/new', after: { ...without('f'), 'd/new': 'f' } },
    { from: 'f', to: 'g', after: { ...without('f', 'g'), g: 'f' } },
    { from: 'f', to: 'e/in', after: { ...without('f', 'e/in'), 'e/in': 'f' } },
    { from: 'f', to: 'f', after: before },
    { from: 'f', to: 'h', after: before },
    { from: 'f', to: 'd', code: 'EISDIR' },
    { from: 'd', to: 'f', code: 'ENOTDIR' },
    { from: 'd', to: 'e', code: 'ENOTEMPTY' },
    { from: 'd', to: 'd', after: before },
    { from: 'e', to: 'd', after: { f: 'f', g: 'g', h: 'f', d: 'e', 'd/in': 'in', 'd/sub': 'sub', 'd/sub/deep': 'deep' } },
    { from: 'd', to: 'e/sub/moved', after: { ...without('d'), 'e/sub/moved': 'd' } },
    { from: 'e/sub', to: 'sub', after: { ...without('e/sub'), sub: 'sub', 'sub/deep': 'deep' } },
    { from: 'e', to: 'e/sub/e', code: 'EINVAL' },
    { from: 'e', to: 'e/new', code: 'EINVAL' },
    { from: 'e/sub', to: 'e', code: 'ENOTEMPTY' },
    { from: 'e/in', to: 'e', code: 'EISDIR' },
    { from: 'none', to: 'x', code: 'ENOENT' },
    { from: 'none', to: 'f', code: 'ENOENT' },
    { from: 'f', to: 'new', mode: 'keep', after: { ...without('f'), new: 'f' } },
    { from: 'f', to: 'g', mode: 'keep', code: 'EEXIST' },
    { from: 'f', to: 'h', mode: 'keep', code: 'EEXIST' },
    { from: 'f', to: 'f', mode: 'keep', code: 'EEXIST' },
    { from: 'f', to: 'g', mode: 'exchange', after: { ...before, f: 'g', g: 'f' } },
    { from: 'f', to: 'h', mode: 'exchange', after: before },
    { from: 'f', to: 'e/sub', mode: 'exchange', after: { ...without('f', 'e/sub'), f: 'sub', 'f/deep': 'deep', 'e/sub': 'f' } },
    { from: 'd', to: 'e/sub', mode: 'exchange', after: { ...without('d', 'e/sub'), d: 'sub', 'd/deep': 'deep', 'e/sub': 'd' } },
    { from: 'd', to: 'f', mode: 'exchange', after: { ...before, d: 'f', f: 'd' } },
    { from: 'f', to: 'none', mode: 'exchange', code: 'ENOENT' },
    { from: 'e', to: 'e/sub', mode: 'exchange', code: 'EINVAL' },
    { from: 'e/sub/deep', to: 'e', mode: 'exchange', code: 'EINVAL' },
  ];
  for (const { from, to, mode = 'replace', code, after } of cases) {
    const opened = await openTarget(testFolder(t));
    const fids = new Map<string, Fid>([['', root]]);
    for (const path of ['f', 'g', 'd', 'e', 'e/in', 'e/sub', 'e/sub/deep']) {
      const [parent, name] = split(path);
      fids.set(path, (await (['d', 'e', 'e/sub'].includes(path) ? makeDir : makeFile)(opened, name, fids.get(parent)!)).fid);
    }
    await opened.call('link', { fid: fids.get('f')!, parent: root, name: 'h' });
    const [fromParent, fromName] = split(from);
    const [toParent, toName] = split(to);
    const what = `${mode} ${from} -> ${to}`;
    const done = rename(opened, fids.get(fromParent)!, fromName, fids.get(toParent)!, toName, mode);
    if (code === undefined) await done;
    else await t.rejects(done, { code }, what);
    const idOf = new Map([...fids].map(([path, fid]) => [fid, path.slice(path.lastIndexOf('/') + 1)]));
    const found = await tree(opened, root, '', idOf);
    t.strictSame(found.paths, after ?? before, what);
    t.strictSame(found.wrongLinks, [], `${what}: link counts`);
    await opened.target.close();
  }
});

function split(path: string): [string, string] {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? ['', path] : [path.slice(0, slash), path.slice(slash + 1)];
}

async function tree(
  m: TestTarget,
  fid: Fid,
  at: string,
  idOf: Map<Fid, string>,
): Promise<{ paths: Record<string, string>; wrongLinks: string[] }> {
  const { entries } = await m.call('readDirectory', { fid, cookie: 0, limit: 4096, withAttributes: true });
  const paths: Record<string, string> = {};
  const wrongLinks: string[] = [];
  for (const entry of entries) {
    const path = at === '' ? entry.name : `${at}/${entry.name}`;
    paths[path] = idOf.get(entry.fid)!;
    if (entry.type !== FileType.directory) continue;
    const below = await tree(m, entry.fid, path, idOf);
    Object.assign(paths, below.paths);
    wrongLinks.push(...below.wrongLinks);
  }
  const subdirectories = entries.filter((entry) => entry.type === FileType.directory).length;
  if ((await attributes(m, fid)).links !== 2 + subdirectories) wrongLinks.push(at);
  return { paths: Object.fromEntries(Object.entries(paths).sort(([a], [b]) => (a < b ? -1 : 1))), wrongLinks };
}

t.test('extended attributes', async (t) => {
  const m = await start(t);
  const { fid } = await makeFile(m, 'file');
  const set = (name: string, value: string | number, mode: 'any' | 'create' | 'replace' = 'any'): Promise<object> =>
    m.call('setXattr', { fid, name, value: typeof value === 'number' ? Buffer.alloc(value) : Buffer.from(value), mode });
  await set('user.a', 'one');
  await t.rejects(set('user.a', 'two', 'create'), { code: 'EEXIST' });
  await t.rejects(set('user.b', 'two', 'replace'), { code: 'ENODATA' });
  await set('user.a', 'three', 'replace');
  await set('user.ü', '');
  t.equal(Buffer.from((await m.call('getXattr', { fid, name: 'user.a' })).value).toString(), 'three');
  t.equal((await m.call('getXattr', { fid, name: 'user.ü' })).value.length, 0);
  t.strictSame((await m.call('listXattrs', { fid })).names.sort(), ['user.a', 'user.ü']);
  await t.rejects(set('user.big', 65_537), { code: 'EOVERFLOW' });
  for (const name of ['1', '2', '3']) await set(`user.${name}`, 65_536);
  await t.rejects(set('user.4', 65_536), { code: 'ENOSPC' });
  await m.call('removeXattr', { fid, name: 'user.1' });
  await set('user.4', 65_536);
  await t.rejects(m.call('removeXattr', { fid, name: 'user.1' }), { code: 'ENODATA' });
  await t.rejects(m.call('getXattr', { fid: 99 as Fid, name: 'user.1' }), { code: 'ENOENT' });
  await m.call('unlink', { parent: root, name: 'file' });
  const again = await makeFile(m, 'file');
  t.strictSame((await m.call('listXattrs', { fid: again.fid })).names, []);
});

t.test('layouts are inherited when a directory is made', async (t) => {
  const m = await start(t);
  const dir = await makeDir(m, 'dir');
  t.match(await m.call('getLayout', { fid: dir.fid }), { own: false, defaults: { stripeCount: 4, stripeSize: 1 << 20 } });
  await m.call('setLayout', { fid: dir.fid, layout: { stripeCount: 2, stripeSize: 65536 } });
  const sub = await makeDir(m, 'sub', dir.fid);
  t.match(await m.call('getLayout', { fid: dir.fid }), { own: true });
  t.match(await m.call('getLayout', { fid: sub.fid }), { own: false, defaults: { stripeCount: 2, stripeSize: 65536 } });
  const file = await makeFile(m, 'file', sub.fid);
  t.equal((await m.call('getLayout', { fid: file.fid })).layout?.targets.length, 2);
  await m.call('setLayout', { fid: file.fid, layout: { stripeCount: 1 } });
  t.equal((await m.call('getLayout', { fid: file.fid })).layout?.targets.length, 1);
  t.strictSame(m.chunks.calls, [], 'a file never opened for writing has no chunks to remove');

  await m.call('open', { fid: file.fid, write: true, truncate: false });
  await t.rejects(m.call('setLayout', { fid: file.fid, layout: { stripeCount: 3 } }), { code: 'EINVAL', message: /is open/ });
  await m.call('release', { files: [{ fid: file.fid, write: true }] });
  await m.call('setLayout', { fid: file.fid, layout: { stripeCount: 3 } });
  t.match(m.chunks.calls, [{ do: 'remove', fid: file.fid, column: 0 }]);
  await m.call('settle', { fid: file.fid, size: 1, mtime: 1, mtimeNs: 0, durable: false });
  await t.rejects(m.call('setLayout', { fid: file.fid, layout: { stripeCount: 2 } }), { code: 'EINVAL', message: /has 1 bytes/ });
});

t.test('directories may ask for mirroring; no file gets it yet', async (t) => {
  const m = await start(t);
  const dir = await makeDir(m, 'dir');
  await m.call('setLayout', { fid: dir.fid, layout: { pattern: 'mirror', stripeCount: 1024 } });
  const sub = await makeDir(m, 'sub', dir.fid);
  t.match(await m.call('getLayout', { fid: sub.fid }), { own: false, defaults: { pattern: 'mirror', stripeCount: 1024 } });
  const create = { parent: sub.fid, mode: 0o600, ...user, exclusive: true };
  const refused = { code: 'EOPNOTSUPP', message: /mirrored files cannot be written yet/ };
  await t.rejects(m.call('create', { ...create, name: 'file' }), refused);
  await t.rejects(m.call('makeNode', { parent: sub.fid, name: 'file', mode: 0o100600, device: 0, ...user }), refused);
  t.match(await m.call('lookup', { parent: sub.fid, name: 'file' }), { attributes: undefined });
  const plain = await m.call('create', { ...create, name: 'file', layout: { pattern: 'plain' } });
  t.equal(plain.layout.pattern, 'plain');
  await m.call('release', { files: [{ fid: plain.attributes.fid, write: true }] });
  await t.rejects(m.call('setLayout', { fid: plain.attributes.fid, layout: { pattern: 'mirror' } }), refused);
});

t.test('settle only grows and only goes forward in time', async (t) => {
  const m = await start(t);
  const { fid } = (await m.call('create', { parent: root, name: 'file', mode: 0o600, ...user, exclusive: true })).attributes;
  const soon = Math.floor(Date.now() / 1000) + 100;
  t.match(await m.call('settle', { fid, size: 100, mtime: soon, mtimeNs: 5, durable: false }), {
    attributes: { size: 100, mtime: soon, mtimeNs: 5 },
  });
  t.match(await m.call('settle', { fid, size: 50, mtime: soon, mtimeNs: 4, durable: true }), {
    attributes: { size: 100, mtime: soon, mtimeNs: 5 },
  });
  t.match(await m.call('settle', { fid, size: 200, mtime: 1, mtimeNs: 0, durable: false }), {
    attributes: { size: 200, mtime: soon, mtimeNs: 5 },
  });
  await t.rejects(m.call('settle', { fid: root, size: 1, mtime: 1, mtimeNs: 0, durable: false }), { code: 'EISDIR' });
  await t.rejects(m.call('settle', { fid, size: Number.MAX_SAFE_INTEGER, mtime: 1, mtimeNs: 0, durable: false }), { code: 'EFBIG' });
});
