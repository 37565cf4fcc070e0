import fc from 'fast-check';
import { test } from 'tap';
import { leaseWaitMs } from '../../src/mirror/lease.js';
import * as member from '../../src/mirror/member.js';
import type { Consistency, GroupRecord } from '../../src/wire/cluster-map.js';
import type { GroupId, TargetId } from '../../src/wire/fid.js';
import { checks } from '../support/properties.js';

const limits = { leaseMs: 2_000, clockRateErrorMax: 0.002, partnerSilentAfterMs: 1_500 };
const A = { target: 1 as TargetId, start: 1 };
const B = { target: 2 as TargetId, start: 1 };

const record = (epoch: number, secondary: Consistency, more: Partial<GroupRecord> = {}): GroupRecord => ({
  id: 1 as GroupId,
  alias: 'g',
  epoch,
  primary: { ...A, consistency: 'good' },
  secondary: { ...B, consistency: secondary },
  lingering: [],
  ...more,
});

const fresh = (process: { target: TargetId; start: number }, at = 0): member.MemberView => member.startMember(process, at, limits);
const primary = (secondary: Consistency, more?: Partial<GroupRecord>) => member.adopt(fresh(A), record(1, secondary, more), 0);
const secondary = (consistency: Consistency) => member.adopt(fresh(B), record(1, consistency), 0);

/** `from` sends a beat at its time `sent`, which `to` hears at its time `at`. */
function beat(from: member.MemberView, to: member.MemberView, sent: number, at: number): [member.MemberView, member.MemberView] {
  const { view, beat } = member.makeBeat(from, sent, limits);
  return [view, member.hearBeat(to, beat, at, limits)];
}

test('a role needs a record that counts on the process', async (t) => {
  t.equal(fresh(A).role, 'none');
  t.equal(primary('good').role, 'primary');
  t.equal(secondary('good').role, 'secondary');
  t.equal(member.adopt(fresh({ ...A, start: 2 }), record(1, 'good'), 0).role, 'none', 'a primary that restarted');
  t.equal(member.adopt(fresh({ ...B, start: 2 }), record(1, 'good'), 0).role, 'none', 'a good secondary that restarted');
  t.equal(member.adopt(fresh({ ...B, start: 2 }), record(1, 'needs-resync'), 0).role, 'secondary', 'one that is to be synced');
  const newer = member.adopt(primary('good'), record(3, 'good'), 5);
  t.equal(member.adopt(newer, record(2, 'needs-resync'), 9), newer, 'an older record changes nothing');
});

test('both serve while they hear each other, by leases from the time of their own words', async (t) => {
  let a = primary('good');
  let b = secondary('good');
  t.notOk(member.mayServe(a, 1) || member.mayServe(b, 1), 'nobody has pledged anything');
  [a, b] = beat(a, b, 100, 1_000_100);
  t.notOk(member.mayServe(b, 1_000_101), 'the first beat of a primary that has heard nothing pledges nothing');
  [b, a] = beat(b, a, 1_000_200, 600);
  t.ok(member.mayServe(a, 2_099), 'as if the pledge had come at once');
  t.notOk(member.mayServe(a, 2_100));
  [a, b] = beat(a, b, 700, 1_000_900);
  t.ok(member.mayServe(b, 1_002_199));
  t.notOk(member.mayServe(b, 1_002_200));
  t.equal(b.pledgedUntil, 1_000_100 + leaseWaitMs(limits));
  t.ok(member.isSecondaryLost(a, 1_600, limits), 'counted from the lease');
  t.notOk(member.isSecondaryLost(a, 1_599, limits));
});

test('who goes on alone waits for the pledges that were given, unless nobody lingers', async (t) => {
  let a = primary('good');
  let b = secondary('good');
  [a, b] = beat(a, b, 100, 100);
  [b, a] = beat(b, a, 200, 200);
  [a, b] = beat(a, b, 300, 300);
  t.equal(a.pledgedUntil, 200 + leaseWaitMs(limits));
  const alone = record(2, 'needs-resync', { lingering: [B] });
  const waiting = member.adopt(a, alone, 1_000);
  t.notOk(member.mayServe(waiting, a.pledgedUntil - 1));
  t.notOk(member.mayAcknowledge(waiting, false, a.pledgedUntil - 1));
  t.ok(member.mayAcknowledge(waiting, true, 1_000), 'what both have may be acknowledged');
  t.ok(member.mayServe(waiting, a.pledgedUntil));
  t.ok(member.mayServe(member.adopt(waiting, { ...alone, lingering: [] }, 1_001), 1_001), 'told that nobody lingers');
  const excluded = member.adopt(b, alone, 1_000);
  const [, told] = beat(excluded, waiting, 1_100, 1_100);
  t.ok(member.mayServe(told, 1_100), 'the other one acts by the same epoch');
  t.notOk(member.mayServe(excluded, 1_000), 'a copy that is not good is not read');

  const restarted = member.adopt(
    fresh({ ...A, start: 2 }, 5_000),
    record(2, 'needs-resync', { primary: { ...A, start: 2, consistency: 'good' }, lingering: [B] }),
    5_001,
  );
  t.notOk(member.mayServe(restarted, 5_000 + leaseWaitMs(limits) - 1), 'its predecessor may have pledged something');
  t.ok(member.mayServe(restarted, 5_000 + leaseWaitMs(limits)));
});

test('a later epoch ends what an earlier one allowed', async (t) => {
  let a = primary('good');
  let b = secondary('good');
  [a, b] = beat(a, b, 100, 100);
  [b, a] = beat(b, a, 200, 200);
  t.ok(member.mayServe(a, 300));
  const next = record(2, 'needs-resync', { primary: { ...B, consistency: 'good' }, secondary: { ...A, consistency: 'needs-resync' } });
  b = member.adopt(b, next, 250);
  t.notOk(member.takesFrom(b, 1), 'writes of the old primary are refused');
  const [, superseded] = beat(b, a, 260, 260);
  t.notOk(member.mayServe(superseded, 300), 'told by a beat, before the map comes');
  t.notOk(member.isCurrent(superseded, 1));
  t.ok(member.mayAcknowledge(superseded, true, 300), 'what the new primary has is not lost');
  t.notOk(member.mayAcknowledge(superseded, false, 300));
  t.equal(member.adopt(superseded, next, 310).role, 'secondary');
});

test('while a secondary is brought in, nothing is acknowledged without that very process', async (t) => {
  const alone = primary('needs-resync');
  t.ok(member.mayAcknowledge(alone, false, 1));
  let joining = member.beginJoining(alone, 1);
  t.equal(member.beginJoining(joining, 1), joining);
  t.notOk(member.mayAcknowledge(joining, false, 1));
  t.ok(member.mayAcknowledge(joining, true, 1));
  let b = secondary('needs-resync');
  [joining, b] = beat(joining, b, 10, 10);
  [b, joining] = beat(b, joining, 20, 20);
  t.ok(member.mayServe(joining, 30));
  const successor = member.adopt(fresh({ ...B, start: 2 }), record(1, 'needs-resync'), 0);
  const [, unmoved] = beat(successor, joining, 40, 40);
  t.equal(unmoved, joining, 'another process of the target does not count');
  t.ok(member.isSecondaryLost(unmoved, 10 + limits.partnerSilentAfterMs, limits));
  t.equal(member.beginJoining(b, 1), b, 'only a primary');
});

test('whatever the rates of the clocks: the giver waits until the lease has ended', async (t) => {
  const rate = fc.double({ min: -1, max: 1, noNaN: true });
  const property = fc.property(
    fc.integer({ min: 1, max: 100_000 }),
    fc.double({ min: 0, max: 0.5, noNaN: true }),
    rate,
    rate,
    (leaseMs, error, holder, giver) => {
      const endsAfter = leaseMs / (1 + holder * error);
      const waitsFor = leaseWaitMs({ leaseMs, clockRateErrorMax: error }) / (1 + giver * error);
      return waitsFor >= endsAfter * (1 - 1e-9);
    },
  );
  checks(t, property);
});
