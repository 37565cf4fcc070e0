/** Files with a life: opens, orphans, truncation, removal of chunks, retried requests, restarts. */
import { join } from 'node:path';
import t from 'tap';
import { chunkBytes } from '../../src/meta/chunk-cutting.js';
import { IbexError } from '../../src/wire/errors.js';
import { type Fid, ROOT_FID } from '../../src/wire/fid.js';
import type { Attributes } from '../../src/wire/messages.js';
import { copyTarget, openTarget, RecordedChunks, type TestTarget, testFolder, until } from './support.js';

const user = { uid: 1000, gid: 100 };
const root = ROOT_FID;
const create = (m: TestTarget, name: string, clientId = 'client'): Promise<{ attributes: Attributes }> =>
  m.call('create', { parent: root, name, mode: 0o600, ...user, exclusive: true }, { clientId });
const release = (m: TestTarget, fid: Fid, clientId = 'client'): Promise<object> =>
  m.call('release', { files: [{ fid, write: true }] }, { clientId });
const exists = (m: TestTarget, fid: Fid): Promise<boolean> =>
  m.call('getAttributes', { fid }).then(
    () => true,
    () => false,
  );

t.test('bytes of a file in a chunk', async (t) => {
  for (const [stripeSize, columns] of [
    [4, 1],
    [4, 3],
    [1, 2],
    [10, 4],
  ] as const) {
    for (let size = 0; size < 130; size++) {
      const counted = new Array<number>(columns).fill(0);
      for (let offset = 0; offset < size; offset++) counted[Math.floor(offset / stripeSize) % columns]!++;
      const found = counted.map((_, column) => chunkBytes(size, stripeSize, columns, column));
      if (JSON.stringify(found) !== JSON.stringify(counted))
        t.strictSame(found, counted, `${size} bytes, ${columns} stripes of ${stripeSize}`);
    }
  }
});

t.test('an unlinked file lives until its last release, then its chunks go', async (t) => {
  const m = await openTarget(testFolder(t));
  t.teardown(() => m.target.close());
  const {
    attributes: { fid },
  } = await create(m, 'a');
  await m.call('open', { fid, write: false, truncate: false }, { clientId: 'other' });
  await m.call('unlink', { parent: root, name: 'a' });
  t.match(await m.call('getAttributes', { fid }), { attributes: { links: 0 } });
  t.match(m.target.service.statistics(), { filesOpen: 1, removalsPending: 0 });
  await t.rejects(m.call('link', { fid, parent: root, name: 'b' }), { code: 'ENOENT' });
  await release(m, fid);
  t.ok(await exists(m, fid), 'the other client still has it open');
  await release(m, fid, 'stranger');
  await m.call('release', { files: [{ fid, write: false }] }, { clientId: 'other' });
  t.notOk(await exists(m, fid));
  await until(() => m.target.service.statistics().removalsPending === 0);
  t.strictSame(
    m.chunks.calls.map((call) => [call.do, call.fid, call.column]).sort(),
    [0, 1, 2, 3].map((column) => ['remove', fid, column]),
  );
  t.equal(m.target.service.statistics().inodes, 1);
});

t.test('a replaced file gives back its chunks; one never written to has none', async (t) => {
  const m = await openTarget(testFolder(t));
  t.teardown(() => m.target.close());
  const {
    attributes: { fid },
  } = await create(m, 'a');
  await release(m, fid);
  await m.call('makeNode', { parent: root, name: 'b', mode: 0o100600, device: 0, ...user });
  await m.call('rename', { parent: root, name: 'b', newParent: root, newName: 'a', mode: 'replace' });
  await until(() => m.target.service.statistics().removalsPending === 0);
  t.equal(m.chunks.calls.length, 4);
  await m.call('unlink', { parent: root, name: 'a' });
  t.equal(m.target.service.statistics().removalsPending, 0);
  t.equal(m.chunks.calls.length, 4);
});

t.test('truncation cuts every chunk before the inode changes', async (t) => {
  const m = await openTarget(testFolder(t));
  t.teardown(() => m.target.close());
  const {
    attributes: { fid },
  } = await create(m, 'a');
  const MiB = 1 << 20;
  await m.call('settle', { fid, size: 10 * MiB, mtime: 1, mtimeNs: 0, durable: false });
  let open = (): void => undefined;
  m.chunks.gate = new Promise((resolve) => {
    open = resolve;
  });
  const cut = m.call('setAttributes', { fid, size: 5 * MiB + 7 });
  const second = m.call('setAttributes', { fid, size: MiB });
  const settled = m.call('settle', { fid, size: 3, mtime: 1, mtimeNs: 0, durable: false });
  await until(() => m.chunks.calls.length === 4);
  t.match(await m.call('getAttributes', { fid }), { attributes: { size: 10 * MiB } }, 'not before the chunks are cut');
  t.strictSame(
    m.chunks.calls.map((call) => call.length),
    [2 * MiB, MiB + 7, MiB, MiB],
  );
  open();
  t.equal((await cut).attributes.size, 5 * MiB + 7);
  t.equal((await second).attributes.size, MiB, 'one after the other');
  t.equal((await settled).attributes.size, MiB, 'settle waits for the cut');
  m.chunks.calls = [];
  m.chunks.fail = (call) => (call.column === 2 ? new IbexError('ERR_IO', 'disk broke') : undefined);
  await t.rejects(m.call('setAttributes', { fid, size: 0, mode: 0o777 }), {
    code: 'EIO',
    message: /cannot truncate \[0x.*\], .*column 2 on target \d+/,
  });
  t.match(await m.call('getAttributes', { fid }), { attributes: { size: MiB, mode: 0o100600 } });
  await t.rejects(m.call('open', { fid, write: true, truncate: true }), { code: 'EIO' });
  m.chunks.fail = () => undefined;
  t.match(await m.call('open', { fid, write: true, truncate: true }), { attributes: { size: 0 } });
  await t.rejects(m.call('setAttributes', { fid: root, size: 0 }), { code: 'EISDIR' });
  await t.rejects(m.call('setAttributes', { fid, size: 2 ** 53 - 1 }), { code: 'EFBIG' });
  const node = await m.call('makeNode', { parent: root, name: 'n', mode: 0o100600, device: 0, ...user });
  m.chunks.calls = [];
  t.match(await m.call('setAttributes', { fid: node.attributes.fid, size: 100 }), { attributes: { size: 100 } });
  t.strictSame(m.chunks.calls, [], 'never opened for writing: nothing to cut');
});

t.test('removals survive a crash, wait for targets that are away, and go on', async (t) => {
  const folder = testFolder(t);
  const limits = { removalRetryMs: 5, openGraceMs: 10 };
  const m = await openTarget(join(folder, 'a'), { limits });
  m.chunks.fail = (call) => (call.column === 3 ? new IbexError('ERR_TIMED_OUT', 'target is away') : undefined);
  const files: Fid[] = [];
  for (let index = 0; index < 5; index++) {
    const {
      attributes: { fid },
    } = await create(m, `f${index}`);
    files.push(fid);
    await release(m, fid);
    await m.call('unlink', { parent: root, name: `f${index}` });
  }
  await until(() => m.chunks.calls.length > 20);
  t.equal(m.target.service.statistics().removalsPending, 5);
  copyTarget(join(folder, 'a'), join(folder, 'b'));
  await m.target.close();

  const again = await openTarget(join(folder, 'b'), { limits });
  await until(() => again.target.service.statistics().removalsPending === 0);
  t.strictSame(new Set(again.chunks.calls.map((call) => call.fid)), new Set(files));
  t.equal(again.chunks.calls.length, 20);
  const calls = again.chunks.calls.length;
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(again.chunks.calls.length, calls, 'nothing runs when nothing is left');
  await again.target.close();
});

t.test('after a restart orphans wait for their clients, and go when none comes', async (t) => {
  const folder = testFolder(t);
  const m = await openTarget(join(folder, 'a'));
  const kept = (await create(m, 'kept')).attributes.fid;
  const lost = (await create(m, 'lost')).attributes.fid;
  await m.call('unlink', { parent: root, name: 'kept' });
  await m.call('unlink', { parent: root, name: 'lost' });
  copyTarget(join(folder, 'a'), join(folder, 'b'));
  await m.target.close();

  const again = await openTarget(join(folder, 'b'), { limits: { openGraceMs: 60 } });
  await again.call('reopen', {
    files: [
      { fid: kept, write: true },
      { fid: 77 as Fid, write: true },
    ],
  });
  // Unlinked within the grace period: someone may have it open, too.
  const {
    attributes: { fid: late },
  } = await again.call('makeNode', { parent: root, name: 'late', mode: 0o100600, device: 0, ...user });
  await again.call('unlink', { parent: root, name: 'late' });
  t.ok(await exists(again, late));
  await again.call('release', { files: [{ fid: lost, write: true }] }, { clientId: 'stranger' });
  t.ok(await exists(again, lost));
  await until(async () => !(await exists(again, lost)) && !(await exists(again, late)));
  t.ok(await exists(again, kept));
  await release(again, kept);
  t.notOk(await exists(again, kept));
  await until(() => again.target.service.statistics().removalsPending === 0);
  t.strictSame(new Set(again.chunks.calls.map((call) => call.fid)), new Set([kept, lost]));
  t.equal(again.target.service.statistics().inodes, 1);
  await again.target.close();
});

t.test('opens of a client that is gone end after the grace period unless it confirms them', async (t) => {
  const m = await openTarget(testFolder(t), { limits: { openGraceMs: 30 } });
  t.teardown(() => m.target.close());
  const { service } = m.target;
  service.clientOpened('client');
  const files: Fid[] = [];
  for (const name of ['a', 'b', 'c']) {
    files.push((await create(m, name)).attributes.fid);
    await m.call('unlink', { parent: root, name });
  }
  const [a, b, c] = files as [Fid, Fid, Fid];
  service.clientClosed('client');
  await m.call('release', { files: [{ fid: c, write: true }] });
  t.notOk(await exists(m, c), 'a release counts also for what is not confirmed');
  service.clientOpened('client');
  await m.call('reopen', { files: [{ fid: a, write: true }] });
  t.equal(service.statistics().filesOpen, 2);
  await until(async () => !(await exists(m, b)));
  t.ok(await exists(m, a));
  t.equal(service.statistics().filesOpen, 1);
  await release(m, a);
  t.notOk(await exists(m, a), 'once opened, once released');
});

t.test('a retried request is answered, not applied again', async (t) => {
  const folder = testFolder(t);
  const m = await openTarget(join(folder, 'a'));
  const at = (sequence: number, channel = 3): { sequence: number; channel: number } => ({ sequence, channel });
  const request = { parent: root, name: 'a', mode: 0o600, ...user, exclusive: true };
  const first = await m.call('create', request, at(1));
  t.strictSame(await m.call('create', request, at(1)), first);
  t.equal(m.target.service.statistics().filesOpen, 1);
  await t.rejects(m.call('create', request, at(2)), { code: 'EEXIST' });
  const removed = await m.call('unlink', { parent: root, name: 'a' }, at(3));
  t.strictSame(await m.call('unlink', { parent: root, name: 'a' }, at(3)), removed);
  await t.rejects(m.call('unlink', { parent: root, name: 'a' }, at(2)), { kind: 'ERR_BAD_REQUEST', message: /sequence 2 comes after 3/ });
  await t.rejects(m.call('makeSymlink', { parent: root, name: 'x', target: 'y', ...user }, at(3)), {
    kind: 'ERR_BAD_REQUEST',
    message: /belongs to operation 112/,
  });
  await t.rejects(m.call('unlink', { parent: root, name: 'a' }, at(4)), { code: 'ENOENT' });
  await t.rejects(m.call('unlink', { parent: root, name: 'a' }, at(1, 4)), { code: 'ENOENT' }, 'channels are apart');
  await t.rejects(m.call('unlink', { parent: root, name: 'a' }, { clientId: 'no such id!', ...at(1) }), { code: 'EPROTO' });
  const made = await m.call('create', { ...request, name: 'b' }, at(5));
  await m.call('setAttributes', { fid: made.attributes.fid, mode: 0o400 }, at(1, 7));
  copyTarget(join(folder, 'a'), join(folder, 'b'));
  await m.target.close();

  const again = await openTarget(join(folder, 'b'));
  t.strictSame(await again.call('create', { ...request, name: 'b' }, at(5)), made, 'also by a process that was killed and came back');
  t.equal(again.target.service.statistics().filesOpen, 1, 'the open is counted again');
  await t.rejects(again.call('create', { ...request, name: 'b' }, at(4)), { code: 'EPROTO' });

  let open = (): void => undefined;
  again.chunks.gate = new Promise((resolve) => {
    open = resolve;
  });
  const slow = again.call('setAttributes', { fid: made.attributes.fid, size: 5 }, at(2, 7));
  const retried = again.call('setAttributes', { fid: made.attributes.fid, size: 5 }, at(2, 7));
  open();
  t.strictSame(await slow, await retried);
  t.equal(again.chunks.calls.length, 4, 'a retry joins what is still under way');
  await again.target.close();
});

t.test('clients that are gone for long are forgotten', async (t) => {
  const folder = testFolder(t);
  const m = await openTarget(folder, { limits: { rememberClientMs: 20 } });
  const request = { parent: root, name: 'a', mode: 0o755, ...user };
  m.target.service.clientOpened('gone');
  await m.call('makeDirectory', request, { clientId: 'gone', channel: 1, sequence: 1 });
  await m.call('makeDirectory', { ...request, name: 'b' }, { clientId: 'here', channel: 1, sequence: 1 });
  m.target.service.clientClosed('gone');
  await until(() =>
    m.call('makeDirectory', request, { clientId: 'gone', channel: 1, sequence: 1 }).then(
      () => false,
      (error: IbexError) => error.code === 'EEXIST',
    ),
  );
  await m.call('makeDirectory', { ...request, name: 'b' }, { clientId: 'here', channel: 1, sequence: 1 });
  await m.target.close();
});

t.test('no FID is used twice, over restarts and used-up sequences', async (t) => {
  const folder = testFolder(t);
  const seen = new Set<Fid>();
  let from = join(folder, '0');
  for (let round = 1; round <= 5; round++) {
    const m = await openTarget(from);
    for (let index = 0; index < 20; index++) {
      const {
        attributes: { fid },
      } = await m.call('makeDirectory', { parent: root, name: `${round}-${index}`, mode: 0o755, ...user });
      if (seen.has(fid)) t.fail(`FID ${fid} again`);
      seen.add(fid);
      await m.call('makeDirectory', { parent: root, name: `${round}-${index}`, mode: 0o755, ...user }).catch(() => undefined);
    }
    from = join(folder, String(round));
    if (round % 2 === 0) await m.target.close();
    copyTarget(join(folder, String(round - 1)), from);
    if (round % 2 === 1) await m.target.close();
  }
  t.equal(seen.size, 100);

  let asked = 0;
  const without = await openTarget(join(folder, 'none'), {
    grantSequences: async () => {
      if (asked++ === 0) throw new IbexError('ERR_CONNECTION_LOST');
      return { first: 5_000_000, last: 5_000_000 };
    },
  });
  await t.rejects(without.call('makeDirectory', { parent: root, name: 'a', mode: 0o755, ...user }), { code: 'EAGAIN' });
  await until(() =>
    without.call('makeDirectory', { parent: root, name: 'a', mode: 0o755, ...user }).then(
      () => true,
      () => false,
    ),
  );
  await without.target.close();
});

t.test('another target may own the inode', async (t) => {
  const m = await openTarget(testFolder(t), { owns: (fid) => fid < 1e12 });
  t.teardown(() => m.target.close());
  const elsewhere = 2e12 as Fid;
  await t.rejects(m.call('getAttributes', { fid: elsewhere }), { code: 'ENXIO' });
  await m.call('makeDirectory', { parent: root, name: 'a', mode: 0o755, ...user });
  await t.rejects(m.call('rename', { parent: root, name: 'a', newParent: elsewhere, newName: 'a', mode: 'replace' }), { code: 'EXDEV' });
  await t.rejects(m.call('link', { fid: elsewhere, parent: root, name: 'b' }), { code: 'EXDEV' });
});

t.test('sync and durable settle are on disk before the answer', async (t) => {
  const m = await openTarget(testFolder(t), { chunks: new RecordedChunks(), durability: 'sync' });
  t.teardown(() => m.target.close());
  const {
    attributes: { fid },
  } = await create(m, 'a');
  t.match(await m.call('settle', { fid, size: 10, mtime: 1, mtimeNs: 0, durable: true }, { channel: 1, sequence: 1 }), {
    attributes: { size: 10 },
  });
  t.match(await m.call('settle', { fid, size: 10, mtime: 1, mtimeNs: 0, durable: true }, { channel: 1, sequence: 1 }), {
    attributes: { size: 10 },
  });
  t.strictSame(await m.call('sync', {}), {});
  const usage = await m.target.usage();
  t.ok(usage.bytesTotal > usage.bytesFree && usage.inodesTotal === usage.inodesFree + 2);
});
