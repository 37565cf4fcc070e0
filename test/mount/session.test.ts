/** Requests of the kernel against a real metadata target in this process: one request in, one answer out. */
import { constants } from 'node:fs';
import { pino } from 'pino';
import t from 'tap';
import { OpenFiles } from '../../src/client/open-files.js';
import { KernelFacts } from '../../src/mount/kernel-facts.js';
import { KnownDirectories } from '../../src/mount/known-directories.js';
import { Errno, Fattr, OpenReply } from '../../src/mount/linux.js';
import { RecentChanges } from '../../src/mount/recent-changes.js';
import { Replies } from '../../src/mount/replies.js';
import { MountSession } from '../../src/mount/session.js';
import { SpaceCache } from '../../src/mount/space-cache.js';
import { ToldAttributes } from '../../src/mount/told-attributes.js';
import {
  FuseDirectoryEntryBytes,
  FuseFact,
  FuseOperation,
  type FuseReplyCommand,
  FuseReplyKind,
  type FuseRequestEvent,
  FuseRequestEventBytes,
  readFuseDirectoryEntry,
  readFuseRequestEvent,
} from '../../src/wire/generated.js';
import { meta } from '../../src/wire/messages.js';
import { LocalCluster, MemoryFiles } from '../client/local-cluster.js';

interface Answer extends Partial<FuseReplyCommand> {
  readonly data?: Buffer;
}

const nothing = readFuseRequestEvent(new DataView(new ArrayBuffer(FuseRequestEventBytes)), 0);
const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND } = constants;

class Kernel {
  readonly files: MemoryFiles;
  readonly open: OpenFiles;
  readonly invalidated: number[] = [];
  readonly facts: { facts: number | undefined; node: number | undefined; untilMs: number; name: string | undefined }[] = [];
  readonly cluster: LocalCluster;
  readonly #session: MountSession;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #unique = 0;

  constructor(cluster: LocalCluster) {
    this.cluster = cluster;
    this.files = new MemoryFiles(cluster.data);
    const logger = pino({ level: 'silent' });
    this.open = new OpenFiles(cluster, this.files, () => {});
    const told = new ToldAttributes();
    const sink = {
      fuseReply: (fields: Partial<FuseReplyCommand>, data?: Uint8Array) => {
        this.#waiting.get(fields.unique!)!({ ...fields, ...(data === undefined ? {} : { data: Buffer.from(data) }) });
        this.#waiting.delete(fields.unique!);
      },
    };
    const space = new SpaceCache(
      cluster,
      () => cluster.map,
      1000,
      () => 0,
    );
    const facts = new KernelFacts(
      { fuseFacts: ({ facts, node }, untilMs, name) => void this.facts.push({ facts, node, untilMs, name: name?.toString() }) },
      () => 1,
    );
    this.#session = new MountSession({
      calls: cluster,
      files: this.open,
      replies: new Replies(sink, this.open, told, { entryMs: 1000, attributesMs: 1000 }, logger),
      told,
      changes: new RecentChanges(),
      facts,
      directories: new KnownDirectories({
        facts,
        attributesMs: 1000,
        nowMs: () => 0,
        list: (fid) => cluster.meta(fid, meta.readDirectory, { fid, cookie: 0, limit: 512, withAttributes: false, lease: true }),
      }),
      logger,
      space: () => space.get(),
      invalidate: (node) => void this.invalidated.push(node),
      now: () => 0,
    });
  }

  ask(
    operation: FuseOperation,
    fields: Partial<FuseRequestEvent>,
    name: string | Buffer = '',
    second: string | Buffer = '',
  ): Promise<Answer> {
    const unique = ++this.#unique;
    return new Promise((resolve) => {
      this.#waiting.set(unique, resolve);
      this.#hand(operation, { ...fields, unique }, name, second);
    });
  }

  /** What the kernel waits for no answer of. */
  tell(operation: FuseOperation, fields: Partial<FuseRequestEvent>): void {
    this.#hand(operation, fields, '', '');
  }

  #hand(operation: FuseOperation, fields: Partial<FuseRequestEvent>, name: string | Buffer, second: string | Buffer): void {
    const tails = [Buffer.from(name as string), Buffer.from(second as string)] as const;
    const source = Buffer.concat([Buffer.alloc(16), ...tails]);
    const lengths = { nameLength: tails[0].length, secondLength: tails[1].length };
    this.#session.handle({ ...nothing, session: 1, uid: 5, gid: 6, operation, node: 1, ...fields, ...lengths }, source, 16);
    // As native code does: the memory is used again as soon as the call returns.
    source.fill(0x58);
  }

  async create(name: string, flags = O_RDWR): Promise<{ node: number; handle: number }> {
    const { node, handle } = await this.ask(FuseOperation.create, { mode: 0o644, flags: flags | O_CREAT }, name);
    return { node: node!, handle: handle! };
  }

  async names(handle: number, plus: boolean, size = 4096): Promise<{ name: string; node: number; size: number }[]> {
    const result: { name: string; node: number; size: number }[] = [];
    for (let offset = 0; ; ) {
      const { data } = await this.ask(plus ? FuseOperation.readdirplus : FuseOperation.readdir, { handle, offset, size });
      if (data!.length === 0) return result;
      const view = new DataView(data!.buffer, data!.byteOffset, data!.length);
      for (let at = 0; at < data!.length; ) {
        const record = readFuseDirectoryEntry(view, at);
        const end = at + FuseDirectoryEntryBytes + record.nameLength;
        result.push({ name: data!.toString('utf8', at + FuseDirectoryEntryBytes, end), node: record.node, size: record.size });
        offset = record.cookie;
        at = (end + 7) & ~7;
      }
    }
  }
}

const errno = (value: number) => ({ kind: FuseReplyKind.error, error: value });

t.test('names', async (t) => {
  const kernel = new Kernel(await LocalCluster.start(t));
  t.match(await kernel.ask(FuseOperation.lookup, {}, 'd'), errno(Errno.ENOENT));
  const made = await kernel.ask(FuseOperation.mkdir, { mode: 0o777, umask: 0o022 }, 'd');
  t.match(made, { kind: FuseReplyKind.entry, mode: 0o40755, uid: 5, gid: 6, entryValidMs: 1000, attributesValidMs: 1000 });
  const node = made.node!;
  t.match(await kernel.ask(FuseOperation.lookup, {}, 'd'), { kind: FuseReplyKind.entry, node });
  t.match(await kernel.ask(FuseOperation.mkdir, { mode: 0o755 }, 'd'), errno(Errno.EEXIST));
  t.match(await kernel.ask(FuseOperation.symlink, { node }, 'l', 'où'), { kind: FuseReplyKind.entry });
  const link = await kernel.ask(FuseOperation.lookup, { node }, 'l');
  t.equal((await kernel.ask(FuseOperation.readlink, { node: link.node! })).data!.toString(), 'où');
  const fifo = await kernel.ask(FuseOperation.mknod, { node, mode: constants.S_IFIFO | 0o600 }, 'fifo');
  t.equal(fifo.mode! & constants.S_IFMT, constants.S_IFIFO);
  t.match(await kernel.ask(FuseOperation.rename2, { node, newNode: 1, flags: 0 }, 'fifo', 'moved'), errno(0));
  t.match(await kernel.ask(FuseOperation.rename2, { newNode: 1, flags: 1 }, 'moved', 'd'), errno(Errno.EEXIST));
  t.match(await kernel.ask(FuseOperation.rename2, { newNode: 1, flags: 4 }, 'moved', 'd'), errno(Errno.EINVAL));
  t.match(await kernel.ask(FuseOperation.link, { newNode: fifo.node! }, 'again'), { kind: FuseReplyKind.entry, node: fifo.node, links: 2 });
  t.match(await kernel.ask(FuseOperation.unlink, {}, 'moved'), errno(0));
  t.match(await kernel.ask(FuseOperation.rmdir, {}, 'd'), errno(39));
  t.match(await kernel.ask(FuseOperation.lookup, {}, Buffer.from([0xff])), errno(Errno.EILSEQ));
  t.match(await kernel.ask(99 as never, {}), errno(38));
});

t.test('what native code may answer by itself is told before the answer', async (t) => {
  const kernel = new Kernel(await LocalCluster.start(t));
  const told = () => kernel.facts.splice(0);
  const { node: d } = await kernel.ask(FuseOperation.mkdir, { mode: 0o755 }, 'd');
  t.strictSame(told(), [
    { facts: FuseFact.attributes, node: 1, untilMs: 1000, name: undefined },
    { facts: FuseFact.empty, node: d, untilMs: 900, name: undefined },
  ]);
  const create = { node: d!, mode: 0o644, flags: O_RDWR | O_CREAT };
  const { node: f } = await kernel.ask(FuseOperation.create, create, 'f');
  t.strictSame(told(), [
    { facts: FuseFact.attributes, node: d, untilMs: 1000, name: undefined },
    { facts: FuseFact.names, node: d, untilMs: 900, name: 'f' },
    { facts: FuseFact.noXattrs, node: f, untilMs: 1000, name: undefined },
  ]);
  await kernel.ask(FuseOperation.setattr, { node: d!, valid: Fattr.mode, mode: 0o700 });
  t.match(told(), [
    { facts: FuseFact.attributes, node: d! },
    { facts: FuseFact.names, node: d!, name: undefined },
  ]);
  await kernel.ask(FuseOperation.rename2, { node: d!, newNode: d! }, 'f', 'g');
  t.match(told(), [{ facts: FuseFact.attributes }, { facts: FuseFact.names, node: d!, name: 'g' }]);
  await kernel.ask(FuseOperation.create, create, 'g');
  t.match(told(), [{ facts: FuseFact.forget, node: d! }], 'it was there: its directory may have changed before');
  await kernel.ask(FuseOperation.setxattr, { node: f! }, 'user.a', '1');
  t.match(told(), [{ facts: FuseFact.forget, node: f! }]);
  t.match(await kernel.ask(FuseOperation.mkdir, { node: d!, mode: 0o755 }, 'g'), errno(Errno.EEXIST));
  t.match(told(), [{ facts: FuseFact.forget, node: d! }], 'what fails was not expected');
  const { node: empty } = await kernel.ask(FuseOperation.mkdir, { mode: 0o755 }, 'empty');
  const { node: replaced } = await kernel.ask(FuseOperation.mkdir, { mode: 0o755 }, 'replaced');
  told();
  await kernel.ask(FuseOperation.rmdir, {}, 'empty');
  t.ok(
    told().some(({ facts, node }) => facts === FuseFact.forget && node === empty),
    'removed',
  );
  await kernel.ask(FuseOperation.unlink, { node: d! }, 'g');
  for (const [what, flags, other] of [
    ['exchanged', 2, replaced],
    ['replaced', 0, d],
  ] as const) {
    t.match(await kernel.ask(FuseOperation.rename2, { newNode: 1, flags }, 'd', 'replaced'), errno(0));
    t.ok(
      told().some(({ facts, node }) => facts === FuseFact.forget && node === other),
      what,
    );
  }
});

t.test('a file is made, written, settled and closed', async (t) => {
  const kernel = new Kernel(await LocalCluster.start(t));
  const { node, handle } = await kernel.create('f');
  kernel.files.write(handle, 0, Buffer.from('hello'));
  t.match(
    await kernel.ask(FuseOperation.getattr, { node }),
    { kind: FuseReplyKind.attributes, size: 5, blocks: 1 },
    'before it is settled',
  );
  const other = new Kernel(kernel.cluster.otherClient());
  t.match(await other.ask(FuseOperation.lookup, {}, 'f'), { size: 0 });
  t.match(await kernel.ask(FuseOperation.flush, { node, handle }), errno(0));
  t.match(await other.ask(FuseOperation.lookup, {}, 'f'), { size: 5 });
  kernel.files.write(handle, 5, Buffer.from('!'));
  t.match(await kernel.ask(FuseOperation.fsync, { node, handle }), errno(0));
  t.match(await other.ask(FuseOperation.lookup, {}, 'f'), { size: 6 });
  t.match(
    await kernel.ask(FuseOperation.flush, { node, handle, dataError: 28 }),
    errno(28),
    'what native code could not write is reported',
  );
  kernel.files.write(handle, 6, Buffer.from('mapped'));
  kernel.tell(FuseOperation.release, { node, handle, flags: O_RDWR });
  await kernel.open.released();
  await new Promise((resolve) => setImmediate(resolve));
  await kernel.open.released();
  t.match(await other.ask(FuseOperation.lookup, {}, 'f'), { size: 12 }, 'written after the last flush, and not lost');
  t.equal(kernel.files.openSlots, 0);
  t.strictSame(kernel.files.closedHandles, [handle]);
});

t.test('close-to-open: pages stay only when nothing has changed', async (t) => {
  const cluster = await LocalCluster.start(t);
  const [one, two] = [new Kernel(cluster), new Kernel(cluster.otherClient())];
  const { node, handle } = await two.create('f');
  await one.ask(FuseOperation.lookup, {}, 'f');
  t.match(await one.ask(FuseOperation.open, { node, flags: O_RDONLY }), {
    kind: FuseReplyKind.open,
    openFlags: OpenReply.noFlush | OpenReply.parallelDirectWrites,
  });
  t.strictSame(one.invalidated, [], 'the kernel was just told the attributes');
  t.match(await one.ask(FuseOperation.open, { node, flags: O_RDONLY }), {
    kind: FuseReplyKind.open,
    openFlags: OpenReply.keepCache | OpenReply.noFlush | OpenReply.parallelDirectWrites,
  });
  two.files.write(handle, 0, Buffer.from('new'));
  await two.ask(FuseOperation.flush, { node, handle });
  t.match(await one.ask(FuseOperation.open, { node, flags: O_RDONLY }), { openFlags: OpenReply.noFlush | OpenReply.parallelDirectWrites });
  t.strictSame(one.invalidated, [node]);
  t.equal(one.files.native.fileStates.byteLength > 0 && one.open.get(node as never)!.readers, 3);
  t.match(await one.ask(FuseOperation.getattr, { node }), { size: 3 });
  const third = await one.ask(FuseOperation.open, { node, flags: O_RDONLY });
  t.ok(third.openFlags! & OpenReply.keepCache);
});

t.test('close-to-open: a rewrite of the same size drops pages, whatever the clock of who wrote says', async (t) => {
  const cluster = await LocalCluster.start(t);
  const [one, two] = [new Kernel(cluster), new Kernel(cluster.otherClient())];
  const { node, handle } = await two.create('f');
  two.files.write(handle, 0, Buffer.from('old'));
  await two.ask(FuseOperation.flush, { node, handle });
  const keeps = async (kernel: Kernel): Promise<boolean> => {
    const { kind, openFlags } = await kernel.ask(FuseOperation.open, { node, flags: O_RDONLY });
    t.equal(kind, FuseReplyKind.open);
    return (openFlags! & OpenReply.keepCache) !== 0;
  };
  const told = await one.ask(FuseOperation.lookup, {}, 'f');
  await keeps(one);
  t.ok(await keeps(one));
  two.files.write(handle, 0, Buffer.from('new'));
  await two.ask(FuseOperation.flush, { node, handle });
  const toldAgain = await one.ask(FuseOperation.lookup, {}, 'f');
  t.match(
    toldAgain,
    { size: told.size, mtime: told.mtime, mtimeNanoseconds: told.mtimeNanoseconds },
    'nothing by which the kernel could see it',
  );
  t.notOk(await keeps(one), 'though the kernel has been told the attributes since');
  t.ok(await keeps(one));
  await two.ask(FuseOperation.setattr, { node, valid: Fattr.mode, mode: 0o600 });
  t.notOk(await keeps(one), 'a change of attributes may hide one of content');
});

t.test('what changes through a mount leaves its own pages in place', async (t) => {
  const cluster = await LocalCluster.start(t);
  const [one, two] = [new Kernel(cluster), new Kernel(cluster.otherClient())];
  const { node, handle } = await one.create('f');
  const keeps = async (): Promise<boolean> =>
    ((await one.ask(FuseOperation.open, { node, flags: O_RDONLY })).openFlags! & OpenReply.keepCache) !== 0;
  for (const change of [
    () => one.ask(FuseOperation.flush, { node, handle }),
    () => one.ask(FuseOperation.fsync, { node, handle }),
    () => one.ask(FuseOperation.setattr, { node, valid: Fattr.mtime, mtime: 5 }),
    () => one.ask(FuseOperation.setattr, { node, valid: Fattr.mode, mode: 0o600 }),
    () => one.ask(FuseOperation.rename2, { newNode: 1, flags: 0 }, 'f', 'g'),
    () => one.ask(FuseOperation.link, { newNode: node }, 'f'),
  ]) {
    one.files.write(handle, 0, Buffer.from('mine'));
    await change();
    t.ok(await keeps(), String(change));
  }
  await one.ask(FuseOperation.flush, { node, handle });
  const other = await two.ask(FuseOperation.open, { node, flags: O_WRONLY });
  two.files.write(other.handle!, 0, Buffer.from('your'));
  await two.ask(FuseOperation.flush, { node, handle: other.handle! });
  one.files.write(handle, 4, Buffer.from('more'));
  await one.ask(FuseOperation.flush, { node, handle });
  t.notOk(await keeps(), 'another wrote in between');
});

t.test('an append is sent back until the kernel knows where the file ends', async (t) => {
  const cluster = await LocalCluster.start(t);
  const [one, two] = [new Kernel(cluster), new Kernel(cluster.otherClient())];
  const { node, handle } = await two.create('f');
  await one.ask(FuseOperation.lookup, {}, 'f');
  two.files.write(handle, 0, Buffer.from('grown'));
  await two.ask(FuseOperation.flush, { node, handle });
  t.match(await one.ask(FuseOperation.open, { node, flags: O_WRONLY | O_APPEND }), errno(Errno.ESTALE));
  t.equal(one.files.openSlots, 0);
  t.match(await one.ask(FuseOperation.lookup, {}, 'f'), { size: 5 });
  t.match(await one.ask(FuseOperation.open, { node, flags: O_WRONLY | O_APPEND }), { kind: FuseReplyKind.open });
});

t.test('a file that is gone is stale, so that the kernel looks again', async (t) => {
  const cluster = await LocalCluster.start(t);
  const [one, two] = [new Kernel(cluster), new Kernel(cluster.otherClient())];
  const { node, handle } = await two.create('f');
  await one.ask(FuseOperation.lookup, {}, 'f');
  await two.create('new');
  await two.ask(FuseOperation.rename2, { newNode: 1, flags: 0 }, 'new', 'f');
  t.match(await one.ask(FuseOperation.open, { node, flags: O_RDONLY }), errno(Errno.ESTALE), 'still open elsewhere, without a name');
  t.equal(one.files.openSlots, 0);
  t.match(await one.ask(FuseOperation.open, { node, flags: O_RDONLY }), { kind: FuseReplyKind.open }, 'but only once');
  one.tell(FuseOperation.release, { node, flags: O_RDONLY });
  two.tell(FuseOperation.release, { node, handle, flags: O_RDWR });
  for (const kernel of [one, two]) await kernel.open.released();
  for (const operation of [FuseOperation.open, FuseOperation.getattr] as const)
    t.match(await one.ask(operation, { node, flags: O_RDONLY }), errno(Errno.ESTALE));
  t.match(await one.ask(FuseOperation.setattr, { node, valid: Fattr.size, size: 1 }), errno(Errno.ESTALE));
  t.match(await one.ask(FuseOperation.lookup, {}, 'gone'), errno(Errno.ENOENT));
  t.match(await one.ask(FuseOperation.setattr, { node: 1, valid: Fattr.size, size: 2 ** 53 }), errno(Errno.EFBIG));
});

t.test('truncation, times and set-id bits', async (t) => {
  const kernel = new Kernel(await LocalCluster.start(t));
  const { node, handle } = await kernel.create('f');
  kernel.files.write(handle, 0, Buffer.from('0123456789'));
  t.match(await kernel.ask(FuseOperation.setattr, { node, handle, valid: Fattr.size | Fattr.handle, size: 4 }), {
    kind: FuseReplyKind.attributes,
    size: 4,
  });
  t.match(await kernel.ask(FuseOperation.fallocate, { node, handle, offset: 0, size: 8 }), errno(0));
  t.match(await kernel.ask(FuseOperation.getattr, { node }), { size: 8 });
  kernel.files.write(handle, 0, Buffer.from('x'));
  t.match(await kernel.ask(FuseOperation.setattr, { node, valid: Fattr.mtime, mtime: -3, mtimeNanoseconds: 7 }), {
    mtime: -3,
    mtimeNanoseconds: 7,
    size: 8,
  });
  await kernel.ask(FuseOperation.flush, { node, handle });
  t.match(await kernel.ask(FuseOperation.getattr, { node }), { mtime: -3, mtimeNanoseconds: 7 }, 'the flush does not override it');
  await kernel.ask(FuseOperation.setattr, { node, valid: Fattr.mode, mode: 0o6755 });
  t.match(await kernel.ask(FuseOperation.setattr, { node, valid: Fattr.killSetId }), { mode: 0o100755 });
  await kernel.ask(FuseOperation.setattr, { node, valid: Fattr.mode, mode: 0o4755 });
  t.match(await kernel.ask(FuseOperation.open, { node, flags: O_WRONLY | O_TRUNC, valid: 1 }), { kind: FuseReplyKind.open });
  t.match(await kernel.ask(FuseOperation.getattr, { node }), { size: 0, mode: 0o100755 });
  t.match(await kernel.ask(FuseOperation.setattr, { node, valid: Fattr.size, size: 1, dataError: 28 }), errno(28));
});

t.test('every open is released as it was counted, also one that made the file for reading', async (t) => {
  const cluster = await LocalCluster.start(t);
  const kernel = new Kernel(cluster);
  const { node, handle } = await kernel.create('f', O_RDONLY);
  const { meta } = await import('../../src/wire/messages.js');
  kernel.tell(FuseOperation.release, { node, handle, flags: O_RDONLY });
  await kernel.open.released();
  t.match(await cluster.meta(1 as never, meta.statistics, {}), { filesOpen: 0 });
});

t.test('directories', async (t) => {
  const kernel = new Kernel(await LocalCluster.start(t));
  for (let i = 0; i < 700; i++) await kernel.ask(FuseOperation.mknod, { mode: 0o100644 }, `file-${i}`);
  const { handle, kind } = await kernel.ask(FuseOperation.opendir, { flags: O_RDONLY });
  t.equal(kind, FuseReplyKind.open);
  const plus = await kernel.names(handle!, true);
  t.equal(new Set(plus.map(({ name }) => name)).size, 702);
  t.equal(plus.length, 702);
  t.strictSame(
    plus.slice(0, 2).map(({ name, node }) => [name, node]),
    [
      ['.', 0],
      ['..', 0],
    ],
  );
  t.ok(plus.slice(2).every(({ node }) => node > 0));
  t.equal((await kernel.names(handle!, false, 200)).length, 702, 'read again, without attributes, in little rooms');
  const { data } = await kernel.ask(FuseOperation.readdirplus, { handle: handle!, offset: 0, size: 4096 });
  await kernel.ask(FuseOperation.unlink, {}, 'file-1');
  const view = new DataView(data!.buffer, data!.byteOffset, data!.length);
  let at = 0;
  let cookie = 0;
  while (at < data!.length) {
    const record = readFuseDirectoryEntry(view, at);
    cookie = record.cookie;
    at = (at + FuseDirectoryEntryBytes + record.nameLength + 7) & ~7;
  }
  const next = await kernel.ask(FuseOperation.readdirplus, { handle: handle!, offset: cookie, size: 4096 });
  t.equal(
    readFuseDirectoryEntry(new DataView(next.data!.buffer, next.data!.byteOffset), 0).node,
    0,
    'a page from before a change names entries only',
  );
  t.match(await kernel.ask(FuseOperation.fsyncdir, { handle: handle! }), errno(0));
  kernel.tell(FuseOperation.releasedir, { handle: handle! });
  t.match(await kernel.ask(FuseOperation.readdir, { handle: handle!, size: 100 }), errno(Errno.EINVAL));
});

t.test('extended attributes', async (t) => {
  const kernel = new Kernel(await LocalCluster.start(t));
  const { node } = await kernel.create('f');
  t.match(await kernel.ask(FuseOperation.getxattr, { node, size: 10 }, 'user.a'), errno(61));
  t.match(await kernel.ask(FuseOperation.setxattr, { node }, 'user.a', Buffer.from([1, 0, 255])), errno(0));
  t.match(await kernel.ask(FuseOperation.setxattr, { node, flags: 1 }, 'user.a', 'x'), errno(Errno.EEXIST));
  t.match(await kernel.ask(FuseOperation.getxattr, { node, size: 0 }, 'user.a'), { kind: FuseReplyKind.xattrSize, size: 3 });
  t.match(await kernel.ask(FuseOperation.getxattr, { node, size: 2 }, 'user.a'), errno(Errno.ERANGE));
  t.strictSame((await kernel.ask(FuseOperation.getxattr, { node, size: 3 }, 'user.a')).data, Buffer.from([1, 0, 255]));
  t.equal((await kernel.ask(FuseOperation.listxattr, { node, size: 100 })).data!.toString(), 'user.a\0');
  t.match(await kernel.ask(FuseOperation.removexattr, { node }, 'user.a'), errno(0));
  t.match(await kernel.ask(FuseOperation.getxattr, { node, size: 9 }, 'system.posix_acl_access'), errno(Errno.EOPNOTSUPP));
});

t.test('statfs asks mgmtd once a second', async (t) => {
  const kernel = new Kernel(await LocalCluster.start(t));
  const answers = await Promise.all([kernel.ask(FuseOperation.statfs, {}), kernel.ask(FuseOperation.statfs, {})]);
  t.match(answers[0], { kind: FuseReplyKind.statfs, size: 4096 });
  t.equal(answers[0]!.blocks, answers[1]!.blocks);
});
