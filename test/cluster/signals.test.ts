/** What the signals of an operator do to every daemon and to a mount, while they serve. */
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { needs } from '../support/capabilities.js';
import { TestCluster } from './cluster.js';

interface LogLine {
  readonly pid: number;
  readonly msg: string;
}

async function linesOf(file: string): Promise<readonly LogLine[]> {
  const text = await fs.readFile(file, 'utf8').catch(() => '');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as LogLine);
}

async function untilAllSay(file: string, pids: readonly (number | undefined)[], msg: string): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const said = new Set((await linesOf(file)).filter((line) => line.msg === msg).map((line) => line.pid));
    if (pids.every((pid) => pid !== undefined && said.has(pid))) return;
    if (performance.now() > deadline) throw new Error(`not all of ${pids.join(', ')} say '${msg}': ${[...said].join(', ')}`);
    await pause(10);
  }
}

t.test(
  'SIGHUP opens the log again, SIGTERM stops cleanly: each daemon and the mount',
  { ...needs('root', 'fuse'), timeout: 120_000 },
  async (t) => {
    const log = join(t.testdir(), 'log');
    const cluster = await TestCluster.start(t, { storageNodes: 1, environment: { IBEX_LOG_FILE: log } });
    const mount = await cluster.mount();
    const processes = [...cluster.daemons, mount.daemon];
    const pids = processes.map(({ pid }) => pid);
    const file = await fs.open(join(mount.path, 'file'), 'w+');
    await file.write('before');

    await fs.rename(log, `${log}.1`);
    for (const process of processes) process.signal('SIGHUP');
    await untilAllSay(log, pids, 'log opened again');
    const { size } = await fs.stat(`${log}.1`);

    await file.write(' and after');
    await file.close();
    await mount.remount();
    t.equal(await fs.readFile(join(mount.path, 'file'), 'utf8'), 'before and after', 'all serve on');
    t.equal(await mount.stop(), 0);
    for (const daemon of [cluster.meta, ...cluster.storages, cluster.mgmtd]) t.equal(await daemon.stop(), 0, daemon.name);
    await untilAllSay(log, pids, 'stopped');
    t.equal((await fs.stat(`${log}.1`)).size, size, 'nobody writes to the old one');
  },
);
