/**
 * The rules of mirroring, run through random schedules: crashes, power cuts, standstills, partitions of one or both
 * directions, late and lost messages, clocks of different rates. IBEXFS_SEED runs one schedule again and prints what
 * happened in it; IBEXFS_MIRROR_RUNS runs more of them.
 */
import t from 'tap';
import type { GroupState } from '../../src/mirror/group.js';
import * as member from '../../src/mirror/member.js';
import { seed } from '../support/properties.js';
import type { FaultName } from './model/faults.js';
import { type Rules, realRules } from './model/rules.js';
import { runModel } from './model/run.js';

const RUNS_USUAL = 800;
const RUNS = Number(process.env['IBEXFS_MIRROR_RUNS'] ?? RUNS_USUAL);
/** Schedules in which a wrong rule has to show. */
const MUTANT_RUNS_MAX = Math.max(2_000, RUNS);

const firstSeed = seed();

t.test('no acknowledged write is lost, no stale value is read, and the copies become the same', async (t) => {
  t.comment(`schedules ${firstSeed} to ${firstSeed + RUNS - 1}; IBEXFS_SEED=SEED IBEXFS_MIRROR_RUNS=1 runs one again`);
  let epochs = 0;
  for (let run = 0; run < RUNS; run++) {
    const outcome = runModel(firstSeed + run);
    epochs += outcome.epochs;
    if (outcome.unsafe === undefined && !outcome.unsettled) continue;
    t.comment(outcome.trace.join('\n'));
    t.fail(`schedule ${firstSeed + run}: ${outcome.unsafe ?? 'the group does not come to rest'}`);
    return;
  }
  t.pass(`${RUNS} schedules`);
  t.ok(epochs > 4 * RUNS, `${epochs} epochs: the faults had effects`);
});

const blackout: readonly FaultName[] = ['all members lose power', 'a member dies', 'members are parted'];

t.test('after a power cut of all, the copies become the same by what is marked', async (t) => {
  const runs = Math.ceil(RUNS / 4);
  for (let run = 0; run < runs; run++) {
    const { unsafe, unsettled, trace } = runModel(firstSeed + run, realRules, blackout);
    if (unsafe === undefined && !unsettled) continue;
    t.comment(trace.join('\n'));
    t.fail(`schedule ${firstSeed + run}: ${unsafe ?? 'the group does not come to rest'}`);
    return;
  }
  t.pass(`${runs} schedules`);
});

const withMember = (changes: Partial<typeof member>): Partial<Rules> => ({ member: { ...member, ...changes } });

interface Mutant {
  readonly rules: Partial<Rules>;
  /** The faults that bring it to light; undefined: any. */
  readonly faults?: readonly FaultName[];
  /** Shows in so few schedules that it is tried only when more are asked for. */
  readonly isRare?: boolean;
}

const split = ['the network splits'] as const;

const mutants: Readonly<Record<string, Mutant>> = {
  'a promoted secondary does not wait for the lease that it gave': {
    rules: withMember({
      startMember: (process, now, limits) => ({ ...member.startMember(process, now, limits), pledgedUntil: now }),
      makeBeat: (view, now, limits) => ({ view, beat: member.makeBeat(view, now, limits).beat }),
    }),
    faults: split,
  },
  'a process that has just started forgets what its predecessor pledged': {
    rules: withMember({
      startMember: (process, now, limits) => ({ ...member.startMember(process, now, limits), pledgedUntil: now }),
    }),
    faults: ['the network splits', 'a member restarts at once'],
  },
  'clocks are worse than the leases allow for': { rules: { clocks: { clockRateErrorMax: 0.4 } }, faults: split },
  'leases last for ever': {
    rules: withMember({
      hearBeat: (view, beat, now, limits) => ({ ...member.hearBeat(view, beat, now, limits), heldUntil: Number.POSITIVE_INFINITY }),
    }),
    faults: split,
  },
  'a lease counts from when the pledge came': {
    rules: {
      ...withMember({
        hearBeat: (view, beat, now, limits) =>
          member.hearBeat(view, beat.pledgeFrom === undefined ? beat : { ...beat, pledgeFrom: now }, now, limits),
      }),
      // Without what is added for clocks, which covers up for it.
      memberLimits: { ...realRules.memberLimits, clockRateErrorMax: 0 },
      clocks: { clockRateErrorMax: 0 },
    },
    faults: ['the network splits', 'messages come late'],
    isRare: true,
  },
  'everybody counts as fenced': {
    rules: withMember({ adopt: (view, record, now) => member.adopt(view, { ...record, lingering: [] }, now) }),
    faults: split,
  },
  'lease and epoch are looked at only before the bytes are read': {
    rules: { checksAfterReading: false },
    faults: ['the network splits', 'a member stands still'],
  },
  'a secondary takes writes of earlier epochs': {
    rules: { endsLinks: false, ...withMember({ takesFrom: (view) => view.role !== 'none' }) },
    faults: ['the network splits', 'messages come late', 'a member stands still'],
  },
  'a primary goes on alone without asking': { rules: { asksBeforeGoingAlone: false } },
  'a primary says that the resync is done while it still acknowledges alone': {
    rules: withMember({ beginJoining: (view) => view }),
    faults: ['the network splits', 'messages come late'],
  },
  'a process takes the role of its predecessor': {
    rules: withMember({
      adopt: (view, record, now) => {
        const mine = <Each extends { target: number; start: number }>(each: Each): Each =>
          each.target === view.target ? { ...each, start: view.start } : each;
        return member.adopt(view, { ...record, primary: mine(record.primary), secondary: mine(record.secondary) }, now);
      },
    }),
  },
  'readers see what only one copy has': { rules: { hidesUncommitted: false } },
  'retries are not recognised': { rules: { recognisesRetries: false } },
  'a resync leaves the secondary its own memory of retries': {
    rules: { handsOverSlots: false },
    faults: ['the network splits', 'a member restarts at once', 'messages come late'],
  },
  'writes that a killed process left unfinished are forgotten': { rules: { keepsUnfinishedWrites: false } },
  'a resync copies only what the primary has marked': { rules: { joinsMarks: false } },
  'marks are cleared before what they mark is on both disks': { rules: { syncsBeforeClearing: false } },
  'a broken connection is taken for the end of a process': { rules: { trustsBrokenConnections: true } },
  'a copy that lost its cache is taken for whole': { rules: { tellsLostCache: false } },
  'mgmtd makes a secondary the primary that is not good': {
    rules: {
      decideGroup: (state, event, limits) => realRules.decideGroup(event.type === 'heard' ? pretendGood(state) : state, event, limits),
    },
  },
  'mgmtd does what a process of an earlier epoch asks': {
    rules: {
      decideGroup: (state, event, limits) => {
        const { epoch, primary } = state.record;
        return realRules.decideGroup(state, event.type === 'resync-finished' ? { ...event, ...primary, epoch } : event, limits);
      },
    },
  },
};

function pretendGood(state: GroupState): GroupState {
  const { record, secondary } = state;
  const start = secondary.start ?? record.secondary.start;
  return { ...state, record: { ...record, secondary: { ...record.secondary, consistency: 'good', start } } };
}

t.test('the checker notices when a rule is broken', async (t) => {
  for (const [name, { rules, faults, isRare }] of Object.entries(mutants)) {
    if (isRare === true && RUNS <= RUNS_USUAL) continue;
    let runs = 0;
    let wrong: string | undefined;
    while (wrong === undefined && runs < MUTANT_RUNS_MAX) wrong = runModel(++runs, { ...realRules, ...rules }, faults).unsafe;
    t.ok(wrong !== undefined, `${name}: noticed in schedule ${runs}: ${wrong}`);
  }
});
