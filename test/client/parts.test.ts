/** The small decisions of the client: attributes, windows, buffers, times, permission bits, space. */
import fc from 'fast-check';
import t from 'tap';
import { BufferRegistry } from '../../src/client/buffers.js';
import { viewOf } from '../../src/client/bytes.js';
import { type FileError, fileError } from '../../src/client/errors.js';
import { fromMicroseconds, overlay } from '../../src/client/file-states.js';
import { permits } from '../../src/client/permission.js';
import { spaceOf } from '../../src/client/space.js';
import { Stats } from '../../src/client/stats.js';
import { toTimestamp } from '../../src/client/time.js';
import { orAborted, pieces, runWindow } from '../../src/client/window.js';
import { IbexError } from '../../src/wire/errors.js';
import type { Fid, TargetId } from '../../src/wire/fid.js';
import type { Attributes } from '../../src/wire/messages.js';
import { clusterMap } from '../meta/support.js';
import { checks, refusal } from '../support/properties.js';

const attributes = (more: Partial<Attributes>): Attributes => ({
  fid: 7 as Fid,
  mode: 0o100644,
  links: 1,
  uid: 1,
  gid: 2,
  size: 10,
  device: 0,
  atime: 1,
  atimeNs: 2,
  mtime: 3,
  mtimeNs: 4,
  ctime: 5,
  ctimeNs: 6,
  change: 7,
  ...more,
});

t.test('what was written here counts over what the server knows', async (t) => {
  checks(
    t,
    fc.property(fc.nat(), fc.nat(), fc.nat(4e9), fc.nat(999_999), fc.nat(4e9), (known, local, seconds, micros, ctime) => {
      const merged = attributes({ size: known, ctime });
      overlay(merged, local, seconds * 1e6 + micros);
      t.equal(merged.size, Math.max(known, local));
      t.equal(merged.mtime, seconds);
      t.equal(merged.mtimeNs, micros * 1000);
      t.ok(merged.ctime > seconds || (merged.ctime === seconds && merged.ctimeNs >= merged.mtimeNs));
    }),
    { numRuns: 50 },
  );
  t.strictSame(fromMicroseconds(1_700_000_000_123_456), { seconds: 1_700_000_000, nanoseconds: 123_456_000 });
});

t.test('pieces cover a range without gaps and keep to stripes', async (t) => {
  checks(
    t,
    fc.property(fc.nat(1e6), fc.nat(1e6), fc.integer({ min: 1000, max: 1e5 }), (start, length, size) => {
      let at = start;
      for (const piece of pieces(start, start + length, size)) {
        if (piece.offset !== at || piece.length <= 0 || piece.length > size) return false;
        if (Math.floor(piece.offset / size) !== Math.floor((piece.offset + piece.length - 1) / size)) return false;
        at += piece.length;
      }
      return at === start + length;
    }),
  );
});

t.test('a window runs everything, never more than its bound at once', async (_t) => {
  await fc.assert(
    fc.asyncProperty(fc.nat(30), fc.integer({ min: 1, max: 5 }), async (count, bound) => {
      let running = 0;
      let most = 0;
      const seen: number[] = [];
      await runWindow([...Array(count).keys()], bound, async (item) => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        running--;
        seen.push(item);
      });
      return seen.length === count && most <= bound && (count === 0 || most === Math.min(bound, count));
    }),
    { numRuns: 20 },
  );
});

t.test('a window that fails begins nothing new and waits for what runs', async (t) => {
  let running = 0;
  let begun = 0;
  const failing = runWindow([...Array(50).keys()], 4, async (item) => {
    begun++;
    running++;
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    if (item === 5) throw new IbexError('ERR_IO', 'piece 5');
  });
  await t.rejects(failing, refusal('ERR_IO', /piece 5/));
  t.equal(running, 0);
  t.ok(begun < 14, `${begun} begun`);
});

t.test('an abort ends the wait with the reason', async (t) => {
  const controller = new AbortController();
  const waiting = orAborted(new Promise(() => {}), controller.signal);
  controller.abort(new Error('enough'));
  await t.rejects(waiting, { message: 'enough' });
  await t.rejects(orAborted(Promise.resolve(1), controller.signal), { message: 'enough' });
  t.equal(await orAborted(Promise.resolve(1), new AbortController().signal), 1);
});

t.test('buffers are registered once while in use, and let go', async (t) => {
  const known = new Set<number>();
  let next = 0;
  const registry = new BufferRegistry({
    registerBuffer: () => {
      known.add(++next);
      return next;
    },
    releaseBuffer: (slot) => void known.delete(slot),
  });
  const memory = new ArrayBuffer(4096);
  t.equal(registry.use(memory), 1);
  t.equal(registry.use(memory), 1);
  registry.done(memory);
  registry.done(memory);
  t.equal(registry.use(memory), 1, 'remembered for a moment');
  registry.done(memory, true);
  t.equal(known.size, 0, 'once: at once');
  registry.pin(memory);
  registry.use(memory);
  registry.done(memory);
  t.equal(known.size, 1);
  registry.unpin(memory);
  t.equal(known.size, 0);
  for (let i = 0; i < 500; i++) {
    const other = new ArrayBuffer(1 << 20);
    registry.use(other);
    registry.done(other);
  }
  t.ok(known.size <= 32, `${known.size} MiB idle`);
  registry.close();
  t.equal(known.size, 0);
});

t.test('views are checked', async (t) => {
  const buffer = Buffer.alloc(10);
  t.equal(viewOf(buffer, 3).byteLength, 7);
  t.equal(viewOf(new DataView(buffer.buffer, buffer.byteOffset, 4)).byteLength, 4);
  for (const [offset, length] of [
    [-1, 1],
    [11, undefined],
    [5, 6],
    [0.5, 1],
    [0, -1],
  ] as const) {
    t.throws(() => viewOf(buffer, offset, length), refusal('ERR_INVALID'), `${offset} ${length}`);
  }
});

t.test('times', async (t) => {
  t.strictSame(toTimestamp(new Date(-500)), { seconds: -1, nanoseconds: 500_000_000 });
  t.strictSame(toTimestamp(1.25), { seconds: 1, nanoseconds: 250_000_000 });
  t.strictSame(toTimestamp('12'), { seconds: 12, nanoseconds: 0 });
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, '', 'soon', new Date(Number.NaN)])
    t.throws(() => toTimestamp(bad), refusal('ERR_INVALID'));
  checks(
    t,
    fc.property(fc.double({ min: -1e10, max: 1e10, noNaN: true }), (time) => {
      const { seconds, nanoseconds } = toTimestamp(time);
      return Number.isInteger(seconds) && Number.isInteger(nanoseconds) && nanoseconds >= 0 && nanoseconds < 1e9;
    }),
  );
});

t.test('permission bits', async (t) => {
  const file = { mode: 0o100640, uid: 1, gid: 2 };
  const who = (uid: number, gid: number, ...groups: number[]) => ({ uid, gid, groups });
  t.ok(permits(file, who(1, 9), 6));
  t.notOk(permits(file, who(1, 9), 1));
  t.ok(permits(file, who(5, 2), 4));
  t.ok(permits(file, who(5, 6, 2), 4));
  t.notOk(permits(file, who(5, 2), 2));
  t.notOk(permits(file, who(5, 6), 4));
  t.ok(permits(file, who(0, 0), 6));
  t.notOk(permits(file, who(0, 0), 1), 'root executes only what somebody may');
  t.ok(permits({ ...file, mode: 0o40000 }, who(0, 0), 7), 'and enters any directory');
  t.notOk(permits({ ...file, mode: 0o100077 }, who(1, 2), 4), "the owner has only the owner's bits");
});

t.test('space counts bytes on storage targets and inodes on metadata targets', async (t) => {
  const map = clusterMap(2, (_target, index) => ({
    bytesTotal: 4096 * 100,
    bytesFree: 4096 * 50,
    ...(index === 1 ? { kind: 'meta' as const, inodesTotal: 9, inodesFree: 4 } : {}),
  }));
  const usage = [{ target: 101 as TargetId, bytesTotal: 4096 * 100, bytesFree: 4096 * 10, inodesTotal: 1, inodesFree: 1 }];
  t.strictSame(spaceOf(map, usage), { bsize: 4096, blocks: 100, bfree: 10, bavail: 10, files: 9, ffree: 4 });
  t.equal(spaceOf(map, []).bfree, 50, 'without fresh figures as the map has it');
});

t.test('errors name call and path, and keep the cause', async (t) => {
  const error = fileError(new IbexError('ERR_NO_SPACE', 'target 103'), 'write', '/a') as FileError;
  t.match(error, {
    code: 'ENOSPC',
    errno: -28,
    syscall: 'write',
    path: '/a',
    message: "ENOSPC: no space left on target, write '/a': target 103",
  });
  t.equal(fileError(error, 'close', '/b'), error, 'the first context stays');
  const reason = new Error('stop');
  t.equal(fileError(new IbexError('ERR_CANCELED', 'meta.lookup', { cause: reason }), 'stat', '/a'), reason);
  const own = new TypeError('own');
  t.equal(fileError(own, 'write', '/a'), own, 'what the program threw is not touched');
});

t.test('stats are those of node:fs', async (t) => {
  const stats = new Stats(attributes({ mtime: -1, mtimeNs: 500_000_000, size: 1025 }));
  t.equal(stats.isFile(), true);
  t.equal(stats.isDirectory(), false);
  t.equal(stats.mtimeMs, -500);
  t.equal(stats.mtimeNs, -500_000_000n);
  t.equal(stats.mtime.getTime(), -500);
  t.equal(stats.blocks, 3);
});
