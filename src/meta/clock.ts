/** The two kinds of time: what decisions wait for, and what is written into inodes. */

/** A clock that never goes back, and its timers. */
export interface Clock {
  nowMs(): number;
  /** Calls `then` once, so much later and not earlier; what it gives back calls that off. */
  after(delayMs: number, then: () => void): () => void;
}

export const monotonicClock: Clock = {
  nowMs: () => performance.now(),
  after: (delayMs, then) => {
    // A timer may be early by a fraction of a millisecond.
    const timer = setTimeout(then, Math.ceil(delayMs) + 1);
    return () => clearTimeout(timer);
  },
};

/** Time stamps of inodes: wall clock with microseconds. Decisions (grace, backoff) use timers, never this. */
export interface Timestamp {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** Beyond this the wall clock was set, and the base is taken anew. */
const DRIFT_MS_MAX = 2;

export function wallClock(): () => Timestamp {
  let base = Date.now() - performance.now();
  return () => {
    const coarse = Date.now();
    let milliseconds = base + performance.now();
    if (Math.abs(milliseconds - coarse) > DRIFT_MS_MAX) {
      base = coarse - performance.now();
      milliseconds = coarse;
    }
    const seconds = Math.floor(milliseconds / 1000);
    return { seconds, nanoseconds: Math.min(999_999, Math.floor((milliseconds - seconds * 1000) * 1000)) * 1000 };
  };
}
