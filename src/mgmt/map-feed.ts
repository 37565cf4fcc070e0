/**
 * Keeps every subscriber's copy of the cluster map current. A subscriber stands at one version; what it is told
 * leads from there to the newest, so that changes made in one turn travel together and none is skipped. Of a
 * change that takes several pages it is sent the first and fetches the others at its own pace, so that what waits
 * for it here is one page at most; changes made meanwhile are told when it has the last. Maps are immutable and share
 * their entries, so standing somewhere costs little.
 */
import { type ClusterMap, diffMaps, emptyMap } from '../wire/cluster-map.js';
import { IbexError } from '../wire/errors.js';
import { type MapPage, pagesOf } from '../wire/map-pages.js';

export interface Subscriber {
  /** One-way; may be lost only together with the session. What it throws ends the subscription. */
  sendMapPage(page: MapPage): void;
  /** A change could not be sent: the subscriber's copy is stale for good. */
  mapChangeFailed(error: unknown): void;
}

interface Position {
  /** The map that the subscriber has once it has all pages. */
  readonly map: ClusterMap;
  readonly pages: readonly MapPage[];
  /** Number of the page it is to fetch next; their count when it has all. */
  next: number;
}

export interface MapFeedOptions {
  /** Runs its argument after the present turn, when answers made in it have left. */
  readonly schedule?: (flush: () => void) => void;
  readonly pageBytesMax?: number;
}

export class MapFeed {
  #newest: ClusterMap;
  /** The newest map for those who have none; made when one asks. */
  #whole: readonly MapPage[] | undefined;
  readonly #positions = new Map<Subscriber, Position>();
  readonly #schedule: (flush: () => void) => void;
  readonly #pageBytesMax: number | undefined;
  #scheduled = false;

  constructor(map: ClusterMap, options: MapFeedOptions = {}) {
    this.#newest = map;
    this.#schedule = options.schedule ?? ((flush) => void setImmediate(flush));
    this.#pageBytesMax = options.pageBytesMax;
  }

  get subscribers(): number {
    return this.#positions.size;
  }

  /** The first page of the whole map. Subscribing again begins again with a whole map. */
  subscribe(subscriber: Subscriber): MapPage {
    this.#whole ??= this.#pages(emptyMap(this.#newest.clusterId));
    return this.#begin(subscriber, this.#newest, this.#whole);
  }

  /**
   * Page number `page` of the change to version `to`.
   *
   * @throws IbexError ERR_INVALID unless it is the one that the subscriber has to fetch next
   */
  nextPage(subscriber: Subscriber, to: number, page: number): MapPage {
    const position = this.#positions.get(subscriber);
    const found = position?.map.version === to && position.next === page ? position.pages[page] : undefined;
    if (position === undefined || found === undefined)
      throw new IbexError('ERR_INVALID', `page ${page} of the cluster map's version ${to} is not what comes next on this session`);
    position.next++;
    if (!found.more && position.map.version !== this.#newest.version) this.#scheduleFlush();
    return found;
  }

  unsubscribe(subscriber: Subscriber): void {
    this.#positions.delete(subscriber);
  }

  publish(map: ClusterMap): void {
    this.#newest = map;
    this.#whole = undefined;
    if (this.#positions.size > 0) this.#scheduleFlush();
  }

  #pages(before: ClusterMap): readonly MapPage[] {
    return pagesOf(diffMaps(before, this.#newest), this.#pageBytesMax);
  }

  #begin(subscriber: Subscriber, map: ClusterMap, pages: readonly MapPage[]): MapPage {
    this.#positions.set(subscriber, { map, pages, next: 1 });
    return pages[0] as MapPage;
  }

  #scheduleFlush(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#schedule(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    const newest = this.#newest;
    // Nearly all stand at the same version: the difference is made once for each version, not for each subscriber.
    const changes = new Map<number, readonly MapPage[]>();
    for (const [subscriber, { map, pages, next }] of this.#positions) {
      if (map.version === newest.version || next < pages.length) continue;
      let change = changes.get(map.version);
      if (change === undefined) {
        change = this.#pages(map);
        changes.set(map.version, change);
      }
      try {
        subscriber.sendMapPage(this.#begin(subscriber, newest, change));
      } catch (error) {
        // One subscriber's trouble; a throw here would be nobody's and end the daemon.
        this.#positions.delete(subscriber);
        subscriber.mapChangeFailed(error);
      }
    }
  }
}
