/** Which storage targets suit each other as the two members of a mirror group. Pure, for mgmtd and the command line. */
import type { ClusterMap, TargetEntry } from '../wire/cluster-map.js';
import type { NodeId, TargetId } from '../wire/fid.js';

/** The larger of two targets is at most by this part larger than the smaller one. */
const SIZE_DIFFERENCE_MAX = 0.1;

export interface Pair {
  readonly primary: TargetId;
  readonly secondary: TargetId;
}

export interface Pairing {
  readonly pairs: readonly Pair[];
  /** Targets for which there is no other. */
  readonly single: readonly TargetId[];
}

export function areEven(a: Pick<TargetEntry, 'bytesTotal'>, b: Pick<TargetEntry, 'bytesTotal'>): boolean {
  const [small, large] = a.bytesTotal < b.bytesTotal ? [a, b] : [b, a];
  return large.bytesTotal <= small.bytesTotal * (1 + SIZE_DIFFERENCE_MAX);
}

/**
 * Pairs the storage targets that are in no group, each with one of another node, of its pool and of about its size.
 * uneven: what is left is paired whatever its size and, in the end, whatever its node.
 */
export function pairTargets(map: ClusterMap, uneven: boolean): Pairing {
  const taken = new Set(map.groups.flatMap(({ primary, secondary }) => [primary.target, secondary.target]));
  const free = map.targets.filter((target) => target.kind === 'storage' && !taken.has(target.id));
  const primaries = new Map<NodeId, number>();
  const pairs: Pair[] = [];
  const single: TargetId[] = [];
  for (const pool of new Set(free.map((target) => target.pool))) {
    const { found, left } = pairPool(
      free.filter((target) => target.pool === pool),
      uneven,
    );
    for (const two of found) pairs.push(inOrder(two, primaries));
    single.push(...left.map((target) => target.id));
  }
  return { pairs, single };
}

type Two = readonly [TargetEntry, TargetEntry];

function pairPool(targets: readonly TargetEntry[], uneven: boolean): { found: Two[]; left: TargetEntry[] } {
  const found: Two[] = [];
  let left: TargetEntry[] = [];
  for (const alike of sizeClasses(targets)) left.push(...pairOverNodes(alike, found));
  // Neighbours on both sides of a limit between classes may suit each other too.
  left = pairWhere(left, found, (a, b) => a.node !== b.node && areEven(a, b));
  if (uneven) left = pairWhere(pairOverNodes(left, found), found, () => true);
  return { found, left };
}

/** Targets of which any two are even, by size. */
function sizeClasses(targets: readonly TargetEntry[]): TargetEntry[][] {
  const classes: TargetEntry[][] = [];
  for (const target of [...targets].sort((a, b) => a.bytesTotal - b.bytesTotal || a.id - b.id)) {
    const last = classes.at(-1);
    if (last?.[0] !== undefined && areEven(last[0], target)) last.push(target);
    else classes.push([target]);
  }
  return classes;
}

/** With the targets of each node in a row, largest row first, those half the length apart are of different nodes, unless one node has more than half. */
function pairOverNodes(targets: readonly TargetEntry[], found: Two[]): TargetEntry[] {
  const count = new Map<NodeId, number>();
  for (const { node } of targets) count.set(node, (count.get(node) ?? 0) + 1);
  const rows = [...targets].sort((a, b) => (count.get(b.node) ?? 0) - (count.get(a.node) ?? 0) || a.node - b.node || a.id - b.id);
  const apart = Math.max(Math.ceil(rows.length / 2), count.get(rows[0]?.node ?? (0 as NodeId)) ?? 0);
  for (let index = 0; index + apart < rows.length; index++) found.push([rows[index] as TargetEntry, rows[index + apart] as TargetEntry]);
  return rows.slice(Math.max(0, rows.length - apart), apart);
}

function pairWhere(targets: readonly TargetEntry[], found: Two[], suits: (a: TargetEntry, b: TargetEntry) => boolean): TargetEntry[] {
  const left: TargetEntry[] = [];
  for (const target of targets) {
    const other = left.findIndex((candidate) => suits(candidate, target));
    if (other < 0) left.push(target);
    else found.push([left.splice(other, 1)[0] as TargetEntry, target]);
  }
  return left;
}

/** The one whose node has fewer primaries so far is the primary, so that all nodes have their part of the writes. */
function inOrder([a, b]: Two, primaries: Map<NodeId, number>): Pair {
  const [primary, secondary] = (primaries.get(b.node) ?? 0) < (primaries.get(a.node) ?? 0) ? [b, a] : [a, b];
  primaries.set(primary.node, (primaries.get(primary.node) ?? 0) + 1);
  return { primary: primary.id, secondary: secondary.id };
}
