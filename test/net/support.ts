/** Real endpoints on loopback that play the servers of a cluster as far as the connection layer sees them. */
import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { Cluster } from '../../src/net/cluster.js';
import { Endpoint, type EndpointOptions } from '../../src/net/endpoint.js';
import type { Session } from '../../src/net/session.js';
import { type Address, type ClusterMap, diffMaps, emptyMap } from '../../src/wire/cluster-map.js';
import { type Fid, makeFid, type NodeId, type TargetId } from '../../src/wire/fid.js';
import { type MapPage, pagesOf } from '../../src/wire/map-pages.js';
import { mgmt } from '../../src/wire/messages.js';

export interface Teardown {
  teardown(done: () => unknown): unknown;
}

export const key = randomBytes(32);
export const target = (id: number): TargetId => id as TargetId;
/** A file of FID sequence `sequence`. */
export const fidOf = (sequence: number): Fid => makeFid(sequence, 7);

export function endpoint(t: Teardown, options: Partial<EndpointOptions> = {}, lines: string[] = []): Endpoint {
  const logger = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const made = new Endpoint({ key, kind: 'client', name: 'test', logger, ...options });
  t.teardown(() => made.close());
  return made;
}

/** A metadata target as the map has it: its id, the node that serves it, where that listens. */
export interface Place {
  readonly target: number;
  readonly node: number;
  readonly address: Address;
}

/** Target n owns FID sequence n; the first one owns the root. */
export function mapOf(version: number, places: readonly Place[]): ClusterMap {
  const reachability = 'online' as const;
  return {
    clusterId: 'test',
    version,
    nodes: places.map(({ node, address }) => ({
      id: node as NodeId,
      kind: 'meta',
      alias: `meta-${node}`,
      addresses: [address],
      reachability,
    })),
    targets: places.map((place) => ({
      id: target(place.target),
      kind: 'meta',
      node: place.node as NodeId,
      alias: `m${place.target}`,
      pool: 'default',
      reachability,
      consistency: 'good',
      since: version,
      bytesTotal: 1,
      bytesFree: 1,
      inodesTotal: 1,
      inodesFree: 1,
    })),
    pools: [{ name: 'default' }],
    groups: [],
    sequences: places.map((place) => ({ first: place.target, last: place.target, target: target(place.target) })),
    ...(places[0] === undefined ? {} : { rootTarget: target(places[0].target) }),
  };
}

/** What leads from one map to the other, where that is one page. */
export function pageOf(before: ClusterMap, after: ClusterMap): MapPage {
  const pages = pagesOf(diffMaps(before, after));
  if (pages[0] === undefined || pages.length > 1) throw new Error(`${pages.length} pages`);
  return pages[0];
}

export const wholePage = (map: ClusterMap): MapPage => pageOf(emptyMap(map.clusterId), map);

export interface Management {
  readonly endpoint: Endpoint;
  readonly address: Address;
  map: ClusterMap;
  readonly subscribers: Set<Session>;
  /** Tells everybody. */
  change(next: ClusterMap): void;
}

export async function management(t: Teardown, map: ClusterMap, options: Partial<EndpointOptions> = {}, port = 0): Promise<Management> {
  const made = endpoint(t, { kind: 'mgmtd', name: 'mgmtd', ...options });
  const subscribers = new Set<Session>();
  const result: Management = {
    endpoint: made,
    address: await made.listen({ host: '127.0.0.1', port }),
    map,
    subscribers,
    change: (next) => {
      const page = pageOf(result.map, next);
      result.map = next;
      for (const session of subscribers) session.notify(mgmt.mapChanged, { page });
    },
  };
  made.onSession({ closed: (session) => subscribers.delete(session) });
  made.handle(mgmt.subscribeMap, (_request, { session }) => {
    subscribers.add(session);
    return { clusterId: map.clusterId, page: wholePage(result.map) };
  });
  made.handle(mgmt.usage, () => ({ usage: [] }));
  return result;
}

export interface MetaServer {
  readonly endpoint: Endpoint;
  readonly address: Address;
}

/** Serves no message yet. */
export async function metaServer(t: Teardown, node: number, port = 0): Promise<MetaServer> {
  const made = endpoint(t, { kind: 'meta', name: `meta-${node}`, nodeId: node });
  return { endpoint: made, address: await made.listen({ host: '127.0.0.1', port }) };
}

export async function clusterOf(t: Teardown, { address }: { address: Address }, made: Endpoint = endpoint(t)): Promise<Cluster> {
  const cluster = await Cluster.connect(made, [address]);
  t.teardown(() => cluster.close());
  return cluster;
}

export async function until(condition: () => boolean, withinMs = 10_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
