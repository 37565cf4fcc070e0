/** The copier, between two folders of this machine: the same code moves files in and out of a cluster. */
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import t from 'tap';
import { Copier, type CopyListener, type CopyOptions } from '../../src/cli/copy/copier.js';
import { localSide, type Side } from '../../src/cli/copy/side.js';

interface Heard {
  found: number;
  copied: number;
  readonly failed: string[];
}

function copier(from: Side, to: Side, options: Partial<CopyOptions> = {}): { copier: Copier; heard: Heard } {
  const heard: Heard = { found: 0, copied: 0, failed: [] };
  const listener: CopyListener = {
    found: (bytes) => {
      heard.found += bytes;
    },
    copied: (bytes) => {
      heard.copied += bytes;
    },
    file: () => {},
    failed: (path) => {
      heard.failed.push(path);
    },
  };
  const whole = { recursive: true, preserve: false, keep: false, signal: new AbortController().signal, ...options };
  return { copier: new Copier(from, to, whole, listener, (bytes) => Buffer.alloc(bytes)), heard };
}

const digest = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await fs.readFile(path))
    .digest('hex');

t.test('a tree with links, empty and large files arrives whole', async (t) => {
  const root = t.testdir({ from: { a: { b: { small: 'text', empty: '' } }, link: t.fixture('symlink', 'a/b/small') } });
  await fs.writeFile(`${root}/from/large`, randomBytes(9 * 2 ** 20 + 17));
  const { copier: copy, heard } = copier(localSide, localSide, { preserve: true });
  await fs.utimes(`${root}/from/a/b/small`, 1000, 2000);
  await fs.chmod(`${root}/from/a/b/small`, 0o640);
  await copy.add(`${root}/from`, `${root}/to`);
  await copy.finish();
  t.match(copy.totals, { files: 3, directories: 3, links: 1, failed: 0, bytes: 9 * 2 ** 20 + 21 });
  t.equal(heard.found, heard.copied);
  t.equal(await digest(`${root}/to/large`), await digest(`${root}/from/large`));
  t.equal(await fs.readlink(`${root}/to/link`), 'a/b/small');
  const { mode, mtimeMs } = await fs.stat(`${root}/to/a/b/small`);
  t.equal(mode & 0o777, 0o640);
  t.equal(mtimeMs, 2_000_000);
});

t.test('what exists is replaced, or left with keep', async (t) => {
  const root = t.testdir({ from: { file: 'new' }, to: { file: 'old and longer' } });
  const kept = copier(localSide, localSide, { keep: true });
  await kept.copier.add(`${root}/from/file`, `${root}/to/file`);
  await kept.copier.finish();
  t.equal(await fs.readFile(`${root}/to/file`, 'utf8'), 'old and longer');
  const replaced = copier(localSide, localSide);
  await replaced.copier.add(`${root}/from/file`, `${root}/to/file`);
  await replaced.copier.finish();
  t.equal(await fs.readFile(`${root}/to/file`, 'utf8'), 'new');
});

t.test('files without a size are read to their end', async (t) => {
  const root = t.testdir({});
  const { copier: copy } = copier(localSide, localSide, { recursive: false });
  await copy.add('/proc/self/status', `${root}/status`);
  await copy.finish();
  t.match(await fs.readFile(`${root}/status`, 'utf8'), /^Name:/);
});

t.test('one failure is told, leaves no half file, and the rest goes on', async (t) => {
  const root = t.testdir({ from: { bad: 'x'.repeat(100), good: 'fine' }, to: {} });
  const failing: Side = {
    ...localSide,
    open: async (path, flags, mode) => {
      const file = await localSide.open(path, flags, mode);
      if (!path.endsWith('/bad')) return file;
      return {
        read: file.read.bind(file),
        write: async () => {
          throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
        },
        chmod: file.chmod.bind(file),
        chown: file.chown.bind(file),
        utimes: file.utimes.bind(file),
        close: file.close.bind(file),
      };
    },
  };
  const { copier: copy, heard } = copier(localSide, failing);
  await copy.add(`${root}/from`, `${root}/to`);
  await copy.finish();
  t.same(heard.failed, [`${root}/from/bad`]);
  t.match(copy.totals, { files: 1, failed: 1 });
  t.same(await fs.readdir(`${root}/to`), ['good']);
});

t.test('directories need -r', async (t) => {
  const root = t.testdir({ from: {} });
  const { copier: copy, heard } = copier(localSide, localSide, { recursive: false });
  await copy.add(`${root}/from`, `${root}/to`);
  t.same(heard.failed, [`${root}/from`]);
});

t.test('an abort ends it', async (t) => {
  const root = t.testdir({ from: { file: 'x' } });
  const abort = new AbortController();
  const { copier: copy } = copier(localSide, localSide, { signal: abort.signal });
  abort.abort(new DOMException('interrupted', 'AbortError'));
  await t.rejects(copy.add(`${root}/from`, `${root}/to`), { name: 'AbortError' });
});
