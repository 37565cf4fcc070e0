/** What a power cut takes back: log entries that were not yet on disk, and nothing that follows from them may have happened. */
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import type { FidAllocator } from '../../src/meta/fid-allocator.js';
import type { Store } from '../../src/meta/store/store.js';
import { type Fid, ROOT_FID } from '../../src/wire/fid.js';
import { failSyncs, heldSyncs, holdSyncs, powerLoss, releaseSyncs } from './held-disk.js';

const { crc32c, openTarget, silent, testFolder, until } = await import('./support.js');
const { FidAllocator: FidAllocatorClass } = await import('../../src/meta/fid-allocator.js');
const { Store: StoreClass } = await import('../../src/meta/store/store.js');

const user = { uid: 1000, gid: 100 };
const root = ROOT_FID;
/** LMDB stays behind, so that the log alone counts. */
const logOnly = { applyIntervalMs: 3_600_000 };

t.test('chunks stay until the removal of their file is on disk', async (t) => {
  const folder = testFolder(t);
  const m = await openTarget(join(folder, 'a'), logOnly);
  const files = ['unlinked', 'replaced'];
  for (const name of files) {
    const { attributes } = await m.call('create', { parent: root, name, mode: 0o600, ...user, exclusive: true });
    await m.call('release', { files: [{ fid: attributes.fid, write: true }] });
  }
  await m.call('makeNode', { parent: root, name: 'new', mode: 0o100600, device: 0, ...user });
  await m.call('sync', {});
  holdSyncs();
  await m.call('unlink', { parent: root, name: 'unlinked' });
  await m.call('rename', { parent: root, name: 'new', newParent: root, newName: 'replaced', mode: 'replace' });
  // Whoever removes chunks has come as far as to ask for the sync.
  await until(() => heldSyncs() > 0);
  await nextTurn();
  t.strictSame(m.chunks.calls, []);
  powerLoss(join(folder, 'a'), join(folder, 'b'));
  releaseSyncs();
  await until(() => m.target.service.statistics().removalsPending === 0);
  t.equal(m.chunks.calls.length, 8);
  await m.target.close();

  const again = await openTarget(join(folder, 'b'), logOnly);
  for (const name of files)
    t.match(await again.call('lookup', { parent: root, name }), { attributes: { links: 1 } }, `${name} is there again`);
  t.strictSame(again.chunks.calls, []);
  await again.target.close();
});

t.test('a change version that was seen is never given to another state', async (t) => {
  const folder = testFolder(t);
  const before = await openTarget(join(folder, 'a'), logOnly);
  await before.call('sync', {});
  holdSyncs();
  const seen: number[] = [];
  for (const name of ['x', 'y']) {
    const { directory } = await before.call('makeNode', { parent: root, name, mode: 0o100600, device: 0, ...user });
    seen.push(directory!.change);
  }
  powerLoss(join(folder, 'a'), join(folder, 'b'));
  releaseSyncs();
  await before.target.close();

  const after = await openTarget(join(folder, 'b'), logOnly);
  t.match(await after.call('lookup', { parent: root, name: 'x' }), { attributes: undefined }, 'the change was taken back');
  const { directory } = await after.call('makeNode', { parent: root, name: 'z', mode: 0o100600, device: 0, ...user });
  t.ok(directory!.change > Math.max(...seen), `${directory!.change} after ${seen.join(', ')}`);
  await after.target.close();
});

t.test('FIDs are handed out when their reservation is on disk', async (t) => {
  const folder = testFolder(t);
  const seen = new Set<Fid>();
  let sequence = 0;
  const grant = async (count: number): Promise<{ first: number; last: number }> => {
    sequence += count;
    return { first: sequence - count + 1, last: sequence };
  };
  const block = 1 << 18;
  const take = (fids: FidAllocator): void => {
    const fid = fids.next();
    if (seen.has(fid)) t.fail(`FID ${fid} again`);
    seen.add(fid);
  };
  const start = async (name: string): Promise<{ store: Store; fids: FidAllocator }> => {
    const store = await StoreClass.open({ folder: join(folder, name), logger: silent, crc32c, groupBytes: () => 1, ...logOnly });
    const fids = new FidAllocatorClass(store, grant, silent, block);
    await fids.start();
    await fids.ready();
    return { store, fids };
  };
  // Six blocks with four to a sequence: power is lost before and after the second sequence.
  for (let round = 0; round < 6; round++) {
    const { store, fids } = await start(String(round));
    holdSyncs();
    // A sequence has one object less than its blocks.
    for (let index = 1; index < block; index++) take(fids);
    if (round !== 3) take(fids);
    await until(() => heldSyncs() > 0);
    await nextTurn();
    t.throws(() => fids.next(), { code: 'EAGAIN', message: /disk/ }, 'none before it is on disk');
    powerLoss(join(folder, String(round)), join(folder, String(round + 1)));
    releaseSyncs();
    await fids.close();
    await store.close();
  }
  t.equal(seen.size, 6 * block - 1);

  const { store, fids } = await start('6');
  for (let index = 0; index < 5 * block; index++) {
    take(fids);
    if (index % (block / 4) !== 0) continue;
    await new Promise((resolve) => setTimeout(resolve));
    await store.syncLog();
    await new Promise((resolve) => setTimeout(resolve));
  }
  t.equal(seen.size, 11 * block - 1, 'nobody waits while the disk keeps up');
  await fids.close();
  await store.close();
});

t.test('a store whose disk failed in the middle of a batch takes the batch back and can be closed', async (t) => {
  const store = await StoreClass.open({ folder: testFolder(t), logger: silent, crc32c, groupBytes: () => 1, ...logOnly });
  store.transaction(() => store.put('a1', Buffer.from('kept')));
  const stopFailing = failSyncs();
  await t.rejects(store.syncLog(), { code: 'EIO' });
  stopFailing();
  t.throws(() => store.transaction(() => store.put('a2', Buffer.from('late'))), { code: 'EIO' });
  await store.close();

  for (const commits of [true, false]) {
    const second = await StoreClass.open({ folder: testFolder(t), logger: silent, crc32c, groupBytes: () => 1, ...logOnly });
    second.transaction(() => second.put('a1', Buffer.from('kept')));
    second.commit();
    const stopFailingAgain = failSyncs();
    const synced = second.syncLog();
    await Promise.resolve();
    // Open when the disk fails.
    second.transaction(() => second.put('a2', Buffer.from('open')));
    await t.rejects(synced, { code: 'EIO' });
    stopFailingAgain();
    if (commits) {
      t.throws(() => second.commit(), { code: 'EIO' });
      t.equal(second.get('a2'), undefined);
    }
    await second.close();
  }
});
