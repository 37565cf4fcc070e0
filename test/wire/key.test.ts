import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { deriveKey, generateKeyFile, httpToken, readKeyFile } from '../../src/wire/key.js';
import { refusal } from '../support/properties.js';

t.test('a generated key is private to its owner and reads back', async (t) => {
  const path = join(t.testdir(), 'cluster.key');
  await generateKeyFile(path);
  t.equal((await stat(path)).mode & 0o777, 0o600);
  const key = await readKeyFile(path);
  t.equal(key.length, 32);
  t.match(await readFile(path, 'utf8'), /^ibex-key-v1 \S{44}\n$/);
  await t.rejects(generateKeyFile(path), { code: 'EEXIST' }, 'an existing key is never replaced');
});

t.test('a key that others can read is refused with what to do', async (t) => {
  const path = join(t.testdir(), 'cluster.key');
  await generateKeyFile(path);
  for (const mode of [0o640, 0o604, 0o660, 0o610]) {
    await chmod(path, mode);
    await t.rejects(readKeyFile(path), refusal('ERR_ACCESS', /chmod 600/));
  }
  await chmod(path, 0o400);
  await t.resolves(readKeyFile(path));
});

t.test('a key of another user is refused', { skip: process.geteuid?.() === 0 ? false : 'only root can give files away' }, async (t) => {
  const path = join(t.testdir(), 'cluster.key');
  await generateKeyFile(path);
  await chown(path, 12_345, 0);
  await t.rejects(readKeyFile(path), refusal('ERR_ACCESS', /belongs to user 12345.*chown 0 /));
});

t.test('a key of root is taken by other users who can read it', async (t) => {
  const path = join(t.testdir(), 'cluster.key');
  await generateKeyFile(path);
  await symlink(path, `${path}.link`);
  await t.resolves(readKeyFile(`${path}.link`), 'links are followed');
  const real = process.geteuid as () => number;
  t.teardown(() => {
    process.geteuid = real;
  });
  process.geteuid = () => 12_345;
  const { uid } = await stat(path);
  await (uid === 0 ? t.resolves(readKeyFile(path)) : t.rejects(readKeyFile(path), refusal('ERR_ACCESS')));
});

t.test('what is no regular file is refused at once', { timeout: 5_000 }, async (t) => {
  const folder = t.testdir();
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', ['-m', '600', pipe]);
  await mkdir(join(folder, 'folder'), { mode: 0o700 });
  for (const path of [pipe, join(folder, 'folder'), '/dev/null']) {
    await t.rejects(readKeyFile(path), refusal('ERR_INVALID', /is not a regular file/), path);
  }
});

t.test('a file that holds no key is refused', async (t) => {
  const path = join(t.testdir(), 'cluster.key');
  for (const text of [
    '',
    'ibex-key-v1',
    'ibex-key-v1 c2hvcnQ=',
    'other-key-v1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
    'ibex-key-v1 x y',
  ]) {
    await writeFile(path, text, { mode: 0o600 });
    await t.rejects(readKeyFile(path), refusal('ERR_INVALID'), JSON.stringify(text));
  }
  await t.rejects(readKeyFile(`${path}.missing`), refusal('ERR_NOT_FOUND', /ibex key generate/));
});

t.test('derived keys differ by purpose and do not reveal the key', async (t) => {
  const key = Buffer.alloc(32, 1);
  t.notSame(deriveKey(key, 'a'), deriveKey(key, 'b'));
  t.notOk(httpToken(key).includes(key.toString('base64url')));
});
