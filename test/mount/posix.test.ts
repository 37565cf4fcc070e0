/** Everything that a person does with a file system, through the mount. */
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type Mount, run, TestCluster } from '../cluster/cluster.js';
import { needs } from '../support/capabilities.js';

const able = needs('root', 'fuse', 'cc');

t.test('files, names, links, attributes', { ...able, timeout: 850_000 }, async (t) => {
  const cluster = await TestCluster.start(t);
  const mount = await cluster.mount();
  const at = (name: string): string => join(mount.path, name);

  t.test('create, write, read, append, truncate', async (t) => {
    await fs.writeFile(at('a'), 'hello');
    t.equal(await fs.readFile(at('a'), 'utf8'), 'hello');
    await fs.appendFile(at('a'), ' world');
    t.equal(await fs.readFile(at('a'), 'utf8'), 'hello world');
    await fs.truncate(at('a'), 5);
    t.equal(await fs.readFile(at('a'), 'utf8'), 'hello');
    await fs.truncate(at('a'), 10);
    t.equal(await fs.readFile(at('a'), 'latin1'), 'hello\0\0\0\0\0', 'what truncation adds is zeros');
    await fs.writeFile(at('a'), 'x');
    t.equal((await fs.stat(at('a'))).size, 1, 'O_TRUNC');
    await t.rejects(fs.open(at('a'), 'wx'), { code: 'EEXIST' });
    await t.rejects(fs.readFile(at('missing')), { code: 'ENOENT' });
  });

  t.test('holes read as zeros, across stripes', async (t) => {
    const file = await fs.open(at('sparse'), 'w+');
    const far = 7 * 2 ** 20 + 123;
    await file.write(Buffer.from('end'), 0, 3, far);
    t.equal((await file.stat()).size, far + 3);
    const { buffer } = await file.read(Buffer.alloc(2 ** 20, 1), 0, 2 ** 20, 3 * 2 ** 20);
    t.ok(buffer.every((byte) => byte === 0));
    await file.close();
    await fs.truncate(at('sparse'), 2 ** 20 + 1);
    await fs.truncate(at('sparse'), far + 3);
    const whole = await fs.readFile(at('sparse'));
    t.ok(
      whole.every((byte) => byte === 0),
      'what was cut off does not come back',
    );
  });

  t.test('rename, also over files and directories', async (t) => {
    await fs.writeFile(at('r1'), '1');
    await fs.writeFile(at('r2'), '2');
    await fs.rename(at('r1'), at('r2'));
    t.equal(await fs.readFile(at('r2'), 'utf8'), '1');
    await t.rejects(fs.stat(at('r1')), { code: 'ENOENT' });
    await fs.mkdir(at('d1/below'), { recursive: true });
    await fs.mkdir(at('d2'));
    await fs.rename(at('d1'), at('d2'));
    t.ok((await fs.stat(at('d2/below'))).isDirectory());
    await t.rejects(fs.rename(at('d2'), at('d2/below/x')), { code: 'EINVAL' });
    await fs.mkdir(at('full'));
    await fs.writeFile(at('full/x'), '');
    await t.rejects(fs.rename(at('d2'), at('full')), { code: 'ENOTEMPTY' });
    await t.rejects(fs.rename(at('r2'), at('full')), { code: 'EISDIR' });
    await t.rejects(fs.rename(at('full'), at('r2')), { code: 'ENOTDIR' });
    await t.rejects(fs.rmdir(at('full')), { code: 'ENOTEMPTY' });
  });

  t.test('hard and symbolic links', async (t) => {
    await fs.writeFile(at('one'), 'shared');
    await fs.link(at('one'), at('two'));
    t.equal((await fs.stat(at('one'))).nlink, 2);
    t.equal((await fs.stat(at('one'))).ino, (await fs.stat(at('two'))).ino);
    await fs.writeFile(at('two'), 'changed');
    t.equal(await fs.readFile(at('one'), 'utf8'), 'changed');
    await fs.unlink(at('one'));
    t.equal(await fs.readFile(at('two'), 'utf8'), 'changed');
    await fs.symlink('two', at('soft'));
    t.equal(await fs.readlink(at('soft')), 'two');
    t.equal(await fs.readFile(at('soft'), 'utf8'), 'changed');
    t.ok((await fs.lstat(at('soft'))).isSymbolicLink());
    await fs.symlink('nowhere', at('dangling'));
    await t.rejects(fs.readFile(at('dangling')), { code: 'ENOENT' });
  });

  t.test('permissions, owners, times to the nanosecond', async (t) => {
    await fs.writeFile(at('p'), '', { mode: 0o640 });
    t.equal((await fs.stat(at('p'))).mode & 0o777, 0o640);
    await fs.chmod(at('p'), 0o4755);
    t.equal((await fs.stat(at('p'))).mode & 0o7777, 0o4755);
    await fs.chown(at('p'), 1234, 4321);
    const owned = await fs.stat(at('p'));
    t.equal(owned.uid, 1234);
    t.equal(owned.gid, 4321);
    t.equal((await run('touch', ['-d', '2001-02-03 04:05:06.123456789 UTC', at('p')])).code, 0);
    t.equal((await fs.stat(at('p'), { bigint: true })).mtimeNs, 981173106123456789n);
    await fs.mkdir(at('private'), { mode: 0o700 });
    await fs.writeFile(at('private/secret'), 'x', { mode: 0o600 });
    const peek = await run('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'cat', at('private/secret')]);
    t.not(peek.code, 0, 'another user cannot read');
  });

  t.test('a file that was unlinked while open lives until it is closed', async (t) => {
    const file = await fs.open(at('ghost'), 'w+');
    await file.write('still here');
    await fs.unlink(at('ghost'));
    await t.rejects(fs.stat(at('ghost')), { code: 'ENOENT' });
    await file.write(' and growing');
    await file.sync();
    const { buffer, bytesRead } = await file.read(Buffer.alloc(100), 0, 100, 0);
    t.equal(buffer.toString('utf8', 0, bytesRead), 'still here and growing');
    t.equal((await file.stat()).nlink, 0);
    await file.close();
  });

  t.test('a directory of 100,000 entries', { timeout: 800_000 }, async (t) => {
    await fs.mkdir(at('many'));
    const program = join(cluster.folder, 'create_files');
    t.equal((await run('cc', ['-O2', '-o', program, new URL('../../../bench/native/create_files.c', import.meta.url).pathname])).code, 0);
    const made = await run(program, [at('many'), '100000', '0']);
    t.equal(made.code, 0, made.stderr);
    const names = await fs.readdir(at('many'));
    t.equal(names.length, 100_000);
    t.equal(new Set(names).size, 100_000);
    t.equal((await run('sh', ['-c', `ls -l '${at('many')}' | wc -l`])).stdout.trim(), '100001');
    t.equal((await run('rm', ['-rf', at('many')])).code, 0);
    await t.rejects(fs.stat(at('many')), { code: 'ENOENT' });
  });

  t.test('statfs tells the space of the targets', async (t) => {
    const space = await fs.statfs(mount.path);
    t.ok(space.blocks > 0 && space.bavail > 0 && space.bavail <= space.blocks);
    t.ok(space.files > 0);
  });

  t.test('mmap, shared and written', async (t) => {
    const source = join(cluster.folder, 'map.c');
    await fs.writeFile(
      source,
      `
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int argc, char** argv) {
  int fd = open(argv[1], O_RDWR | O_CREAT, 0644);
  if (fd < 0 || ftruncate(fd, 3 << 20) != 0) return 1;
  char* map = mmap(0, 3 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) return 2;
  strcpy(map + (1 << 20) - 3, "mapped");
  map[(3 << 20) - 1] = '!';
  if (msync(map, 3 << 20, MS_SYNC) != 0) return 3;
  char back[7] = {0};
  if (pread(fd, back, 6, (1 << 20) - 3) != 6 || strcmp(back, "mapped") != 0) return 4;
  munmap(map, 3 << 20);
  return close(fd) != 0;
}`,
    );
    const program = join(cluster.folder, 'map');
    t.equal((await run('cc', ['-o', program, source])).code, 0);
    t.equal((await run(program, [at('mapped')])).code, 0);
    const content = await fs.readFile(at('mapped'));
    t.equal(content.length, 3 * 2 ** 20);
    t.equal(content.toString('latin1', 2 ** 20 - 3, 2 ** 20 + 3), 'mapped');
    t.equal(content[content.length - 1], 33);
  });

  t.test('names: long ones, odd ones, bad ones', async (t) => {
    const long = 'n'.repeat(255);
    await fs.writeFile(at(long), 'long');
    t.equal(await fs.readFile(at(long), 'utf8'), 'long');
    await t.rejects(fs.writeFile(at(`${long}n`), ''), { code: 'ENAMETOOLONG' });
    for (const name of [' ', 'ünï çødé 文件', 'new\nline', '-rf', '...', 'a"\'\\b']) {
      await fs.writeFile(at(name), name);
      t.equal(await fs.readFile(at(name), 'utf8'), name);
    }
  });

  t.test('O_APPEND from two handles keeps every record', async (t) => {
    const [one, two] = await Promise.all([fs.open(at('log'), 'a'), fs.open(at('log'), 'a')]);
    for (let i = 0; i < 50; i++) await Promise.all([one.write('1111\n'), two.write('2222\n')]);
    await Promise.all([one.close(), two.close()]);
    const lines = (await fs.readFile(at('log'), 'utf8')).trimEnd().split('\n');
    t.equal(lines.length, 100);
    t.equal(lines.filter((line) => line === '1111').length, 50);
  });

  t.test('fifo, access modes, directories', async (t) => {
    t.equal((await run('mkfifo', [at('pipe')])).code, 0);
    t.ok((await fs.stat(at('pipe'))).isFIFO());
    await t.rejects(fs.open(mount.path, constants.O_WRONLY), { code: 'EISDIR' });
    await t.rejects(fs.readdir(at('pipe')), { code: 'ENOTDIR' });
    t.equal((await fs.stat(mount.path)).ino, 1);
    const before = (await fs.stat(mount.path)).nlink;
    await fs.mkdir(at('counted'));
    t.equal((await fs.stat(mount.path)).nlink, before + 1);
    await fs.rmdir(at('counted'));
  });
});

t.test('two mounts of one cluster see each other', { ...able, timeout: 120_000 }, async (t) => {
  const cluster = await TestCluster.start(t);
  const mounts: Mount[] = [await cluster.mount(), await cluster.mount()];
  const at = (which: 0 | 1, name: string): string => join((mounts[which] as Mount).path, name);
  await fs.writeFile(at(0, 'shared'), 'first');
  t.equal(await fs.readFile(at(1, 'shared'), 'utf8'), 'first');
  for (let round = 0; round < 20; round++) {
    const [writer, reader] = round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const);
    const text = `round ${round} ${'x'.repeat(round * 1000)}`;
    await fs.writeFile(at(writer, 'shared'), text);
    t.equal(await fs.readFile(at(reader, 'shared'), 'utf8'), text, `open after close, round ${round}`);
  }
  await fs.appendFile(at(1, 'shared'), 'tail');
  t.ok((await fs.readFile(at(0, 'shared'), 'utf8')).endsWith('tail'));
  await fs.mkdir(at(0, 'dir'));
  await fs.writeFile(at(1, 'dir/new'), '');
  t.strictSame(await fs.readdir(at(0, 'dir')), ['new']);
  await fs.unlink(at(0, 'dir/new'));
  t.strictSame(await fs.readdir(at(1, 'dir')), []);
  const file = await fs.open(at(0, 'open-elsewhere'), 'w+');
  await file.write('kept');
  await file.sync();
  await fs.unlink(at(1, 'open-elsewhere'));
  t.equal((await file.read(Buffer.alloc(4), 0, 4, 0)).buffer.toString(), 'kept', 'unlinked by the other mount, still open here');
  await file.close();
});
