/** Changes that wait for chunks or for one another: who may go on, who was given up, whose answer counts. */
import { join } from 'node:path';
import t from 'tap';
import { IbexError } from '../../src/wire/errors.js';
import { type Fid, ROOT_FID } from '../../src/wire/fid.js';
import { clusterMap, copyTarget, openTarget, type RecordedChunks, type TestTarget, testFolder, until } from './support.js';

const user = { uid: 1000, gid: 100 };
const root = ROOT_FID;
const create = async (m: TestTarget, name: string): Promise<Fid> =>
  (await m.call('create', { parent: root, name, mode: 0o600, ...user, exclusive: false })).attributes.fid;
const release = (m: TestTarget, fid: Fid): Promise<object> => m.call('release', { files: [{ fid, write: true }] });

/** Calls to chunks wait until the result is called. */
function hold(chunks: RecordedChunks): () => void {
  let open = (): void => undefined;
  chunks.gate = new Promise((resolve) => {
    open = resolve;
  });
  return () => {
    chunks.gate = undefined;
    open();
  };
}

t.test('a change that was given up while it waited leaves the later answer of its channel alone', async (t) => {
  const m = await openTarget(testFolder(t));
  t.teardown(() => m.target.close());
  const fid = await create(m, 'a');
  const other = await create(m, 'b');
  const go = hold(m.chunks);
  const at = (sequence: number): { channel: number; sequence: number } => ({ channel: 1, sequence });
  const first = m.call('setAttributes', { fid, size: 1 });
  const behind = m.call('setAttributes', { fid, size: 2 }, at(1));
  const cutting = m.call('setAttributes', { fid: other, size: 3 }, { channel: 2, sequence: 1 });
  await until(() => m.chunks.calls.length === 8);
  const later = { parent: root, name: 'later', mode: 0o755, ...user };
  const answer = await m.call('makeDirectory', later, at(2));
  const second = await m.call('makeDirectory', { ...later, name: 'second' }, { channel: 2, sequence: 2 });
  go();
  t.equal((await first).attributes.size, 1);
  await t.rejects(behind, { kind: 'ERR_BAD_REQUEST', message: /sequence 1 comes after 2/ });
  t.match(await m.call('getAttributes', { fid }), { attributes: { size: 1 } }, 'it did nothing');
  t.equal((await cutting).attributes.size, 3, 'what had begun to cut chunks is made whole');
  t.strictSame(await m.call('makeDirectory', later, at(2)), answer);
  t.strictSame(await m.call('makeDirectory', { ...later, name: 'second' }, { channel: 2, sequence: 2 }), second);
});

t.test('nobody begins to write while a file gets another layout', async (t) => {
  const m = await openTarget(testFolder(t));
  t.teardown(() => m.target.close());
  for (const how of ['open', 'create'] as const) {
    const fid = await create(m, how);
    await release(m, fid);
    const go = hold(m.chunks);
    m.chunks.calls = [];
    const laidOut = m.call('setLayout', { fid, layout: { stripeCount: 1 } });
    await until(() => m.chunks.calls.length === 4);
    const writing =
      how === 'open'
        ? m.call('open', { fid, write: true, truncate: false })
        : m.call('create', { parent: root, name: how, mode: 0o600, ...user, exclusive: false });
    t.equal(m.target.service.statistics().filesOpen, 0, how);
    go();
    await laidOut;
    t.match(await writing, { attributes: { fid }, layout: { targets: { length: 1 } } }, 'it writes by the new layout');
    await release(m, fid);
  }
});

t.test('a name that waits for its file may stand for another one afterwards', async (t) => {
  const m = await openTarget(testFolder(t));
  t.teardown(() => m.target.close());
  const fid = await create(m, 'a');
  await release(m, fid);
  const go = hold(m.chunks);
  const cut = m.call('setAttributes', { fid, size: 1 });
  await until(() => m.chunks.calls.length === 4);
  const writing = m.call('create', { parent: root, name: 'a', mode: 0o600, ...user, exclusive: false });
  await m.call('rename', { parent: root, name: 'a', newParent: root, newName: 'b', mode: 'replace' });
  go();
  await cut;
  const made = await writing;
  t.ok(made.created);
  t.not(made.attributes.fid, fid);
});

t.test('after a start no file gets another layout until it is sure that nobody has it open', async (t) => {
  const folder = testFolder(t);
  const before = await openTarget(join(folder, 'a'));
  const fid = await create(before, 'a');
  copyTarget(join(folder, 'a'), join(folder, 'b'));
  await before.target.close();
  const m = await openTarget(join(folder, 'b'), { limits: { openGraceMs: 50 } });
  t.teardown(() => m.target.close());
  await t.rejects(m.call('setLayout', { fid, layout: { stripeCount: 1 } }), { code: 'EAGAIN' });
  t.strictSame(m.chunks.calls, []);
  await m.call('setLayout', { fid: root, layout: { stripeCount: 2 } });
  await m.call('reopen', { files: [{ fid, write: true }] });
  await until(async () => {
    const error = await m.call('setLayout', { fid, layout: { stripeCount: 1 } }).catch((error: { code: string }) => error);
    return (error as { code: string }).code === 'EINVAL';
  });
  t.strictSame(m.chunks.calls, []);
});

t.test('no chunk is cut while a target of the file is away', async (t) => {
  let map = clusterMap(4);
  const m = await openTarget(testFolder(t), { map: () => map });
  t.teardown(() => m.target.close());
  const fid = await create(m, 'a');
  m.chunks.away = (target) => (target === 103 ? new IbexError('ERR_TIMED_OUT', 'no answer') : undefined);
  await t.rejects(m.call('setAttributes', { fid, size: 0 }), { code: 'ETIMEDOUT', message: /column \d on target 103/ });
  m.chunks.away = () => undefined;
  map = clusterMap(4, (_, index) => (index === 1 ? { reachability: 'offline' } : {}));
  await t.rejects(m.call('open', { fid, write: true, truncate: true }), { code: 'EIO', message: /column \d on target 102: .*offline/ });
  t.strictSame(m.chunks.calls, []);
});

t.test('a target that ends waits neither for removals nor for long for chunks', async (t) => {
  const m = await openTarget(testFolder(t), { limits: { closeWaitMs: 20 } });
  const removed = await create(m, 'removed');
  await release(m, removed);
  const fid = await create(m, 'cut');
  hold(m.chunks);
  await m.call('unlink', { parent: root, name: 'removed' });
  await until(() => m.chunks.calls.length === 4);
  const cuts = [1, 2].map((size) => m.call('setAttributes', { fid, size }, { channel: size, sequence: 1 }));
  const ended = Promise.all(cuts.map((cut) => t.rejects(cut, { code: 'ESHUTDOWN' })));
  await until(() => m.chunks.calls.length === 8);
  await m.target.close();
  await ended;
  t.equal(m.chunks.calls.length, 8, 'nothing new is begun');
});

t.test('removals that failed are tried at once only when a target of theirs has come online', async (t) => {
  let map = clusterMap(4);
  const m = await openTarget(testFolder(t), { map: () => map, limits: { removalRetryMs: 60_000, removalRetryMsMax: 60_000 } });
  t.teardown(() => m.target.close());
  m.chunks.fail = (call) => (call.target === 102 ? new IbexError('ERR_TIMED_OUT') : undefined);
  await release(m, await create(m, 'a'));
  await m.call('unlink', { parent: root, name: 'a' });
  await until(() => m.chunks.calls.length === 4);
  m.chunks.calls = [];
  const reaches = async (reachability: 'online' | 'offline', index: number): Promise<void> => {
    map = clusterMap(4, (_, at) => (at === index ? { reachability } : {}));
    m.target.service.mapChanged();
    await new Promise((resolve) => setTimeout(resolve, 60));
  };
  await reaches('online', 0);
  await reaches('offline', 0);
  await reaches('offline', 1);
  t.strictSame(m.chunks.calls, []);
  m.chunks.fail = () => undefined;
  await reaches('online', 1);
  await until(() => m.target.service.statistics().removalsPending === 0);
  t.equal(m.chunks.calls.length, 4);
});

t.test('a target that has served is not made anew in an empty folder', async (t) => {
  const folder = testFolder(t);
  await t.rejects(openTarget(join(folder, 'a'), { hasServed: true }), { code: 'EACCES', message: /mount or restore the disk/ });
  const m = await openTarget(join(folder, 'a'));
  await m.target.close();
  const again = await openTarget(join(folder, 'a'), { hasServed: true });
  await again.target.close();
});
