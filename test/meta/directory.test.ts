/** A large directory read in pages while it changes. */
import t from 'tap';
import { type Fid, ROOT_FID } from '../../src/wire/fid.js';
import { openTarget, testFolder } from './support.js';

const user = { uid: 1000, gid: 100 };
const ENTRIES = 100_000;

t.test('entries present throughout are seen exactly once', async (t) => {
  const m = await openTarget(testFolder(t));
  t.teardown(() => m.target.close());
  const { service } = m.target;
  const origin = { clientId: 'client', channel: 0, sequence: 0 };
  const make = (name: string): unknown => service.handlers.makeNode({ parent: ROOT_FID, name, mode: 0o100644, device: 0, ...user }, origin);
  const unlink = (name: string): unknown => service.handlers.unlink({ parent: ROOT_FID, name }, origin);
  for (let index = 0; index < ENTRIES; index++) {
    make(`name-${index}`);
    if (index % 64 === 63) await service.commit();
    // As between batches of frames: the disk gets its turn to have more FIDs reserved.
    if (index % 4096 === 4095) await service.handlers.sync({}, origin);
  }
  const counts = new Map<string, number>();
  const cookies = new Set<number>();
  let pages = 0;
  let cookie = 0;
  for (let end = false; !end; pages++) {
    const page = await service.handlers.readDirectory({ fid: ROOT_FID, cookie, limit: 997, withAttributes: pages % 3 === 0 }, origin);
    for (const entry of page.entries) {
      counts.set(entry.name, (counts.get(entry.name) ?? 0) + 1);
      if (entry.cookie <= cookie) t.fail('cookies rise');
      cookie = entry.cookie;
      cookies.add(entry.cookie);
    }
    end = page.end;
    // Some names go, some come, and some go and come back between the pages.
    for (let index = 0; index < 200; index++) {
      make(`new-${pages}-${index}`);
      unlink(`name-${(pages * 200 + index) * 4 + 1}`);
    }
    if (pages > 0) for (let index = 0; index < 100; index++) unlink(`new-${pages - 1}-${index}`);
    await service.commit();
    if (pages % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  t.ok(pages >= 90, `${pages} pages`);
  let missed = 0;
  for (let index = 0; index < ENTRIES; index++) if (index % 4 !== 1 && counts.get(`name-${index}`) !== 1) missed++;
  t.equal(missed, 0, 'every name that stayed, once');
  t.equal([...counts.values()].filter((count) => count !== 1).length, 0, 'no name twice');
  t.equal(service.statistics().inodes - 1, ENTRIES - Math.min(25_000, pages * 200) + pages * 200 - (pages - 1) * 100);
});

t.test('a page ends where it would be too large for a message', async (t) => {
  const m = await openTarget(testFolder(t));
  t.teardown(() => m.target.close());
  for (let index = 0; index < 3000; index++)
    m.target.service.handlers.makeNode(
      { parent: ROOT_FID, name: `${index}-`.padEnd(255, 'x'), mode: 0o100644, device: 0, ...user },
      { clientId: 'client', channel: 0, sequence: 0 },
    );
  await m.target.service.commit();
  let cookie = 0;
  let seen = 0;
  let pages = 0;
  for (let end = false; !end; pages++) {
    const page = await m.call('readDirectory', { fid: ROOT_FID, cookie, limit: 4096, withAttributes: true });
    seen += page.entries.length;
    cookie = page.entries.at(-1)!.cookie;
    end = page.end;
  }
  t.equal(seen, 3000);
  t.ok(pages >= 2, `${pages} pages`);
  t.strictSame(await m.call('readDirectory', { fid: ROOT_FID, cookie: Number.MAX_SAFE_INTEGER, limit: 1, withAttributes: false }), {
    entries: [],
    end: true,
  });
  await t.rejects(m.call('readDirectory', { fid: 4 as Fid, cookie: 0, limit: 1, withAttributes: false }), { code: 'ENOENT' });
});
