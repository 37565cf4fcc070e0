import fc from 'fast-check';
import { test } from 'tap';
import { type Liveness, type LivenessEvent, nextLiveness } from '../../src/mgmt/liveness.js';
import { LivenessTable, stallMs } from '../../src/mgmt/liveness-table.js';
import type { Reachability } from '../../src/wire/cluster-map.js';
import { checks } from '../support/properties.js';
import { limits } from './support.js';

const tick = (at: number): LivenessEvent => ({ type: 'tick', at });
const heartbeat = (at: number): LivenessEvent => ({ type: 'heartbeat', at });
const lost = (at: number): LivenessEvent => ({ type: 'session-lost', at });
const registered = (at: number): LivenessEvent => ({ type: 'registered', at });
const stalled = (forMs: number): LivenessEvent => ({ type: 'stalled', forMs });

test('reachability, from what was heard and when', async (t) => {
  const table: readonly [string, Reachability, readonly LivenessEvent[], Reachability][] = [
    ['heartbeats in time', 'online', [heartbeat(1000), tick(1900), heartbeat(2000), tick(2900)], 'online'],
    ['silence, just short', 'online', [tick(4999)], 'online'],
    ['silence', 'online', [tick(5000)], 'probably-offline'],
    ['long silence, just short', 'online', [tick(5000), tick(14_999)], 'probably-offline'],
    ['long silence', 'online', [tick(15_000)], 'offline'],
    ['a heartbeat after silence', 'online', [tick(6000), heartbeat(6100)], 'online'],
    ['a heartbeat after being offline', 'online', [tick(20_000), heartbeat(20_001), tick(20_100)], 'online'],
    ['a lost session, just short', 'online', [heartbeat(1000), lost(1200), tick(2699)], 'online'],
    ['a lost session', 'online', [heartbeat(1000), lost(1200), tick(2700)], 'probably-offline'],
    ['a lost session counts once', 'online', [lost(100), lost(1500), tick(1600)], 'probably-offline'],
    ['a lost session becomes offline by silence', 'online', [lost(100), tick(1600), tick(14_999)], 'probably-offline'],
    ['a lost session becomes offline', 'online', [lost(100), tick(15_000)], 'offline'],
    ['back on a new session in time', 'online', [lost(100), registered(1000), tick(2000)], 'online'],
    ['back on a new session, later', 'online', [lost(100), tick(2000), registered(3000), tick(4000)], 'online'],
    ['back when it was offline', 'offline', [registered(100), tick(200)], 'online'],
    ['time alone makes nobody better: offline', 'offline', [tick(100), tick(200)], 'offline'],
    ['time alone makes nobody better: probably offline', 'probably-offline', [tick(100)], 'probably-offline'],
    ['after a restart: what was probably offline gets offline', 'probably-offline', [tick(15_000)], 'offline'],
    ['own standstill is not silence', 'online', [stalled(60_000), tick(60_100)], 'online'],
    ['own standstill with a lost session', 'online', [lost(100), stalled(60_000), tick(61_000)], 'online'],
    ['silence after own standstill', 'online', [stalled(60_000), tick(65_000)], 'probably-offline'],
  ];
  for (const [name, state, events, expected] of table) {
    const end = events.reduce<Liveness>((before, event) => nextLiveness(before, event, limits), { state, heardAt: 0 });
    t.equal(end.state, expected, name);
  }
});

test('whatever happens: news improves, time worsens, and a silent node ends offline', async (t) => {
  const event = fc.record({ type: fc.constantFrom('heartbeat', 'registered', 'session-lost', 'tick'), after: fc.nat(4_000) });
  const order = ['online', 'probably-offline', 'offline'];
  checks(
    t,
    fc.property(fc.array(event, { maxLength: 40 }), (events) => {
      let at = 0;
      let liveness: Liveness = { state: 'online', heardAt: 0 };
      for (const { type, after } of events) {
        at += after;
        const next = nextLiveness(liveness, { type, at } as LivenessEvent, limits);
        const news = type === 'heartbeat' || type === 'registered';
        if (news && next.state !== 'online') return false;
        if (!news && order.indexOf(next.state) < order.indexOf(liveness.state)) return false;
        liveness = next;
      }
      return nextLiveness(liveness, { type: 'tick', at: at + limits.offlineAfterMs }, limits).state === 'offline';
    }),
  );
});

test('a late tick is a standstill only when it is much too late', async (t) => {
  t.equal(stallMs(0, 250, 250), 0);
  t.equal(stallMs(0, 700, 250), 0, 'a busy turn');
  t.equal(stallMs(0, 60_250, 250), 60_000, 'a machine that slept');
});

test('the table knows only who has registered', async (t) => {
  const table = new LivenessTable<number>(
    limits,
    [
      [1, 'online'],
      [2, 'offline'],
    ],
    100,
  );
  t.equal(table.stateOf(1), 'online');
  t.equal(table.stateOf(2), 'offline');
  t.equal(table.stateOf(3), 'offline');
  table.apply(3, lost(100));
  table.applyToAll(tick(6000));
  t.equal(table.stateOf(1), 'probably-offline');
  table.apply(3, registered(6000));
  t.equal(table.stateOf(3), 'online');
});
