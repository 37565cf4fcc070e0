/**
 * What mgmtd knows of a mirror group and hears about it, for the decisions in group-machine.ts. Times are milliseconds of
 * mgmtd's monotonic clock.
 */
import type { Consistency, GroupRecord, TargetProcess } from '../wire/cluster-map.js';
import type { TargetId } from '../wire/fid.js';

/** What mgmtd sees of a member's target; forgotten when mgmtd restarts. */
export interface Sight {
  /** Of the process that is registered at present. */
  readonly start?: number | undefined;
  /** What that process has of its predecessor's: all that was written, or only what was synced (its machine went down). */
  readonly intact: boolean;
  /** When it was proven that the process which the record names has ended. */
  readonly endedAt?: number | undefined;
  /** It was alive after this. At a start of mgmtd, the start: everybody gets the same time to come back. */
  readonly heardAt: number;
}

export interface Wanted {
  readonly target: TargetId;
  readonly consistency: Consistency;
  readonly cause: string;
  readonly at: number;
}

export interface GroupState {
  readonly record: GroupRecord;
  readonly primary: Sight;
  readonly secondary: Sight;
  /** A member is to become this with the next sign of life of the other one, who has to go on without it. */
  readonly wanted?: Wanted | undefined;
}

/** What a process asks for counts only while it is the primary of this epoch. */
interface Asking extends TargetProcess {
  readonly epoch: number;
}

/** mgmtd itself stood still for so long: silence of that time is nobody's fault. */
interface Stalled {
  readonly type: 'stalled';
  readonly forMs: number;
}

export interface Registered extends TargetProcess {
  readonly type: 'registered';
  readonly intact: boolean;
  /** It holds the lock of the folder on the machine where the process before it held it. */
  readonly predecessorEnded: boolean;
}

/** A sign of life that follows an answer which mgmtd gave at `at`: however long it was under way, the process was alive after that. */
export interface Heard extends TargetProcess {
  readonly type: 'heard';
  /** The newest that the process acts by; 0: none. */
  readonly epoch: number;
  /** The other member is alive too, to this one. */
  readonly hearsPartner: boolean;
}

/** Proven: none of its threads runs any more. */
export interface Ended extends TargetProcess {
  readonly type: 'ended';
}

/** The primary cannot reach its secondary, or the secondary cannot write. */
interface SecondaryFailed extends Asking {
  readonly type: 'secondary-failed';
}

/** Both copies are the same, and the primary has acknowledged nothing alone since. */
export interface ResyncFinished extends Asking {
  readonly type: 'resync-finished';
  readonly secondaryStart: number;
}

export interface DiskFailed extends TargetProcess {
  readonly type: 'disk-failed';
}

/** An operator's word. */
export interface SetState {
  readonly type: 'set-state';
  readonly target: TargetId;
  readonly consistency: Consistency;
  /** The operator vouches that the other member's processes have ended, and gives up what only its copy has. */
  readonly force: boolean;
}

export type GroupEvent = { readonly at: number } & (
  | Stalled
  | Registered
  | Heard
  | Ended
  | SecondaryFailed
  | ResyncFinished
  | DiskFailed
  | SetState
);

export interface GroupLimits {
  /** A member that mgmtd has not heard of for so long, not even by the other one, is not waited for. */
  readonly silentAfterMs: number;
}

export interface GroupDecision {
  readonly state: GroupState;
  /** Why the record changed, for the log. */
  readonly causes: readonly string[];
  /** Why what was asked for is not done. */
  readonly refusal?: string;
}
