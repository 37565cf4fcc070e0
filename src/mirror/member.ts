/**
 * A member's side of a mirror group: what a target may do by what its process knows, as pure functions. A process begins
 * with nothing, takes its role from the group's record in the cluster map, and exchanges beats with the other member: each
 * beat may carry a pledge, which is the other's lease. Times are milliseconds of the process's own monotonic clock.
 * docs/mirroring.md says why each rule is safe.
 */
import type { GroupRecord, TargetProcess } from '../wire/cluster-map.js';
import { type LeaseLimits, leaseWaitMs } from './lease.js';

export interface MemberLimits extends LeaseLimits {
  /** A primary that needs a secondary which is silent for so long asks mgmtd to go on alone. */
  readonly partnerSilentAfterMs: number;
}

export type MemberRole = 'none' | 'primary' | 'secondary';

export interface MemberView extends TargetProcess {
  /** 0: no record seen yet. */
  readonly epoch: number;
  readonly role: MemberRole;
  readonly secondaryGood: boolean;
  /** The secondary's process that counts: while it is good, and while the primary brings it in. */
  readonly secondaryStart: number;
  /** The primary brings the secondary in: acknowledges nothing alone although the secondary is not good yet. */
  readonly joining: boolean;
  /** Nobody acts by an earlier epoch any more. */
  readonly fenced: boolean;
  /** The other member knows a later epoch. */
  readonly superseded: boolean;
  /** Until then the other member keeps its pledge of this epoch. */
  readonly heldUntil: number;
  /** From then on none of the pledges that were given to the other member holds. */
  readonly pledgedUntil: number;
  /** The newest beat of the other member in this epoch. */
  readonly heard?: { readonly stamp: number; readonly at: number } | undefined;
  /** When this epoch began here. */
  readonly since: number;
}

/** Travels both ways between the members, at intervals and with what they send each other anyway. */
export interface Beat {
  readonly epoch: number;
  /** Of the sender's process. */
  readonly start: number;
  /** The sender's clock. */
  readonly stamp: number;
  /** Newest stamp of the receiver's that the sender has, if it pledges: the lease counts from there. */
  readonly pledgeFrom?: number | undefined;
}

/** What a process knows that has just started. An earlier one may have pledged something just before. */
export function startMember({ target, start }: TargetProcess, now: number, limits: LeaseLimits): MemberView {
  return {
    target,
    start,
    epoch: 0,
    role: 'none',
    secondaryGood: false,
    secondaryStart: 0,
    joining: false,
    fenced: false,
    superseded: false,
    heldUntil: Number.NEGATIVE_INFINITY,
    pledgedUntil: now + leaseWaitMs(limits),
    since: now,
  };
}

/** Takes over what the cluster map says; older records change nothing. */
export function adopt(view: MemberView, record: GroupRecord, now: number): MemberView {
  if (record.epoch < view.epoch) return view;
  const fenced = record.lingering.length === 0;
  if (record.epoch === view.epoch) return fenced === view.fenced ? view : { ...view, fenced };
  return {
    target: view.target,
    start: view.start,
    epoch: record.epoch,
    role: roleIn(record, view),
    secondaryGood: record.secondary.consistency === 'good',
    secondaryStart: record.secondary.start,
    joining: false,
    fenced,
    superseded: false,
    heldUntil: Number.NEGATIVE_INFINITY,
    pledgedUntil: view.pledgedUntil,
    since: now,
  };
}

/** A good copy is one only in the hands of the process that the record counts on. */
function roleIn({ primary, secondary }: GroupRecord, { target, start }: MemberView): MemberRole {
  if (primary.target === target) return primary.start === start ? 'primary' : 'none';
  if (secondary.target !== target) return 'none';
  return secondary.consistency !== 'good' || secondary.start === start ? 'secondary' : 'none';
}

/** Whether writes are acknowledged only when both copies have them. */
export function needsSecondary(view: MemberView): boolean {
  return view.role === 'primary' && (view.secondaryGood || view.joining);
}

/**
 * The beat to send now. A secondary pledges not to act as primary, a primary not to acknowledge alone, until the lease of
 * the receiver has ended on the receiver's clock.
 */
export function makeBeat(view: MemberView, now: number, limits: LeaseLimits): { readonly view: MemberView; readonly beat: Beat } {
  const pledges = !view.superseded && (view.role === 'secondary' || needsSecondary(view));
  const beat: Beat = { epoch: view.epoch, start: view.start, stamp: now };
  if (!pledges || view.heard === undefined) return { view, beat };
  const pledgedUntil = Math.max(view.pledgedUntil, view.heard.at + leaseWaitMs(limits));
  return { view: { ...view, pledgedUntil }, beat: { ...beat, pledgeFrom: view.heard.stamp } };
}

/** A beat has come from the other member, on a session between its present process and this one. */
export function hearBeat(view: MemberView, beat: Beat, now: number, limits: LeaseLimits): MemberView {
  if (beat.epoch < view.epoch) return view;
  if (beat.epoch > view.epoch) return { ...view, superseded: true };
  // A successor of the process that is needed answers too, but has not what it had.
  if (needsSecondary(view) && beat.start !== view.secondaryStart) return view;
  const held = beat.pledgeFrom === undefined ? Number.NEGATIVE_INFINITY : beat.pledgeFrom + limits.leaseMs;
  // Who acts by this epoch relies on no pledge of an earlier one; in this one a primary that is alone has given none.
  const released = view.role === 'primary' && !needsSecondary(view);
  return {
    ...view,
    heard: { stamp: beat.stamp, at: now },
    heldUntil: Math.max(view.heldUntil, held),
    pledgedUntil: released ? Math.min(view.pledgedUntil, now) : view.pledgedUntil,
  };
}

/** From here on the primary acknowledges nothing without that process of the secondary; only a later epoch ends that. */
export function beginJoining(view: MemberView, secondaryStart: number): MemberView {
  const may = view.role === 'primary' && !view.secondaryGood && !view.joining;
  return may ? { ...view, joining: true, secondaryStart } : view;
}

/** The time in which the copy serves, as long as no beat or record changes it: all that native code has to compare with its clock. */
export function serviceTime(view: MemberView): { readonly from: number; readonly until: number } {
  const never = { from: Number.POSITIVE_INFINITY, until: Number.NEGATIVE_INFINITY };
  if (view.superseded || view.role === 'none') return never;
  if (view.role === 'secondary') return view.secondaryGood ? { from: Number.NEGATIVE_INFINITY, until: view.heldUntil } : never;
  if (needsSecondary(view)) return { from: Number.NEGATIVE_INFINITY, until: view.heldUntil };
  return { from: view.fenced ? Number.NEGATIVE_INFINITY : view.pledgedUntil, until: Number.POSITIVE_INFINITY };
}

/**
 * Whether what the copy has just now may be given to a reader, and whether a write may begin (primary). To be asked after
 * the bytes were read: the process may have stood still since it asked before.
 */
export function mayServe(view: MemberView, now: number): boolean {
  const { from, until } = serviceTime(view);
  return from <= now && now < until;
}

/** Whether the primary may acknowledge a write that its own copy has. secondaryHas: the other one has answered that it has it too. */
export function mayAcknowledge(view: MemberView, secondaryHas: boolean, now: number): boolean {
  if (view.role !== 'primary') return false;
  return secondaryHas || (!needsSecondary(view) && mayServe(view, now));
}

/** Whether the secondary takes a write, or bytes of a resync, from the primary of that epoch. */
export function takesFrom(view: MemberView, epoch: number): boolean {
  return view.role === 'secondary' && !view.superseded && epoch === view.epoch;
}

/** Whether a client's request acts on the epoch that holds here. */
export function isCurrent(view: MemberView, epoch: number): boolean {
  return view.role !== 'none' && !view.superseded && epoch === view.epoch;
}

/** Whether the primary has waited long enough for its secondary and has to ask mgmtd to go on alone. */
export function isSecondaryLost(view: MemberView, now: number, limits: MemberLimits): boolean {
  const pledgedAt = view.heldUntil - limits.leaseMs;
  return needsSecondary(view) && !view.superseded && now - Math.max(pledgedAt, view.since) >= limits.partnerSilentAfterMs;
}
