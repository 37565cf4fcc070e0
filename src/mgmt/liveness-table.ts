/** The liveness of all nodes and targets, driven by events and a tick. Times are monotonic milliseconds. */
import type { Reachability } from '../wire/cluster-map.js';
import { type Liveness, type LivenessEvent, type LivenessLimits, nextLiveness } from './liveness.js';

export class LivenessTable<Id extends number> {
  readonly #entries = new Map<Id, Liveness>();
  readonly #limits: LivenessLimits;

  constructor(limits: LivenessLimits, initial: Iterable<readonly [Id, Reachability]>, now: number) {
    this.#limits = limits;
    for (const [id, state] of initial) this.#entries.set(id, { state, heardAt: now });
  }

  stateOf(id: Id): Reachability {
    return this.#entries.get(id)?.state ?? 'offline';
  }

  apply(id: Id, event: LivenessEvent): void {
    const before = this.#entries.get(id);
    // An entry begins when it registers; what was never heard of cannot be lost.
    if (before === undefined && (event.type === 'session-lost' || event.type === 'tick' || event.type === 'stalled')) return;
    this.#entries.set(id, nextLiveness(before ?? { state: 'offline', heardAt: 0 }, event, this.#limits));
  }

  applyToAll(event: LivenessEvent): void {
    for (const id of this.#entries.keys()) this.apply(id, event);
  }
}

/** How far mgmtd's own tick may be late before the time is taken for its own standstill. */
export function stallMs(lastTick: number, now: number, tickMs: number): number {
  const late = now - lastTick - tickMs;
  return late > 2 * tickMs + 250 ? late : 0;
}
