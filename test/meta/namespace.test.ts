/** Random operations on a target and on a plain model of a name space, with restarts and crashes that cut the log. */
import { readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { FileType } from '../../src/meta/inode.js';
import { LOG_HEADER_BYTES } from '../../src/meta/store/log-entry.js';
import type { IbexError } from '../../src/wire/errors.js';
import { type Fid, ROOT_FID } from '../../src/wire/fid.js';
import { describe, NamespaceModel, type Node, type RenameMode } from './namespace-model.js';
import { copyTarget, openTarget, seed, type TestTarget, testFolder, until } from './support.js';

t.comment(`IBEXFS_SEED=${seed}`);
/** More for a long search. */
const RUNS = Number(process.env.IBEXFS_RUNS ?? 12);

/** Nodes are named by their index among all that were ever made, modulo their number; also removed ones. */
interface Step {
  readonly do:
    | 'file'
    | 'directory'
    | 'symlink'
    | 'link'
    | 'unlink'
    | 'rmdir'
    | 'rename'
    | 'chmod'
    | 'settle'
    | 'truncate'
    | 'xattr'
    | 'reopen'
    | 'crash';
  readonly a: number;
  readonly b: number;
  readonly name: string;
  readonly other: string;
  readonly mode: RenameMode;
  readonly value: number;
}

const name = fc.constantFrom('a', 'b', 'c', 'ü', 'longer name');
const steps = (weights: [Step['do'], number][]): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.record({
      do: fc.oneof(...weights.map(([action, weight]) => ({ weight, arbitrary: fc.constant(action) }))),
      a: fc.nat(30),
      b: fc.nat(30),
      name,
      other: name,
      mode: fc.constantFrom<RenameMode>('replace', 'replace', 'keep', 'exchange'),
      value: fc.nat(10_000),
    }),
    { minLength: 20, maxLength: 120, size: 'max' },
  );

const weights: [Step['do'], number][] = [
  ['file', 5],
  ['directory', 6],
  ['symlink', 2],
  ['link', 4],
  ['unlink', 4],
  ['rmdir', 4],
  ['rename', 12],
  ['chmod', 2],
  ['settle', 2],
  ['truncate', 2],
  ['xattr', 3],
  ['reopen', 1],
  ['crash', 2],
];

/** What one log entry left: the newest log file's name and end, and the model then. */
interface Moment {
  readonly log: string;
  readonly end: number;
  readonly model: NamespaceModel;
  readonly fids: Map<number, Fid>;
}

class Run {
  model = new NamespaceModel();
  fids = new Map<number, Fid>([[0, ROOT_FID]]);
  /** Nodes that are or were directories. */
  readonly directories = new Set<number>();
  moments: Moment[] = [];
  folder: string;
  target!: TestTarget;
  #crashes = 0;
  readonly #base: string;
  readonly #applyIntervalMs: number;

  constructor(base: string, applyIntervalMs: number) {
    this.#base = base;
    this.folder = join(base, '0');
    this.#applyIntervalMs = applyIntervalMs;
  }

  async open(): Promise<void> {
    this.target = await openTarget(this.folder, { applyIntervalMs: this.#applyIntervalMs, limits: { openGraceMs: 1 } });
    this.moments = [];
    await this.remember();
  }

  async remember(): Promise<void> {
    const log = readdirSync(this.folder)
      .filter((file) => file.startsWith('log-'))
      .sort()
      .at(-1)!;
    // A file that is being made may not have its header yet; entries still go to the one before.
    const end = Math.max(statSync(join(this.folder, log)).size, LOG_HEADER_BYTES);
    this.moments.push({ log, end, model: this.model.clone(), fids: new Map(this.fids) });
  }

  /** Goes on in a copy of the folder whose newest log file ends at any byte; the model goes back to what is left. */
  async crash(at: number): Promise<void> {
    const copy = join(this.#base, String(++this.#crashes));
    copyTarget(this.folder, copy);
    const log = readdirSync(copy)
      .filter((file) => file.startsWith('log-'))
      .sort()
      .at(-1)!;
    const inLog = this.moments.filter((moment) => moment.log === log);
    const first = inLog[0]?.end ?? statSync(join(copy, log)).size;
    const whole = Math.max(statSync(join(copy, log)).size, first);
    const cut = first + (at % (whole - first + 1));
    truncateSync(join(copy, log), cut);
    await this.target.target.close();
    const last = inLog.filter((moment) => moment.end <= cut).at(-1) ?? this.moments.at(-1)!;
    this.model = last.model.clone();
    this.fids = new Map(last.fids);
    this.folder = copy;
    await this.open();
  }

  async step(step: Step): Promise<void> {
    // Removed files may live on as orphans for a while; removed directories are gone at once.
    const ids = [...this.fids.keys()].filter((id) => this.model.nodes.has(id) || this.directories.has(id));
    const a = ids[step.a % ids.length]!;
    const b = ids[step.b % ids.length]!;
    const fidA = this.fids.get(a)!;
    const fidB = this.fids.get(b)!;
    const user = { uid: 0, gid: 0 };
    const { call } = this.target;
    const node = this.model.nodes.get(a);
    const expect = async (expected: string | number | undefined, work: Promise<{ attributes?: { fid: Fid } }>): Promise<void> => {
      const found = await work.then(
        (answer) => answer,
        (error: IbexError) => error.code ?? String(error),
      );
      if (typeof found === 'string' ? found !== expected : typeof expected === 'string')
        throw new Error(`${JSON.stringify(step)}: ${JSON.stringify(found)} but expected ${expected}`);
      if (typeof expected !== 'number') return;
      this.fids.set(expected, (found as { attributes: { fid: Fid } }).attributes.fid);
      if (step.do === 'directory') this.directories.add(expected);
      else this.directories.delete(expected);
    };
    switch (step.do) {
      case 'file':
        return expect(
          this.model.make(a, step.name, 'file', step.value & 0o777),
          call('makeNode', { parent: fidA, name: step.name, mode: FileType.file | (step.value & 0o777), device: 0, ...user }),
        );
      case 'directory':
        return expect(
          this.model.make(a, step.name, 'directory', step.value & 0o777),
          call('makeDirectory', { parent: fidA, name: step.name, mode: step.value & 0o777, ...user }),
        );
      case 'symlink':
        return expect(
          this.model.make(a, step.name, 'symlink', 0o777, step.other),
          call('makeSymlink', { parent: fidA, name: step.name, target: step.other, ...user }),
        );
      case 'link':
        return expect(this.model.link(b, a, step.name), call('link', { fid: fidB, parent: fidA, name: step.name }));
      case 'unlink':
        return expect(this.model.remove(a, step.name, 'file'), call('unlink', { parent: fidA, name: step.name }) as Promise<object>);
      case 'rmdir':
        return expect(
          this.model.remove(a, step.name, 'directory'),
          call('removeDirectory', { parent: fidA, name: step.name }) as Promise<object>,
        );
      case 'rename':
        return expect(
          this.model.rename(a, step.name, b, step.other, step.mode),
          call('rename', { parent: fidA, name: step.name, newParent: fidB, newName: step.other, mode: step.mode }) as Promise<object>,
        );
      case 'chmod':
        if (node !== undefined) node.mode = step.value & 0o777;
        return expect(node === undefined ? 'ENOENT' : undefined, call('setAttributes', { fid: fidA, mode: step.value & 0o777 }));
      case 'settle':
        if (node?.kind === 'file') node.size = Math.max(node.size, step.value);
        return expect(notFile(node), call('settle', { fid: fidA, size: step.value, mtime: 0, mtimeNs: 0, durable: step.value % 3 === 0 }));
      case 'truncate':
        if (node?.kind === 'file') node.size = step.value;
        return expect(notFile(node), call('setAttributes', { fid: fidA, size: step.value }));
      case 'xattr':
        node?.attributes.set(`user.${step.name}`, String(step.value));
        return expect(
          node === undefined ? 'ENOENT' : undefined,
          call('setXattr', {
            fid: fidA,
            name: `user.${step.name}`,
            value: Buffer.from(String(step.value)),
            mode: 'any',
          }) as Promise<object>,
        );
      case 'reopen':
        await this.target.target.close();
        return this.open();
      case 'crash':
        return this.crash(step.value);
    }
  }

  /** The tree as the target tells it, in the model's form. */
  async tree(fid: Fid = ROOT_FID, at = ''): Promise<Record<string, string>> {
    const { call } = this.target;
    const { attributes } = await call('getAttributes', { fid });
    const type = attributes.mode & FileType.mask;
    const kind = type === FileType.directory ? 'directory' : type === FileType.symlink ? 'symlink' : 'file';
    const extended = new Map<string, string>();
    for (const attribute of (await call('listXattrs', { fid })).names)
      extended.set(attribute, Buffer.from((await call('getXattr', { fid, name: attribute })).value).toString());
    const target = kind === 'symlink' ? (await call('readSymlink', { fid })).target : '';
    const size = kind === 'symlink' ? target.length : attributes.size;
    const found: Record<string, string> = {
      [at === '' ? '/' : at]: describe({
        kind,
        links: attributes.links,
        mode: attributes.mode & 0o7777,
        size,
        target,
        attributes: extended,
      }),
    };
    if (kind !== 'directory') return found;
    const { entries } = await call('readDirectory', { fid, cookie: 0, limit: 4096, withAttributes: false });
    for (const entry of entries.sort((x, y) => (x.name < y.name ? -1 : 1))) {
      if ((await call('lookup', { parent: fid, name: entry.name })).attributes?.fid !== entry.fid)
        throw new Error(`lookup of ${at}/${entry.name} and its directory differ`);
      Object.assign(found, await this.tree(entry.fid, `${at}/${entry.name}`));
    }
    return found;
  }
}

function notFile(node: Node | undefined): string | undefined {
  if (node === undefined) return 'ENOENT';
  return node.kind === 'directory' ? 'EISDIR' : node.kind === 'symlink' ? 'EINVAL' : undefined;
}

for (const [what, applyIntervalMs] of [
  ['all changes in the log', 3_600_000],
  ['changes applied all the time', 0],
] as const) {
  t.test(`the name space equals its model: ${what}`, async (t) => {
    const folder = testFolder(t);
    let runs = 0;
    let crashes = 0;
    await fc.assert(
      fc.asyncProperty(steps(weights), async (list) => {
        const run = new Run(join(folder, String(runs++)), applyIntervalMs);
        await run.open();
        try {
          for (const step of list) {
            await run.step(step);
            if (step.do === 'crash') crashes++;
            await run.remember();
          }
          const expected = run.model.tree();
          const found = await run.tree();
          if (JSON.stringify(found) !== JSON.stringify(expected))
            throw new Error(`found ${JSON.stringify(found, null, 1)}\nexpected ${JSON.stringify(expected, null, 1)}`);
          // Files unlinked soon after a start stay until the grace period is over.
          await until(() => run.target.target.service.statistics().inodes === run.model.nodes.size);
        } finally {
          await run.target.target.close();
        }
      }),
      { seed, numRuns: RUNS, endOnFailure: true, includeErrorInReport: true },
    );
    t.ok(crashes > 3, `${runs} runs, ${crashes} crashes`);
  });
}
