/**
 * Gives native code its ways to storage targets. Native code asks for a target when requests for it wait;
 * this connects to the node that serves it, by the map, and keeps trying for as long as a request may wait.
 * A target that mgmtd has declared offline gets one more try, then its requests fail: nobody waits twice for
 * what is known to be gone. The next request asks again.
 */
import { type ClusterMap, entryOf } from '../wire/cluster-map.js';
import { toIbexError } from '../wire/errors.js';
import type { NodeId, TargetId } from '../wire/fid.js';
import { StatusCode } from '../wire/generated.js';
import type { Endpoint } from './endpoint.js';
import { Link } from './link.js';
import { monotonicMs } from './runtime.js';
import type { Session } from './session.js';

/** One look at the map, then tries of this length. */
const TRY_MS = 1_000;

export class StorageRoutes {
  readonly #endpoint: Endpoint;
  readonly #map: () => ClusterMap;
  readonly #links = new Map<NodeId, Link>();
  readonly #seeking = new Set<TargetId>();
  readonly #routed = new Map<TargetId, Session>();
  #closed = false;

  readonly #waitMs: number;

  constructor(endpoint: Endpoint, map: () => ClusterMap) {
    this.#waitMs = endpoint.runtime.options.ioTimeoutMs;
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
      const entry = entryOf(map.targets, target);
      if (session.isOpen && entry?.node === session.data.get('node'))
        this.#endpoint.runtime.native.setRoute(target, session.connection, map.version);
      else this.#drop(target);
    }
  }

  close(): void {
    this.#closed = true;
    for (const link of this.#links.values()) link.close();
  }

  async #seek(target: TargetId): Promise<void> {
    const deadline = monotonicMs() + this.#waitMs;
    for (;;) {
      const entry = entryOf(this.#map().targets, target);
      if (entry === undefined) {
        this.#fail(target, 'the cluster map does not know it');
        return;
      }
      try {
        const session = await this.#link(entry.node).session(monotonicMs() + TRY_MS);
        this.#route(target, entry.node, session);
        return;
      } catch (error) {
        const cause = toIbexError(error);
        if (this.#closed) return;
        if (entry.reachability === 'offline' || monotonicMs() >= deadline || !cause.retryable) {
          this.#fail(target, `node ${entry.node} is ${entry.reachability}: ${cause.message}`);
          return;
        }
      }
    }
  }

  #route(target: TargetId, node: NodeId, session: Session): void {
    session.data.set('node', node);
    this.#routed.set(target, session);
    this.#endpoint.runtime.native.setRoute(target, session.connection, this.#map().version);
    void session.closed.then(() => {
      if (this.#routed.get(target) === session) this.#drop(target);
    });
  }

  #fail(target: TargetId, why: string): void {
    this.#endpoint.logger.error({ target }, `storage target ${target} cannot be reached, its requests fail: ${why}`);
    this.#endpoint.runtime.native.failTarget(target, StatusCode.ioError, `target ${target} cannot be reached: ${why}`);
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
        addresses: () => entryOf(this.#map().nodes, node)?.addresses ?? [],
        expected: () => ({ kind: 'storage', nodeId: node }),
        what: `storage node ${node}`,
        bulk: true,
      });
      this.#links.set(node, link);
    }
    return link;
  }
}
