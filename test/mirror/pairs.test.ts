import fc from 'fast-check';
import { test } from 'tap';
import { areEven, pairTargets } from '../../src/mirror/pairs.js';
import { type ClusterMap, emptyMap, type TargetEntry } from '../../src/wire/cluster-map.js';
import { checks } from '../support/properties.js';

interface Disk {
  readonly node: number;
  readonly size?: number;
  readonly pool?: string;
}

const mapOf = (disks: readonly Disk[]): ClusterMap => ({
  ...emptyMap('c'),
  targets: disks.map(
    ({ node, size = 1_000, pool = 'default' }, index) =>
      ({
        id: index + 1,
        kind: 'storage',
        node,
        pool,
        bytesTotal: size,
        reachability: 'online',
        consistency: 'good',
      }) as unknown as TargetEntry,
  ),
});

const on = (...nodes: number[]): Disk[] => nodes.map((node) => ({ node }));

test('targets are paired over different nodes', async (t) => {
  t.same(pairTargets(mapOf(on(1, 1, 2, 2)), false).pairs, [
    { primary: 1, secondary: 3 },
    { primary: 4, secondary: 2 },
  ]);
  t.equal(pairTargets(mapOf(on(1, 1, 1, 2, 3, 4)), false).pairs.length, 3, 'no more than half are on one node');
  t.match(pairTargets(mapOf(on(1, 2, 3)), false), { pairs: { length: 1 }, single: { length: 1 } });
  t.same(pairTargets(mapOf(on(1, 1, 1)), false), { pairs: [], single: [1, 2, 3] }, 'one node');
  t.equal(pairTargets(mapOf(on(1, 1, 1)), true).pairs.length, 1, 'one node, when it is wanted');
  const sizes = [
    { node: 1, size: 1_000 },
    { node: 2, size: 2_000 },
  ];
  t.same(pairTargets(mapOf(sizes), false).single.length, 2, 'sizes');
  t.same(pairTargets(mapOf(sizes), true).pairs.length, 1);
  const pools = [
    { node: 1, pool: 'a' },
    { node: 2, pool: 'b' },
  ];
  t.same(pairTargets(mapOf(pools), true).pairs, [], 'pools are never mixed');
});

test('whatever there is: no target twice, and what was asked for is kept', async (t) => {
  const disk = fc.record({
    node: fc.integer({ min: 1, max: 4 }),
    size: fc.constantFrom(1_000, 1_050, 1_090, 4_000),
    pool: fc.constantFrom('a', 'b'),
  });
  const property = fc.property(fc.array(disk, { maxLength: 24 }), fc.boolean(), (disks, uneven) => {
    const map = mapOf(disks);
    const { pairs, single } = pairTargets(map, uneven);
    const used = [...pairs.flatMap(({ primary, secondary }) => [primary, secondary]), ...single];
    if (new Set(used).size !== disks.length || used.length !== disks.length) return false;
    const target = (id: number): TargetEntry => map.targets[id - 1] as TargetEntry;
    if (uneven && single.length > 2) return false;
    return pairs.every(({ primary, secondary }) => {
      const [a, b] = [target(primary), target(secondary)];
      return a.pool === b.pool && (uneven || (a.node !== b.node && areEven(a, b)));
    });
  });
  checks(t, property);
});

test('ten thousand targets are paired in little time', async (t) => {
  const disks = Array.from({ length: 10_000 }, (_, index) => ({ node: 1 + (index % 500), size: 1_000 + (index % 40) }));
  const started = performance.now();
  const { pairs, single } = pairTargets(mapOf(disks), false);
  t.equal(pairs.length, 5_000);
  t.equal(single.length, 0);
  t.ok(performance.now() - started < 5_000);
});
