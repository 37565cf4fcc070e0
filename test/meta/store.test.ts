/** The store: transactions, scans over both generations and LMDB, commits, recovery, full disks. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { Store, type StoreOptions } from '../../src/meta/store/store.js';
import { IbexError } from '../../src/wire/errors.js';
import { copyTarget, crc32c, seed, silent, testFolder } from './support.js';

t.comment(`IBEXFS_SEED=${seed}`);

const options = (folder: string, more: Partial<StoreOptions> = {}): StoreOptions => ({
  folder,
  logger: silent,
  crc32c,
  groupBytes: () => 2,
  ...more,
});
const value = (text: string): Buffer => Buffer.from(text);
const never = { applyIntervalMs: 3_600_000 };

function contents(store: Store, prefix = ''): Record<string, string> {
  const found: Record<string, string> = {};
  for (const table of prefix === '' ? ['a', 'b', 'c'] : [prefix]) {
    store.scan(table, '', (key, bytes) => {
      found[key] = bytes.toString();
      return true;
    });
  }
  return found;
}

function put(store: Store, entries: Record<string, string | null>): void {
  store.transaction(() => {
    for (const [key, text] of Object.entries(entries)) {
      if (text === null) store.delete(key);
      else store.put(key, value(text));
    }
  });
}

const logsOf = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => name.startsWith('log-'))
    .sort()
    .map((name) => join(folder, name));

t.test('a transaction that throws leaves nothing behind', async (t) => {
  const store = await Store.open(options(testFolder(t)));
  t.teardown(() => store.close());
  put(store, { a1: 'one' });
  const undone: number[] = [];
  t.throws(
    () =>
      store.transaction(() => {
        store.onUndo(() => undone.push(1));
        store.onUndo(() => undone.push(2));
        store.put('a1', value('changed'));
        store.put('a2', value('two'));
        store.delete('a1');
        throw new Error('no');
      }),
    { message: 'no' },
  );
  t.strictSame(undone, [2, 1], 'hooks run newest first');
  t.strictSame(contents(store), { a1: 'one' });
  t.throws(() => store.put('a3', value('x')), /inside a transaction/);
  t.throws(() => store.transaction(() => store.transaction(() => undefined)), /do not nest/);
});

t.test('scans merge what is in LMDB, being applied and new, for any operations', async (t) => {
  const folder = testFolder(t);
  const keys = fc.constantFrom(
    ...['a', 'b', 'c'].flatMap((table) =>
      ['0', '1', '2', '\xff'].flatMap((group) => ['', 'x', 'y', '\xff'].map((rest) => table + group + rest)),
    ),
  );
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('put' as const), key: keys, text: fc.string({ maxLength: 5 }), fails: fc.boolean() }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('delete' as const), key: keys, text: fc.constant(''), fails: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('apply' as const), key: keys, text: fc.constant(''), fails: fc.constant(false) }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('reopen' as const), key: keys, text: fc.constant(''), fails: fc.constant(false) }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('scan' as const), key: keys, text: fc.constant(''), fails: fc.constant(false) }) },
  );
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const place = join(folder, String(run++));
      let store = await Store.open(options(place, { applyIntervalMs: 0 }));
      const model = new Map<string, string>();
      try {
        for (const { do: action, key, text, fails } of steps) {
          if (action === 'apply') await new Promise((resolve) => setTimeout(resolve, 2));
          else if (action === 'reopen') {
            await store.commit();
            await store.close();
            store = await Store.open(options(place, { applyIntervalMs: 0 }));
          } else if (action === 'scan') {
            const expected = [...model].filter(([name]) => name.startsWith(key[0]!) && name >= key).sort(([a], [b]) => (a < b ? -1 : 1));
            const found: [string, string][] = [];
            store.scan(key[0]!, key, (name, bytes) => found.push([name, bytes.toString()]) < 3);
            if (JSON.stringify(found) !== JSON.stringify(expected.slice(0, 3)))
              throw new Error(`scan ${JSON.stringify(found)} but expected ${JSON.stringify(expected)}`);
          } else {
            try {
              store.transaction(() => {
                if (action === 'put') store.put(key, value(text));
                else store.delete(key);
                if (fails) throw new Error('taken back');
              });
              if (action === 'put') model.set(key, text);
              else model.delete(key);
            } catch (error) {
              if ((error as Error).message !== 'taken back') throw error;
            }
            store.commit();
            if (store.get(key)?.toString() !== model.get(key)) throw new Error(`get ${key}`);
          }
        }
        const all = Object.fromEntries([...model].sort(([a], [b]) => (a < b ? -1 : 1)));
        if (JSON.stringify(contents(store)) !== JSON.stringify(all)) throw new Error('contents differ');
      } finally {
        await store.close();
      }
    }),
    { seed, numRuns: 40 },
  );
});

t.test('a log cut at any byte keeps exactly the whole entries', async (t) => {
  const folder = testFolder(t);
  const store = await Store.open(options(join(folder, 'live'), never));
  const ends: number[] = [];
  const log = logsOf(join(folder, 'live'))[0]!;
  for (let index = 0; index < 3; index++) {
    put(store, { [`a${index}`]: `value ${index}`, aX: String(index) });
    store.commit();
    ends.push(readFileSync(log).length);
  }
  const whole = readFileSync(log).length;
  for (let cut = 0; cut <= whole; cut++) {
    const place = join(folder, 'cut');
    copyTarget(join(folder, 'live'), place);
    truncateSync(join(place, log.slice(log.lastIndexOf('/'))), cut);
    const reopened = await Store.open(options(place, never));
    const entries = ends.filter((end) => end <= cut).length;
    const found = contents(reopened);
    await reopened.close();
    execFileSync('rm', ['-r', place]);
    const expected = Object.fromEntries(Array.from({ length: entries }, (_, index) => [`a${index}`, `value ${index}`]));
    if (entries > 0) expected.aX = String(entries - 1);
    if (JSON.stringify(found) !== JSON.stringify(expected)) return t.fail(`cut at ${cut} of ${whole}: ${JSON.stringify(found)}`);
  }
  t.pass(`${whole + 1} cuts`);
  await store.close();
});

t.test('damage in the middle: refused when it was durable, a lost tail when it was not', async (t) => {
  const folder = testFolder(t);
  for (const synced of [false, true]) {
    const live = join(folder, `live-${synced}`);
    const place = join(folder, `copy-${synced}`);
    const store = await Store.open(options(live, never));
    const log = logsOf(live)[0]!;
    put(store, { a1: 'one' });
    store.commit();
    const first = readFileSync(log).length;
    put(store, { a2: 'two' });
    store.commit();
    if (synced) await store.syncLog();
    put(store, { a3: 'three' });
    store.commit();
    copyTarget(live, place);
    await store.close();
    const file = join(place, log.slice(log.lastIndexOf('/')));
    const bytes = readFileSync(file);
    bytes[first + 40]! ^= 0x10;
    writeFileSync(file, bytes);
    if (synced) {
      await t.rejects(Store.open(options(place)), { kind: 'ERR_IO', message: /is damaged at byte \d+ \(entry 2\).*--accept-loss/ });
      const forced = await Store.open(options(place, { acceptLoss: true }));
      t.strictSame(contents(forced), { a1: 'one' }, 'an operator may give it up');
      await forced.close();
    } else {
      const reopened = await Store.open(options(place));
      t.strictSame(contents(reopened), { a1: 'one' });
      put(reopened, { a4: 'four' });
      await reopened.close();
      const again = await Store.open(options(place));
      t.strictSame(contents(again), { a1: 'one', a4: 'four' }, 'sequences go on cleanly after a cut tail');
      await again.close();
    }
  }
});

t.test('a missing log file is refused', async (t) => {
  const folder = testFolder(t);
  const store = await Store.open(options(folder));
  put(store, { a1: 'one' });
  await store.close();
  for (const log of logsOf(folder)) execFileSync('rm', [log]);
  await t.rejects(Store.open(options(folder)), { kind: 'ERR_IO', message: /metadata log file \d+ is missing/ });
  const forced = await Store.open(options(folder, { acceptLoss: true }));
  t.strictSame(contents(forced), { a1: 'one' });
  await forced.close();
});

t.test('an idle store does nothing, a busy one applies in the background', async (t) => {
  const folder = testFolder(t);
  const store = await Store.open(options(folder, { applyIntervalMs: 1 }));
  const before = logsOf(folder);
  await new Promise((resolve) => setTimeout(resolve, 30));
  t.strictSame(logsOf(folder), before);
  for (let index = 0; index < 50; index++) {
    put(store, { [`a${index}`]: 'x' });
    store.commit();
    await new Promise((resolve) => setImmediate(resolve));
  }
  while (logsOf(folder).length !== 1 || readFileSync(logsOf(folder)[0]!).length > 32)
    await new Promise((resolve) => setTimeout(resolve, 5));
  t.not(logsOf(folder)[0], before[0], 'the first log file is applied and gone');
  t.equal(Object.keys(contents(store)).length, 50);
  await store.close();
});

t.test('answers wait while the database is behind', async (t) => {
  const store = await Store.open(options(testFolder(t), { applyIntervalMs: 3_600_000, generationBytesMax: 2000 }));
  let waits = 0;
  for (let index = 0; index < 200; index++) {
    put(store, { [`a${index}`]: 'x'.repeat(100) });
    const room = store.commit();
    if (room !== undefined) {
      waits++;
      await room;
    }
  }
  t.ok(waits > 5, `${waits} waits`);
  t.throws(
    () => {
      for (let index = 0; index < 100; index++) {
        put(store, { [`b${index}`]: 'x'.repeat(100) });
        void store.commit();
      }
    },
    /behind its log/,
    'who does not wait is refused',
  );
  t.equal(Object.keys(contents(store, 'a')).length, 200);
  await store.close();
});

t.test('sync durability and many waiters', async (t) => {
  const store = await Store.open(options(testFolder(t), { ...never, durability: 'sync' }));
  put(store, { a1: 'one' });
  await store.commit();
  await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      put(store, { [`b${index}`]: 'x' });
      await store.syncLog();
    }),
  );
  t.equal(store.sequence, 2, 'one log entry for all who came in one turn');
  t.equal(Object.keys(contents(store, 'b')).length, 20);
  await store.close();
});

t.test(
  'a full disk fails the batch, keeps what was there, and passes',
  { skip: process.getuid?.() === 0 ? false : 'needs root to mount a small tmpfs' },
  async (t) => {
    t.capture(console, 'error'); // lmdb prints what fails; a daemon logs it
    const folder = testFolder(t);
    const mount = join(folder, 'small');
    mkdirSync(mount);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=600k', 'tmpfs', mount]);
    let store: Store | undefined;
    try {
      store = await Store.open(options(mount, { applyIntervalMs: 20 }));
      let acknowledged = 0;
      let failure: unknown;
      const hooks: number[] = [];
      for (let index = 0; index < 100 && failure === undefined; index++) {
        try {
          store.transaction(() => {
            store!.onUndo(() => hooks.push(index));
            store!.put(`a${String(index).padStart(3, '0')}`, Buffer.alloc(20_000, index));
          });
          await store.commit();
          acknowledged++;
        } catch (error) {
          failure = error;
        }
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      t.ok(failure instanceof IbexError && failure.code === 'ENOSPC', String(failure));
      t.strictSame(hooks, [acknowledged], 'the batch was taken back');
      t.equal(Object.keys(contents(store, 'a')).length, acknowledged);
      execFileSync('mount', ['-o', 'remount,size=20m', mount]);
      put(store, { b1: 'after' });
      await store.commit();
      await store.close();
      store = await Store.open(options(mount));
      t.equal(Object.keys(contents(store, 'a')).length, acknowledged, 'nothing acknowledged is lost');
      t.equal(store.get('b1')?.toString(), 'after');
    } finally {
      await store?.close();
      execFileSync('umount', [mount]);
    }
  },
);
