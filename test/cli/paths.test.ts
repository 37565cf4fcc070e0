/** Paths of the file system in the forms that people write, and where copies go. */
import { mkdirSync, symlinkSync } from 'node:fs';
import t from 'tap';
import { backgroundError, foregroundArguments } from '../../src/cli/commands/mount.js';
import { destinationOf, isInside } from '../../src/cli/copy/destination.js';
import { mountOf, mountPaths, parseMountInfo, realMountPath } from '../../src/cli/mounts.js';
import { remotePath, resolveFilePath } from '../../src/cli/paths.js';

const mountInfo = `22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
31 22 0:27 / /proc rw - proc proc rw
40 22 0:51 / /mnt/ibex rw,nosuid shared:7 - fuse.ibexfs ibexfs rw,user_id=0
41 22 0:52 / /home/a\\040b rw - fuse.ibexfs mgmt:7410 rw
42 22 0:53 / /mnt/other rw - fuse.sshfs x: rw
`;

import { isUsageError } from './usage.js';

t.test('mounts of ibexfs are found in mountinfo', async (t) => {
  const mounts = parseMountInfo(mountInfo);
  t.same(mounts, [
    { path: '/mnt/ibex', source: 'ibexfs' },
    { path: '/home/a b', source: 'mgmt:7410' },
  ]);
  t.equal(mountOf('/mnt/ibex/a', mounts)?.path, '/mnt/ibex');
  t.equal(mountOf('/mnt/ibexes', mounts), undefined);
  t.same(parseMountInfo('garbage\n\n1 2 3'), []);
});

t.test('any mount is found, by its name as people write it and through links', async (t) => {
  t.ok(mountPaths(mountInfo).includes('/home/a b'));
  t.ok(mountPaths(mountInfo).includes('/mnt/other'));
  const folder = t.testdir({});
  mkdirSync(`${folder}/real`);
  symlinkSync('real', `${folder}/link`);
  t.equal(realMountPath(`${folder}/link/not/there`), `${realMountPath(folder)}/real/not/there`);
});

t.test('a mount in the background starts itself once', async (t) => {
  t.same(foregroundArguments(['ibex', 'mount', '-rb', 'D']), ['ibex', 'mount', '-rb', 'D', '--foreground']);
  t.same(foregroundArguments(['ibex', 'mount', '-b', '--', '-D']), ['ibex', 'mount', '-b', '--foreground', '--', '-D']);
  t.match(backgroundError('ibex mount: no mgmtd answers\n', 3), { message: 'no mgmtd answers', exitCode: 3 });
  t.match(backgroundError('{"error":{"code":"ENOENT","message":"m"}}\n', 4), { message: 'm', exitCode: 4, code: 'ENOENT' });
  t.match(backgroundError('', 77), { message: 'the mount ended with exit code 77', exitCode: 1 });
});

t.test('a path through a link into a mount', async (t) => {
  const mounts = parseMountInfo(mountInfo);
  const real = (path: string): string => {
    if (path === '/home/link') return '/mnt/ibex/deep';
    if (path === '/home/link/file') return '/mnt/ibex/elsewhere';
    return path;
  };
  t.equal(resolveFilePath('/home/link/file/', '/', mounts, real), '/deep/file/', 'links within are for the file system');
  t.equal(resolveFilePath('file', '/home/link', mounts, real), '/deep/file');
  t.equal(resolveFilePath('/home/other', '/', mounts, real), '/home/other');
});

t.test('paths as written -> paths in the file system', async (t) => {
  const mounts = parseMountInfo(mountInfo);
  const table: readonly [written: string, folder: string, path: string][] = [
    ['ibex:/a/b', '/', '/a/b'],
    ['ibex:a', '/', '/a'],
    ['ibex:', '/', '/'],
    ['ibex:/a/../../b', '/', '/b'],
    ['/a/b', '/', '/a/b'],
    ['/mnt/ibex/a/b', '/', '/a/b'],
    ['/mnt/ibex', '/', '/'],
    ['/mnt/ibexes/a', '/', '/mnt/ibexes/a'],
    ['sub/file', '/mnt/ibex/dir', '/dir/sub/file'],
    ['.', '/home/a b/c', '/c'],
    ['dir/', '/mnt/ibex', '/dir/'],
  ];
  for (const [written, folder, path] of table) t.equal(resolveFilePath(written, folder, mounts), path, written);
  isUsageError(t, () => resolveFilePath('relative', '/tmp', mounts));
  t.equal(remotePath('ibex:/x//y/'), '/x/y/');
});

t.test('destinations follow cp', async (t) => {
  t.equal(destinationOf('/a/file', '/b', true, 1), '/b/file');
  t.equal(destinationOf('/a/file', '/b', false, 1), '/b');
  t.equal(destinationOf('/', '/b', true, 1), '/b', 'the root stands for what is in it');
  t.equal(destinationOf('/a/.', '/b', true, 1), '/b');
  isUsageError(t, () => destinationOf('/a', '/b', false, 2));
});

t.test('a copy into itself is seen', async (t) => {
  t.equal(isInside('/a', '/a/b/c'), true);
  t.equal(isInside('/a/', '/a'), true);
  t.equal(isInside('/a', '/ab'), false);
});
