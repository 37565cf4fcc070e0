/**
 * Whether a request acted on a cluster map that still holds for this metadata target. Pure: who asks mgmtd and the
 * network is daemon.ts.
 */
import type { ClusterMap } from '../wire/cluster-map.js';
import { IbexError } from '../wire/errors.js';
import type { NodeId, TargetId } from '../wire/fid.js';

export class Assignment {
  readonly #target: TargetId;
  /** Map version from which on this node serves the target. */
  #since: number;
  /** In the newest map that this node has. */
  #elsewhere: NodeId | undefined;

  constructor(target: TargetId, since: number) {
    this.#target = target;
    this.#since = since;
  }

  /** mgmtd has accepted this node's registration of the target. */
  accepted(since: number): void {
    this.#since = since;
    this.#elsewhere = undefined;
  }

  /** The answer to a registration may be here before the map that it made. */
  mapChanged(map: ClusterMap, self: NodeId): void {
    const entry = map.targets.find(({ id }) => id === this.#target);
    if (entry === undefined || map.version < this.#since) return;
    this.#elsewhere = entry.node === self ? undefined : entry.node;
  }

  /** @throws ERR_STALE_MAP: the caller waits for a newer map and asks whoever serves the target by that */
  check(mapVersion: number): void {
    if (mapVersion < this.#since) {
      const what = `metadata target ${this.#target} is served here since version ${this.#since} of the map`;
      throw new IbexError('ERR_STALE_MAP', `${what}, the request is of version ${mapVersion}`);
    }
    if (this.#elsewhere !== undefined)
      throw new IbexError('ERR_STALE_MAP', `metadata target ${this.#target} is served by node ${this.#elsewhere} now`);
  }
}
