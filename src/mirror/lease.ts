/**
 * How long leases between the two members of a group hold, and how long who gave one has to wait. docs/mirroring.md has
 * the argument. Each side measures with its own monotonic clock; only their rates are compared, never their times.
 */

export interface LeaseLimits {
  /** A lease holds for so long on its holder's clock, counted from a message of the holder's own that the giver had already. */
  readonly leaseMs: number;
  /** The part by which any of the clocks may run fast or slow. NTP slews by 0.0005 at the most, a bad quartz adds 0.0001. */
  readonly clockRateErrorMax: number;
}

/** On the giver's clock: after so long the holder's lease has ended, however their rates differ. */
export function leaseWaitMs({ leaseMs, clockRateErrorMax }: LeaseLimits): number {
  return Math.ceil((leaseMs * (1 + clockRateErrorMax)) / (1 - clockRateErrorMax));
}
