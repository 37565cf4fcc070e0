/** The small decisions of a mount: directory cookies, what the kernel was told, attribute changes, errno. */
import fc from 'fast-check';
import t from 'tap';
import { changeOf, withoutSetId } from '../../src/mount/attribute-change.js';
import { DirectoryRecords } from '../../src/mount/directory-records.js';
import { COOKIE_DOT_DOT, DirectoryStream, type Page } from '../../src/mount/directory-stream.js';
import { decodeName, errnoOf, Fattr, isWorthLogging } from '../../src/mount/linux.js';
import { RecentChanges } from '../../src/mount/recent-changes.js';
import { ToldAttributes } from '../../src/mount/told-attributes.js';
import { IbexError } from '../../src/wire/errors.js';
import type { Fid } from '../../src/wire/fid.js';
import { FuseDirectoryEntryBytes, readFuseDirectoryEntry } from '../../src/wire/generated.js';
import type { Attributes, DirectoryEntry } from '../../src/wire/messages.js';
import { checks, refusal } from '../support/properties.js';

/** Serves `entries` in pages; counts what was asked. */
function pagesOf(entries: readonly DirectoryEntry[], size: number): { fetch: (cookie: number) => Promise<Page>; asked: number[] } {
  const asked: number[] = [];
  return {
    asked,
    fetch: async (cookie) => {
      asked.push(cookie);
      const rest = entries.filter((entry) => entry.cookie > cookie);
      return { entries: rest.slice(0, size), end: rest.length <= size, changeMark: 1, askedAtMs: 0 };
    },
  };
}

const entry = (cookie: number): DirectoryEntry => ({ name: `n${cookie}`, fid: cookie as Fid, type: 0o100000, cookie });
const directories = fc
  .uniqueArray(fc.integer({ min: 1, max: 2 ** 52 }), { maxLength: 60 })
  .map((cookies) => cookies.sort((a, b) => a - b).map(entry));

/** Reads as the kernel does: some entries, then on from the last cookie. */
async function readAll(stream: DirectoryStream, room: () => number): Promise<string[]> {
  const names: string[] = [];
  for (let cookie = 0; ; ) {
    let left = room();
    const before = names.length;
    await stream.read(cookie, ({ entry: { name, cookie: next } }) => {
      if (left-- <= 0) return false;
      names.push(name);
      cookie = next;
      return true;
    });
    if (names.length === before) return names;
  }
}

t.test('every entry is given once, whatever the rooms and pages', async (_t) => {
  await fc.assert(
    fc.asyncProperty(
      directories,
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1 }),
      async (entries, page, rooms) => {
        let i = 0;
        const names = await readAll(new DirectoryStream(1 as Fid, pagesOf(entries, page).fetch), () => rooms[i++ % rooms.length]!);
        return names.join() === ['.', '..', ...entries.map(({ name }) => name)].join();
      },
    ),
    { numRuns: 200 },
  );
});

t.test('seeking anywhere goes on from there', async (_t) => {
  await fc.assert(
    fc.asyncProperty(directories, fc.array(fc.nat(59), { maxLength: 10 }), async (entries, seeks) => {
      const stream = new DirectoryStream(1 as Fid, pagesOf(entries, 7).fetch);
      for (const seek of seeks) {
        const cookie = entries[seek]?.cookie ?? COOKIE_DOT_DOT;
        let next: string | undefined;
        await stream.read(cookie, ({ entry: { name } }) => {
          if (next !== undefined) return false;
          next = name;
          return true;
        });
        if (next !== entries[entries[seek] === undefined ? 0 : seek + 1]?.name) return false;
      }
      return true;
    }),
    { numRuns: 200 },
  );
});

t.test('the next page is asked for while this one is read, and each only once', async (t) => {
  const { fetch, asked } = pagesOf(
    Array.from({ length: 30 }, (_, i) => entry(i + 1)),
    10,
  );
  const stream = new DirectoryStream(1 as Fid, fetch);
  await stream.read(0, ({ entry: { name } }) => name !== 'n1');
  t.strictSame(asked, [0, 10]);
  await readAll(stream, () => 4);
  t.strictSame(asked.slice(2), [0, 10, 20], 'from the start again, since the kernel rewound');
});

t.test('a page that cannot be had is an error for who asks, and can be asked again', async (t) => {
  let fail = true;
  const { fetch } = pagesOf(
    Array.from({ length: 4 }, (_, i) => entry(i + 1)),
    2,
  );
  const stream = new DirectoryStream(1 as Fid, async (cookie) => {
    if (cookie === 2 && fail) throw new IbexError('ERR_TIMED_OUT');
    return fetch(cookie);
  });
  const names: string[] = [];
  const take = ({ entry: { name } }: { entry: DirectoryEntry }): boolean => names.push(name) > 0;
  await stream.read(0, take);
  await t.rejects(stream.read(2, take), refusal('ERR_TIMED_OUT'));
  fail = false;
  await stream.read(2, take);
  t.strictSame(names, ['.', '..', 'n1', 'n2', 'n3', 'n4']);
});

t.test("records hold what fits in the kernel's room", async (t) => {
  const attributes = { fid: 5, mode: 0o100644, size: 1000, mtime: -5, mtimeNs: 6, links: 2 } as Attributes;
  const records = new DirectoryRecords(176 + 176 + 10, true, { entryMs: 1000, attributesMs: 500 }, 4096);
  t.ok(records.add('long-name-of-24-bytes--', 5, 0o100000, 2 ** 62, attributes));
  t.ok(records.add('é', 6, 0o40000, 9, undefined));
  t.notOk(records.add('third', 7, 0, 10, undefined));
  const bytes = records.bytes();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const first = readFuseDirectoryEntry(view, 0);
  t.match(first, {
    cookie: 2 ** 62,
    inode: 5,
    node: 5,
    size: 1000,
    blocks: 2,
    mtime: -5,
    mode: 0o100644,
    nameLength: 23,
    entryValidMs: 1000,
    attributesValidMs: 500,
  });
  const at = FuseDirectoryEntryBytes + 24;
  t.match(readFuseDirectoryEntry(view, at), { cookie: 9, inode: 6, node: 0, mode: 0o40000, nameLength: 2 });
  t.equal(bytes.toString('utf8', at + FuseDirectoryEntryBytes, at + FuseDirectoryEntryBytes + 2), 'é');
  t.equal(bytes.length, at + FuseDirectoryEntryBytes + 8);
  const many = new DirectoryRecords(2 ** 20, false, { entryMs: 0, attributesMs: 0 }, 4096);
  let count = 0;
  while (many.add('x'.repeat(255), 1, 0, 1, undefined)) count++;
  t.equal(count, Math.floor(2 ** 20 / 280));
});

t.test('what the kernel was told', async (t) => {
  const told = new ToldAttributes(3);
  const is = (fid: number, size: number, mtime = 1, change = 1) => ({ fid: fid as Fid, size, mtime, mtimeNs: 0, change });
  t.notOk(told.matches(is(1, 10)));
  told.tell(is(1, 10));
  t.ok(told.matches(is(1, 10)));
  t.notOk(told.matches(is(1, 10, 2)));
  t.notOk(told.matches(is(1, 11)));
  t.notOk(told.matches(is(1, 10, 1, 2)), 'the time of writing was set back');
  t.notOk(told.opened(is(1, 10)), 'told is not opened');
  t.ok(told.opened(is(1, 10)));
  told.tell(is(1, 10, 1, 2));
  t.notOk(told.opened(is(1, 10, 1, 2)), 'told is not dropped');
  told.changedHere(is(1, 10, 1, 3));
  t.ok(told.opened(is(1, 10, 1, 3)));
  told.changedHere(is(1, 10, 1, 5));
  t.notOk(told.opened(is(1, 10, 1, 5)), 'change 4 was not made here');
  told.forget(1);
  t.notOk(told.matches(is(1, 10)));
  for (let fid = 1; fid <= 5; fid++) told.tell(is(fid, 0));
  t.equal(told.size, 3);
  t.notOk(told.matches(is(2, 0)), 'the oldest made room');
});

t.test('an append goes where the file ends: at most one more look', async (t) => {
  const told = new ToldAttributes();
  const file = { fid: 1 as Fid, size: 20, mtime: 1, mtimeNs: 0, change: 1, links: 1 };
  told.tell({ ...file, size: 10 });
  t.ok(told.sendBack(file, true), 'the kernel believes 10');
  told.tell(file);
  t.notOk(told.sendBack(file, true), 'it has looked');
  t.notOk(told.sendBack(file, true));
  t.ok(told.sendBack({ ...file, size: 30 }, true));
  t.notOk(told.sendBack({ ...file, size: 40 }, true), 'never twice in a row');
  t.ok(told.sendBack({ ...file, fid: 2 as Fid }, true), 'unknown counts as changed');
  const nameless = { ...file, fid: 3 as Fid, links: 0 };
  t.ok(told.sendBack(nameless, false), 'another file may have the name');
  t.notOk(told.sendBack(nameless, false), 'opened through /proc/self/fd');
  t.ok(told.sendBack(nameless, false));
  t.notOk(told.sendBack({ ...file, fid: 4 as Fid }, false));
});

t.test('changes are never missed, however many', async (t) => {
  checks(
    t,
    fc.property(fc.array(fc.nat(20)), fc.array(fc.nat(20)), (before, after) => {
      const changes = new RecentChanges(8);
      for (const node of before) changes.note(node);
      const mark = changes.mark();
      for (const node of after) changes.note(node);
      return after.every((node) => changes.changedSince(node, mark));
    }),
  );
  const changes = new RecentChanges(8);
  changes.note(1);
  const mark = changes.mark();
  t.notOk(changes.changedSince(1, mark), 'before the mark');
  changes.note(2);
  t.notOk(changes.changedSince(1, mark));
  t.ok(changes.changedSince(2, mark));
});

t.test('setattr', async (t) => {
  const request = {
    valid: 0,
    mode: 0o104755,
    owner: 5,
    group: 6,
    size: 7,
    atime: -8,
    atimeNanoseconds: 9,
    mtime: 10,
    mtimeNanoseconds: 11,
  };
  const table: readonly (readonly [number, object])[] = [
    [Fattr.handle, {}],
    [Fattr.mode, { mode: 0o4755 }],
    [Fattr.uid | Fattr.gid, { uid: 5, gid: 6 }],
    [Fattr.size | Fattr.handle, { size: 7 }],
    [Fattr.atime | Fattr.mtime, { atime: -8, atimeNs: 9, mtime: 10, mtimeNs: 11 }],
    [Fattr.mtime | Fattr.mtimeNow, { mtime: 1, mtimeNs: 500_000_000 }],
    [Fattr.atime | Fattr.atimeNow | Fattr.mtime, { atime: 1, atimeNs: 500_000_000, mtime: 10, mtimeNs: 11 }],
  ];
  for (const [valid, expected] of table) t.strictSame(changeOf({ ...request, valid }, 1500), expected, String(valid));
});

t.test('set-id bits', async (t) => {
  t.equal(withoutSetId(0o104755), 0o755);
  t.equal(withoutSetId(0o106755), 0o755);
  t.equal(withoutSetId(0o102755), 0o755);
  t.equal(withoutSetId(0o102745), undefined, 'without group execution it is no set-id bit');
  t.equal(withoutSetId(0o100755), undefined);
  t.equal(withoutSetId(0o42755), undefined, 'directories keep theirs');
});

t.test('errors for the kernel', async (t) => {
  const table: readonly (readonly [unknown, number, boolean])[] = [
    [new IbexError('ERR_NOT_FOUND'), 2, false],
    [new IbexError('ERR_NOT_EMPTY'), 39, false],
    [new IbexError('ERR_LOOP'), 40, false],
    [new IbexError('ERR_NO_DATA'), 61, false],
    [new IbexError('ERR_TIMED_OUT'), 110, true],
    [new IbexError('ERR_STALE_MAP'), 5, true],
    [new IbexError('ERR_IO'), 5, true],
    [new TypeError('bug'), 5, true],
  ];
  for (const [error, errno, logged] of table) {
    t.equal(errnoOf(error), errno, String(error));
    t.equal(isWorthLogging(error), logged, String(error));
  }
});

t.test('names that are not UTF-8 are refused, all others pass', async (t) => {
  checks(
    t,
    fc.property(
      fc.string({ unit: 'binary' }).filter((text) => text === Buffer.from(text).toString()),
      (name) => {
        const bytes = Buffer.concat([Buffer.from('xx'), Buffer.from(name), Buffer.from('yy')]);
        return decodeName(bytes, 2, bytes.length - 4) === name;
      },
    ),
  );
  t.throws(() => decodeName(Buffer.from([0x61, 0xff]), 0, 2), /not valid UTF-8/);
});
