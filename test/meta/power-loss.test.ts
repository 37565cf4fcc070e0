/** What a power cut takes back: log entries that were not yet on disk, and nothing that follows from them may have happened. */
import { join } from 'node:path';
import t from 'tap';
import { ROOT_FID } from '../../src/wire/fid.js';
import { holdSyncs, powerLoss, releaseSyncs } from './held-disk.js';

const { openTarget, testFolder, until } = await import('./support.js');

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
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.strictSame(m.chunks.calls, []);
  powerLoss(join(folder, 'a'), join(folder, 'b'));
  releaseSyncs();
  await until(() => m.target.service.statistics().removalsPending === 0);
  t.equal(m.chunks.calls.length, 8);
  await m.target.close();

  const again = await openTarget(join(folder, 'b'), logOnly);
  for (const name of files) t.match(await again.call('lookup', { parent: root, name }), { attributes: { links: 1 } }, `${name} is there again`);
  t.strictSame(again.chunks.calls, []);
  await again.target.close();
});
