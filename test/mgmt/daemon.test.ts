/** mgmtd as a real process, and real sessions with it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'tap';
import { startMgmtd } from '../../src/mgmt/daemon.js';
import { loadNative } from '../../src/native.js';
import { Cluster } from '../../src/net/cluster.js';
import { Endpoint } from '../../src/net/endpoint.js';
import { generateKeyFile, httpToken, readKeyFile } from '../../src/wire/key.js';
import { mgmt } from '../../src/wire/messages.js';
import { refusal } from '../support/properties.js';
import { daemonSettings, figures, nodeRequest, silent } from './support.js';

interface Teardown {
  teardown(done: () => unknown): unknown;
}

function addonMissing(): string | false {
  try {
    loadNative();
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

const skip = addonMissing();

async function endpointFor(t: Teardown, folder: string, kind: 'client' | 'storage'): Promise<Endpoint> {
  const endpoint = new Endpoint({ key: await readKeyFile(join(folder, 'key')), kind, logger: silent });
  t.teardown(() => endpoint.close());
  return endpoint;
}

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 10) {
    if (waited > 10_000) throw new Error('waited too long');
    await sleep(10);
  }
}

test('a cluster map that everybody has, over real sessions and a restart', { skip }, async (t) => {
  const folder = t.testdir();
  await generateKeyFile(join(folder, 'key'));
  const fatal = (error: Error): void => void t.fail(error.message);
  const first = await startMgmtd(daemonSettings(folder), silent, fatal);
  const client = await Cluster.connect(await endpointFor(t, folder, 'client'), [first.address]);
  t.teardown(() => client.close());
  const storage = await endpointFor(t, folder, 'storage');
  const session = await storage.connect(first.address);
  await t.rejects(session.call(mgmt.heartbeat, { node: 2 as never, usage: [] }), refusal('ERR_NOT_REGISTERED'));
  const { node, clusterId } = await session.call(mgmt.registerNode, nodeRequest('storage', 1));
  const target = await session.call(mgmt.registerTarget, { kind: 'storage', usage: figures, token: 'a'.repeat(32) });
  await until(() => client.map.targets.length === 1);
  t.strictSame(JSON.parse(JSON.stringify(client.map)), JSON.parse(JSON.stringify(first.management.map)));
  t.equal(client.map.clusterId, clusterId);
  t.match(client.node(node), { kind: 'storage', reachability: 'online' });
  t.match((await client.mgmtd(mgmt.clients, {})).clients, [{ kind: 'client' }]);

  session.close();
  await until(() => client.target(target.target)?.reachability === 'probably-offline');
  t.equal(client.node(node)?.reachability, 'probably-offline');

  const token = httpToken(await readKeyFile(join(folder, 'key')));
  const answer = await fetch(`http://127.0.0.1:${first.httpAddress?.port}/api/v1/status`, {
    headers: { authorization: `Bearer ${token}` },
  });
  t.match(await answer.json(), { clusterId, targets: { probablyOffline: 1 } });

  const { map } = first.management;
  await first.stop();
  const second = await startMgmtd(daemonSettings(folder), silent, fatal);
  t.teardown(() => second.stop());
  t.same(second.management.map.targets, map.targets);
  t.ok(second.management.map.version >= map.version, 'versions never go back');
  const again = await storage.connect(second.address);
  t.equal((await again.call(mgmt.registerNode, nodeRequest('storage', 1))).node, node);
  t.equal((await again.call(mgmt.registerTarget, { kind: 'storage', usage: figures, token: 'a'.repeat(32) })).target, target.target);
});

function launch(
  t: Teardown,
  folder: string,
  flags: Record<string, unknown>,
): { process: ChildProcess; exit: Promise<number | null>; errors: () => string } {
  const modules = [new URL('../../src/config/index.js', import.meta.url).href, new URL('../../src/mgmt/daemon.js', import.meta.url).href];
  const program = `const [{ loadConfig }, { runMgmtd }] = await Promise.all(${JSON.stringify(modules)}.map((module) => import(module)));
    process.exit(await runMgmtd(loadConfig('mgmtd', { file: null, environment: {}, flags: ${JSON.stringify(flags)} })));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += String(chunk);
  });
  t.teardown(() => child.kill('SIGKILL'));
  return { process: child, exit: new Promise((resolve) => child.on('close', resolve)), errors: () => errors };
}

test('signals: SIGHUP opens the log again, SIGTERM stops cleanly', { skip }, async (t) => {
  const folder = t.testdir();
  await generateKeyFile(join(folder, 'key'));
  const log = join(folder, 'mgmtd.log');
  const flags = { 'cluster.key_file': 'key', 'mgmtd.data': 'data', 'listen.port': 0, 'http.port': 0, 'log.file': log };
  const daemon = launch(t, folder, flags);
  const logged = (text: string): boolean => existsSync(log) && readFileSync(log, 'utf8').includes(text);
  await until(() => logged('mgmtd serves cluster'));
  renameSync(log, `${log}.1`);
  daemon.process.kill('SIGHUP');
  await until(() => logged('log opened again'));
  daemon.process.kill('SIGTERM');
  t.equal(await daemon.exit, 0);
  for (const line of readFileSync(log, 'utf8').trim().split('\n'))
    t.match(JSON.parse(line), { daemon: 'mgmtd', level: Number, time: String, msg: String });
  t.ok(logged('"stopped"'));
  t.equal(daemon.errors(), '');
});

test('what keeps it from starting is one line', { skip }, async (t) => {
  const folder = t.testdir();
  await generateKeyFile(join(folder, 'key'));
  const other = await startMgmtd(daemonSettings(folder), silent, () => {});
  t.teardown(() => other.stop());
  writeFileSync(join(folder, 'loose'), readFileSync(join(folder, 'key')), { mode: 0o644 });
  const usual = { 'cluster.key_file': join(folder, 'key'), 'listen.port': 0, 'http.port': 0 };
  const apart = (name: string) => ({ ...usual, 'mgmtd.data': join(folder, name) });
  const cases: readonly [Record<string, unknown>, RegExp][] = [
    [
      { ...apart('a'), 'listen.port': other.address.port },
      /^ibex mgmtd: cannot listen on 127\.0\.0\.1:\d+ \(listen\.host, listen\.port\): another program listens there already; stop it or configure another port\n$/,
    ],
    [
      { ...apart('b'), 'http.port': other.httpAddress?.port },
      /^ibex mgmtd: cannot serve HTTP on 127\.0\.0\.1:\d+ \(http\.host, http\.port\): another program listens there already/,
    ],
    [{ ...usual, 'mgmtd.data': join(folder, 'data') }, /^ibex mgmtd: data folder \(mgmtd\.data\) .*: another ibexfs process uses it/],
    [{ ...apart('c'), 'cluster.key_file': join(folder, 'none') }, /^ibex mgmtd: key file .*none: make one with/],
    [
      { ...apart('d'), 'cluster.key_file': join(folder, 'loose') },
      /^ibex mgmtd: key file .*loose has mode 644, others can read it: chmod 600/,
    ],
    [{ ...apart('e'), 'log.file': join(folder, 'none/log') }, /^ibex mgmtd: log file \(log\.file\) .*: does not exist/],
  ];
  await Promise.all(
    cases.map(async ([flags, message]) => {
      const daemon = launch(t, folder, flags);
      t.equal(await daemon.exit, 1, message.source);
      t.match(daemon.errors(), message);
      t.equal(daemon.errors().trim().split('\n').length, 1, 'one line');
    }),
  );
});
