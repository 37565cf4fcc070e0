/**
 * What mgmtd knows, as a value, and every change of it as a pure function from one value to the next. A
 * change of the map raises its version by one; who calls decides when it is stored and told.
 */
import {
  type Address,
  type ClusterMap,
  entryOf,
  type NodeEntry,
  type NodeKind,
  type Reachability,
  type SequenceRange,
  type TargetEntry,
  type TargetKind,
} from '../wire/cluster-map.js';
import { IbexError } from '../wire/errors.js';
import { FID_SEQUENCE_MAX, type NodeId, type TargetId } from '../wire/fid.js';
import type { Usage } from '../wire/messages.js';

/** Sequences below are kept for the root directory and for what may come. */
export const FIRST_SEQUENCE = 0x400;
export const DEFAULT_POOL = 'default';
/** Capacity enters the map when it moved by more than this part of the total. */
const CAPACITY_STEP = 0.01;

export interface MgmtState {
  readonly map: ClusterMap;
  /** Identity of each node's data folder. */
  readonly uuids: ReadonlyMap<NodeId, string>;
  /** Secret of each target's folder; never in the map. */
  readonly tokens: ReadonlyMap<TargetId, string>;
  /** Never given out before; they only grow. */
  readonly nextNode: number;
  readonly nextTarget: number;
  readonly nextGroup: number;
  readonly nextSequence: number;
}

export function emptyState(clusterId: string): MgmtState {
  return {
    map: {
      clusterId,
      version: 1,
      nodes: [],
      targets: [],
      pools: [{ name: DEFAULT_POOL }],
      groups: [],
      sequences: [],
      rootTarget: undefined,
    },
    uuids: new Map(),
    tokens: new Map(),
    nextNode: 1,
    nextTarget: 1,
    nextGroup: 1,
    nextSequence: FIRST_SEQUENCE,
  };
}

type MapContent = Omit<ClusterMap, 'clusterId' | 'version'>;

/** A change of the map; all of its fields that are given, together. */
export function changeMap(state: MgmtState, content: Partial<MapContent>, rest: Partial<Omit<MgmtState, 'map'>> = {}): MgmtState {
  return { ...state, ...rest, map: { ...state.map, ...content, version: state.map.version + 1 } };
}

/** Entries are in order of their ids. */
function replaced<Entry extends { readonly id: number }>(entries: readonly Entry[], entry: Entry): Entry[] {
  const others = entries.filter((other) => other.id !== entry.id);
  const at = others.findIndex((other) => other.id > entry.id);
  return at < 0 ? [...others, entry] : [...others.slice(0, at), entry, ...others.slice(at)];
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

export function findNode(state: MgmtState, uuid: string): NodeEntry | undefined {
  for (const [id, known] of state.uuids) if (known === uuid) return entryOf(state.map.nodes, id);
  return undefined;
}

export function findTargetByToken(state: MgmtState, token: string): TargetEntry | undefined {
  for (const [id, known] of state.tokens) if (known === token) return entryOf(state.map.targets, id);
  return undefined;
}

export interface NodeRegistration {
  readonly uuid: string;
  readonly kind: NodeKind;
  readonly hostName: string;
  readonly alias?: string | undefined;
  readonly addresses: readonly Address[];
}

/** Adds the node or brings what is known of it up to date; it is online from now on. */
export function registerNode(state: MgmtState, node: NodeRegistration): { state: MgmtState; node: NodeEntry } {
  const known = findNode(state, node.uuid);
  const id = known?.id ?? (state.nextNode as NodeId);
  const alias = node.alias ?? known?.alias ?? `${node.kind}-${node.hostName}-${id}`;
  const addresses = node.addresses.map(({ host, port }) => ({ host, port }));
  const entry: NodeEntry = { id, kind: node.kind, alias, addresses, reachability: 'online' };
  if (known !== undefined && same(known, entry)) return { state, node: known };
  const rest = known === undefined ? { uuids: new Map(state.uuids).set(id, node.uuid), nextNode: state.nextNode + 1 } : {};
  return { state: changeMap(state, { nodes: replaced(state.map.nodes, entry) }, rest), node: entry };
}

type FolderFigures = Omit<Usage, 'target'>;

export interface TargetRegistration {
  /** undefined: a new target. */
  readonly id?: TargetId | undefined;
  readonly kind: TargetKind;
  readonly node: NodeId;
  readonly token: string;
  readonly alias?: string | undefined;
  readonly pool?: string | undefined;
  readonly usage: FolderFigures;
}

/** Adds the target or brings it under its (new) node; it is online from now on. The first metadata target owns the root. */
export function registerTarget(state: MgmtState, target: TargetRegistration): { state: MgmtState; target: TargetEntry } {
  const known = target.id === undefined ? undefined : entryOf(state.map.targets, target.id);
  const id = known?.id ?? (state.nextTarget as TargetId);
  const { bytesTotal, bytesFree, inodesTotal, inodesFree } = target.usage;
  const entry: TargetEntry = {
    id,
    kind: target.kind,
    node: target.node,
    alias: known?.alias ?? target.alias ?? `target-${id}`,
    pool: known?.pool ?? target.pool ?? DEFAULT_POOL,
    reachability: 'online',
    consistency: known?.consistency ?? 'good',
    since: known?.node === target.node ? known.since : state.map.version + 1,
    bytesTotal,
    bytesFree,
    inodesTotal,
    inodesFree,
  };
  if (known !== undefined && same(known, entry)) return { state, target: known };
  const pools = state.map.pools.some((pool) => pool.name === entry.pool) ? state.map.pools : [...state.map.pools, { name: entry.pool }];
  const rootTarget = state.map.rootTarget ?? (entry.kind === 'meta' ? id : undefined);
  const rest = known === undefined ? { tokens: new Map(state.tokens).set(id, target.token), nextTarget: state.nextTarget + 1 } : {};
  return { state: changeMap(state, { targets: replaced(state.map.targets, entry), pools, rootTarget }, rest), target: entry };
}

export interface Observations {
  node(id: NodeId): Reachability;
  target(id: TargetId): Reachability;
  usage(id: TargetId): FolderFigures | undefined;
}

function moved(before: number, now: number, total: number): boolean {
  return Math.abs(now - before) > CAPACITY_STEP * total;
}

function capacityMoved(entry: TargetEntry, usage: FolderFigures): boolean {
  return (
    moved(entry.bytesFree, usage.bytesFree, usage.bytesTotal) ||
    moved(entry.inodesFree, usage.inodesFree, usage.inodesTotal) ||
    moved(entry.bytesTotal, usage.bytesTotal, entry.bytesTotal) ||
    moved(entry.inodesTotal, usage.inodesTotal, entry.inodesTotal)
  );
}

/** Takes over what was observed: states always, capacities where they moved enough or the state changed. */
export function observe(state: MgmtState, seen: Observations): MgmtState {
  let changed = false;
  const nodes = state.map.nodes.map((entry): NodeEntry => {
    const reachability = entry.kind === 'mgmtd' ? 'online' : seen.node(entry.id);
    if (reachability === entry.reachability) return entry;
    changed = true;
    return { ...entry, reachability };
  });
  const targets = state.map.targets.map((entry): TargetEntry => {
    const reachability = seen.target(entry.id);
    const usage = seen.usage(entry.id);
    const refresh = usage !== undefined && (reachability !== entry.reachability || capacityMoved(entry, usage));
    if (!refresh && reachability === entry.reachability) return entry;
    changed = true;
    const { bytesTotal, bytesFree, inodesTotal, inodesFree } = usage ?? entry;
    return { ...entry, reachability, bytesTotal, bytesFree, inodesTotal, inodesFree };
  });
  return changed ? changeMap(state, { nodes, targets }) : state;
}

/**
 * The next `count` sequences, which nobody had before, go to `target`.
 *
 * @throws IbexError ERR_NO_SPACE when all are given out
 */
export function grantSequences(state: MgmtState, target: TargetId, count: number): { state: MgmtState; first: number; last: number } {
  const first = state.nextSequence;
  const last = first + count - 1;
  if (last > FID_SEQUENCE_MAX) throw new IbexError('ERR_NO_SPACE', `all FID sequences up to ${FID_SEQUENCE_MAX} are given out`);
  const ranges = state.map.sequences;
  const end = ranges.at(-1);
  const joins = end !== undefined && end.target === target && end.last === first - 1;
  const sequences: SequenceRange[] = joins ? [...ranges.slice(0, -1), { ...end, last }] : [...ranges, { first, last, target }];
  return { state: changeMap(state, { sequences }, { nextSequence: last + 1 }), first, last };
}
