/**
 * The cluster map: the one shared truth about who is in the cluster and who serves what. Only mgmtd
 * changes it and every change raises `version`; everyone else holds a copy that mgmtd keeps current.
 */
import type { GroupId, NodeId, TargetId } from './fid.js';

/** Decided by mgmtd from heartbeats on its monotonic clock. */
export type Reachability = 'online' | 'probably-offline' | 'offline';
/** Whether a target's data may be used; only mirrored targets leave 'good'. */
export type Consistency = 'good' | 'needs-resync' | 'bad';
export type NodeKind = 'mgmtd' | 'meta' | 'storage';
export type TargetKind = 'meta' | 'storage';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface NodeEntry {
  readonly id: NodeId;
  readonly kind: NodeKind;
  /** Unique name people use, by default `<kind>-<host name>-<id>`. */
  readonly alias: string;
  readonly addresses: readonly Address[];
  readonly reachability: Reachability;
}

export interface TargetEntry {
  readonly id: TargetId;
  readonly kind: TargetKind;
  readonly node: NodeId;
  readonly alias: string;
  readonly pool: string;
  readonly reachability: Reachability;
  readonly consistency: Consistency;
  /** Map version since which this target is served by `node`; a request that acted on an older map is stale. */
  readonly since: number;
  /** Bytes; refreshed when they moved by more than a percent, so that the map stays quiet. */
  readonly bytesTotal: number;
  readonly bytesFree: number;
  readonly inodesTotal: number;
  readonly inodesFree: number;
}

export interface SequenceRange {
  /** Inclusive. */
  readonly first: number;
  /** Inclusive. */
  readonly last: number;
  readonly target: TargetId;
}

export interface Pool {
  readonly name: string;
}

/** A process that serves a target: each start has a higher number, kept in the target's folder and given under its lock. */
export interface TargetProcess {
  readonly target: TargetId;
  readonly start: number;
}

/** start: of the process that the epoch counts on: the primary's, and a secondary's while it is good. */
export interface GroupMember extends TargetProcess {
  /** The target's entry says the same. */
  readonly consistency: Consistency;
}

/** Two storage targets that mirror each other: see docs/mirroring.md. */
export interface GroupRecord {
  readonly id: GroupId;
  /** Unique name people use, by default `group-<id>`. */
  readonly alias: string;
  /** Raised by every change of the roles, of the consistencies, and of the processes counted on. */
  readonly epoch: number;
  /** Its copy is what counts. */
  readonly primary: GroupMember;
  readonly secondary: GroupMember;
  /** Processes that may go on by an earlier epoch until they hear of this one or their leases end. */
  readonly lingering: readonly TargetProcess[];
}

/** Nodes, targets and groups are in order of their ids, sequences of their first. */
export interface ClusterMap {
  readonly clusterId: string;
  readonly version: number;
  readonly nodes: readonly NodeEntry[];
  readonly targets: readonly TargetEntry[];
  readonly pools: readonly Pool[];
  readonly groups: readonly GroupRecord[];
  /** Which metadata target owns the inodes of which FID sequences. */
  readonly sequences: readonly SequenceRange[];
  /** The metadata target that owns the root directory; absent until one has registered. */
  readonly rootTarget?: TargetId | undefined;
}

/** The entry with this id, of nodes or targets as a map has them: by halving, since a large cluster asks often. */
export function entryOf<Entry extends { readonly id: number }>(entries: readonly Entry[], id: Entry['id']): Entry | undefined {
  let low = 0;
  let high = entries.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const entry = entries[middle] as Entry;
    if (entry.id === id) return entry;
    if (entry.id < id) low = middle + 1;
    else high = middle - 1;
  }
  return undefined;
}

/** What changed between two versions: entries that are new or different, and the keys of those that are gone. */
export interface MapChange {
  readonly from: number;
  readonly to: number;
  readonly nodes: readonly NodeEntry[];
  readonly targets: readonly TargetEntry[];
  readonly pools: readonly Pool[];
  readonly groups: readonly GroupRecord[];
  readonly sequences: readonly SequenceRange[];
  readonly removed: {
    readonly nodes: readonly NodeId[];
    readonly targets: readonly TargetId[];
    readonly pools: readonly string[];
    readonly groups: readonly GroupId[];
    readonly sequences: readonly number[];
  };
  readonly rootTarget?: TargetId | undefined;
}

/** Where every map begins: a whole map is the change that leads there from here. */
export function emptyMap(clusterId: string): ClusterMap {
  return { clusterId, version: 0, nodes: [], targets: [], pools: [], groups: [], sequences: [] };
}

const idOf = <Id extends number>(entry: { readonly id: Id }): Id => entry.id;
const nameOf = (pool: Pool): string => pool.name;
const firstOf = (range: SequenceRange): number => range.first;

/** Applies a change to the map it was made for; undefined when `map` is not at `change.from`. */
export function applyMapChange(map: ClusterMap, change: MapChange): ClusterMap | undefined {
  if (map.version !== change.from) return undefined;
  const { removed } = change;
  return {
    clusterId: map.clusterId,
    version: change.to,
    nodes: inOrder(merge(map.nodes, change.nodes, removed.nodes, idOf), idOf),
    targets: inOrder(merge(map.targets, change.targets, removed.targets, idOf), idOf),
    pools: merge(map.pools, change.pools, removed.pools, nameOf),
    groups: inOrder(merge(map.groups, change.groups, removed.groups, idOf), idOf),
    sequences: inOrder(merge(map.sequences, change.sequences, removed.sequences, firstOf), firstOf),
    rootTarget: change.rootTarget ?? map.rootTarget,
  };
}

function merge<Entry, Key>(
  old: readonly Entry[],
  changed: readonly Entry[],
  removed: readonly Key[],
  keyOf: (entry: Entry) => Key,
): readonly Entry[] {
  if (changed.length === 0 && removed.length === 0) return old;
  const byKey = new Map(old.map((entry) => [keyOf(entry), entry]));
  for (const entry of changed) byKey.set(keyOf(entry), entry);
  for (const key of removed) byKey.delete(key);
  return [...byKey.values()];
}

function inOrder<Entry>(entries: readonly Entry[], keyOf: (entry: Entry) => number): readonly Entry[] {
  const ordered = entries.every((entry, index) => index === 0 || keyOf(entries[index - 1] as Entry) < keyOf(entry));
  return ordered ? entries : [...entries].sort((a, b) => keyOf(a) - keyOf(b));
}

/** The change that leads from `before` to `after`. */
export function diffMaps(before: ClusterMap, after: ClusterMap): MapChange {
  const nodes = diff(before.nodes, after.nodes, idOf);
  const targets = diff(before.targets, after.targets, idOf);
  const pools = diff(before.pools, after.pools, nameOf);
  const groups = diff(before.groups, after.groups, idOf);
  const sequences = diff(before.sequences, after.sequences, firstOf);
  return {
    from: before.version,
    to: after.version,
    nodes: nodes.changed,
    targets: targets.changed,
    pools: pools.changed,
    groups: groups.changed,
    sequences: sequences.changed,
    removed: { nodes: nodes.removed, targets: targets.removed, pools: pools.removed, groups: groups.removed, sequences: sequences.removed },
    ...(after.rootTarget === undefined ? {} : { rootTarget: after.rootTarget }),
  };
}

/** Maps share the entries that did not change, so nearly all are told apart without a look inside. */
function diff<Entry, Key>(
  old: readonly Entry[],
  now: readonly Entry[],
  keyOf: (entry: Entry) => Key,
): { changed: readonly Entry[]; removed: readonly Key[] } {
  if (old === now) return { changed: [], removed: [] };
  const left = new Map(old.map((entry) => [keyOf(entry), entry]));
  const changed: Entry[] = [];
  for (const entry of now) {
    const key = keyOf(entry);
    const was = left.get(key);
    left.delete(key);
    if (was !== entry && (was === undefined || JSON.stringify(was) !== JSON.stringify(entry))) changed.push(entry);
  }
  return { changed, removed: [...left.keys()] };
}
