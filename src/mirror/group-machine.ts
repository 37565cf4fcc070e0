/**
 * The group machine: mgmtd's decisions about the two members of a mirror group, as a pure function of what it knows and
 * what it hears. docs/mirroring.md says why each rule is safe. Times decide only when something is done; that it may be
 * done never depends on mgmtd's clock.
 */
import type { Consistency, GroupMember, GroupRecord, TargetProcess } from '../wire/cluster-map.js';
import type { TargetId } from '../wire/fid.js';
import type {
  DiskFailed,
  GroupDecision,
  GroupEvent,
  GroupLimits,
  GroupState,
  Heard,
  Registered,
  ResyncFinished,
  SetState,
  Sight,
} from './group.js';

/** What a group is when mgmtd has made it or starts: it has heard of nobody yet. */
export function unseen(record: GroupRecord, at: number): GroupState {
  const sight: Sight = { intact: false, heardAt: at };
  return { record, primary: sight, secondary: sight };
}

/**
 * A role is given only at a sign of life of the one that gets it: what mgmtd knows of the others may be a few seconds old,
 * and a copy that lost what it had not synced must not be left as the only good one.
 */
export function decideGroup(state: GroupState, event: GroupEvent, limits: GroupLimits): GroupDecision {
  switch (event.type) {
    case 'stalled': {
      const later = (sight: Sight): Sight => ({ ...sight, heardAt: sight.heardAt + event.forMs });
      return unchanged({ ...state, primary: later(state.primary), secondary: later(state.secondary) });
    }
    case 'registered':
      return unchanged(register(state, event));
    case 'heard':
      return afterSignOf(event, hear(state, event), limits);
    case 'ended':
      return unchanged(end(state, event, event.at));
    case 'secondary-failed':
      if (isOutdated(state, event)) return refused(state, 'it acts by an earlier epoch');
      // Also when the secondary is not good: a resync-finished that is still under way must not count any more.
      return changed(exclude(state, worse(state.record.secondary.consistency)), 'the primary cannot reach the secondary');
    case 'resync-finished':
      return finishResync(state, event);
    case 'disk-failed':
      return failDisk(state, event);
    case 'set-state':
      return setState(state, event, limits);
  }
}

type At<Event> = Event & { readonly at: number };

const unchanged = (state: GroupState): GroupDecision => ({ state, causes: [] });
const changed = (state: GroupState, cause: string): GroupDecision => ({ state, causes: [cause] });
const refused = (state: GroupState, refusal: string): GroupDecision => ({ state, causes: [], refusal });

type Role = 'primary' | 'secondary';

function roleOf({ record }: GroupState, target: TargetId): Role | undefined {
  if (record.primary.target === target) return 'primary';
  return record.secondary.target === target ? 'secondary' : undefined;
}

/** A process that has ended, or acts by the present epoch, lingers no more, and nor do those before it. */
const without = (lingering: readonly TargetProcess[], { target, start }: TargetProcess): readonly TargetProcess[] =>
  lingering.filter((other) => other.target !== target || other.start > start);

/** The same record when the process does not linger, so that records which are not the same object differ. */
function withoutLingering(state: GroupState, process: TargetProcess): GroupState {
  const { record } = state;
  const lingering = without(record.lingering, process);
  return lingering.length === record.lingering.length ? state : { ...state, record: { ...record, lingering } };
}

const withSight = (state: GroupState, role: Role, sight: Sight): GroupState =>
  role === 'primary' ? { ...state, primary: sight } : { ...state, secondary: sight };

function register(state: GroupState, { target, start, intact, predecessorEnded, at }: At<Registered>): GroupState {
  const role = roleOf(state, target);
  if (role === undefined) return state;
  const counted = state.record[role];
  const { endedAt, start: present } = state[role];
  // An earlier process has ended, however late its word arrives.
  if (start < counted.start || (present !== undefined && start < present)) return state;
  if (start === counted.start) return endedAt === undefined ? withSight(state, role, { start, intact, heardAt: at }) : state;
  // A process that follows one of which nobody knows whether it has ended is not this member.
  if (endedAt === undefined && !predecessorEnded) return state;
  const ended = end(state, { target, start: start - 1 }, at);
  return withSight(ended, role, { start, intact, endedAt: endedAt ?? at, heardAt: at });
}

function hear(state: GroupState, heard: At<Heard>): GroupState {
  const { target, start, epoch, hearsPartner, at } = heard;
  const role = roleOf(state, target);
  if (role === undefined || state[role].start !== start) return state;
  const partner = role === 'primary' ? 'secondary' : 'primary';
  const later = (sight: Sight): Sight => ({ ...sight, heardAt: Math.max(sight.heardAt, at) });
  const acting = epoch >= state.record.epoch ? withoutLingering(state, heard) : state;
  const alive = withSight(acting, role, later(acting[role]));
  return hearsPartner ? withSight(alive, partner, later(alive[partner])) : alive;
}

/** The process, and those of the target before it, have ended. */
function end(state: GroupState, process: TargetProcess, at: number): GroupState {
  const { target, start } = process;
  const role = roleOf(state, target);
  if (role === undefined) return state;
  const sight = state[role];
  return withSight(withoutLingering(state, process), role, {
    ...sight,
    start: sight.start !== undefined && sight.start <= start ? undefined : sight.start,
    endedAt: sight.endedAt ?? (state.record[role].start <= start ? at : undefined),
  });
}

/** What a process asks for counts only as long as it is the primary of the epoch that it acts by. */
function isOutdated({ record }: GroupState, { target, start, epoch }: TargetProcess & { readonly epoch: number }): boolean {
  return record.epoch !== epoch || record.primary.target !== target || record.primary.start !== start;
}

function finishResync(state: GroupState, event: At<ResyncFinished>): GroupDecision {
  const { record, secondary } = state;
  if (isOutdated(state, event)) return refused(state, 'it acts by an earlier epoch');
  if (record.secondary.consistency !== 'needs-resync') return refused(state, `the secondary is ${record.secondary.consistency}`);
  if (secondary.start !== event.secondaryStart) return refused(state, 'the secondary has restarted since');
  const member: GroupMember = { ...record.secondary, consistency: 'good', start: event.secondaryStart };
  return changed(
    { ...state, record: { ...record, epoch: record.epoch + 1, secondary: member }, secondary: { ...secondary, endedAt: undefined } },
    'the secondary is in sync again',
  );
}

function failDisk(state: GroupState, { target, start, at }: At<DiskFailed>): GroupDecision {
  const role = roleOf(state, target);
  if (role === undefined || state[role].start !== start) return refused(state, 'it is not this member');
  if (role === 'primary' && state.record.secondary.consistency !== 'good') return refused(state, 'there is no other good copy');
  return unchanged({ ...state, wanted: { target, consistency: 'bad', cause: 'its disk fails', at } });
}

function setState(state: GroupState, event: At<SetState>, limits: GroupLimits): GroupDecision {
  const { target, consistency, force, at } = event;
  const role = roleOf(state, target);
  if (role === undefined) return refused(state, 'the target is not a member of the group');
  const { record } = state;
  if (record[role].consistency === consistency) return unchanged(state);
  if (consistency !== 'good') {
    if (role === 'primary' && (!survives(state) || isSilent(state.secondary, at, limits)))
      return refused(state, 'it is the primary, and there is no other good copy; only a good secondary that is online can take over');
    return unchanged({ ...state, wanted: { target, consistency, cause: 'an operator said so', at } });
  }
  if (!force) return refused(state, 'only a resync makes a copy good; --force gives up what only the other copy has');
  if (state.secondary.start === undefined) return refused(state, 'the target is not registered');
  if (state.primary.start !== undefined && !isSilent(state.primary, at, limits))
    return refused(state, 'the other member is online, so nothing needs to be given up: it has the good copy');
  const given = end(state, record.primary, at);
  return changed(
    promote({ ...given, record: { ...given.record, lingering: [] } }, 'needs-resync'),
    'an operator made the secondary the primary by force',
  );
}

/** What the process may become now that it is certainly there. */
function afterSignOf({ target, start, at }: At<Heard>, state: GroupState, limits: GroupLimits): GroupDecision {
  const role = roleOf(state, target);
  if (role === undefined || state[role].start !== start) return unchanged(state);
  return role === 'primary' ? afterSignOfPrimary(state, at, limits) : afterSignOfSecondary(state, at, limits);
}

function afterSignOfPrimary(state: GroupState, at: number, limits: GroupLimits): GroupDecision {
  const { record, primary, secondary, wanted } = state;
  if (primary.endedAt === undefined) {
    if (wanted === undefined || wanted.at > at || wanted.target !== record.secondary.target) return unchanged(state);
    return changed(exclude(state, wanted.consistency), `the secondary is ${wanted.consistency}: ${wanted.cause}`);
  }
  const back = `the primary's process ${record.primary.start} has ended and is back as ${primary.start}`;
  if (record.secondary.consistency !== 'good') return changed(restart(state), `${back} with the only good copy`);
  // Both copies were good: each has all that was acknowledged, unless its machine went down too.
  if (primary.intact) return changed(restart(state), `${back} with all that it had`);
  const bothLost =
    secondary.endedAt !== undefined && secondary.start !== undefined && !secondary.intact && !isSilent(secondary, at, limits);
  return bothLost ? changed(restart(state), `${back}; both machines went down`) : unchanged(state);
}

function afterSignOfSecondary(state: GroupState, at: number, limits: GroupLimits): GroupDecision {
  const { record, primary, secondary, wanted } = state;
  if (record.secondary.consistency !== 'good') return unchanged(state);
  if (survives(state) && wanted?.target === record.primary.target && wanted.at <= at)
    return changed(promote(state, wanted.consistency), `the primary is ${wanted.consistency}: ${wanted.cause}`);
  const hasEnded = primary.endedAt !== undefined && primary.endedAt <= at;
  if (!hasEnded && !isSilent(primary, at, limits)) return unchanged(state);
  if (!survives(state) && !secondary.intact) return unchanged(state);
  const gone = `the primary's process ${record.primary.start} ${hasEnded ? 'has ended' : 'is silent'}`;
  return changed(promote(state, 'needs-resync'), `${gone}; target ${record.secondary.target} takes over`);
}

function isSilent(sight: Sight, at: number, limits: GroupLimits): boolean {
  return at - sight.heardAt >= limits.silentAfterMs;
}

/** The secondary is good and has not restarted. */
function survives({ record, secondary }: GroupState): boolean {
  return record.secondary.consistency === 'good' && secondary.endedAt === undefined && secondary.start === record.secondary.start;
}

const worse = (consistency: Consistency): Consistency => (consistency === 'bad' ? 'bad' : 'needs-resync');

/** Who served by the epoch that ends and may not have heard of it. */
function lingeringWith({ lingering }: GroupRecord, { target, start }: GroupMember, sight: Sight): readonly TargetProcess[] {
  return sight.endedAt !== undefined ? lingering : [...without(lingering, { target, start }), { target, start }];
}

function exclude(state: GroupState, consistency: Consistency): GroupState {
  const { record, secondary } = state;
  const lingering = record.secondary.consistency === 'good' ? lingeringWith(record, record.secondary, secondary) : record.lingering;
  const excluded = { ...record, epoch: record.epoch + 1, secondary: { ...record.secondary, consistency }, lingering };
  return { ...state, record: excluded, wanted: undefined };
}

/** The secondary becomes the primary, and the primary, with this consistency, the secondary. */
function promote(state: GroupState, consistency: Consistency): GroupState {
  const { record, primary, secondary } = state;
  return {
    record: {
      ...record,
      epoch: record.epoch + 1,
      primary: { ...record.secondary, consistency: 'good', start: secondary.start ?? record.secondary.start },
      secondary: { ...record.primary, consistency },
      lingering: without(lingeringWith(record, record.primary, primary), record.secondary),
    },
    primary: { ...secondary, endedAt: undefined },
    secondary: primary,
    wanted: undefined,
  };
}

/** The primary goes on in a new process, alone. */
function restart(state: GroupState): GroupState {
  const { record, primary } = state;
  const excluded = record.secondary.consistency === 'good' ? exclude(state, 'needs-resync') : state;
  return {
    ...excluded,
    record: {
      ...excluded.record,
      epoch: record.epoch + 1,
      primary: { ...record.primary, start: primary.start ?? record.primary.start },
    },
    primary: { ...primary, endedAt: undefined },
  };
}
