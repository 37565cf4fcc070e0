/** `ibex dev`: the cluster that `npm start` runs, as a person uses it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { needs } from '../support/capabilities.js';
import { ibex, run } from './cluster.js';

const program = fileURLToPath(new URL('../../../bin/ibex.mjs', import.meta.url));

class Dev {
  readonly folder: string;
  readonly child: ChildProcess;
  output = '';

  constructor(t: Test, folder: string, args: readonly string[] = []) {
    this.folder = folder;
    this.child = spawn(process.execPath, [program, 'dev', '--dir', folder, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_V8_COVERAGE: '', NODE_OPTIONS: '' },
    });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    t.teardown(async () => {
      await this.stop('SIGTERM');
      if (await this.mounted()) await run('umount', ['-l', this.mount]);
    });
  }

  get mount(): string {
    return join(this.folder, 'mnt');
  }

  async mounted(): Promise<boolean> {
    return (await fs.readFile('/proc/self/mountinfo', 'utf8')).includes(` ${this.mount} `);
  }

  async says(pattern: RegExp, withinMs = 60_000): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!pattern.test(this.output)) {
      if (this.child.exitCode !== null || performance.now() > deadline) throw new Error(`ibex dev did not say ${pattern}:\n${this.output}`);
      await pause(50);
    }
  }

  async stop(signal: NodeJS.Signals): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, 'exit');
      this.child.kill(signal);
      await ended;
    }
    return this.child.exitCode;
  }

  /** Process ids of its daemons by name. */
  async processes(): Promise<Record<string, number>> {
    const found = await run('ps', ['-eo', 'pid=,args=']);
    const pids: Record<string, number> = {};
    for (const line of found.stdout.split('\n')) {
      const match = new RegExp(`^\\s*(\\d+) .*ibex\\.mjs .*--config ${this.folder}/config/([\\w-]+)\\.toml`).exec(line);
      if (match !== null) pids[match[2] as string] = Number(match[1]);
    }
    return pids;
  }
}

async function newFolder(t: Test): Promise<string> {
  const folder = await fs.mkdtemp('/tmp/ibexfs-dev-');
  t.teardown(() => fs.rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

t.test('start, use, lose daemons, stop, start again', { ...needs('root', 'fuse'), timeout: 180_000 }, async (t) => {
  const folder = await newFolder(t);
  const first = new Dev(t, folder);
  await first.says(/ibexfs is up/);
  t.match(first.output, /http:\/\/127\.0\.0\.1:\d+/);
  t.match(first.output, new RegExp(`${folder}/key`));
  t.ok(await first.mounted());
  await fs.writeFile(join(first.mount, 'hello'), 'from yesterday');

  const config = ['--config', join(folder, 'config', 'client.toml')];
  const targets = JSON.parse((await ibex(['target', 'list', '--output', 'json', ...config])).stdout) as { kind: string }[];
  t.equal(targets.filter((target) => target.kind === 'storage').length, 4);
  t.equal((await ibex(['cat', 'ibex:/hello', ...config])).stdout, 'from yesterday');

  const before = await first.processes();
  const storage = Object.keys(before).find((name) => name.startsWith('storage')) as string;
  process.kill(before[storage] as number, 'SIGKILL');
  const deadline = performance.now() + 30_000;
  let again = before;
  while ((again[storage] ?? before[storage]) === before[storage] && performance.now() < deadline) {
    await pause(100);
    again = await first.processes();
  }
  t.not(again[storage], before[storage], 'a killed daemon is started again');

  t.equal(await first.stop('SIGINT'), 0, first.output);
  t.notOk(await first.mounted(), 'Ctrl-C unmounts');
  t.strictSame(await first.processes(), {}, 'and leaves no process');

  const second = new Dev(t, folder);
  await second.says(/ibexfs is up/);
  t.equal(await fs.readFile(join(second.mount, 'hello'), 'utf8'), 'from yesterday');
  await second.stop('SIGTERM');
  t.notOk(await second.mounted());
  t.strictSame(await second.processes(), {});
});

t.test('without a mount, with two targets', { timeout: 120_000 }, async (t) => {
  const folder = await newFolder(t);
  const dev = new Dev(t, folder, ['--no-mount', '--targets', '2']);
  await dev.says(/ibexfs is up/);
  const config = ['--config', join(folder, 'config', 'client.toml')];
  const targets = JSON.parse((await ibex(['target', 'list', '--output', 'json', ...config])).stdout) as { kind: string }[];
  t.equal(targets.filter((target) => target.kind === 'storage').length, 2);
  t.notOk(await dev.mounted());
  dev.child.kill('SIGKILL');
  await once(dev.child, 'exit');
  const deadline = performance.now() + 20_000;
  while (Object.keys(await dev.processes()).length > 0 && performance.now() < deadline) await pause(100);
  t.strictSame(await dev.processes(), {}, 'its daemons do not outlive a killed parent');
});
