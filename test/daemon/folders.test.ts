import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { ensureFolder, lockFolder, writeFileAtomic } from '../../src/daemon/folder.js';
import { openNodeIdentity, openTargetIdentity, saveTargetIdentity } from '../../src/daemon/identity.js';
import { StartupError } from '../../src/daemon/startup-error.js';
import { NodeFile, TargetFolder } from '../../src/daemon/target-folder.js';
import type { TargetId } from '../../src/wire/fid.js';
import { refusal } from '../support/properties.js';

test('a folder that cannot be used says in one line why and what to do', async (t) => {
  const folder = t.testdir({ file: '' });
  await ensureFolder(join(folder, 'a/b/c'), 'data folder');
  t.ok(existsSync(join(folder, 'a/b/c')));
  await ensureFolder(join(folder, 'a/b/c'), 'data folder');
  t.same(readdirSync(join(folder, 'a/b/c')), [], 'the probe leaves nothing');
  const cases: readonly [string, RegExp][] = [
    [join(folder, 'file'), /^data folder .*\/file: is a file, not a folder; configure another path$/],
    [join(folder, 'file/x'), /^data folder .*\/file\/x: a part of the path is no folder; configure another path$/],
    ['/proc/ibexfs-test', /^data folder \/proc\/ibexfs-test: /],
  ];
  for (const [path, message] of cases) {
    const error: unknown = await ensureFolder(path, 'data folder').then(
      () => undefined,
      (reason: unknown) => reason,
    );
    t.ok(error instanceof StartupError);
    t.match((error as Error).message, message);
  }
});

test('a folder is held by one daemon, under whatever name', async (t) => {
  const folder = t.testdir({ data: {} });
  const data = join(folder, 'data');
  symlinkSync(data, join(folder, 'link'));
  const lock = await lockFolder(data, 'data folder');
  await t.rejects(lockFolder(data, 'data folder'), refusal('ERR_EXISTS', /another ibexfs process uses it/));
  await t.rejects(lockFolder(join(folder, 'link'), 'data folder'), refusal('ERR_EXISTS'));
  await lock.release();
  await (await lockFolder(data, 'data folder')).release();
});

test('a folder is free again when its process was killed', async (t) => {
  const folder = t.testdir();
  const script = `import { lockFolder } from '${new URL('../../src/daemon/folder.js', import.meta.url).href}';
    await lockFolder(process.argv[1], 'data folder');
    process.stdout.write('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  await t.rejects(lockFolder(folder, 'data folder'), refusal('ERR_EXISTS'));
  child.kill('SIGKILL');
  await once(child, 'exit');
  const lock = await lockFolder(folder, 'data folder');
  await lock.release();
  await lock.release();
  const identity = await openTargetIdentity({ folder, kind: 'storage', nodeFolder: folder });
  t.equal(identity.target, undefined, 'the lock file is nothing foreign');
});

test('what stands where the lock should be is not waited for', async (t) => {
  const folder = t.testdir({ other: '' });
  symlinkSync(join(folder, 'other'), join(folder, 'lock'));
  await t.rejects(lockFolder(folder, 'data folder'), refusal('ERR_INTERNAL', /open lock file .*ELOOP/));
  await t.rejects(lockFolder(join(folder, 'none'), 'data folder'), refusal('ERR_NOT_FOUND', /^data folder .*none: does not exist/));
});

test('files are replaced whole', async (t) => {
  const folder = t.testdir({ 'x.json': 'old' });
  await writeFileAtomic(join(folder, 'x.json'), 'new');
  t.equal(readFileSync(join(folder, 'x.json'), 'utf8'), 'new');
  t.same(readdirSync(folder), ['x.json']);
  await t.rejects(writeFileAtomic(join(folder, 'none/x.json'), 'new'), { code: 'ENOENT' });
});

test('a node keeps its identity', async (t) => {
  const folder = t.testdir();
  const first = await openNodeIdentity(folder, 'storage');
  t.same(await openNodeIdentity(folder, 'storage'), first);
  await t.rejects(openNodeIdentity(folder, 'meta'), refusal('ERR_INVALID', /belongs to a storage daemon/));
  for (const damage of ['', '{', '[]', '{"format":2}', readFileSync(join(folder, 'node.json'), 'utf8').slice(0, 40)]) {
    writeFileSync(join(folder, 'node.json'), damage);
    await t.rejects(
      openNodeIdentity(folder, 'storage'),
      refusal('ERR_INVALID', /is damaged; restore it from a backup/),
      JSON.stringify(damage),
    );
  }
});

test('a target folder that is not what it was is refused', async (t) => {
  const folder = t.testdir({ empty: { 'lost+found': {} }, other: { 'data.txt': '' } });
  const open = (name: string, lastTarget?: number, kind: 'meta' | 'storage' = 'storage') =>
    openTargetIdentity({ folder: join(folder, name), kind, nodeFolder: '/node', lastTarget });
  const identity = await open('empty');
  t.match(identity.token, /^[0-9a-f]{32}$/);
  t.same(await open('empty'), identity, 'the token stays, so that a repeated registration finds its target');
  await saveTargetIdentity(join(folder, 'empty'), { ...identity, target: 5 as TargetId, clusterId: 'c' });
  t.match(await open('empty', 5), { target: 5, clusterId: 'c', token: identity.token });
  await t.rejects(open('empty', 5, 'meta'), refusal('ERR_WRONG_DISK', /holds a storage target/));
  await t.rejects(open('other'), refusal('ERR_WRONG_DISK', /holds other files \(data\.txt\)/));
  rmSync(join(folder, 'empty/target.json'));
  await t.rejects(open('empty', 5), refusal('ERR_WRONG_DISK', /held target 5 .*mount the right disk .*\/node\/node\.json/));
  writeFileSync(join(folder, 'empty/target.json'), '{"format":1}');
  await t.rejects(open('empty', 5), refusal('ERR_INVALID', /is damaged/));
});

test('a copy made before the original had its number is refused', async (t) => {
  const root = t.testdir({ node: {}, original: {}, copy: {} });
  const nodeFile = new NodeFile(join(root, 'node'), await openNodeIdentity(join(root, 'node'), 'storage'));
  const open = (name: string) => TargetFolder.open({ folder: join(root, name), kind: 'storage', nodeFile, serve: () => {} });
  const original = await open('original');
  copyFileSync(join(root, 'original/target.json'), join(root, 'copy/target.json'));
  const copy = await open('copy');
  const answer = { target: 4 as TargetId, token: original.identity().token, clusterId: 'c' };
  await original.accepted(answer);
  await t.rejects(copy.accepted(answer), refusal('ERR_WRONG_DISK', /copy is a copy of .*original, which held target 4/));
  t.equal(copy.target, undefined);
  await original.accepted(answer);
  await Promise.all([original.close(), copy.close()]);
});

test('a target is in service only when its identity is on disk, and a disk that vanishes is noticed', async (t) => {
  const root = t.testdir({ node: {}, target: {} });
  const folder = join(root, 'target');
  const nodeFile = new NodeFile(join(root, 'node'), await openNodeIdentity(join(root, 'node'), 'storage'));
  const served: unknown[] = [];
  const target = await TargetFolder.open({
    folder,
    kind: 'storage',
    nodeFile,
    content: 'chunks',
    serve: (answer) => {
      served.push([
        answer.target,
        JSON.parse(readFileSync(join(folder, 'target.json'), 'utf8')).target,
        JSON.parse(readFileSync(join(root, 'node/node.json'), 'utf8')).targets[folder],
      ]);
    },
  });
  await target.check();
  t.ok(existsSync(join(folder, 'chunks')));
  const { token } = target.identity();
  await target.accepted({ target: 4 as TargetId, token, clusterId: 'c', since: 3 });
  await target.accepted({ target: 4 as TargetId, token, clusterId: 'c', since: 3 });
  t.same(served, [
    [4, 4, 4],
    [4, 4, 4],
  ]);
  await target.check();
  await t.rejects(TargetFolder.open({ folder, kind: 'storage', nodeFile, serve: () => {} }), refusal('ERR_EXISTS'));

  rmSync(join(folder, 'target.json'));
  rmSync(join(folder, 'chunks'), { recursive: true });
  await t.rejects(target.check(), refusal('ERR_WRONG_DISK', /held target 4/));
  t.same(readdirSync(folder), ['lock'], 'nothing is written to what lies under the mount point');
  writeFileSync(
    join(folder, 'target.json'),
    JSON.stringify({ format: 1, kind: 'storage', token: '0'.repeat(32), target: 9, clusterId: 'c' }),
  );
  await t.rejects(target.check(), refusal('ERR_WRONG_DISK', /another target than when the daemon started/));
  await target.close();
});
