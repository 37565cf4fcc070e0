/**
 * Choosing the targets of a new file: a pure function of the cluster map, what is asked for and a turn counter.
 * Targets of the pool that are online and good take part. While their free space is alike, files go around in
 * turn, so that small files spread evenly; when it is not, emptier targets are drawn more often. Where none can and
 * some may be back in a moment, the caller is asked to try again, as whoever reads or writes there waits too.
 */
import type { ClusterMap, TargetEntry } from '../wire/cluster-map.js';
import { IbexError } from '../wire/errors.js';
import type { TargetId } from '../wire/fid.js';
import type { Layout, LayoutDefaults } from '../wire/messages.js';

/** Free space counts as alike while the fullest candidate has at least this share of the emptiest. */
const ALIKE = 0.8;
/** With less than this (or half the mean, on small disks) a target takes no new files while others can. */
const NEARLY_FULL_BYTES = 64 << 20;
const STRIPES_MAX = 1024;

interface Candidates {
  /** Sorted by id. */
  readonly targets: readonly TargetEntry[];
  readonly alike: boolean;
}

const known = new WeakMap<ClusterMap, Map<string, Candidates>>();

/** `turn`: a number that differs from file to file; consecutive ones spread best. @throws ERR_TRY_AGAIN, ERR_NO_SPACE or ERR_IO saying why */
export function placeFile(map: ClusterMap, wanted: LayoutDefaults, turn: number): Layout {
  const { targets, alike } = candidatesOf(map, wanted.pool);
  if (targets.length === 0) throw whyNone(map, wanted.pool);
  const count = Math.min(wanted.stripeCount === 0 ? targets.length : wanted.stripeCount, targets.length, STRIPES_MAX);
  const chosen = alike || count === targets.length ? inTurn(targets, count, turn) : weighted(targets, count, turn);
  return { pattern: 'plain', pool: wanted.pool, stripeSize: wanted.stripeSize, targets: chosen };
}

function inTurn(targets: readonly TargetEntry[], count: number, turn: number): TargetId[] {
  const chosen: TargetId[] = [];
  for (let index = 0; index < count; index++) chosen.push(targets[(turn + index) % targets.length]!.id);
  return chosen;
}

/** Weighted sampling without replacement: the `count` largest of random^(1/weight) (Efraimidis and Spirakis, 2006). */
function weighted(targets: readonly TargetEntry[], count: number, turn: number): TargetId[] {
  return targets
    .map((target) => ({ id: target.id, rank: Math.log(uniform(turn, target.id)) / target.bytesFree }))
    .sort((a, b) => b.rank - a.rank)
    .slice(0, count)
    .map(({ id }) => id);
}

/** A number in (0, 1) that looks random; the mixer of MurmurHash3. */
function uniform(turn: number, id: number): number {
  let mixed = Math.imul((turn >>> 0) ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(id, 0xc2b2ae35);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (((mixed ^ (mixed >>> 16)) >>> 0) + 0.5) / 0x1_0000_0000;
}

function candidatesOf(map: ClusterMap, pool: string): Candidates {
  let pools = known.get(map);
  if (pools === undefined) {
    pools = new Map();
    known.set(map, pools);
  }
  let candidates = pools.get(pool);
  if (candidates === undefined) {
    candidates = findCandidates(map, pool);
    pools.set(pool, candidates);
  }
  return candidates;
}

const hasRoom = (target: TargetEntry): boolean => target.consistency === 'good' && target.bytesFree > 0;

function findCandidates(map: ClusterMap, pool: string): Candidates {
  const usable = map.targets
    .filter((target) => target.kind === 'storage' && target.pool === pool && target.reachability === 'online' && hasRoom(target))
    .sort((a, b) => a.id - b.id);
  const mean = usable.reduce((sum, target) => sum + target.bytesFree, 0) / Math.max(1, usable.length);
  const roomy = usable.filter((target) => target.bytesFree >= Math.min(NEARLY_FULL_BYTES, mean / 2));
  const targets = roomy.length > 0 ? roomy : usable;
  const free = targets.map((target) => target.bytesFree);
  return { targets, alike: Math.min(...free) >= ALIKE * Math.max(...free) };
}

function whyNone(map: ClusterMap, pool: string): IbexError {
  const storage = map.targets.filter((target) => target.kind === 'storage');
  if (storage.length === 0) return new IbexError('ERR_TRY_AGAIN', 'the cluster has no storage targets yet');
  const inPool = storage.filter((target) => target.pool === pool);
  if (inPool.length === 0) {
    const pools = [...new Set(storage.map((target) => JSON.stringify(target.pool)))].join(', ');
    return new IbexError('ERR_NO_SPACE', `pool ${JSON.stringify(pool)} has no storage targets; there are ${pools}`);
  }
  const count = (what: string, matches: (target: TargetEntry) => boolean): string => `${inPool.filter(matches).length} ${what}`;
  const text = `none of the ${inPool.length} storage targets of pool ${JSON.stringify(pool)} takes files: ${count('not online', (target) => target.reachability !== 'online')}, ${count('not good', (target) => target.consistency !== 'good')}, ${count('full', (target) => target.bytesFree <= 0)}`;
  if (inPool.some((target) => target.reachability === 'probably-offline' && hasRoom(target))) return new IbexError('ERR_TRY_AGAIN', text);
  const isFull = inPool.some((target) => target.reachability === 'online' && target.consistency === 'good');
  return new IbexError(isFull ? 'ERR_NO_SPACE' : 'ERR_IO', text);
}
