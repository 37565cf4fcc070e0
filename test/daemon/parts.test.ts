import { pino } from 'pino';
import { test } from 'tap';
import { advertisedAddresses } from '../../src/daemon/advertise.js';
import { Closers } from '../../src/daemon/closers.js';
import { explainFileError, explainListenError, type StartupError } from '../../src/daemon/startup-error.js';
import { FaultLog } from '../../src/storage/fault-log.js';
import { IbexError } from '../../src/wire/errors.js';

type Interfaces = NonNullable<Parameters<typeof advertisedAddresses>[2]>;

test('which addresses are advertised', async (t) => {
  const entry = (family: 'IPv4' | 'IPv6', address: string, internal = false) => ({
    family,
    address,
    internal,
    netmask: '',
    mac: '',
    cidr: null,
    scopeid: 0,
  });
  const interfaces = {
    lo: [entry('IPv4', '127.0.0.1', true), entry('IPv6', '::1', true)],
    eth0: [entry('IPv4', '10.0.0.5'), entry('IPv6', 'fd00::5'), entry('IPv6', 'fe80::5')],
  } as Interfaces;
  const at = (host: string) => advertisedAddresses({ host, port: 7 }, [], interfaces);
  t.same(at('127.0.0.1'), [{ host: '127.0.0.1', port: 7 }]);
  t.same(at('0.0.0.0'), [{ host: '10.0.0.5', port: 7 }]);
  t.same(at('::'), [
    { host: '10.0.0.5', port: 7 },
    { host: 'fd00::5', port: 7 },
  ]);
  t.same(advertisedAddresses({ host: '::', port: 7 }, [{ host: 'a', port: 9 }], interfaces), [{ host: 'a', port: 9 }]);
  t.same(advertisedAddresses({ host: '0.0.0.0', port: 7 }, [], {}), [{ host: '127.0.0.1', port: 7 }], 'no network at all');
});

test('errors of the system become one line', async (t) => {
  const system = (code: string): Error => Object.assign(new Error(`${code}: something`), { code });
  const cases: readonly [StartupError, RegExp][] = [
    [explainFileError(system('ENOSPC'), 'file /x'), /^file \/x: the disk is full/],
    [explainFileError(system('EROFS'), 'file /x'), /read-only/],
    [explainFileError(system('EACCES'), 'file /x'), /permission denied for user \d+/],
    [explainFileError(new Error('odd'), 'file /x'), /^file \/x: odd$/],
    [explainListenError(system('EADDRINUSE'), 'port 1'), /^port 1: another program listens there already/],
    [explainListenError(new Error('native: bind: EADDRINUSE (98)'), 'port 1'), /another program listens/],
    [explainListenError(Object.assign(new Error('bind'), { status: 98 }), 'port 1'), /another program listens/],
    [
      explainListenError(new IbexError('ERR_CONNECTION_LOST', 'host name x cannot be resolved: ENOTFOUND'), 'host x'),
      /^host x: the host name cannot be resolved/,
    ],
  ];
  for (const [error, message] of cases) {
    t.match(error.message, message);
    t.notMatch(error.message, /\n/);
    t.equal(explainFileError(error, 'again'), error, 'explained once');
  }
});

test('everything opened is closed, in reverse order, whatever fails', async (t) => {
  const order: string[] = [];
  const closers = new Closers();
  closers.add(() => void order.push('first'));
  closers.add(async () => {
    throw new Error('second fails');
  });
  closers.add(async () => void order.push('third'));
  await t.rejects(closers.close(), /second fails/);
  t.same(order, ['third', 'first']);
  await t.rejects(closers.close(), /second fails/, 'once');
  t.same(order, ['third', 'first']);
});

test('a storm of disk faults is a count, with target and detail', async (t) => {
  const lines: { target: number; error: string; faults: number; msg: string }[] = [];
  let now = 0;
  const faults = new FaultLog(pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }), () => now);
  for (let index = 0; index < 1000; index++) faults.report(3, 5, 'write of chunk 1.0 in /data/3');
  faults.report(4, 28, 'write of chunk 2.0 in /data/4');
  t.equal(lines.length, 2);
  t.match(lines[0], { target: 3, error: 'EIO', msg: 'target 3: EIO: write of chunk 1.0 in /data/3' });
  t.match(lines[1], { target: 4, error: 'ENOSPC' });
  now = 6_000;
  faults.report(3, 5, 'read of chunk 1.0 in /data/3');
  t.match(lines[2], { faults: 1000, msg: /and 999 more since the last line/ });
  faults.report(3, 1009, 'odd');
  t.match(lines[3], { error: 'status 1009' });
});
