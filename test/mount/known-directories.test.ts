/** What a mount believes of directories' names, against every order of answers, changes by others, and ended leases. */
import t from 'tap';
import { KernelFacts } from '../../src/mount/kernel-facts.js';
import { KnownDirectories, type Listing } from '../../src/mount/known-directories.js';
import { IbexError } from '../../src/wire/errors.js';
import type { Fid } from '../../src/wire/fid.js';
import { FuseFact } from '../../src/wire/generated.js';
import type { Attributes, DirectoryEntry } from '../../src/wire/messages.js';

const d = 7 as Fid;
const at = (change: number, fid: Fid = d) => ({ fid, change }) as Attributes;

/** Takes facts as native code does. */
class Native {
  readonly names = new Map<number, { names: Set<string>; untilMs: number }>();
  readonly lists: { fid: Fid; answer: (listing: Listing) => void }[] = [];
  nowMs = 100;
  readonly known = new KnownDirectories({
    facts: new KernelFacts({ fuseFacts: (fields, untilMs, name) => this.#tell(fields.facts!, fields.node!, untilMs, name) }, () => 1),
    attributesMs: 0,
    nowMs: () => this.nowMs,
    list: (fid) => new Promise((answer) => this.lists.push({ fid, answer })),
  });

  #tell(facts: number, node: number, untilMs: number, name: Uint8Array | undefined): void {
    if (facts === FuseFact.forget) this.names.delete(node);
    if (facts === FuseFact.empty) this.names.set(node, { names: new Set(), untilMs });
    const told = this.names.get(node);
    if (facts !== FuseFact.names || told === undefined) return;
    told.untilMs = untilMs;
    if (name !== undefined) told.names.add(Buffer.from(name).toString());
  }

  /** Names that it would not call missing; undefined: it asks for all of them. */
  told(fid: Fid = d): string[] | undefined {
    const told = this.names.get(fid);
    return told === undefined || told.untilMs <= this.nowMs ? undefined : [...told.names].sort();
  }

  async listed(names: readonly string[], change: number, more: Partial<Listing> = {}): Promise<void> {
    const entries = names.map((name) => ({ name }) as DirectoryEntry);
    this.lists.shift()!.answer({ entries, end: true, directory: at(change), leaseMs: 1000, ...more });
    await new Promise((resolve) => setImmediate(resolve));
  }
}

t.test('a directory made here is known while the lease lasts, counted from when it was asked for', async (t) => {
  const native = new Native();
  native.known.made(at(1), 1000, 50);
  t.strictSame(native.told(), []);
  native.nowMs = 949;
  t.strictSame(native.told(), []);
  native.nowMs = 950;
  t.equal(native.told(), undefined);
  native.known.missed(d, { directory: at(1), leaseMs: 1000 }, 945);
  t.strictSame(native.told(), [], 'renewed by an answer with the same change');
  native.nowMs = 1900;
  native.known.missed(d, { directory: at(1) }, 1890);
  t.equal(native.told(), undefined, 'not without a lease');
  t.strictSame(native.lists, []);
});

t.test('only own changes that follow one another keep it known', async (t) => {
  const table: readonly (readonly [string, (known: KnownDirectories) => void, string[] | undefined])[] = [
    ['an own change', (known) => known.changed(d, { directory: at(2), leaseMs: 1000 }, 100, 'a'), ['a']],
    ['without a new lease', (known) => known.changed(d, { directory: at(2) }, 100, 'a'), ['a']],
    ['without a name', (known) => known.changed(d, { directory: at(2), leaseMs: 1000 }, 100), []],
    ['that changed nothing', (known) => known.changed(d, { directory: at(1), leaseMs: 1000 }, 100), []],
    ["after another's", (known) => known.changed(d, { directory: at(3), leaseMs: 1000 }, 100, 'a'), undefined],
    ['that no answer told', (known) => known.changed(d, { leaseMs: 1000 }, 100, 'a'), undefined],
    ['that found another name than believed', (known) => known.failed(d, new IbexError('ERR_EXISTS')), undefined],
    ['that missed a name that was believed in', (known) => known.failed(d, new IbexError('ERR_NOT_FOUND')), undefined],
    ['that was refused whatever names there are', (known) => known.failed(d, new IbexError('ERR_NOT_EMPTY')), []],
    ['forgotten', (known) => known.forget(d), undefined],
    ['removed', (known) => known.removed(d), undefined],
    [
      'removed, and then an answer from before',
      (known) => {
        known.removed(d);
        known.changed(d, { directory: at(2), leaseMs: 1000 }, 100, 'a');
        known.missed(d, { directory: at(2), leaseMs: 1000 }, 100);
      },
      undefined,
    ],
    ['a miss at another change', (known) => known.missed(d, { directory: at(2), leaseMs: 1000 }, 100), undefined],
    ['a lease that was ended', (known) => known.end(d), undefined],
    ['a lease on another that was ended', (known) => known.end(8 as Fid), []],
    [
      'answers that overtook each other',
      (known) => {
        known.changed(d, { directory: at(3), leaseMs: 1000 }, 100, 'b');
        known.changed(d, { directory: at(2), leaseMs: 1000 }, 100, 'a');
      },
      undefined,
    ],
    [
      'a miss that was overtaken by a change',
      (known) => {
        known.changed(d, { directory: at(2), leaseMs: 1000 }, 100, 'a');
        known.missed(d, { directory: at(1), leaseMs: 1000 }, 99);
      },
      ['a'],
    ],
  ];
  for (const [what, act, expected] of table) {
    const native = new Native();
    native.known.made(at(1), 1000, 100);
    act(native.known);
    t.strictSame(native.told(), expected, what);
  }
});

t.test('a lease in an answer to what was asked before one was ended may be the ended one', async (t) => {
  const native = new Native();
  native.nowMs = 200;
  native.known.end(d);
  native.known.made(at(1), 1000, 150);
  t.equal(native.told(), undefined);
  native.known.missed(d, { directory: at(1), leaseMs: 1000 }, 200);
  t.equal(native.told(), undefined);
  native.known.missed(d, { directory: at(1), leaseMs: 1000 }, 201);
  t.strictSame(native.told(), []);
});

t.test('while a change may still be made late nothing is known', async (t) => {
  const unknown = ['ERR_TIMED_OUT', 'ERR_CONNECTION_LOST', 'ERR_TRY_AGAIN', 'ERR_IO', 'ERR_INTERNAL', 'ERR_CANCELED'] as const;
  for (const error of [...unknown.map((kind) => new IbexError(kind)), new Error('an answer that cannot be read')]) {
    const native = new Native();
    native.known.made(at(1), 1000, 100);
    native.known.made(at(1, 8 as Fid), 1000, 100);
    native.known.failed(d, error);
    t.equal(native.told(), undefined, error.message);
    t.equal(native.told(8 as Fid), undefined, 'it may have been a rename from elsewhere');
    native.nowMs = 60_099;
    native.known.made(at(1), 1000, 60_099);
    t.equal(native.told(), undefined);
    native.nowMs = 60_100;
    native.known.missed(d, { directory: at(1), leaseMs: 1000 }, 60_100);
    t.strictSame(native.told(), []);
  }
});

t.test('an unknown directory is listed at the second miss, once', async (t) => {
  const native = new Native();
  const miss = (change: number): void => native.known.missed(d, { directory: at(change), leaseMs: 1000 }, native.nowMs);
  miss(5);
  t.equal(native.lists.length, 0);
  miss(5);
  miss(5);
  t.equal(native.lists.length, 1);
  await native.listed(['a', 'b'], 5);
  t.strictSame(native.told(), ['a', 'b']);
  native.known.changed(d, { directory: at(6), leaseMs: 1000 }, native.nowMs, 'c');
  t.strictSame(native.told(), ['a', 'b', 'c']);
  native.names.clear();
  miss(6);
  miss(6);
  t.equal(native.lists.length, 1, 'asked for although it is known: native code had no room');
});

t.test('a listing that does not tell all, or not the latest, makes nothing known', async (t) => {
  const table: readonly (readonly [string, Partial<Listing>, (known: KnownDirectories) => void])[] = [
    ['more entries follow', { end: false }, () => undefined],
    ['no lease', { leaseMs: undefined }, () => undefined],
    ['overtaken by an own change', {}, (known) => known.changed(d, { directory: at(6), leaseMs: 1000 }, 101, 'new')],
    ['a lease was ended meanwhile', {}, (known) => known.end(d)],
  ];
  for (const [what, more, meanwhile] of table) {
    const native = new Native();
    for (let misses = 0; misses < 2; misses++) native.known.missed(d, { directory: at(5), leaseMs: 1000 }, 100);
    meanwhile(native.known);
    await native.listed(['a'], 5, more);
    t.equal(native.told(), undefined, what);
  }
  const native = new Native();
  for (let misses = 0; misses < 2; misses++) native.known.missed(d, { directory: at(5), leaseMs: 1000 }, 100);
  await native.listed(['a'], 5, { end: false });
  for (let misses = 0; misses < 9; misses++) native.known.missed(d, { directory: at(5), leaseMs: 1000 }, 100);
  t.equal(native.lists.length, 0, 'a large one is not listed again');
});

t.test('what is forgotten for want of room is forgotten by native code too', async (t) => {
  const native = new Native();
  native.known.made(at(1), 1000, 100);
  for (let fid = 100; fid < 100 + 4095; fid++) native.known.made(at(1, fid as Fid), 1000, 100);
  native.known.changed(d, { directory: at(2) }, 100, 'a');
  native.known.made(at(1, 99 as Fid), 1000, 100);
  t.strictSame(native.told(), ['a'], 'not what was used lately');
  t.equal(native.told(100 as Fid), undefined);
  t.strictSame(native.told(101 as Fid), []);
  t.strictSame(native.told(99 as Fid), []);
});
