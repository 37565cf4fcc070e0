/**
 * Keeps every subscriber's copy of the cluster map current. A subscriber stands at one version; what it is sent
 * leads from there to the newest, so that changes made in one turn travel together and none is skipped. Maps
 * are immutable, so standing somewhere costs one reference.
 */
import { type ClusterMap, diffMaps, type MapChange } from '../wire/cluster-map.js';

export interface Subscriber {
  /** One-way; may be lost only together with the session. What it throws ends the subscription. */
  sendMapChange(change: MapChange): void;
  /** A change could not be sent: the subscriber's copy is stale for good. */
  mapChangeFailed(error: unknown): void;
}

export class MapFeed {
  #newest: ClusterMap;
  readonly #positions = new Map<Subscriber, ClusterMap>();
  readonly #schedule: (flush: () => void) => void;
  #scheduled = false;

  /** `schedule` runs its argument after the present turn, when answers made in it have left. */
  constructor(map: ClusterMap, schedule: (flush: () => void) => void = (flush) => void setImmediate(flush)) {
    this.#newest = map;
    this.#schedule = schedule;
  }

  get subscribers(): number {
    return this.#positions.size;
  }

  /** The map to answer with; changes follow from there. Subscribing again begins again with a full map. */
  subscribe(subscriber: Subscriber): ClusterMap {
    this.#positions.set(subscriber, this.#newest);
    return this.#newest;
  }

  unsubscribe(subscriber: Subscriber): void {
    this.#positions.delete(subscriber);
  }

  publish(map: ClusterMap): void {
    this.#newest = map;
    if (this.#scheduled || this.#positions.size === 0) return;
    this.#scheduled = true;
    this.#schedule(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    const newest = this.#newest;
    // Nearly all stand at the same version: the difference is made once for each version, not for each subscriber.
    const changes = new Map<number, MapChange>();
    for (const [subscriber, map] of this.#positions) {
      if (map.version === newest.version) continue;
      let change = changes.get(map.version);
      if (change === undefined) {
        change = diffMaps(map, newest);
        changes.set(map.version, change);
      }
      this.#positions.set(subscriber, newest);
      try {
        subscriber.sendMapChange(change);
      } catch (error) {
        // One subscriber's trouble; a throw here would be nobody's and end the daemon.
        this.#positions.delete(subscriber);
        subscriber.mapChangeFailed(error);
      }
    }
  }
}
