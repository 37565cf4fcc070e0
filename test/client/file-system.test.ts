/** The library against a real metadata target in this process; file bytes in memory. */
import { constants } from 'node:fs';
import t from 'tap';
import type { OpenFileHandle } from '../../src/client/file-handle.js';
import type { Dirent } from '../../src/client/stats.js';
import { IbexError } from '../../src/wire/errors.js';
import { LocalCluster } from './local-cluster.js';

t.test('a file is written, read, listed and removed', async (t) => {
  const { fs, files, open } = (await LocalCluster.start(t)).fileSystem();
  await fs.mkdir('/a');
  await fs.writeFile('/a/f', 'hello');
  t.equal(await fs.readFile('/a/f', 'utf8'), 'hello');
  await fs.appendFile('/a/f', ' world');
  t.equal((await fs.readFile('/a/f')).toString(), 'hello world');
  const stats = await fs.stat('/a/f');
  t.equal(stats.size, 11);
  t.equal(stats.mode & 0o7777, 0o644, 'the umask was applied');
  t.strictSame(await fs.readdir('/a'), ['f']);
  await fs.unlink('/a/f');
  await fs.rmdir('/a');
  t.strictSame(await fs.readdir('/'), []);
  t.equal(files.openSlots, 0);
  t.equal(open.count, 0);
});

t.test('a path in a known directory is one RPC', async (t) => {
  const cluster = await LocalCluster.start(t);
  const { fs } = cluster.fileSystem();
  await fs.mkdir('/a/b/c', { recursive: true });
  await fs.writeFile('/a/b/c/f', '');
  await fs.stat('/a/b/c/f');
  const calls = async (work: () => Promise<unknown>): Promise<string[]> => {
    cluster.calls.length = 0;
    await work();
    return [...cluster.calls];
  };
  t.strictSame(await calls(() => fs.stat('/a/b/c/f')), ['meta.lookup']);
  t.strictSame(await calls(() => fs.unlink('/a/b/c/f')), ['meta.unlink']);
  t.strictSame(await calls(() => fs.mkdir('/a/b/c/d')), ['meta.makeDirectory']);
  t.strictSame(
    await calls(() => Promise.all(Array.from({ length: 64 }, () => fs.stat('/a/b/c/d')))),
    Array.from({ length: 64 }, () => 'meta.lookup'),
  );
  t.strictSame(await calls(() => fs.rename('/a/b/c/d', '/a/b/c/e')), ['meta.rename']);
});

t.test('own changes are seen at once through the directory cache', async (t) => {
  const { fs } = (await LocalCluster.start(t)).fileSystem();
  await fs.mkdir('/one/deep', { recursive: true });
  await fs.writeFile('/one/deep/f', '1');
  await fs.symlink('/one', '/link');
  t.equal(await fs.readFile('/link/deep/f', 'utf8'), '1');
  await fs.rename('/one', '/two');
  await t.rejects(fs.stat('/one/deep/f'), { code: 'ENOENT', syscall: 'stat', path: '/one/deep/f' });
  await t.rejects(fs.stat('/link/deep/f'), { code: 'ENOENT' });
  await fs.unlink('/link');
  await fs.symlink('two', '/link');
  t.equal(await fs.readFile('/link/deep/f', 'utf8'), '1');
  t.equal(await fs.realpath('/link/deep/../deep/f'), '/two/deep/f');
  t.equal(await fs.readlink('/link'), 'two');
});

t.test('open flags', async (t) => {
  const { fs } = (await LocalCluster.start(t)).fileSystem();
  await fs.writeFile('/f', 'abcdef');
  const code = (path: string, flags: string | number): Promise<string> =>
    fs.open(path, flags).then(
      (handle) => handle.close().then(() => 'ok'),
      (error: IbexError) => error.code,
    );
  await fs.mkdir('/d');
  await fs.symlink('f', '/link');
  await fs.symlink('new', '/dangling');
  const table: readonly (readonly [string, string | number, string])[] = [
    ['/missing', 'r', 'ENOENT'],
    ['/f', 'wx', 'EEXIST'],
    ['/link', 'wx', 'EEXIST'],
    ['/d', 'r', 'EISDIR'],
    ['/d', 'w', 'EISDIR'],
    ['/x/', 'w', 'EISDIR'],
    ['/f/', 'r', 'ENOTDIR'],
    ['/f', constants.O_RDONLY | constants.O_DIRECTORY, 'ENOTDIR'],
    ['/link', constants.O_RDONLY | constants.O_NOFOLLOW, 'ELOOP'],
    ['/f', 'bad', 'EINVAL'],
    ['/link', 'r+', 'ok'],
    ['/link', 'a', 'ok'],
    ['/dangling', 'a', 'ok'],
  ];
  for (const [path, flags, expected] of table) t.equal(await code(path, flags), expected, `${path} ${flags}`);
  t.ok((await fs.lstat('/new')).isFile(), 'created where the dangling link points');
  t.equal(await fs.readFile('/f', 'utf8'), 'abcdef');
  await (await fs.open('/link', 'w')).close();
  t.equal((await fs.stat('/f')).size, 0, 'w through a link truncates what it leads to');
});

t.test('positions, appends and short reads', async (t) => {
  const { fs } = (await LocalCluster.start(t)).fileSystem();
  const handle = await fs.open('/f', 'w+');
  await Promise.all([handle.write('ab'), handle.write('cd'), handle.write('ef')]);
  t.equal((await handle.read(Buffer.alloc(10), 0, 10, 0)).bytesRead, 6);
  t.equal((await handle.read(Buffer.alloc(4), 0, 4, 6)).bytesRead, 0, 'beyond the end');
  await handle.write(Buffer.from('xyz'), 1, 1, 10);
  const { buffer } = await handle.read({ buffer: Buffer.alloc(11), position: 0 });
  t.equal(buffer.toString('latin1'), 'abcdef\0\0\0\0y', 'a hole is zeros');
  await handle.close();
  await t.rejects(handle.read(Buffer.alloc(1)), { code: 'EBADF' });
  t.equal((await fs.stat('/f')).size, 11);

  const reader = await fs.open('/f');
  const parts = await Promise.all([3, 3, 5].map((length) => reader.read(Buffer.alloc(length))));
  t.equal(parts.map(({ buffer: part }) => part.toString('latin1')).join('|'), 'abc|def|\0\0\0\0y');
  await t.rejects(reader.write('x'), { code: 'EBADF' });
  await t.rejects(reader.truncate(0), { code: 'EINVAL' });
  await reader.close();

  await fs.truncate('/f', 0);
  const [one, two] = [await fs.open('/f', 'a'), await fs.open('/f', 'a')];
  await Promise.all([one.write('111'), two.write('22'), one.appendFile('3333')]);
  await Promise.all([one.close(), two.close()]);
  t.match(await fs.readFile('/f', 'latin1'), /^(?=.*111)(?=.*22)(?=.*3333).{9}$/, 'no append overwrites another');
});

t.test('what is written is seen by stat before it is settled, and by others after close', async (t) => {
  const cluster = await LocalCluster.start(t);
  const { fs } = cluster.fileSystem();
  const other = cluster.otherClient().fileSystem().fs;
  const handle = await fs.open('/f', 'w');
  await handle.write('12345');
  t.equal((await fs.stat('/f')).size, 5);
  t.equal((await handle.stat()).size, 5);
  t.equal((await fs.readdir('/', { withFileTypes: true, withStats: true }))[0]!.stats!.size, 5);
  t.equal((await other.stat('/f')).size, 0, 'not settled yet');
  await handle.sync();
  t.equal((await other.stat('/f')).size, 5);
  await handle.utimes(1, 2);
  await handle.write('6');
  await handle.utimes(1, 2);
  await handle.close();
  t.equal((await other.stat('/f')).mtimeMs, 2000, 'close does not override what utimes set');
  t.equal(await other.readFile('/f', 'utf8'), '123456');
  await other.appendFile('/f', '7');
  t.equal(await fs.readFile('/f', 'utf8'), '1234567');
});

t.test('a truncation is not undone by what was written before it', async (t) => {
  const { fs } = (await LocalCluster.start(t)).fileSystem();
  const handle = await fs.open('/f', 'r+').catch(() => fs.open('/f', 'w+'));
  await handle.write('0123456789');
  await handle.truncate(4);
  t.equal((await handle.stat()).size, 4);
  await fs.truncate('/f', 6);
  await handle.close();
  t.equal(await fs.readFile('/f', 'latin1'), '0123\0\0');
});

t.test('one slot for a file however many handles; each open is released', async (t) => {
  const cluster = await LocalCluster.start(t);
  const { fs, files, open } = cluster.fileSystem();
  await fs.writeFile('/f', 'x');
  const handles = await Promise.all(['r', 'r+', 'a', 'r'].map((flags) => fs.open('/f', flags)));
  t.equal(files.openSlots, 1);
  await fs.unlink('/f');
  t.equal(await (handles[0] as OpenFileHandle).readFile('utf8'), 'x', 'unlinked and still there');
  await Promise.all(handles.map((handle) => handle.close()));
  await open.released();
  t.equal(files.openSlots, 0);
  t.match(await cluster.meta(1 as never, (await import('../../src/wire/messages.js')).meta.statistics, {}), { filesOpen: 0 });
});

t.test('after a metadata server came back it hears of every open', async (t) => {
  const cluster = await LocalCluster.start(t);
  const { fs, open } = cluster.fileSystem();
  await fs.writeFile('/f', 'x');
  const handles = await Promise.all(['r', 'r', 'a'].map((flags) => fs.open('/f', flags)));
  const told: unknown[] = [];
  const session = { call: async (_message: unknown, request: unknown) => told.push(request) } as never;
  await open.reopen(cluster.metaOf(), session);
  const { fid } = handles[0]!;
  t.strictSame(told, [
    {
      files: [
        { fid, write: false },
        { fid, write: false },
        { fid, write: true },
      ],
    },
  ]);
  told.length = 0;
  await open.reopen(99 as never, session);
  t.strictSame(told, [], 'another target owns none of them');
  await Promise.all(handles.map((handle) => handle.close()));
});

t.test('a failed write is reported by the call, with the path', async (t) => {
  const { fs, files, open } = (await LocalCluster.start(t)).fileSystem();
  files.failWrites = new IbexError('ERR_NO_SPACE', 'target 102');
  await t.rejects(fs.writeFile('/f', 'x'), { code: 'ENOSPC', syscall: 'write', path: '/f', message: /target 102/ });
  t.equal(open.count, 0, 'and the handle is closed');
});

t.test('mkdir, rm and readdir of trees', async (t) => {
  const { fs } = (await LocalCluster.start(t)).fileSystem();
  t.equal(await fs.mkdir('/a/b/c/', { recursive: true }), '/a');
  t.equal(await fs.mkdir('/a/b/c', { recursive: true }), undefined);
  await t.rejects(fs.mkdir('/a/b'), { code: 'EEXIST', path: '/a/b' });
  await t.rejects(fs.mkdir('/x/y'), { code: 'ENOENT' });
  for (let i = 0; i < 40; i++) await fs.writeFile(`/a/b/f${i}`, '');
  await t.rejects(fs.mkdir('/a/b/f1', { recursive: true }), { code: 'EEXIST' });
  await t.rejects(fs.mkdir('/a/b/f1/x', { recursive: true }), { code: 'ENOTDIR' });
  await fs.symlink('/a', '/a/b/c/loop');
  const names = await fs.readdir('/a', { recursive: true, bufferSize: 7 });
  t.equal(names.length, 43);
  t.ok(names.includes('b/f39') && names.includes('b/c/loop'));
  const entries: Dirent[] = [];
  await using directory = await fs.opendir('/a/b', { bufferSize: 3 });
  for await (const entry of directory) entries.push(entry);
  t.equal(new Set(entries.map((entry) => entry.name)).size, 41);
  t.equal(entries.filter((entry) => entry.isDirectory()).length, 1);
  await t.rejects(fs.rm('/a'), { code: 'EISDIR' });
  await t.rejects(fs.rmdir('/a'), { code: 'ENOTEMPTY' });
  await fs.rm('/a', { recursive: true });
  await t.rejects(fs.rm('/a', { recursive: true }), { code: 'ENOENT' });
  await fs.rm('/a', { recursive: true, force: true });
  t.strictSame(await fs.readdir('/'), []);
});

t.test('names that cannot be made or removed', async (t) => {
  const { fs } = (await LocalCluster.start(t)).fileSystem();
  await fs.mkdir('/d');
  await fs.writeFile('/f', '');
  const table: readonly (readonly [string, () => Promise<unknown>, string])[] = [
    ['mkdir /', () => fs.mkdir('/'), 'EEXIST'],
    ['mkdir ..', () => fs.mkdir('/d/..'), 'EEXIST'],
    ['rmdir .', () => fs.rmdir('/d/.'), 'EINVAL'],
    ['rmdir ..', () => fs.rmdir('/d/..'), 'ENOTEMPTY'],
    ['rmdir /', () => fs.rmdir('/'), 'EPERM'],
    ['rmdir file', () => fs.rmdir('/f'), 'ENOTDIR'],
    ['unlink directory', () => fs.unlink('/d'), 'EISDIR'],
    ['unlink with slash', () => fs.unlink('/f/'), 'ENOTDIR'],
    ['rename file to a name with slash', () => fs.rename('/f', '/g/'), 'ENOTDIR'],
    ['rename into itself', () => fs.rename('/d', '/d/e'), 'EINVAL'],
    ['symlink over', () => fs.symlink('x', '/f'), 'EEXIST'],
    ['link of nothing', () => fs.link('/no', '/l'), 'ENOENT'],
    ['readlink of a file', () => fs.readlink('/f'), 'EINVAL'],
    ['long name', () => fs.writeFile(`/${'n'.repeat(256)}`, ''), 'ENAMETOOLONG'],
  ];
  for (const [name, work, code] of table) await t.rejects(work(), { code }, name);
  await fs.rename('/d', '/e/');
  await fs.link('/f', '/e/l');
  t.equal((await fs.stat('/f')).nlink, 2);
});

t.test('attributes', async (t) => {
  const { fs } = (await LocalCluster.start(t)).fileSystem();
  await fs.writeFile('/f', '', { mode: 0o600 });
  await fs.chmod('/f', 0o4711);
  t.equal((await fs.stat('/f')).mode & 0o7777, 0o4711);
  await fs.chown('/f', 5, -1);
  t.match(await fs.stat('/f'), { uid: 5, gid: 1000 });
  await t.rejects(fs.access('/f', constants.R_OK), { code: 'EACCES', syscall: 'access', path: '/f' });
  await fs.access('/f');
  await fs.utimes('/f', new Date(1500), 2.25);
  t.match(await fs.stat('/f'), { atimeMs: 1500, mtimeMs: 2250 });
  await fs.symlink('f', '/l');
  await fs.lutimes('/l', 7, 8);
  t.equal((await fs.lstat('/l')).mtimeMs, 8000);
  t.equal((await fs.stat('/l')).mtimeMs, 2250);
  t.strictSame(await fs.statfs(), {
    bsize: 4096,
    blocks: Math.floor((8192e3 + 3e12) / 4096),
    bfree: Math.floor((4096e3 + 1.5e12) / 4096),
    bavail: Math.floor((4096e3 + 1.5e12) / 4096),
    files: 0,
    ffree: 0,
  });
});

t.test('layouts', async (t) => {
  const { fs } = (await LocalCluster.start(t)).fileSystem();
  await fs.mkdir('/d');
  t.match(await fs.getLayout('/d'), { stripeSize: 1 << 20, stripeCount: 4, own: false, targets: undefined });
  await fs.setLayout('/d', { stripeSize: 1 << 16, stripeCount: 2 });
  t.match(await fs.getLayout('/d'), { stripeSize: 1 << 16, stripeCount: 2, own: true });
  await fs.writeFile('/d/f', 'x');
  const layout = await fs.getLayout('/d/f');
  t.match(layout, { stripeSize: 1 << 16, stripeCount: 2, own: true });
  t.equal(layout.targets?.length, 2);
  await using handle = await fs.open('/d/g', 'w', 0o644, { layout: { stripeCount: 1 } });
  await handle.write('y');
  t.match(await fs.getLayout('/d/g'), { stripeSize: 1 << 16, stripeCount: 1 });
  await fs.copyFile('/d/f', '/copy');
  t.equal(await fs.readFile('/copy', 'utf8'), 'x');
});

t.test('an aborted signal rejects with its reason', async (t) => {
  const { fs } = (await LocalCluster.start(t)).fileSystem();
  await fs.writeFile('/f', Buffer.alloc(100));
  const controller = new AbortController();
  controller.abort(new Error('enough'));
  const { signal } = controller;
  await t.rejects(fs.readFile('/f', { signal }), { message: 'enough' });
  await t.rejects(fs.writeFile('/g', 'x', { signal }), { message: 'enough' });
});

t.test('alloc gives memory that needs no registration', async (t) => {
  const { fs, files, buffers } = (await LocalCluster.start(t)).fileSystem();
  using memory = fs.alloc(5000);
  t.equal(memory.buffer.length, 5000);
  t.equal(files.registeredBuffers, 1);
  await fs.writeFile('/f', memory.buffer);
  t.equal((await fs.stat('/f')).size, 5000);
  t.equal(buffers.size, 1);
  memory.free();
  memory.free();
  t.equal(files.registeredBuffers, 0);
  t.throws(() => fs.alloc(0), { code: 'EINVAL' });
});

t.test('close closes what is open', async (t) => {
  const cluster = await LocalCluster.start(t);
  const { fs, files } = cluster.fileSystem();
  const handle = await fs.open('/f', 'w');
  await handle.write('late');
  await fs.close();
  t.equal(files.openSlots, 0);
  t.equal(await cluster.otherClient().fileSystem().fs.readFile('/f', 'utf8'), 'late');
});

t.test('sizes that no file can have', async (t) => {
  const { fs } = (await LocalCluster.start(t)).fileSystem();
  await fs.writeFile('/f', 'abc');
  await t.rejects(fs.truncate('/f', 2 ** 53), { code: 'EFBIG', syscall: 'truncate', path: '/f' });
  await t.rejects(fs.truncate('/f', Number.NaN), { code: 'EINVAL' });
  const handle = await fs.open('/f', 'r+');
  await t.rejects(handle.truncate(2 ** 60), { code: 'EFBIG', syscall: 'ftruncate' });
  await handle.close();
  t.equal((await fs.stat('/f')).size, 3);
});

t.test('a closed client answers at once', async (t) => {
  const { fs } = (await LocalCluster.start(t)).fileSystem();
  const opening = fs.open('/f', 'w');
  await fs.close();
  await t.rejects(opening, { code: 'ESHUTDOWN' }, 'what was still opening is closed again');
  await t.rejects(fs.stat('/'), { code: 'ESHUTDOWN' });
  await t.rejects(fs.mkdir('/d'), { code: 'ESHUTDOWN' });
  t.throws(() => fs.alloc(1), { code: 'ESHUTDOWN' });
});

t.test('an aborted read rejects only when its memory is free again', async (t) => {
  const { fs, files } = (await LocalCluster.start(t)).fileSystem();
  await fs.writeFile('/f', 'abc');
  const handle = await fs.open('/f');
  const abort = new AbortController();
  const buffer = Buffer.alloc(3);
  const reading = handle.read({ buffer, position: 0, signal: abort.signal });
  await Promise.resolve();
  abort.abort(new Error('enough'));
  await t.rejects(reading, { message: 'enough' });
  t.equal(buffer.toString(), files.operations.length > 1 ? 'abc' : '\0\0\0', 'native code has ended');
  await handle.close();
});
