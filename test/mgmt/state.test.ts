import fc from 'fast-check';
import { test } from 'tap';
import { MapFeed } from '../../src/mgmt/map-feed.js';
import { emptyState, FIRST_SEQUENCE, grantSequences, type MgmtState, observe, registerNode, registerTarget } from '../../src/mgmt/state.js';
import { MgmtStore } from '../../src/mgmt/store.js';
import { applyMapChange, type ClusterMap, diffMaps, type MapChange, type Reachability } from '../../src/wire/cluster-map.js';
import { FID_SEQUENCE_MAX, type NodeId, type TargetId } from '../../src/wire/fid.js';
import { checks, refusal } from '../support/properties.js';
import { figures, uuid } from './support.js';

/** Changes as numbers, so that histories shrink well. */
const step = fc.oneof(
  fc.record({ do: fc.constant('node' as const), which: fc.nat(5), port: fc.integer({ min: 1, max: 9 }) }),
  fc.record({ do: fc.constant('target' as const), which: fc.nat(8), node: fc.nat(5), pool: fc.nat(2) }),
  fc.record({
    do: fc.constant('observe' as const),
    reachability: fc.constantFrom<Reachability>('online', 'probably-offline', 'offline'),
    free: fc.nat(1_000_000),
  }),
  fc.record({ do: fc.constant('grant' as const), which: fc.nat(8), count: fc.integer({ min: 1, max: 1024 }) }),
);
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

function apply(state: MgmtState, change: Step): MgmtState {
  const { nodes, targets } = state.map;
  switch (change.do) {
    case 'node':
      return registerNode(state, {
        uuid: uuid(change.which),
        kind: change.which < 3 ? 'storage' : 'meta',
        hostName: 'h',
        addresses: [{ host: '::1', port: change.port }],
      }).state;
    case 'target': {
      const node = nodes[change.node % Math.max(1, nodes.length)];
      if (node === undefined || node.kind === 'mgmtd') return state;
      const known = targets[change.which];
      if (known !== undefined && known.kind !== node.kind) return state;
      return registerTarget(state, {
        id: known?.id,
        kind: node.kind,
        node: node.id,
        token: `t${targets.length}`,
        pool: `pool${change.pool}`,
        usage: figures,
      }).state;
    }
    case 'observe':
      return observe(state, {
        node: () => change.reachability,
        target: () => change.reachability,
        usage: () => ({ ...figures, bytesFree: change.free }),
      });
    case 'grant': {
      const target = targets[change.which % Math.max(1, targets.length)];
      return target === undefined ? state : grantSequences(state, target.id, change.count).state;
    }
  }
}

const history = fc.array(step, { maxLength: 40 });

test('changes applied in order lead to the map itself, at every version', async (t) => {
  checks(
    t,
    fc.property(history, (steps) => {
      let state = emptyState('c');
      let copy: ClusterMap = state.map;
      for (const change of steps) {
        const next = apply(state, change);
        if (next.map !== state.map && next.map.version !== state.map.version + 1) return false;
        if (next.map.version !== state.map.version) copy = applyMapChange(copy, diffMaps(state.map, next.map)) as ClusterMap;
        state = next;
        if (JSON.stringify(copy) !== JSON.stringify(state.map)) return false;
      }
      return true;
    }),
  );
});

test('a subscriber that joins at any time has the map after every flush, told in as few changes as flushes', async (t) => {
  const turn = fc.record({ changes: fc.array(step, { maxLength: 5 }), joins: fc.boolean() });
  checks(
    t,
    fc.property(fc.array(turn, { maxLength: 12 }), (turns) => {
      let state = emptyState('c');
      let flush: (() => void) | undefined;
      const feed = new MapFeed(state.map, (scheduled) => {
        flush = scheduled;
      });
      const copies: { map: ClusterMap; told: number; sendMapChange(change: MapChange): void; mapChangeFailed(error: unknown): void }[] = [];
      for (const { changes, joins } of turns) {
        if (joins) {
          const copy = {
            map: state.map,
            told: 0,
            sendMapChange(change: MapChange) {
              copy.map = applyMapChange(copy.map, change) as ClusterMap;
              copy.told++;
            },
            mapChangeFailed(error: unknown) {
              throw error;
            },
          };
          copy.map = feed.subscribe(copy);
          copies.push(copy);
        }
        const before = copies.map((copy) => copy.told);
        for (const change of changes) {
          const next = apply(state, change);
          if (next !== state) feed.publish(next.map);
          state = next;
        }
        flush?.();
        flush = undefined;
        copies.forEach((copy, index) => {
          if (copy.told - (before[index] ?? 0) > 1) throw new Error('more than one message a turn');
        });
        for (const copy of copies) if (JSON.stringify(copy.map) !== JSON.stringify(state.map)) return false;
      }
      return feed.subscribers === copies.length;
    }),
  );
});

test('a subscriber that cannot be told does not keep others from it', (t) => {
  let flush = (): void => {};
  const feed = new MapFeed(emptyState('c').map, (scheduled) => {
    flush = scheduled;
  });
  const events: string[] = [];
  const subscriber = (name: string, fails: boolean) => ({
    sendMapChange: ({ to }: MapChange) => {
      if (fails) throw new Error('too large');
      events.push(`${name} ${to}`);
    },
    mapChangeFailed: (error: unknown) => events.push(`${name} ${(error as Error).message}`),
  });
  feed.subscribe(subscriber('broken', true));
  feed.subscribe(subscriber('whole', false));
  for (const version of [2, 3]) {
    feed.publish({ ...emptyState('c').map, version });
    flush();
  }
  t.same(events, ['broken too large', 'whole 2', 'whole 3']);
  t.equal(feed.subscribers, 1);
  t.end();
});

test('sequences are never granted twice, also across a reopened database', async (t) => {
  const folder = t.testdir();
  const grant = fc.record({ which: fc.nat(2), count: fc.integer({ min: 1, max: 1024 }), reopen: fc.boolean() });
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(grant, { minLength: 1, maxLength: 10 }), async (grants) => {
      const path = `${folder}/${run++}`;
      let { store, state } = MgmtStore.open(path);
      let end = FIRST_SEQUENCE;
      for (const { which, count, reopen } of grants) {
        if (reopen) {
          await store.close();
          ({ store, state } = MgmtStore.open(path));
        }
        const { state: next, first, last } = grantSequences(state, (which + 1) as TargetId, count);
        store.save(state, next);
        state = next;
        t.equal(first, end);
        t.equal(last, first + count - 1);
        end = last + 1;
      }
      await store.close();
      const reopened = MgmtStore.open(path);
      await reopened.store.close();
      t.strictSame(reopened.state, state, 'reopened');
      const { sequences } = state.map;
      for (const [index, range] of sequences.entries()) {
        const end = sequences[index - 1]?.last ?? FIRST_SEQUENCE - 1;
        t.ok(range.first <= range.last && range.first === end + 1, 'ranges are in order, without gap or overlap');
      }
    }),
    { numRuns: 10 },
  );
});

test('grants of one target in a row are one range, and sequences end', async (t) => {
  let state = emptyState('c');
  for (const target of [1, 1, 2, 1]) state = grantSequences(state, target as TargetId, 16).state;
  t.same(state.map.sequences, [
    { first: 0x400, last: 0x41f, target: 1 },
    { first: 0x420, last: 0x42f, target: 2 },
    { first: 0x430, last: 0x43f, target: 1 },
  ]);
  const end = { ...state, nextSequence: FID_SEQUENCE_MAX };
  t.equal(grantSequences(end, 1 as TargetId, 1).last, FID_SEQUENCE_MAX);
  t.throws(() => grantSequences(end, 1 as TargetId, 2), refusal('ERR_NO_SPACE'));
});

test('what is stored comes back the same', async (t) => {
  const folder = t.testdir();
  let run = 0;
  await fc.assert(
    fc.asyncProperty(history, async (steps) => {
      const path = `${folder}/${run++}`;
      const opened = MgmtStore.open(path);
      let { state } = opened;
      for (const change of steps) {
        const next = apply(state, change);
        if (next !== state) opened.store.save(state, next);
        state = next;
      }
      await opened.store.close();
      const again = MgmtStore.open(path);
      await again.store.close();
      t.strictSame(again.state, state);
    }),
    { numRuns: 10 },
  );
});

test('a database that is damaged, or of another version, is refused with what to do', async (t) => {
  const { open } = await import('lmdb');
  const folder = t.testdir();
  const spoil = async (name: string, key: string | [string, number], value: unknown): Promise<string> => {
    const { store, state } = MgmtStore.open(`${folder}/${name}`);
    store.save(state, registerNode(state, { uuid: uuid(1), kind: 'storage', hostName: 'h', addresses: [] }).state);
    await store.close();
    const database = open<unknown, string | [string, number]>({ path: `${folder}/${name}/map` });
    await database.put(key, value);
    await database.close();
    return `${folder}/${name}`;
  };
  const wrongFormat = await spoil('format', 'cluster', { format: 2 });
  t.throws(() => MgmtStore.open(wrongFormat), /has format 2, this program reads 1/);
  const malformed = await spoil('malformed', ['node', 1], { uuid: 3 });
  t.throws(() => MgmtStore.open(malformed), /record node,1 is malformed; restore the folder from a backup/);
});

test('first metadata target owns the root; capacity enters the map by steps; a move is a new since', async (t) => {
  let state = emptyState('c');
  const storage = registerNode(state, { uuid: uuid(1), kind: 'storage', hostName: 'h', addresses: [] });
  const meta = registerNode(storage.state, { uuid: uuid(2), kind: 'meta', hostName: 'h', addresses: [] });
  t.equal(storage.node.alias, 'storage-h-1');
  const first = registerTarget(meta.state, { kind: 'storage', node: storage.node.id, token: 'a', usage: figures });
  t.equal(first.state.map.rootTarget, undefined);
  const second = registerTarget(first.state, { kind: 'meta', node: meta.node.id, token: 'b', usage: figures });
  t.equal(second.state.map.rootTarget, second.target.id);
  const third = registerTarget(second.state, { kind: 'meta', node: meta.node.id, token: 'c', usage: figures });
  t.equal(third.state.map.rootTarget, second.target.id, 'for good');
  state = third.state;

  const see = (bytesFree: number, reachability: Reachability = 'online') =>
    observe(state, { node: () => 'online', target: () => reachability, usage: () => ({ ...figures, bytesFree }) });
  t.equal(see(figures.bytesFree), state, 'nothing new');
  t.equal(see(figures.bytesFree - 10_000), state, 'one percent is not more than one percent');
  t.equal(see(figures.bytesFree - 10_001).map.version, state.map.version + 1);
  t.equal(see(figures.bytesFree - 1, 'offline').map.targets[0]?.bytesFree, figures.bytesFree - 1, 'a new state brings the newest figures');

  const again = registerTarget(state, { id: first.target.id, kind: 'storage', node: storage.node.id, token: 'a', usage: figures });
  t.equal(again.state, state, 'the same again is no change');
  const moved = registerTarget(state, { id: first.target.id, kind: 'storage', node: 9 as NodeId, token: 'a', usage: figures });
  t.equal(moved.target.since, moved.state.map.version);
});
