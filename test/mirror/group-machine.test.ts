import { test } from 'tap';
import type { GroupDecision, GroupEvent, GroupState } from '../../src/mirror/group.js';
import { decideGroup, unseen } from '../../src/mirror/group-machine.js';
import type { Consistency, GroupRecord } from '../../src/wire/cluster-map.js';
import type { GroupId, TargetId } from '../../src/wire/fid.js';

const limits = { silentAfterMs: 3_000 };
const A = 1 as TargetId;
const B = 2 as TargetId;

const record = (secondary: Consistency = 'good'): GroupRecord => ({
  id: 1 as GroupId,
  alias: 'g',
  epoch: 5,
  primary: { target: A, consistency: 'good', start: 1 },
  secondary: { target: B, consistency: secondary, start: 1 },
  lingering: [],
});

const registered = (
  target: TargetId,
  start: number,
  at: number,
  more: { intact?: boolean; predecessorEnded?: boolean } = {},
): GroupEvent => ({
  type: 'registered',
  target,
  start,
  at,
  intact: true,
  predecessorEnded: true,
  ...more,
});
const heard = (target: TargetId, start: number, at: number, epoch = 5, hearsPartner = false): GroupEvent => ({
  type: 'heard',
  target,
  start,
  at,
  epoch,
  hearsPartner,
});
const ended = (target: TargetId, start: number, at: number): GroupEvent => ({ type: 'ended', target, start, at });
const failed = (start: number, epoch: number, at: number, target = A): GroupEvent => ({
  type: 'secondary-failed',
  target,
  start,
  epoch,
  at,
});
const finished = (epoch: number, secondaryStart: number, at: number): GroupEvent => ({
  type: 'resync-finished',
  target: A,
  start: 1,
  epoch,
  secondaryStart,
  at,
});
const setState = (target: TargetId, consistency: Consistency, at: number, force = false): GroupEvent => ({
  type: 'set-state',
  target,
  consistency,
  at,
  force,
});

const bothThere = [registered(A, 1, 0), registered(B, 1, 0), heard(A, 1, 10), heard(B, 1, 10)];

function after(events: readonly GroupEvent[], secondary?: Consistency): GroupDecision {
  const start: GroupDecision = { state: unseen(record(secondary), 0), causes: [] };
  return events.reduce((before, event) => decideGroup(before.state, event, limits), start);
}

/** 'epoch: primary, secondary and its consistency; who lingers' */
function text({ record: { epoch, primary, secondary, lingering } }: GroupState): string {
  const name = ({ target, start }: { target: number; start: number }): string => `${target === A ? 'a' : 'b'}${start}`;
  return `${epoch}: ${name(primary)}, ${name(secondary)} ${secondary.consistency};${lingering.map((each) => ` ${name(each)}`).join('')}`;
}

test('who is the primary, and whose copy is good, after what was heard', async (t) => {
  const table: readonly [string, readonly GroupEvent[], string, Consistency?][] = [
    ['all is well', [...bothThere, heard(A, 1, 2_000), heard(B, 1, 2_000)], '5: a1, b1 good;'],
    ['the primary is silent, just short', [...bothThere, heard(B, 1, 3_009)], '5: a1, b1 good;'],
    ['the primary is silent', [...bothThere, heard(B, 1, 3_010)], '6: b1, a1 needs-resync; a1'],
    ['silent to mgmtd, not to the secondary', [...bothThere, heard(B, 1, 2_900, 5, true), heard(B, 1, 5_000)], '5: a1, b1 good;'],
    ['nobody hears that the primary is silent', [...bothThere, ended(B, 1, 20)], '5: a1, b1 good;'],
    ["the primary's process has ended", [...bothThere, ended(A, 1, 20), heard(B, 1, 21)], '6: b1, a1 needs-resync;'],
    ['an end is not enough: the secondary may have died before', [...bothThere, ended(A, 1, 20)], '5: a1, b1 good;'],
    ['nor is an old sign of the secondary', [...bothThere, ended(A, 1, 20), heard(B, 1, 19)], '5: a1, b1 good;'],
    ['the end of an earlier process says nothing', [...bothThere, ended(A, 0, 20), heard(B, 1, 21)], '5: a1, b1 good;'],
    [
      'no takeover by a secondary that is not good',
      [...bothThere, ended(A, 1, 20), heard(B, 1, 21)],
      '5: a1, b1 needs-resync;',
      'needs-resync',
    ],
    ['the old primary hears of it', [...bothThere, heard(B, 1, 3_010), heard(A, 1, 3_020, 6)], '6: b1, a1 needs-resync;'],
    ['the old primary ends', [...bothThere, heard(B, 1, 3_010), ended(A, 1, 3_020)], '6: b1, a1 needs-resync;'],
    ['the primary cannot reach the secondary', [...bothThere, failed(1, 5, 20)], '6: a1, b1 needs-resync; b1'],
    ['the same, of a secondary that has ended', [...bothThere, ended(B, 1, 15), failed(1, 5, 20)], '6: a1, b1 needs-resync;'],
    ['the same, asked twice', [...bothThere, failed(1, 5, 20), failed(1, 5, 21)], '6: a1, b1 needs-resync; b1'],
    ['the same, from who is not the primary', [...bothThere, failed(1, 5, 20, B)], '5: a1, b1 good;'],
    ['a bad copy stays bad', [...bothThere, failed(1, 5, 20)], '6: a1, b1 bad;', 'bad'],
    ['the secondary restarts: the primary will ask', [...bothThere, registered(B, 2, 20), heard(B, 2, 30, 0)], '5: a1, b1 good;'],
    ['the resync is done', [...bothThere, finished(5, 1, 20)], '6: a1, b1 good;', 'needs-resync'],
    ['the resync is done, with a new process', [...bothThere, registered(B, 2, 15), finished(5, 2, 20)], '6: a1, b2 good;', 'needs-resync'],
    [
      'done, but the secondary restarted since',
      [...bothThere, registered(B, 2, 15), finished(5, 1, 20)],
      '5: a1, b1 needs-resync;',
      'needs-resync',
    ],
    ['done, said of an earlier epoch', [...bothThere, failed(1, 5, 20), finished(5, 1, 21)], '6: a1, b1 needs-resync;', 'needs-resync'],
    ['done, of a copy that is bad', [...bothThere, finished(5, 1, 20)], '5: a1, b1 bad;', 'bad'],
    [
      'the primary restarts, its copy the only good one',
      [...bothThere, registered(A, 2, 20), heard(A, 2, 30, 0)],
      '6: a2, b1 needs-resync;',
      'needs-resync',
    ],
    [
      'the same after a power cut',
      [...bothThere, registered(A, 2, 20, { intact: false }), heard(A, 2, 30, 0)],
      '6: a2, b1 needs-resync;',
      'needs-resync',
    ],
    [
      'the primary restarts before the secondary speaks',
      [...bothThere, registered(A, 2, 20), heard(A, 2, 30, 0)],
      '6: a2, b1 needs-resync; b1',
    ],
    [
      'with a lost cache it waits for the other copy',
      [...bothThere, registered(A, 2, 20, { intact: false }), heard(A, 2, 30, 0)],
      '5: a1, b1 good;',
    ],
    [
      'which takes over',
      [...bothThere, registered(A, 2, 20, { intact: false }), heard(A, 2, 30, 0), heard(B, 1, 31)],
      '6: b1, a1 needs-resync;',
    ],
    [
      'both restart, the primary first',
      [...bothThere, ended(A, 1, 20), ended(B, 1, 20), registered(A, 2, 30), heard(A, 2, 40, 0)],
      '6: a2, b1 needs-resync;',
    ],
    [
      'both restart, the secondary first',
      [...bothThere, ended(A, 1, 20), ended(B, 1, 20), registered(B, 2, 30), heard(B, 2, 40, 0)],
      '6: b2, a1 needs-resync;',
    ],
    [
      'both restart after a power cut, the first one waits',
      [...bothThere, ended(A, 1, 20), ended(B, 1, 20), registered(A, 2, 30, { intact: false }), heard(A, 2, 40, 0)],
      '5: a1, b1 good;',
    ],
    [
      'both restart after a power cut',
      [
        ...bothThere,
        registered(A, 2, 30, { intact: false }),
        registered(B, 2, 30, { intact: false }),
        heard(B, 2, 40, 0),
        heard(A, 2, 41, 0),
      ],
      '6: a2, b1 needs-resync;',
    ],
    ['mgmtd restarts, and the primary does not come back', [registered(B, 1, 100), heard(B, 1, 3_000)], '6: b1, a1 needs-resync; a1'],
    [
      'mgmtd restarts, the primary comes back late',
      [registered(B, 1, 100), registered(A, 1, 2_900), heard(B, 1, 3_000)],
      '5: a1, b1 good;',
    ],
    ['mgmtd stood still', [...bothThere, { type: 'stalled', forMs: 9_000, at: 9_000 }, heard(B, 1, 9_100)], '5: a1, b1 good;'],
    [
      'a process of a moved folder, its predecessor unheard of',
      [...bothThere, registered(A, 2, 20, { predecessorEnded: false }), heard(A, 2, 30)],
      '5: a1, b1 good;',
    ],
    ['an earlier process speaks late', [...bothThere, registered(A, 0, 20), heard(A, 0, 30)], '5: a1, b1 good;'],
    ['a process that ended speaks late', [...bothThere, ended(A, 1, 20), registered(A, 1, 21), heard(B, 1, 22)], '6: b1, a1 needs-resync;'],
    ['an operator sets the secondary aside', [...bothThere, setState(B, 'bad', 20), heard(A, 1, 21)], '6: a1, b1 bad; b1'],
    ['only with the next sign of the primary', [...bothThere, setState(B, 'bad', 20), heard(A, 1, 19), heard(B, 1, 30)], '5: a1, b1 good;'],
    ['an operator hands over', [...bothThere, setState(A, 'needs-resync', 20), heard(B, 1, 21)], '6: b1, a1 needs-resync; a1'],
    ['a bad copy may be synced again', [...bothThere, setState(B, 'needs-resync', 20), heard(A, 1, 21)], '6: a1, b1 needs-resync;', 'bad'],
    ['by force, without the other', [registered(B, 1, 20), setState(B, 'good', 3_100, true)], '6: b1, a1 needs-resync;', 'needs-resync'],
    [
      "the secondary's disk fails",
      [...bothThere, { type: 'disk-failed', target: B, start: 1, at: 20 }, heard(A, 1, 21)],
      '6: a1, b1 bad; b1',
    ],
    [
      "the primary's disk fails",
      [...bothThere, { type: 'disk-failed', target: A, start: 1, at: 20 }, heard(B, 1, 21)],
      '6: b1, a1 bad; a1',
    ],
  ];
  for (const [name, events, expected, secondary] of table) t.equal(text(after(events, secondary).state), expected, name);
});

test('what is refused, and why', async (t) => {
  const table: readonly [string, readonly GroupEvent[], RegExp, Consistency?][] = [
    ['an earlier epoch', [...bothThere, failed(1, 4, 20)], /earlier epoch/],
    ['a later process', [...bothThere, failed(2, 5, 20)], /earlier epoch/],
    ['a resync of a good copy', [...bothThere, finished(5, 1, 20)], /secondary is good/],
    ['a secondary that restarted', [...bothThere, registered(B, 2, 15), finished(5, 1, 20)], /restarted since/, 'needs-resync'],
    ['handing over to nobody', [registered(A, 1, 0), setState(A, 'bad', 20)], /no other good copy/],
    ['handing over to a stale copy', [...bothThere, setState(A, 'needs-resync', 20)], /no other good copy/, 'needs-resync'],
    ['calling a copy good', [...bothThere, setState(B, 'good', 20)], /only a resync makes a copy good/, 'needs-resync'],
    ['force while the good copy is there', [...bothThere, setState(B, 'good', 20, true)], /nothing needs to be given up/, 'needs-resync'],
    ['force for who is away', [setState(B, 'good', 20, true)], /not registered/, 'needs-resync'],
    ['another target', [setState(3 as TargetId, 'bad', 20)], /not a member/],
    ["the only copy's disk", [...bothThere, { type: 'disk-failed', target: A, start: 1, at: 20 }], /no other good copy/, 'needs-resync'],
  ];
  for (const [name, events, reason, secondary] of table) {
    const before = after(events.slice(0, -1), secondary).state;
    const { state, refusal } = after(events, secondary);
    t.match(refusal, reason, name);
    t.strictSame(state, before, `${name}: nothing has changed`);
  }
});
