/**
 * Reachability of a node or target as a pure function of what was heard and when. All times are milliseconds
 * of mgmtd's monotonic clock; wall clocks decide nothing.
 */
import type { Reachability } from '../wire/cluster-map.js';

export interface Liveness {
  readonly state: Reachability;
  /** When it was last heard of; at a start of mgmtd, the start: everybody gets the same time to come back. */
  readonly heardAt: number;
  /** When its session ended, if none came after. */
  readonly lostAt?: number | undefined;
}

export type LivenessEvent =
  | { readonly type: 'heartbeat' | 'registered' | 'session-lost' | 'tick'; readonly at: number }
  /** mgmtd itself stood still for so long: silence of that time is nobody's fault. */
  | { readonly type: 'stalled'; readonly forMs: number };

export interface LivenessLimits {
  readonly lostSessionAfterMs: number;
  readonly probablyOfflineAfterMs: number;
  readonly offlineAfterMs: number;
}

/** Only news from the node itself improves its state, only time worsens it. */
export function nextLiveness(before: Liveness, event: LivenessEvent, limits: LivenessLimits): Liveness {
  switch (event.type) {
    case 'heartbeat':
    case 'registered':
      return { state: 'online', heardAt: event.at };
    case 'session-lost':
      return { ...before, lostAt: before.lostAt ?? event.at };
    case 'stalled':
      return {
        ...before,
        heardAt: before.heardAt + event.forMs,
        lostAt: before.lostAt === undefined ? undefined : before.lostAt + event.forMs,
      };
    case 'tick': {
      const state = worse(before.state, stateAfter(before, event.at, limits));
      return state === before.state ? before : { ...before, state };
    }
  }
}

function stateAfter({ heardAt, lostAt }: Liveness, now: number, limits: LivenessLimits): Reachability {
  const silentMs = now - heardAt;
  if (silentMs >= limits.offlineAfterMs) return 'offline';
  if (silentMs >= limits.probablyOfflineAfterMs) return 'probably-offline';
  if (lostAt !== undefined && now - lostAt >= limits.lostSessionAfterMs) return 'probably-offline';
  return 'online';
}

const order: readonly Reachability[] = ['online', 'probably-offline', 'offline'];

function worse(a: Reachability, b: Reachability): Reachability {
  return order.indexOf(a) >= order.indexOf(b) ? a : b;
}
