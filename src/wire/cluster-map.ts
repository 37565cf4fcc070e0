/**
 * The cluster map: the one shared truth about who is in the cluster and who serves what. Only mgmtd
 * changes it and every change raises `version`; everyone else holds a copy that mgmtd keeps current.
 */
import type { NodeId, TargetId } from './fid.js';

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

export interface ClusterMap {
  readonly clusterId: string;
  readonly version: number;
  readonly nodes: readonly NodeEntry[];
  readonly targets: readonly TargetEntry[];
  readonly pools: readonly { readonly name: string }[];
  /** Which metadata target owns the inodes of which FID sequences. */
  readonly sequences: readonly SequenceRange[];
  /** The metadata target that owns the root directory; absent until one has registered. */
  readonly rootTarget?: TargetId | undefined;
}

/** What changed between two versions: entries that are new or different, and what is gone. */
export interface MapChange {
  readonly from: number;
  readonly to: number;
  readonly nodes: readonly NodeEntry[];
  readonly targets: readonly TargetEntry[];
  readonly removedNodes: readonly NodeId[];
  readonly removedTargets: readonly TargetId[];
  readonly pools?: readonly { readonly name: string }[] | undefined;
  readonly sequences?: readonly SequenceRange[] | undefined;
  readonly rootTarget?: TargetId | undefined;
}

/** Applies a change to the map it was made for; undefined when `map` is not at `change.from`. */
export function applyMapChange(map: ClusterMap, change: MapChange): ClusterMap | undefined {
  if (map.version !== change.from) return undefined;
  const merge = <Entry extends { id: number }>(old: readonly Entry[], changed: readonly Entry[], removed: readonly number[]): Entry[] => {
    const byId = new Map(old.map((entry) => [entry.id, entry]));
    for (const entry of changed) byId.set(entry.id, entry);
    for (const id of removed) byId.delete(id);
    return [...byId.values()].sort((a, b) => a.id - b.id);
  };
  return {
    clusterId: map.clusterId,
    version: change.to,
    nodes: merge(map.nodes, change.nodes, change.removedNodes),
    targets: merge(map.targets, change.targets, change.removedTargets),
    pools: change.pools ?? map.pools,
    sequences: change.sequences ?? map.sequences,
    rootTarget: change.rootTarget ?? map.rootTarget,
  };
}

/** The change that leads from `before` to `after`. */
export function diffMaps(before: ClusterMap, after: ClusterMap): MapChange {
  const changed = <Entry extends { id: number }>(old: readonly Entry[], now: readonly Entry[]): Entry[] => {
    const byId = new Map(old.map((entry) => [entry.id, JSON.stringify(entry)]));
    return now.filter((entry) => byId.get(entry.id) !== JSON.stringify(entry));
  };
  const removed = <Entry extends { id: number }>(old: readonly Entry[], now: readonly Entry[]): Entry['id'][] => {
    const kept = new Set(now.map((entry) => entry.id));
    return old.filter((entry) => !kept.has(entry.id)).map((entry) => entry.id);
  };
  const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
  return {
    from: before.version,
    to: after.version,
    nodes: changed(before.nodes, after.nodes),
    targets: changed(before.targets, after.targets),
    removedNodes: removed(before.nodes, after.nodes),
    removedTargets: removed(before.targets, after.targets),
    ...(same(before.pools, after.pools) ? {} : { pools: after.pools }),
    ...(same(before.sequences, after.sequences) ? {} : { sequences: after.sequences }),
    ...(after.rootTarget === undefined ? {} : { rootTarget: after.rootTarget }),
  };
}
