/** Pure parts: the name hash, placement, the inode record. */
import fc from 'fast-check';
import t from 'tap';
import { Assignment } from '../../src/meta/assignment.js';
import { attributesOf, decodeInode, encodeDefaults, encodeInode, encodeLayout, type Inode, layoutOf } from '../../src/meta/inode.js';
import { halfSipHash, nameHash } from '../../src/meta/name-hash.js';
import { placeFile } from '../../src/meta/placement.js';
import { fidAt, fidBytes, hashAt, hashBytes } from '../../src/meta/tables.js';
import type { TargetEntry } from '../../src/wire/cluster-map.js';
import type { Fid, NodeId, TargetId } from '../../src/wire/fid.js';
import { clusterMap, seed } from './support.js';

t.comment(`IBEXFS_SEED=${seed}`);

t.test('HalfSipHash: the reference vectors of the 2-4 variant', async (t) => {
  // vectors_hsip64 of https://github.com/veorq/SipHash: key 00..07, input 00, 00 01, ...
  const vectors = [
    '218d1f59b9b83cc8',
    'be552412f8387315',
    '064f39ef7c50eb57',
    'ce0f1a45f7060679',
    'd5e78a175be52ea1',
    'cb9d7c3f2f3db580',
    'ce3e91358aa2bc25',
    'ff202728b07bc684',
    'edfee820bce4858c',
  ];
  const key = { k0: 0x03020100, k1: 0x07060504 };
  vectors.forEach((expected, length) => {
    const input = String.fromCharCode(...Array.from({ length }, (_, index) => index));
    const [first, second] = halfSipHash(input, key, 2, 4);
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32LE(first, 0);
    bytes.writeUInt32LE(second, 4);
    t.equal(bytes.toString('hex'), expected);
  });
});

t.test('the name hash is part of the format', async (t) => {
  const key = { k0: 1, k1: 2 };
  t.strictSame(
    ['a', 'b', 'name', 'longer-name.txt'].map((name) => nameHash(name, key)),
    [1488077038993971, 1242791588956220, 482244092164447, 848618615140681],
  );
  const hashes = new Set(Array.from({ length: 100_000 }, (_, index) => nameHash(`file-${index}`, key)));
  t.equal(hashes.size, 100_000);
  t.ok([...hashes].every((hash) => Number.isInteger(hash) && hash >= 0 && hash < 2 ** 52));
});

t.test('keys sort as numbers', async () => {
  const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
  fc.assert(
    fc.property(number, number, (a, b) => fidBytes(a as Fid) < fidBytes(b as Fid) === a < b && fidAt(fidBytes(a as Fid), 0) === a),
    { seed },
  );
  const hash = fc.integer({ min: 0, max: 2 ** 52 });
  fc.assert(
    fc.property(hash, hash, (a, b) => hashBytes(a) < hashBytes(b) === a < b && hashAt(`d12345678${hashBytes(a)}`) === a),
    { seed },
  );
});

t.test('an inode survives its record', async (t) => {
  const u32 = fc.integer({ min: 0, max: 0xffffffff });
  const seconds = fc.integer({ min: -(2 ** 40), max: 2 ** 40 });
  const nanoseconds = fc.integer({ min: 0, max: 999_999_999 });
  const arbitrary = fc.record({
    fid: fc.constant(5 as Fid),
    flags: fc.integer({ min: 0, max: 255 }),
    mode: u32,
    links: u32,
    uid: u32,
    gid: u32,
    device: u32,
    size: fc.maxSafeNat(),
    atime: seconds,
    mtime: seconds,
    ctime: seconds,
    atimeNs: nanoseconds,
    mtimeNs: nanoseconds,
    ctimeNs: nanoseconds,
    xattrBytes: u32,
    parent: fc.maxSafeNat(),
    change: fc.maxSafeNat(),
    body: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  });
  fc.assert(
    fc.property(arbitrary, (inode: Inode) => JSON.stringify(decodeInode(inode.fid, encodeInode(inode))) === JSON.stringify(inode)),
    { seed },
  );
  const layout = { pattern: 'plain', pool: 'schnelle Platten', stripeSize: 1 << 30, targets: [1, 0xffffffff, 7] as TargetId[] } as const;
  const file = decodeInode(5 as Fid, encodeInode({ ...blank, body: encodeLayout(layout) }));
  t.strictSame(layoutOf(file), layout);
  t.equal(attributesOf({ ...blank, mode: 0o40755, size: 3 }).size, 4096);
  for (let length = 0; length < 88; length++) t.throws(() => decodeInode(5 as Fid, Buffer.alloc(length, 2)), /is damaged/);
  t.throws(() => layoutOf({ ...blank, body: encodeLayout(layout).subarray(0, 24) }), /is damaged: layout/);
  t.throws(() => layoutOf({ ...blank, body: Buffer.alloc(0) }), /is damaged: layout/);
  t.throws(() => encodeDefaults({ pattern: 'plain', pool: 'x'.repeat(256), stripeSize: 65536, stripeCount: 1 }), /pool name/);
});
const blank: Inode = {
  fid: 5 as Fid,
  flags: 0,
  mode: 0o100644,
  links: 1,
  uid: 0,
  gid: 0,
  device: 0,
  size: 0,
  atime: 0,
  mtime: 0,
  ctime: 0,
  atimeNs: 0,
  mtimeNs: 0,
  ctimeNs: 0,
  xattrBytes: 0,
  parent: 0,
  change: 0,
  body: Buffer.alloc(0),
};

t.test('placement', async (t) => {
  const wanted = (stripeCount: number, pool = 'default') => ({ pattern: 'plain', pool, stripeSize: 1 << 20, stripeCount }) as const;
  const shares = (map: ReturnType<typeof clusterMap>, stripeCount: number, files = 1000): Map<number, number> => {
    const counts = new Map<number, number>();
    for (let turn = 0; turn < files; turn++) {
      const { targets } = placeFile(map, wanted(stripeCount), turn);
      if (new Set(targets).size !== targets.length) throw new Error('a target twice in one file');
      for (const target of targets) counts.set(target, (counts.get(target) ?? 0) + 1);
    }
    return counts;
  };

  const even = clusterMap(5);
  t.strictSame([...shares(even, 2).values()], [400, 400, 400, 400, 400], 'equal targets take equal shares');
  t.strictSame(placeFile(even, wanted(2), 4).targets, [105, 101]);
  t.equal(placeFile(even, wanted(0), 3).targets.length, 5, '0: all');
  t.equal(placeFile(even, wanted(9), 3).targets.length, 5, 'not more than there are');

  const uneven = clusterMap(4, (_, index) => ({ bytesFree: index === 0 ? 4e11 : 1e11 }));
  const drawn = shares(uneven, 1, 7000);
  t.ok(Math.abs(drawn.get(101)! - 4000) < 300, `the emptier one gets about four times as much: ${[...drawn]}`);
  t.equal(drawn.size, 4);

  const nearlyFull = clusterMap(4, (_, index) => ({ bytesFree: index === 0 ? 1e6 : 1e11 }));
  t.notOk(shares(nearlyFull, 3).has(101), 'a nearly full one takes nothing');
  t.equal(
    placeFile(
      clusterMap(2, () => ({ bytesFree: 1e6 })),
      wanted(2),
      0,
    ).targets.length,
    2,
    'unless all are',
  );

  const choosy = clusterMap(6, (_, index) =>
    index === 0
      ? { reachability: 'probably-offline' }
      : index === 1
        ? { consistency: 'needs-resync' }
        : index === 2
          ? { pool: 'fast' }
          : index === 3
            ? { kind: 'meta' }
            : index === 4
              ? { bytesFree: 0 }
              : {},
  );
  t.strictSame(placeFile(choosy, wanted(4), 0).targets, [106]);
  t.strictSame(placeFile(choosy, wanted(1, 'fast'), 0).targets, [103]);

  const [offline, away, full, bad] = [
    { reachability: 'offline' },
    { reachability: 'probably-offline' },
    { bytesFree: 0 },
    { consistency: 'bad' },
  ] as const;
  const of = (...changes: Partial<TargetEntry>[]) => clusterMap(changes.length, (_, index) => changes[index]!);
  const reasons: [ReturnType<typeof clusterMap>, string, string, RegExp][] = [
    [clusterMap(0), 'default', 'EAGAIN', /no storage targets yet/],
    [clusterMap(2), 'fast', 'ENOSPC', /pool "fast" has no storage targets; there are "default"$/],
    [of(offline, full, bad), 'default', 'ENOSPC', /none of the 3 storage targets.*1 not online, 1 not good, 1 full/],
    [of(offline, away, full), 'default', 'EAGAIN', /none of the 3 storage targets.*2 not online/],
    [of(away, away), 'default', 'EAGAIN', /2 not online/],
    [of({ ...away, ...full }, full), 'default', 'ENOSPC', /2 full/],
    [of({ ...away, ...bad }, offline), 'default', 'EIO', /2 not online, 1 not good/],
    [of(offline, offline), 'default', 'EIO', /2 not online/],
  ];
  for (const [map, pool, code, message] of reasons) t.throws(() => placeFile(map, wanted(1, pool), 0), { code, message });
});

t.test('a request is served by who has the target in the newest map that either side knows', async (t) => {
  const [target, here, there] = [7 as TargetId, 3 as NodeId, 4 as NodeId];
  const map = (version: number, node: NodeId) => ({
    ...clusterMap(0),
    version,
    targets: [{ ...clusterMap(1).targets[0]!, id: target, node }],
  });
  const stale = { code: 'ESTALE', kind: 'ERR_STALE_MAP' };
  const assignment = new Assignment(target, 10);
  t.throws(() => assignment.check(9), stale);
  assignment.check(10);
  assignment.check(11);
  // The registration's answer came before the map in which another node still has it.
  assignment.mapChanged(map(9, there), here);
  assignment.check(10);
  assignment.mapChanged(map(10, here), here);
  assignment.check(10);
  // The disk was moved: also a caller that knows it is told, since nobody else may be served here.
  assignment.mapChanged(map(12, there), here);
  for (const version of [10, 11, 12, 13]) t.throws(() => assignment.check(version), { ...stale, message: /by node 4/ });
  // And moved back.
  assignment.accepted(15);
  t.throws(() => assignment.check(14), stale);
  assignment.check(15);
  assignment.mapChanged(map(12, there), here);
  assignment.check(15);
});
