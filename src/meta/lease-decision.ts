/**
 * Who may hold a lease on a directory, and who has to wait for its end. Pure: times are monotonic milliseconds.
 *
 * While a client holds the lease nobody else changes the directory, so that it may answer from what it knows. A lease
 * costs whoever comes next a call to its holder: a directory that several clients change gets none.
 */

/** What is remembered of a directory that somebody has, or had a moment ago, a lease on. */
export interface LeaseState {
  readonly holder: string | undefined;
  readonly expiresMs: number;
  /** Who changed it last, or wants to, and when. */
  readonly changer: string | undefined;
  readonly changedMs: number;
  /** When anyone but that one last did. */
  readonly changedByOthersMs: number;
}

export const unleased: LeaseState = {
  holder: undefined,
  expiresMs: 0,
  changer: undefined,
  changedMs: Number.NEGATIVE_INFINITY,
  changedByOthersMs: Number.NEGATIVE_INFINITY,
};

/** Whose lease must end before `client` may change the directory. */
export function holderInTheWay(state: LeaseState, client: string, nowMs: number): string | undefined {
  return state.holder === client || state.expiresMs <= nowMs ? undefined : state.holder;
}

/** Not while another holds it, nor when another has changed the directory within the last `leaseMs`. */
export function mayHold(state: LeaseState, client: string, nowMs: number, leaseMs: number): boolean {
  if (holderInTheWay(state, client, nowMs) !== undefined) return false;
  const changedByOthersMs = state.changer === client ? state.changedByOthersMs : state.changedMs;
  return nowMs - changedByOthersMs >= leaseMs;
}

/** `client` changes the directory now, or waits to. */
export function changing(state: LeaseState, client: string, nowMs: number): LeaseState {
  return state.changer === client
    ? { ...state, changedMs: nowMs }
    : { ...state, changer: client, changedMs: nowMs, changedByOthersMs: state.changedMs };
}
