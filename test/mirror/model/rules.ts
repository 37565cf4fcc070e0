/**
 * What the model runs by: the real functions, and the rules of the data path that native code will keep. A test replaces
 * one of them to see that the checker notices.
 */
import type { GroupLimits } from '../../../src/mirror/group.js';
import { decideGroup } from '../../../src/mirror/group-machine.js';
import * as member from '../../../src/mirror/member.js';

export interface Rules {
  readonly decideGroup: typeof decideGroup;
  readonly member: typeof member;
  readonly groupLimits: GroupLimits;
  readonly memberLimits: member.MemberLimits;
  readonly clocks: { readonly clockRateErrorMax: number };
  /** Lease and epoch are looked at after the bytes were read. */
  readonly checksAfterReading: boolean;
  /** Reads of what is being written wait (primary) or are sent to the primary (secondary). */
  readonly hidesUncommitted: boolean;
  /** Each copy remembers the last sequence that it has applied for a client. */
  readonly recognisesRetries: boolean;
  /** Registers of writes that a killed process left unfinished wait for their clients to retry. */
  readonly keepsUnfinishedWrites: boolean;
  /** A resync begins with the primary's memory of sequences in place of the secondary's. */
  readonly handsOverSlots: boolean;
  /** A resync copies what either member has marked. */
  readonly joinsMarks: boolean;
  /** Marks are cleared when both copies have synced what they mark. */
  readonly syncsBeforeClearing: boolean;
  /** A broken connection is taken for the end of the process, whoever broke it. */
  readonly trustsBrokenConnections: boolean;
  /** Links end with the epoch, unless it is the one in which the secondary is good again. */
  readonly endsLinks: boolean;
  /** A sign of life counts for the time of the answer that it follows, not for when it arrives. */
  readonly datesSignsByAnswers: boolean;
  /** A process says so when its machine went down since the copy was in use. */
  readonly tellsLostCache: boolean;
  /** The primary acknowledges a write without its secondary only after mgmtd said so. */
  readonly asksBeforeGoingAlone: boolean;
}

/** Clocks are far worse than allowed in a cluster, so that arithmetic which is wrong by a little shows. */
const CLOCK_RATE_ERROR_MAX = 0.1;

export const realRules: Rules = {
  decideGroup,
  member,
  // mgmtd is in more of a hurry than leases are long, so that who skips a wait is found out.
  groupLimits: { silentAfterMs: 350 },
  memberLimits: { leaseMs: 1_000, clockRateErrorMax: CLOCK_RATE_ERROR_MAX, partnerSilentAfterMs: 250 },
  clocks: { clockRateErrorMax: CLOCK_RATE_ERROR_MAX },
  checksAfterReading: true,
  hidesUncommitted: true,
  recognisesRetries: true,
  keepsUnfinishedWrites: true,
  handsOverSlots: true,
  joinsMarks: true,
  syncsBeforeClearing: true,
  trustsBrokenConnections: false,
  endsLinks: true,
  datesSignsByAnswers: true,
  tellsLostCache: true,
  asksBeforeGoingAlone: true,
};
