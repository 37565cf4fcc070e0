import fc from 'fast-check';
import { test } from 'tap';
import { createGroups, deleteGroup } from '../../src/mgmt/groups.js';
import { MapFeed } from '../../src/mgmt/map-feed.js';
import { emptyState, FIRST_SEQUENCE, grantSequences, type MgmtState, observe, registerNode, registerTarget } from '../../src/mgmt/state.js';
import { MgmtStore } from '../../src/mgmt/store.js';
import { applyMapChange, type ClusterMap, diffMaps, emptyMap, type Reachability } from '../../src/wire/cluster-map.js';
import { FID_SEQUENCE_MAX, type NodeId, type TargetId } from '../../src/wire/fid.js';
import { joinPages, type MapPage, pagesOf } from '../../src/wire/map-pages.js';
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
  fc.record({ do: fc.constant('group' as const), primary: fc.nat(8), secondary: fc.nat(8), remove: fc.boolean() }),
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
    case 'group': {
      const first = state.map.groups[0];
      if (change.remove) return first === undefined ? state : deleteGroup(state, first.id);
      const [primary, secondary] = [targets[change.primary], targets[change.secondary]];
      if (primary === undefined || secondary === undefined) return state;
      try {
        return createGroups(state, [{ primary: primary.id, secondary: secondary.id }], true).state;
      } catch {
        return state;
      }
    }
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

/** As a client does: pages are kept until the last one is there. */
class Copy {
  map = emptyMap('c');
  told = 0;
  pages: MapPage[] = [];

  sendMapPage(page: MapPage): void {
    if (this.fetching) throw new Error('told of another change while it fetches one');
    this.told++;
    this.take(page);
  }

  mapChangeFailed(error: unknown): void {
    throw error;
  }

  get fetching(): boolean {
    return this.pages.length > 0;
  }

  take(page: MapPage): void {
    this.pages.push(page);
    if (page.more) return;
    this.map = applyMapChange(this.map, joinPages(this.pages as [MapPage])) as ClusterMap;
    this.pages = [];
  }

  fetch(feed: MapFeed): void {
    this.take(feed.nextPage(this, this.pages[0]?.to ?? 0, this.pages.length));
  }
}

test('a subscriber that joins at any time and fetches at any pace has one version at a time, and the newest at the end', async (t) => {
  const turn = fc.record({ changes: fc.array(step, { maxLength: 5 }), joins: fc.boolean(), fetches: fc.nat(6) });
  let pagesMax = 0;
  checks(
    t,
    fc.property(fc.array(turn, { maxLength: 12 }), (turns) => {
      let state = emptyState('c');
      const versions = new Map([[state.map.version, JSON.stringify(state.map)]]);
      let flush: (() => void) | undefined;
      const flushAll = (): void => {
        const scheduled = flush;
        flush = undefined;
        scheduled?.();
      };
      const feed = new MapFeed(state.map, {
        schedule: (scheduled) => {
          flush = scheduled;
        },
        pageBytesMax: 500,
      });
      const copies: Copy[] = [];
      const isConsistent = (copy: Copy): boolean => copy.map.version === 0 || JSON.stringify(copy.map) === versions.get(copy.map.version);
      for (const { changes, joins, fetches } of turns) {
        if (joins) {
          const copy = new Copy();
          copy.take(feed.subscribe(copy));
          copies.push(copy);
        }
        for (const change of changes) {
          const next = apply(state, change);
          if (next === state) continue;
          feed.publish(next.map);
          state = next;
          versions.set(state.map.version, JSON.stringify(state.map));
        }
        const before = copies.map((copy) => copy.told);
        flushAll();
        copies.forEach((copy, index) => {
          if (copy.told - (before[index] ?? 0) > 1) throw new Error('more than one message a turn');
          pagesMax = Math.max(pagesMax, copy.pages.length);
          for (let fetched = 0; fetched < fetches && copy.fetching; fetched++) copy.fetch(feed);
        });
        if (!copies.every(isConsistent)) return false;
      }
      while (flush !== undefined || copies.some((copy) => copy.fetching)) {
        for (const copy of copies) while (copy.fetching) copy.fetch(feed);
        flushAll();
      }
      return copies.every((copy) => isConsistent(copy) && copy.map.version === state.map.version) && feed.subscribers === copies.length;
    }),
  );
  t.ok(pagesMax > 0, 'some fetched pages');
});

test('a page that is not the next one of the change is refused', (t) => {
  const state = registerNode(emptyState('c'), { uuid: uuid(1), kind: 'storage', hostName: 'h', addresses: [] }).state;
  const feed = new MapFeed(state.map, { pageBytesMax: 1 });
  const copy = new Copy();
  t.throws(() => feed.nextPage(copy, state.map.version, 0), refusal('ERR_INVALID'), 'has not subscribed');
  const first = feed.subscribe(copy);
  t.equal(first.more, true, 'pool and node');
  for (const [to, page] of [
    [state.map.version, 0],
    [state.map.version, 2],
    [state.map.version + 1, 1],
  ] as const)
    t.throws(() => feed.nextPage(copy, to, page), refusal('ERR_INVALID', new RegExp(`page ${page} of the cluster map's version ${to}`)));
  t.equal(feed.nextPage(copy, state.map.version, 1).more, false);
  t.throws(() => feed.nextPage(copy, state.map.version, 2), refusal('ERR_INVALID'), 'there is no other');
  t.end();
});

test('pages join to the change that was cut, whatever their size, and hold what they may', (t) => {
  checks(
    t,
    fc.property(history, fc.integer({ min: 1, max: 2_000 }), (steps, pageBytesMax) => {
      const { map } = steps.reduce(apply, emptyState('c'));
      const change = diffMaps(emptyMap('c'), map);
      const pages = pagesOf(change, pageBytesMax);
      if (JSON.stringify(joinPages(pages as readonly [MapPage])) !== JSON.stringify(change)) return false;
      const entries = ({ nodes, targets, pools, sequences }: MapPage) => [...nodes, ...targets, ...pools, ...sequences];
      const bytes = (page: MapPage): number => entries(page).reduce((sum, entry) => sum + JSON.stringify(entry).length, 0);
      return pages.every(
        (page, index) => (bytes(page) <= pageBytesMax || entries(page).length === 1) && page.more === index < pages.length - 1,
      );
    }),
  );
  const old = steps(3);
  const removal = diffMaps(old, { ...old, version: old.version + 1, nodes: [], targets: old.targets.slice(1), sequences: [], pools: [] });
  const after = applyMapChange(old, joinPages(pagesOf(removal, 1) as readonly [MapPage]));
  t.match(after, { nodes: [], pools: [], sequences: [] });
  t.strictSame(after?.targets, old.targets.slice(1), 'what is gone travels too');
  t.end();

  function steps(targets: number): ClusterMap {
    const node = registerNode(emptyState('c'), { uuid: uuid(1), kind: 'meta', hostName: 'h', addresses: [] });
    let { state } = node;
    for (let index = 0; index < targets; index++) {
      const added = registerTarget(state, { kind: 'meta', node: node.node.id, token: `t${index}`, usage: figures });
      state = grantSequences(added.state, added.target.id, 16).state;
    }
    return state.map;
  }
});

test('a subscriber that cannot be told does not keep others from it', (t) => {
  let flush = (): void => {};
  const feed = new MapFeed(emptyState('c').map, {
    schedule: (scheduled) => {
      flush = scheduled;
    },
  });
  const events: string[] = [];
  const subscriber = (name: string, fails: boolean) => ({
    sendMapPage: ({ to }: MapPage) => {
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
