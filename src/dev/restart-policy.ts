/** When a daemon that ended is started again. Pure. */

export interface RestartState {
  /** Ends in a row, none of them after a good while. */
  readonly failures: number;
  readonly everReady: boolean;
}

export interface RestartDecision {
  readonly state: RestartState;
  /** undefined: not again, something is wrong that a restart does not mend. */
  readonly pauseMs: number | undefined;
}

export const freshState: RestartState = { failures: 0, everReady: false };

const PAUSE_FIRST_MS = 250;
const PAUSE_MAX_MS = 30_000;
/** A daemon that ran so long was well: its next end is a new story. */
const GOOD_WHILE_MS = 60_000;
/** A daemon that never came up has a wrong configuration or folder: more attempts only hide the message. */
const ATTEMPTS_BEFORE_FIRST_READY = 3;

export function afterExit(state: RestartState, exit: { readonly ready: boolean; readonly ranMs: number }): RestartDecision {
  const everReady = state.everReady || exit.ready;
  const failures = exit.ready && exit.ranMs >= GOOD_WHILE_MS ? 1 : state.failures + 1;
  const next = { failures, everReady };
  if (!everReady && failures >= ATTEMPTS_BEFORE_FIRST_READY) return { state: next, pauseMs: undefined };
  return { state: next, pauseMs: Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** (failures - 1)) };
}
