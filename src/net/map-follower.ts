/**
 * The cluster map as one session with mgmtd brings it: the whole at first, then every change in order. What comes
 * in several pages is taken over only when all of them are there, so that nobody sees a part of a version.
 */
import { applyMapChange, type ClusterMap, emptyMap } from '../wire/cluster-map.js';
import { IbexError, toIbexError } from '../wire/errors.js';
import { joinPages, type MapPage } from '../wire/map-pages.js';
import { mgmt } from '../wire/messages.js';
import type { Session } from './session.js';

/** First pages that may wait while the pages of another change are fetched. mgmtd sends none meanwhile, but a few may cross. */
const WAITING_MAX = 1024;
/** Far more than the largest cluster has. */
const PAGES_MAX = 65_536;

export class MapFollower {
  readonly #session: Session;
  readonly #took: (map: ClusterMap) => void;
  readonly #waiting: MapPage[] = [];
  #map: ClusterMap;
  #busy = true;

  private constructor(session: Session, took: (map: ClusterMap) => void) {
    this.#session = session;
    this.#took = took;
    this.#map = emptyMap('');
    session.onNotify(mgmt.mapChanged, ({ page }) => {
      if (this.#waiting.push(page) > WAITING_MAX) session.close('the cluster map changes faster than it arrives');
      if (!this.#busy) void this.#applyWaiting();
    });
  }

  /** `took` is called with the whole map before this resolves, and later with every newer one. */
  static async start(session: Session, took: (map: ClusterMap) => void): Promise<void> {
    const follower = new MapFollower(session, took);
    const { clusterId, page } = await session.call(mgmt.subscribeMap, {});
    follower.#map = emptyMap(clusterId);
    follower.#apply(await follower.#allPages(page));
    void follower.#applyWaiting();
  }

  /** A change of one page is applied before this returns to its caller, unless another one is being fetched. */
  async #applyWaiting(): Promise<void> {
    this.#busy = true;
    try {
      for (let page = this.#waiting.shift(); page !== undefined; page = this.#waiting.shift()) {
        if (page.to > this.#map.version) this.#apply(page.more ? await this.#allPages(page) : [page]);
      }
    } catch (error) {
      this.#session.close(toIbexError(error).message);
    } finally {
      this.#busy = false;
    }
  }

  async #allPages(first: MapPage): Promise<[MapPage, ...MapPage[]]> {
    const pages: [MapPage, ...MapPage[]] = [first];
    for (let last = first; last.more; pages.push(last)) {
      if (pages.length === PAGES_MAX)
        throw new IbexError('ERR_BAD_REQUEST', `a change of the cluster map has more than ${PAGES_MAX} pages`);
      ({ page: last } = await this.#session.call(mgmt.mapPage, { to: first.to, page: pages.length }));
      if (last.from !== first.from || last.to !== first.to)
        throw new IbexError('ERR_BAD_REQUEST', `pages of different changes of the cluster map, to ${first.to} and to ${last.to}`);
    }
    return pages;
  }

  #apply(pages: readonly [MapPage, ...MapPage[]]): void {
    const change = joinPages(pages);
    const next = applyMapChange(this.#map, change);
    if (next === undefined)
      throw new IbexError('ERR_STALE_MAP', `missed a change of the cluster map between ${this.#map.version} and ${change.from}`);
    this.#map = next;
    this.#took(next);
  }
}
