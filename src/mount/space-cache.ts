/** Room in the file system for statfs: asked of mgmtd at most once a second, by all callers together. */
import type { ManagementCalls } from '../client/backend.js';
import { everyUsage } from '../client/management-lists.js';
import { spaceOf } from '../client/space.js';
import type { Space } from '../client/types.js';
import type { ClusterMap } from '../wire/cluster-map.js';

const LIFETIME_MS = 1000;

export class SpaceCache {
  readonly #management: ManagementCalls;
  readonly #map: () => ClusterMap;
  readonly #now: () => number;
  readonly #timeoutMs: number;
  #asked: Promise<Space> | undefined;
  #askedAtMs = 0;

  /** `now` is a monotonic clock in milliseconds. */
  constructor(management: ManagementCalls, map: () => ClusterMap, timeoutMs: number, now: () => number) {
    this.#management = management;
    this.#map = map;
    this.#timeoutMs = timeoutMs;
    this.#now = now;
  }

  get(): Promise<Space> {
    if (this.#asked !== undefined && this.#now() - this.#askedAtMs < LIFETIME_MS) return this.#asked;
    const asked = everyUsage(this.#management, { timeoutMs: this.#timeoutMs }).then((usage) => spaceOf(this.#map(), usage));
    this.#asked = asked;
    this.#askedAtMs = this.#now();
    // A failure is told to those who wait, and not kept.
    asked.catch(() => {
      if (this.#asked === asked) this.#asked = undefined;
    });
    return asked;
  }
}
