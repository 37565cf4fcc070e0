/**
 * Gives native code its ways to storage targets. Native code asks for a target when requests for it wait;
 * this connects to the node that serves it, by the map, and keeps trying while the question stands: each
 * request's own deadline, in native code, bounds the wait.
 */
import type { ClusterMap } from '../wire/cluster-map.js';
import { toIbexError } from '../wire/errors.js';
import type { NodeId, TargetId } from '../wire/fid.js';
import type { Endpoint } from './endpoint.js';
import { Link } from './link.js';
import { monotonicMs } from './runtime.js';
import type { Session } from './session.js';

/** As long as native code's requests wait at the most; after that it asks again. */
const TRY_MS = 10_000;

export class StorageRoutes {
  readonly #endpoint: Endpoint;
  readonly #map: () => ClusterMap;
  readonly #links = new Map<NodeId, Link>();
  readonly #seeking = new Set<TargetId>();
  readonly #routed = new Map<TargetId, Session>();
  #closed = false;

  constructor(endpoint: Endpoint, map: () => ClusterMap) {
    this.#endpoint = endpoint;
    this.#map = map;
  }

  /** Native code has requests for a target and no (working) way to it. */
  need(target: TargetId): void {
    if (this.#seeking.has(target) || this.#closed) return;
    this.#seeking.add(target);
    void this.#seek(target).finally(() => this.#seeking.delete(target));
  }

  mapChanged(map: ClusterMap): void {
    for (const [target, session] of this.#routed) {
      const entry = map.targets.find((candidate) => candidate.id === target);
      if (session.isOpen && entry?.node === session.data.get('node')) this.#endpoint.runtime.native.setRoute(target, session.connection, map.version);
      else this.#drop(target);
    }
  }

  close(): void {
    this.#closed = true;
    for (const link of this.#links.values()) link.close();
  }

  async #seek(target: TargetId): Promise<void> {
    const map = this.#map();
    const entry = map.targets.find((candidate) => candidate.id === target);
    if (entry === undefined) {
      this.#endpoint.logger.error({ target }, 'a file has a stripe on a target that the cluster map does not know');
      return;
    }
    try {
      const session = await this.#link(entry.node).session(monotonicMs() + TRY_MS);
      session.data.set('node', entry.node);
      this.#routed.set(target, session);
      this.#endpoint.runtime.native.setRoute(target, session.connection, this.#map().version);
      void session.closed.then(() => {
        if (this.#routed.get(target) === session) this.#drop(target);
      });
    } catch (error) {
      if (!this.#closed) this.#endpoint.logger.warn({ target, node: entry.node, code: toIbexError(error).kind }, `storage target ${target} cannot be reached: ${toIbexError(error).message}`);
    }
  }

  #drop(target: TargetId): void {
    this.#routed.delete(target);
    if (!this.#closed) this.#endpoint.runtime.native.clearRoute(target);
  }

  #link(node: NodeId): Link {
    let link = this.#links.get(node);
    if (link === undefined) {
      link = new Link({
        endpoint: this.#endpoint,
        addresses: () => this.#map().nodes.find((entry) => entry.id === node)?.addresses ?? [],
        what: `storage node ${node}`,
        bulk: true,
      });
      this.#links.set(node, link);
    }
    return link;
  }
}
