/**
 * Real clusters for tests and benchmarks: every daemon a process of its own, on loopback, in a folder that
 * is removed at the end. Nothing is replaced by a stand-in.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connect, type FileSystem } from '../../src/index.js';
import { generateKeyFile, httpToken, readKeyFile } from '../../src/wire/key.js';
import { Daemon } from './daemon.js';

export interface ClusterOptions {
  readonly storageNodes?: number;
  readonly targetsPerNode?: number;
  /** Data of all targets; default a fresh folder below the system's temporary one. */
  readonly folder?: string;
  /** Further TOML lines by section, e.g. { heartbeat: 'interval = "200 ms"' }. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Folder of storage target number n (from 0); default inside the cluster's folder. */
  readonly targetFolder?: (index: number) => string | undefined;
  readonly environment?: NodeJS.ProcessEnv;
}

/** A target as mgmtd lists it. */
export interface ListedTarget {
  readonly kind: 'meta' | 'storage';
  readonly reachability: 'online' | 'probably-offline' | 'offline';
}

/** Cleaning up that a test registers: tap's t.teardown. */
export interface Teardown {
  teardown(handler: () => Promise<void>): void;
}

/** Emulated processors (test/rxe) take long; elsewhere a cluster is ready in two seconds. */
const READY_MS = 300_000;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

export class TestCluster {
  readonly folder: string;
  readonly keyFile: string;
  readonly mgmtdPort: number;
  readonly httpPort: number;
  readonly mgmtd: Daemon;
  readonly meta: Daemon;
  readonly storages: Daemon[] = [];
  readonly mounts: Mount[] = [];
  readonly #fileSystems: FileSystem[] = [];
  readonly #options: ClusterOptions;

  private constructor(folder: string, mgmtdPort: number, httpPort: number, options: ClusterOptions) {
    this.folder = folder;
    this.#options = options;
    this.keyFile = join(folder, 'key');
    this.mgmtdPort = mgmtdPort;
    this.httpPort = httpPort;
    this.mgmtd = this.#daemon('mgmtd');
    this.meta = this.#daemon('meta');
    for (let node = 0; node < (options.storageNodes ?? 2); node++) this.storages.push(this.#daemon('storage', node));
  }

  /** Starts a cluster and waits until every target is online; it ends with the test. */
  static async start(t: Teardown, options: ClusterOptions = {}): Promise<TestCluster> {
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'ibexfs-test-')));
    const cluster = new TestCluster(folder, await freePort(), await freePort(), options);
    t.teardown(() => cluster.remove());
    await cluster.#writeFiles();
    cluster.startDaemons();
    await cluster.ready();
    return cluster;
  }

  get daemons(): readonly Daemon[] {
    return [this.mgmtd, this.meta, ...this.storages];
  }

  get address(): string {
    return `127.0.0.1:${this.mgmtdPort}`;
  }

  startDaemons(): void {
    for (const daemon of this.daemons) if (!daemon.running) daemon.start();
  }

  /** Waits until mgmtd answers and every target is online. */
  async ready(): Promise<void> {
    const expected = 1 + (this.#options.storageNodes ?? 2) * (this.#options.targetsPerNode ?? 2);
    await this.until((targets) => {
      const dead = this.daemons.find((daemon) => !daemon.running);
      if (dead !== undefined) throw new Error(`${dead.name} ended while starting:\n${dead.log().slice(-2000)}`);
      return targets.filter((target) => target.reachability === 'online').length === expected;
    });
  }

  /** Waits until mgmtd says of the targets what is wanted. What `wanted` throws ends it. */
  async until(wanted: (targets: readonly ListedTarget[]) => boolean): Promise<void> {
    const deadline = performance.now() + READY_MS;
    // Not by the command: a program a look takes more CPU time than the daemons need to start.
    const url = `http://127.0.0.1:${this.httpPort}/api/v1/targets`;
    const headers = { authorization: `Bearer ${httpToken(await readKeyFile(this.keyFile))}` };
    let seen = 'nothing';
    while (performance.now() < deadline) {
      let targets: readonly ListedTarget[] = [];
      try {
        const answer = await fetch(url, { headers, signal: AbortSignal.timeout(1_000) });
        seen = await answer.text();
        targets = (JSON.parse(seen) as { items: readonly ListedTarget[] }).items;
      } catch (error) {
        seen = String(error);
      }
      if (wanted(targets)) return;
      await pause(20);
    }
    throw new Error(
      `the cluster is not as wanted after ${READY_MS} ms: ${seen}\n${this.daemons.map((daemon) => `${daemon.name}: ${daemon.log().slice(-1000)}`).join('\n')}`,
    );
  }

  /** Runs the command line against this cluster. */
  ibex(args: readonly string[], options: { input?: string } = {}): Promise<CommandResult> {
    return ibex([...args, '--mgmtd', this.address, '--key-file', this.keyFile], options);
  }

  async client(): Promise<FileSystem> {
    const fileSystem = await connect({ mgmtd: this.address, keyFile: this.keyFile });
    this.#fileSystems.push(fileSystem);
    return fileSystem;
  }

  async mount(name = `mnt${this.mounts.length}`, settings = ''): Promise<Mount> {
    const path = join(this.folder, name);
    await mkdir(path, { recursive: true });
    const config = join(this.folder, `${name}.toml`);
    await writeFile(config, `${this.#clusterSection()}\n${settings}\n`);
    const daemon = new Daemon(name, join(this.folder, `${name}.log`), ['mount', path, '--config', config], this.#options.environment);
    const mount = new Mount(path, daemon);
    this.mounts.push(mount);
    await mount.start();
    return mount;
  }

  /** Unmounts and stops everything, keeps the data. */
  async stop(): Promise<void> {
    for (const fileSystem of this.#fileSystems.splice(0)) await fileSystem.close();
    for (const mount of this.mounts) await mount.stop();
    await Promise.all([this.meta.stop(), ...this.storages.map((storage) => storage.stop())]);
    await this.mgmtd.stop();
  }

  async remove(): Promise<void> {
    try {
      await this.stop();
    } finally {
      for (const daemon of this.daemons) await daemon.kill();
      for (const mount of this.mounts) await mount.abandon();
      await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
    }
  }

  targetFolder(index: number): string {
    return this.#options.targetFolder?.(index) ?? join(this.folder, `target${index}`);
  }

  #clusterSection(): string {
    return `[cluster]\nkey_file = "${this.keyFile}"\nmgmtd = ["${this.address}"]`;
  }

  #daemon(kind: 'mgmtd' | 'meta' | 'storage', index?: number): Daemon {
    const name = index === undefined ? kind : `${kind}${index}`;
    return new Daemon(
      name,
      join(this.folder, `${name}.log`),
      [kind, '--config', join(this.folder, `${name}.toml`)],
      this.#options.environment,
    );
  }

  async #writeFiles(): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    await generateKeyFile(this.keyFile);
    const write = (name: string, sections: Record<string, string>): Promise<void> => {
      const merged: Record<string, string> = { ...sections };
      for (const [section, lines] of Object.entries(this.#options.settings ?? {})) {
        const [daemon, key] = section.includes('.') ? section.split('.') : [name.replace(/\d+$/, ''), section];
        if (daemon === name.replace(/\d+$/, '') && key !== undefined && (key in merged || section.includes('.')))
          merged[key] = `${merged[key] ?? ''}\n${lines}`;
      }
      return writeFile(
        join(this.folder, `${name}.toml`),
        Object.entries(merged)
          .map(([section, lines]) => `[${section}]\n${lines}\n`)
          .join('\n'),
      );
    };
    const cluster = `key_file = "${this.keyFile}"\nmgmtd = ["${this.address}"]`;
    await write('mgmtd', {
      cluster: `key_file = "${this.keyFile}"`,
      listen: `port = ${this.mgmtdPort}`,
      mgmtd: `data = "${join(this.folder, 'mgmtd')}"`,
      http: `port = ${this.httpPort}`,
      heartbeat: '',
    });
    await write('meta', { cluster, listen: 'port = 0', meta: `data = "${join(this.folder, 'meta')}"` });
    const perNode = this.#options.targetsPerNode ?? 2;
    for (const [node, storage] of this.storages.entries()) {
      const targets = Array.from({ length: perNode }, (_, i) => JSON.stringify(this.targetFolder(node * perNode + i)));
      await write(storage.name, {
        cluster,
        listen: 'port = 0',
        storage: `data = "${join(this.folder, storage.name)}"\ntargets = [${targets.join(', ')}]`,
      });
    }
  }
}

export class Mount {
  readonly path: string;
  readonly daemon: Daemon;

  constructor(path: string, daemon: Daemon) {
    this.path = path;
    this.daemon = daemon;
  }

  async isMounted(): Promise<boolean> {
    return (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${this.path} `);
  }

  async start(): Promise<void> {
    this.daemon.start();
    const deadline = performance.now() + READY_MS;
    while (!(await this.isMounted())) {
      if (!this.daemon.running) throw new Error(`mount ended while starting:\n${this.daemon.log().slice(-2000)}`);
      if (performance.now() > deadline)
        throw new Error(`nothing mounted at ${this.path} after ${READY_MS} ms:\n${this.daemon.log().slice(-2000)}`);
      await pause(20);
    }
  }

  async stop(): Promise<number | string> {
    const code = await this.daemon.stop();
    if (await this.isMounted()) await this.abandon();
    return code;
  }

  /** Unmounts and mounts again: the kernel's caches of it are gone. */
  async remount(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Takes the mount away whatever state it is in. */
  async abandon(): Promise<void> {
    await this.daemon.kill();
    if (await this.isMounted()) await promisify(execFile)('umount', ['-l', this.path]).catch(() => undefined);
  }
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `ibex` with these arguments. */
export function ibex(args: readonly string[], options: { input?: string } = {}): Promise<CommandResult> {
  const program = fileURLToPath(new URL('../../../bin/ibex.mjs', import.meta.url));
  return run(process.execPath, [program, ...args], options);
}

export function run(
  command: string,
  args: readonly string[],
  options: { input?: string; cwd?: string; timeoutMs?: number } = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      [...args],
      {
        maxBuffer: 64 * 2 ** 20,
        cwd: options.cwd,
        timeout: options.timeoutMs ?? 600_000,
        env: { ...process.env, NODE_V8_COVERAGE: '', NODE_OPTIONS: '' },
      },
      (error, stdout, stderr) => {
        if (error !== null && typeof error.code !== 'number')
          reject(new Error(`${command} ${args.join(' ')}: ${error.message}\n${stderr}`, { cause: error }));
        else resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
      },
    );
    child.stdin?.on('error', () => {}); // a program may end without reading what it was given
    child.stdin?.end(options.input ?? '');
  });
}
