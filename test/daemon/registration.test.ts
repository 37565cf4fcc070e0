import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { test } from 'tap';
import { type ManagementSession, type RegisteredFolder, Registration } from '../../src/daemon/registration.js';
import type { FolderUsage } from '../../src/daemon/usage.js';
import { IbexError } from '../../src/wire/errors.js';
import type { TargetId } from '../../src/wire/fid.js';

const figures: FolderUsage = { bytesTotal: 10, bytesFree: 5, inodesTotal: 10, inodesFree: 5 };

interface Call {
  readonly name: string;
  readonly request: Record<string, unknown>;
}

/** mgmtd as a session: remembers what was asked, answers as told. */
class TestMgmtd {
  readonly calls: Call[] = [];
  isOpen = true;
  closed: Promise<string>;
  #end!: (reason: string) => void;
  answer: (call: Call) => unknown = () => undefined;

  constructor() {
    this.closed = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  get asSession(): ManagementSession {
    return this as unknown as ManagementSession;
  }

  async call(message: { name: string }, request: Record<string, unknown>): Promise<unknown> {
    const call = { name: message.name.replace('mgmt.', ''), request };
    this.calls.push(call);
    const answered = this.answer(call);
    if (answered !== undefined) return answered;
    if (call.name === 'registerNode') return { node: 7, clusterId: 'c', heartbeatMs: 5 };
    if (call.name === 'registerTarget') return { target: request.target ?? 1, token: request.token, clusterId: 'c', since: 1 };
    return { mapVersion: 1 };
  }

  end(): void {
    this.isOpen = false;
    this.#end('gone');
  }

  close(): void {
    this.end();
  }

  of(name: string): Call[] {
    return this.calls.filter((call) => call.name === name);
  }
}

function folder(name: string, target: number, changes: Partial<RegisteredFolder> = {}): RegisteredFolder & { accepts: number } {
  const made = {
    folder: name,
    accepts: 0,
    identity: () => ({ token: name, target: target as TargetId, clusterId: 'c' }),
    check: async () => {},
    usage: async () => figures,
    accepted: () => {
      made.accepts++;
    },
    ...changes,
  };
  return made;
}

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 2) {
    if (waited > 8_000) throw new Error('waited too long');
    await sleep(2);
  }
}

function start(
  t: { teardown(done: () => unknown): unknown },
  session: () => ManagementSession | undefined,
  lines: string[] = [],
): Registration {
  const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
  const registration = new Registration({ session, kind: 'storage', uuid: 'u', addresses: [{ host: 'h', port: 1 }], logger });
  t.teardown(() => registration.close());
  return registration;
}

const reported = (mgmtd: TestMgmtd): unknown[] =>
  ((mgmtd.of('heartbeat').at(-1)?.request.usage ?? []) as { target: number }[]).map((usage) => usage.target).sort();

test('registers node and targets, then reports them', async (t) => {
  const mgmtd = new TestMgmtd();
  const registration = start(t, () => mgmtd.asSession);
  const one = folder('one', 1);
  registration.add(one);
  registration.add(folder('two', 2));
  await until(() => reported(mgmtd).length === 2);
  t.same(mgmtd.calls[0], { name: 'registerNode', request: { uuid: 'u', kind: 'storage', addresses: [{ host: 'h', port: 1 }] } });
  t.match(mgmtd.of('registerTarget')[0]?.request, { kind: 'storage', usage: figures, token: 'one', target: 1, clusterId: 'c' });
  t.equal(one.accepts, 1);
  const sent = mgmtd.of('heartbeat').length;
  await until(() => mgmtd.of('heartbeat').length > sent + 3);
  t.equal(mgmtd.of('registerTarget').length, 2, 'once is enough');
  await registration.close();
  const after = mgmtd.calls.length;
  await sleep(30);
  t.equal(mgmtd.calls.length, after, 'silent after close');
});

test('one refused target does not take the others down, and is tried again', async (t) => {
  const mgmtd = new TestMgmtd();
  let refuse = true;
  mgmtd.answer = ({ name, request }) => {
    if (name === 'registerTarget' && request.token === 'bad' && refuse) throw new IbexError('ERR_WRONG_DISK', 'it is a copy');
    return undefined;
  };
  const lines: string[] = [];
  const registration = start(t, () => mgmtd.asSession, lines);
  registration.add(folder('bad', 1));
  registration.add(folder('good', 2));
  registration.add(
    folder('broken', 3, {
      check: async () => {
        throw new IbexError('ERR_READ_ONLY', 'broken');
      },
    }),
  );
  await until(() => reported(mgmtd).length === 1);
  t.same(reported(mgmtd), [2]);
  t.match(lines.join(''), /target folder bad is not in service: .*it is a copy/);
  t.match(lines.join(''), /target folder broken is not in service/);
  refuse = false;
  await until(() => reported(mgmtd).length === 2);
  t.same(reported(mgmtd), [1, 2]);
  t.equal(lines.filter((line) => line.includes('folder broken')).length, 1, 'said once');
});

test('two folders with one target: the second is a copy', async (t) => {
  const mgmtd = new TestMgmtd();
  const lines: string[] = [];
  const registration = start(t, () => mgmtd.asSession, lines);
  registration.add(folder('one', 1));
  await until(() => reported(mgmtd).length === 1);
  registration.add(folder('copy', 1));
  await until(() => lines.length > 0);
  t.match(lines[0], /target folder copy is not in service: .*it is a copy of one/);
});

test('of two copies that register at once one is refused, numbered or not, and it stays so', async (t) => {
  for (const target of [1 as TargetId, undefined]) {
    const mgmtds = [new TestMgmtd(), new TestMgmtd()];
    let current = 0;
    const lines: string[] = [];
    const registration = start(t, () => mgmtds[current]?.asSession, lines);
    let fail = false;
    const identity = () => ({ token: 'same', target, clusterId: 'c' });
    const check = async () => {
      if (fail) throw new IbexError('ERR_IO', 'no disk');
    };
    const one = folder('one', 1, { identity, check });
    const copy = folder('copy', 1, { identity });
    registration.add(one);
    registration.add(copy);
    await until(() => lines.length > 0 && one.accepts > 0);
    t.match(lines[0], /target folder copy is not in service: .*it is a copy of one/);
    // The original fails on the next session: its copy does not take its place.
    fail = true;
    current = 1;
    mgmtds[0]?.end();
    await until(() => lines.some((line) => line.includes('no disk')));
    await until(() => mgmtds[1]?.of('heartbeat').length === 3);
    t.equal(copy.accepts, 0);
    await registration.close();
  }
});

test('registers again on a new session, and when mgmtd has forgotten', async (t) => {
  let mgmtd = new TestMgmtd();
  const first = mgmtd;
  const registration = start(t, () => mgmtd.asSession);
  const one = folder('one', 1);
  registration.add(one);
  await until(() => reported(first).length === 1);
  mgmtd = new TestMgmtd();
  first.end();
  await until(() => reported(mgmtd).length === 1);
  t.equal(one.accepts, 2);
  let forget = true;
  mgmtd.answer = ({ name }) => {
    if (name !== 'heartbeat' || !forget) return undefined;
    forget = false;
    throw new IbexError('ERR_NOT_REGISTERED', '');
  };
  await until(() => mgmtd.of('registerNode').length === 2);
  t.ok(mgmtd.isOpen, 'on the same session');
  await until(() => one.accepts === 3 && reported(mgmtd).length === 1);
});

test('a session on which mgmtd does not answer is given up for another', async (t) => {
  let mgmtd = new TestMgmtd();
  const silent = mgmtd;
  const registration = start(t, () => mgmtd.asSession);
  registration.add(folder('one', 1));
  await until(() => reported(silent).length === 1);
  silent.answer = ({ name }) => {
    if (name === 'heartbeat') throw new IbexError('ERR_TIMED_OUT', 'mgmt.heartbeat');
    return undefined;
  };
  await until(() => !silent.isOpen);
  mgmtd = new TestMgmtd();
  await until(() => reported(mgmtd).length === 1);
});

test('a disk that hangs is left out and holds up nothing', async (t) => {
  const mgmtd = new TestMgmtd();
  let hang = false;
  let asked = 0;
  let release!: () => void;
  const lines: string[] = [];
  const registration = start(t, () => mgmtd.asSession, lines);
  registration.add(folder('one', 1));
  registration.add(
    folder('slow', 2, {
      usage: () => {
        if (!hang) return Promise.resolve(figures);
        asked++;
        return new Promise((resolve) => {
          release = () => resolve(figures);
        });
      },
    }),
  );
  await until(() => reported(mgmtd).length === 2);
  hang = true;
  await until(() => reported(mgmtd).length === 1);
  t.match(lines.join(''), /the disk of slow does not answer/);
  const sent = mgmtd.of('heartbeat').length;
  await until(() => mgmtd.of('heartbeat').length > sent + 5);
  t.equal(asked, 1, 'it is not asked again before it has answered');
  hang = false;
  release();
  await until(() => reported(mgmtd).length === 2);
  t.pass('and it is back when it answers');
});
