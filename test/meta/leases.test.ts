/** Leases on directories: who gets one, whose change waits for whom, what a restart means. */
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import type { Clock } from '../../src/meta/clock.js';
import { changing, holderInTheWay, type LeaseState, mayHold, unleased } from '../../src/meta/lease-decision.js';
import { type Fid, ROOT_FID } from '../../src/wire/fid.js';
import { copyTarget, openTarget, type TestTarget, testFolder } from './support.js';

const user = { uid: 1000, gid: 100 };
const root = ROOT_FID;
const A = { clientId: 'A' };
const B = { clientId: 'B' };
const C = { clientId: 'C' };
const LEASE_MS = 1000;

/** Stands still until it is moved on. */
class TestClock implements Clock {
  #nowMs = 5000;
  readonly #timers = new Set<{ readonly atMs: number; readonly then: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, then: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, then };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  async advance(byMs: number): Promise<void> {
    this.#nowMs += byMs;
    for (const timer of [...this.#timers]) {
      if (timer.atMs > this.#nowMs) continue;
      this.#timers.delete(timer);
      timer.then();
    }
    await nextTurn();
  }
}

const create = (m: TestTarget, name: string, origin: typeof A, parent: Fid = root) =>
  m.call('create', { parent, name, mode: 0o600, ...user, exclusive: true, lease: true }, origin);
const makeDir = async (m: TestTarget, name: string, origin: typeof A, parent: Fid = root) =>
  m.call('makeDirectory', { parent, name, mode: 0o755, ...user, lease: true }, origin);
const makeNode = (m: TestTarget, name: string, origin: typeof A, parent: Fid = root) =>
  m.call('makeNode', { parent, name, mode: 0o600, device: 0, ...user }, origin);
const miss = (m: TestTarget, origin: typeof A, parent: Fid = root) => m.call('lookup', { parent, name: 'missing', lease: true }, origin);

/** Holders that answer when they are told to. */
class Holders {
  readonly asked: { clientId: string; fid: Fid; answer: () => void }[] = [];
  readonly callBack = (clientId: string, fid: Fid): Promise<void> =>
    new Promise((resolve) => {
      this.asked.push({ clientId, fid, answer: resolve });
    });

  async answer(): Promise<void> {
    for (const { answer } of this.asked.splice(0)) answer();
    await nextTurn();
  }
}

async function open(t: { teardown(done: () => unknown): unknown }): Promise<{ m: TestTarget; holders: Holders; clock: TestClock }> {
  const holders = new Holders();
  const clock = new TestClock();
  const m = await openTarget(testFolder(t), { callBack: holders.callBack, clock, limits: { leaseMs: LEASE_MS } });
  t.teardown(() => m.target.close());
  return { m, holders, clock };
}

/** Whether it is still waiting after everything else that could be done was done. */
async function waits(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const done = (): void => {
    settled = true;
  };
  promise.then(done, done);
  for (let turns = 0; turns < 3; turns++) await nextTurn();
  return !settled;
}

t.test('who may hold a lease, and who is in the way', async (t) => {
  const held = (by: string, until: number): LeaseState => ({ ...unleased, holder: by, expiresMs: until });
  const changed = (...by: readonly (readonly [string, number])[]): LeaseState =>
    by.reduce((state, [client, at]) => changing(state, client, at), unleased);
  const table: readonly (readonly [string, LeaseState, string, number, { may: boolean; way?: string }])[] = [
    ['nobody has it', unleased, 'A', 0, { may: true }],
    ['the holder renews it', held('A', 100), 'A', 50, { may: true }],
    ['another holds it', held('A', 100), 'B', 99, { may: false, way: 'A' }],
    ['it has run out', held('A', 100), 'B', 100, { may: true }],
    ['changed by the one who wants it', changed(['A', 90]), 'A', 100, { may: true }],
    ['changed by another', changed(['B', 90]), 'A', 100, { may: false }],
    ['changed by another, just within a lease', changed(['B', 1]), 'A', 100, { may: false }],
    ['changed by another a lease ago', changed(['B', 0]), 'A', 100, { may: true }],
    ['changed by another, then by the one', changed(['B', 80], ['A', 90]), 'A', 100, { may: false }],
    ['changed by another and several times by the one', changed(['B', 0], ['A', 40], ['A', 90]), 'A', 100, { may: true }],
    ['changed in turns', changed(['A', 10], ['B', 20], ['A', 30]), 'B', 100, { may: false }],
    ['changed in turns, a lease ago', changed(['A', 10], ['B', 20], ['A', 30]), 'B', 130, { may: true }],
    ['the holder while another waits to change', changing(held('A', 200), 'B', 50), 'A', 100, { may: false }],
  ];
  for (const [what, state, client, nowMs, { may, way }] of table) {
    t.equal(mayHold(state, client, nowMs, 100), may, what);
    t.equal(holderInTheWay(state, client, nowMs), way, what);
  }
});

t.test('leases come with misses, listings and changes, to who asks', async (t) => {
  const { m } = await open(t);
  const { attributes, leaseMs, newLeaseMs } = await makeDir(m, 'd', A);
  t.equal(leaseMs, LEASE_MS);
  t.equal(newLeaseMs, LEASE_MS);
  const d = attributes.fid;
  t.match(await m.call('makeDirectory', { parent: d, name: 'plain', mode: 0o755, ...user }, A), { leaseMs: undefined });
  const miss = { parent: d, name: 'missing' };
  t.match(await m.call('lookup', miss, A), { leaseMs: undefined, directory: { fid: d } });
  t.match(await m.call('lookup', { ...miss, lease: true }, A), { leaseMs: LEASE_MS, directory: { fid: d } });
  t.match(await m.call('lookup', { ...miss, lease: true }, B), { leaseMs: undefined, directory: { fid: d } }, 'another has it');
  t.match(await m.call('lookup', { parent: d, name: 'plain', lease: true }, A), { leaseMs: undefined, directory: undefined });
  const list = { fid: d, cookie: 0, limit: 10, withAttributes: false, lease: true };
  const listed = await m.call('readDirectory', list, A);
  t.match(listed, { leaseMs: LEASE_MS, directory: { fid: d } });
  t.match(await create(m, 'f', A, d), { leaseMs: LEASE_MS, directory: { change: listed.directory!.change + 1 } });
  const rename = { parent: d, name: 'f', newParent: root, newName: 'f', mode: 'replace', lease: true } as const;
  t.match(await m.call('rename', rename, A), { leaseMs: LEASE_MS, newLeaseMs: LEASE_MS });
});

type Act = (m: TestTarget, d: Fid, origin: typeof A, suffix: string) => Promise<unknown>;

t.test("another client's change of a directory waits for the holder, whatever it is; the holder's own never does", async (t) => {
  const move = (parent: Fid, name: string, newParent: Fid, newName: string) =>
    ({ parent, name, newParent, newName, mode: 'replace' }) as const;
  const changes: Readonly<Record<string, Act>> = {
    create: (m, d, origin) => create(m, 'new', origin, d),
    makeDirectory: (m, d, origin) => makeDir(m, 'new', origin, d),
    makeNode: (m, d, origin) => makeNode(m, 'new', origin, d),
    makeSymlink: (m, d, origin) => m.call('makeSymlink', { parent: d, name: 'new', target: 'x', ...user }, origin),
    link: async (m, d, origin) => {
      const { attributes } = await m.call('lookup', { parent: d, name: 'old' }, origin);
      return m.call('link', { fid: attributes!.fid, parent: d, name: 'new' }, origin);
    },
    unlink: (m, d, origin) => m.call('unlink', { parent: d, name: 'old' }, origin),
    removeDirectory: (m, d, origin) => m.call('removeDirectory', { parent: d, name: 'dir' }, origin),
    'rename in it': (m, d, origin) => m.call('rename', move(d, 'old', d, 'new'), origin),
    'rename out of it': (m, d, origin, suffix) => m.call('rename', move(d, 'old', root, `new${suffix}`), origin),
    'rename into it': (m, d, origin, suffix) => m.call('rename', move(root, `outside${suffix}`, d, 'new'), origin),
    'rename of itself': (m, _d, origin, suffix) => m.call('rename', move(root, `d${suffix}`, root, `e${suffix}`), origin),
    'removal of itself': async (m, d, origin, suffix) => {
      // By the holder: an empty directory can still be told from one that another client has filled.
      await m.call('unlink', { parent: d, name: 'old' }, A);
      await m.call('removeDirectory', { parent: d, name: 'dir' }, A);
      return m.call('removeDirectory', { parent: root, name: `d${suffix}` }, origin);
    },
    setAttributes: (m, d, origin) => m.call('setAttributes', { fid: d, mode: 0o700 }, origin),
    setXattr: (m, d, origin) => m.call('setXattr', { fid: d, name: 'user.a', value: Buffer.from('1'), mode: 'any' }, origin),
    setLayout: (m, d, origin) => m.call('setLayout', { fid: d, layout: { stripeCount: 1 } }, origin),
  };
  const { m, holders } = await open(t);
  for (const [index, [what, change]] of Object.entries(changes).entries()) {
    for (const origin of [A, B]) {
      const suffix = `-${index}-${origin.clientId}`;
      await makeNode(m, `outside${suffix}`, A);
      const d = (await m.call('makeDirectory', { parent: root, name: `d${suffix}`, mode: 0o755, ...user }, A)).attributes.fid;
      await makeNode(m, 'old', A, d);
      await m.call('makeDirectory', { parent: d, name: 'dir', mode: 0o755, ...user }, A);
      t.match(await miss(m, A, d), { leaseMs: LEASE_MS }, what);
      const changing = change(m, d, origin, suffix);
      if (origin === B) {
        t.ok(await waits(changing), `${what} by another`);
        t.match(holders.asked, [{ clientId: 'A', fid: d }]);
        t.match(await miss(m, A, d), { leaseMs: undefined }, 'not renewed meanwhile');
        await holders.answer();
      }
      await changing;
      t.strictSame(holders.asked, [], what);
    }
  }
});

t.test('a rename between two names of one file changes no directory, and waits for nobody', async (t) => {
  const { m, holders } = await open(t);
  const d = await leased(m);
  const { attributes } = await m.call('lookup', { parent: d, name: 'there' });
  await m.call('link', { fid: attributes!.fid, parent: d, name: 'twin' }, A);
  const before = (await miss(m, A, d)).directory;
  for (const mode of ['replace', 'exchange'] as const) {
    const twins = { parent: d, name: 'there', newParent: d, newName: 'twin', mode };
    t.strictSame((await m.call('rename', twins, B)).directory, before, mode);
  }
  t.strictSame(holders.asked, []);
  t.strictSame((await miss(m, A, d)).directory, before);
});

/** A directory on which A has a lease, and nobody else one on anything. */
async function leased(m: TestTarget): Promise<Fid> {
  const { attributes } = await m.call('makeDirectory', { parent: root, name: 'leased', mode: 0o755, ...user }, A);
  t.match(await create(m, 'there', A, attributes.fid), { leaseMs: Number });
  return attributes.fid;
}

t.test('what does not change the directory goes on meanwhile, in the same batch too', async (t) => {
  const { m, holders } = await open(t);
  const d = await leased(m);
  const { handlers } = m.target.service;
  const origin = { ...B, channel: 0, sequence: 0 };
  const file = { mode: 0o600, ...user, exclusive: false };
  const batch = [
    handlers.create({ parent: d, name: 'new', ...file }, origin),
    handlers.create({ parent: d, name: 'there', ...file }, origin),
    handlers.create({ parent: root, name: 'elsewhere', ...file }, origin),
    handlers.lookup({ parent: d, name: 'there' }, origin),
  ];
  await m.target.service.commit();
  t.strictSame(
    batch.map((answer) => answer instanceof Promise),
    [true, false, false, false],
  );
  t.match(batch[1], { created: false }, 'opening a file changes no directory');
  const second = create(m, 'second', C, d);
  t.ok(await waits(Promise.race([batch[0], second])));
  t.equal(holders.asked.length, 1, 'who waits for the same waits along');
  await holders.answer();
  t.match(await batch[0], { created: true });
  t.match(await second, { created: true });
});

t.test('a holder that does not answer, or cannot be asked, delays others until its lease has run out', async (t) => {
  for (const callBack of [() => new Promise(() => undefined), () => Promise.reject(new Error('no session'))]) {
    const clock = new TestClock();
    const m = await openTarget(testFolder(t), { callBack, clock, limits: { leaseMs: LEASE_MS } });
    t.teardown(() => m.target.close());
    const d = await leased(m);
    const change = create(m, 'new', B, d);
    await clock.advance(LEASE_MS - 1);
    t.ok(await waits(change));
    await clock.advance(1);
    t.match(await change, { created: true });
    t.notOk(m.target.service.handlers.unlink({ parent: d, name: 'new' }, { ...B, channel: 0, sequence: 0 }) instanceof Promise);
  }
});

t.test('an answer that comes late does not end the next lease', async (t) => {
  const { m, holders, clock } = await open(t);
  const d = await leased(m);
  const first = create(m, 'new', B, d);
  await clock.advance(LEASE_MS);
  await first;
  const late = holders.asked.splice(0);
  t.equal(late.length, 1);
  t.match(await miss(m, A, d), { leaseMs: undefined }, 'another has just changed it');
  await clock.advance(LEASE_MS);
  t.match(await miss(m, A, d), { leaseMs: LEASE_MS });
  late[0]!.answer();
  await nextTurn();
  const change = create(m, 'again', B, d);
  t.ok(await waits(change));
  await holders.answer();
  await change;
});

t.test('a directory that two clients change has no lease, until one of them has stopped', async (t) => {
  const { m, holders, clock } = await open(t);
  const d = await leased(m);
  const change = create(m, 'b0', B, d);
  await holders.answer();
  t.match(await change, { leaseMs: undefined });
  for (let round = 0; round < 20; round++) {
    await clock.advance(LEASE_MS / 3);
    t.match(await create(m, `a${round + 1}`, A, d), { leaseMs: undefined });
    await clock.advance(LEASE_MS / 3);
    t.match(await create(m, `b${round + 1}`, B, d), { leaseMs: undefined });
  }
  t.strictSame(holders.asked, [], 'nobody was called');
  await clock.advance((LEASE_MS * 2) / 3 - 1);
  t.match(await create(m, 'b too soon', B, d), { leaseMs: undefined });
  await clock.advance(1);
  t.match(await create(m, 'b alone', B, d), { leaseMs: LEASE_MS });
  t.match(await miss(m, A, d), { leaseMs: undefined });
});

t.test('a change that was given up while it waited is not made; one that comes again waits along', async (t) => {
  const { m, holders } = await open(t);
  const d = await leased(m);
  const at = (sequence: number) => ({ ...B, channel: 1, sequence });
  const givenUp = create(m, 'given-up', at(1), d);
  const refused = t.rejects(givenUp, { message: /sequence 1 comes after 2/ });
  await create(m, 'elsewhere', at(2));
  const change = create(m, 'new', { ...B, channel: 2, sequence: 1 } as typeof B, d);
  const again = create(m, 'new', { ...B, channel: 2, sequence: 1 } as typeof B, d);
  await holders.answer();
  await refused;
  t.equal((await again).attributes.fid, (await change).attributes.fid);
  t.equal((await m.call('lookup', { parent: d, name: 'given-up' })).attributes, undefined);
});

t.test('an answer that is sent again brings no lease: it may be old', async (t) => {
  const { m } = await open(t);
  const at = { ...A, channel: 1, sequence: 1 };
  const { leaseMs, ...answer } = await create(m, 'f', at);
  t.equal(leaseMs, LEASE_MS);
  t.strictSame(await create(m, 'f', at), answer);
});

t.test('leases that are given back keep nobody waiting', async (t) => {
  const { m, holders } = await open(t);
  const d = await leased(m);
  const change = create(m, 'new', B, d);
  t.ok(await waits(change));
  await m.call('giveBackLeases', {}, C);
  t.ok(await waits(change), "not another's");
  await m.call('giveBackLeases', {}, A);
  await change;
  holders.asked.length = 0;
  await create(m, 'next', B, d);
  t.strictSame(holders.asked, []);
});

t.test('no more leases than there may be', async (t) => {
  const m = await openTarget(testFolder(t), { clock: new TestClock(), limits: { leaseMs: LEASE_MS, leasesMax: 2 } });
  t.teardown(() => m.target.close());
  const directories: Fid[] = [];
  for (const name of ['a', 'b', 'c'])
    directories.push((await m.call('makeDirectory', { parent: root, name, mode: 0o755, ...user }, A)).attributes.fid);
  const granted: unknown[] = [];
  for (const d of directories) granted.push((await miss(m, A, d)).leaseMs);
  t.strictSame(granted, [LEASE_MS, LEASE_MS, undefined]);
  t.match(await miss(m, A, directories[0]), { leaseMs: LEASE_MS }, 'those that are held are renewed');
});

t.test('after a crash changes wait out the leases that may have been held, and nothing else does', async (t) => {
  const folder = testFolder(t);
  const limits = { leaseMs: LEASE_MS };
  const first = await openTarget(join(folder, 'a'), { clock: new TestClock(), limits });
  const d = await leased(first);
  const { attributes } = await first.call('create', { parent: d, name: 'f', mode: 0o600, ...user, exclusive: true }, A);
  copyTarget(join(folder, 'a'), join(folder, 'b'));
  await first.target.close();
  const clock = new TestClock();
  const m = await openTarget(join(folder, 'b'), { clock, limits });
  t.teardown(() => m.target.close());
  const change = create(m, 'new', B, d);
  const { handlers } = m.target.service;
  const origin = { ...B, channel: 0, sequence: 0 };
  t.notOk(handlers.setAttributes({ fid: attributes.fid, mode: 0o644 }, origin) instanceof Promise, 'a file is under no lease');
  t.notOk(handlers.lookup({ parent: d, name: 'f' }, origin) instanceof Promise);
  t.ok(handlers.setAttributes({ fid: d, mode: 0o700 }, origin) instanceof Promise);
  await clock.advance(LEASE_MS - 1);
  t.ok(await waits(change));
  await clock.advance(1);
  t.match(await change, { created: true });
  t.notOk(handlers.unlink({ parent: d, name: 'new' }, origin) instanceof Promise, 'once');
});

t.test('after a start nobody waits where no lease can be held', async (t) => {
  const folder = testFolder(t);
  const clock = new TestClock();
  const options = { clock, limits: { leaseMs: LEASE_MS } };
  const immediate = async (target: TestTarget, name: string): Promise<void> => {
    const made = target.target.service.handlers.makeDirectory(
      { parent: root, name, mode: 0o755, ...user },
      { ...B, channel: 0, sequence: 0 },
    );
    t.notOk(made instanceof Promise, name);
    await target.target.service.commit();
  };
  const first = await openTarget(folder, options);
  await immediate(first, 'a new target');
  await first.target.close();
  const second = await openTarget(folder, options);
  await immediate(second, 'nobody has asked for a lease');
  t.match(await miss(second, A), { leaseMs: LEASE_MS });
  await clock.advance(LEASE_MS);
  await second.target.close();
  const third = await openTarget(folder, options);
  t.teardown(() => third.target.close());
  await immediate(third, 'all had run out when it was closed');
});
