/**
 * `ibex dev`: a whole cluster on this machine, in the foreground. Real daemons as child processes, in the
 * order in which they need each other; stopped in the reverse order.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CliError } from '../cli/exit-codes.js';
import { type FolderLock, lockFolder } from '../daemon/folder.js';
import { IbexError } from '../wire/errors.js';
import { generateKeyFile } from '../wire/key.js';
import { Display } from './display.js';
import { type DevFiles, defaultDataFolder, devFiles } from './files.js';
import { lastLogLines } from './last-log-lines.js';
import { rememberProcesses, removeStaleMount, waitForEarlierRun } from './leftovers.js';
import { clientConfig, type DaemonPlan, planDaemons } from './plan.js';
import { Service } from './service.js';
import { choosePorts, type DevState, readState, targetCount, writeState } from './state.js';
import { shellWord, welcome } from './welcome.js';

export interface DevOptions {
  readonly dir?: string;
  readonly mount: string | boolean;
  readonly targets?: string;
}

const program = fileURLToPath(new URL('../../../bin/ibex.mjs', import.meta.url));

/** How another terminal calls the command: by its name where it is installed, else by its path. */
function commandHere(): string {
  const installed = basename(process.argv[1] ?? '') === 'ibex' && process.env['npm_lifecycle_event'] === undefined;
  return installed ? 'ibex' : shellWord(program);
}

/** '' when this process can mount, else why it cannot and what to do. */
function whyNoMount(): string {
  if (!existsSync('/dev/fuse'))
    return 'this machine has no /dev/fuse (modprobe fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN)';
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
  } catch {
    return `/dev/fuse cannot be opened by user ${process.getuid?.()}`;
  }
  const helper = (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, 'fusermount3')));
  return process.getuid?.() === 0 || helper ? '' : 'fusermount3 is not installed (Debian, Ubuntu: apt-get install fuse3)';
}

async function lockDev(folder: string): Promise<FolderLock> {
  try {
    return await lockFolder(folder, 'folder');
  } catch (error) {
    if (!(error instanceof IbexError) || error.kind !== 'ERR_EXISTS') throw error;
    throw new CliError(`another ibex dev runs in ${folder}; stop that one, or choose another folder with --dir`, 1, 'EBUSY', {
      cause: error,
    });
  }
}

class DevCluster {
  readonly #files: DevFiles;
  readonly #state: DevState;
  readonly #plans: readonly DaemonPlan[];
  readonly #display = new Display();
  readonly #services: Service[] = [];
  readonly #mountPoint: string | undefined;
  readonly #noMountReason: string;
  /** Nodes and targets of a new cluster get their numbers in the order of their names. */
  readonly #isNew: boolean;
  #stopping: Promise<void> | undefined;
  #ended!: (code: number) => void;
  readonly #end: Promise<number>;

  constructor(files: DevFiles, state: DevState, isNew: boolean, mountPoint: string | undefined, noMountReason: string) {
    this.#files = files;
    this.#state = state;
    this.#plans = planDaemons(files, state);
    this.#mountPoint = mountPoint;
    this.#noMountReason = noMountReason;
    this.#isNew = isNew;
    this.#end = new Promise((resolve) => {
      this.#ended = resolve;
    });
  }

  /** Resolves with the exit code when the cluster has been stopped. */
  async run(): Promise<number> {
    const stop = (): void => this.#stopOrHurry();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
    try {
      await this.#start();
      this.#welcome();
    } catch (error) {
      if (this.#stopping === undefined) {
        await this.#stop();
        throw error;
      }
    }
    return await this.#end;
  }

  #service(name: string, args: readonly string[], prepare: () => Promise<void> = async () => {}): Service {
    const service = new Service({
      name,
      args,
      program,
      logFile: this.#files.log(name),
      prepare,
      onChange: (state) => {
        this.#display.set(name, state);
        if (state.name === 'starting') void this.#remember();
      },
    });
    this.#services.push(service);
    this.#display.set(name, service.state);
    return service;
  }

  async #remember(): Promise<void> {
    const pids = this.#services.map((service) => service.pid).filter((pid): pid is number => pid !== undefined);
    try {
      await rememberProcesses(this.#files, pids);
    } catch (error) {
      this.#display.say(`cannot write ${this.#files.processes}: ${(error as Error).message}`);
    }
  }

  async #start(): Promise<void> {
    const daemons = this.#plans.map(({ name, kind }) => this.#service(name, [kind, '--config', this.#files.config(name)]));
    const mount = this.#mountPoint === undefined ? undefined : this.#mountService(this.#mountPoint);
    if (this.#isNew) for (const service of daemons) await this.#bringUp(service);
    // Members of a known cluster wait for mgmtd by themselves: that is quicker.
    else await Promise.all(daemons.map((service) => this.#bringUp(service)));
    if (mount !== undefined) await this.#bringUp(mount);
  }

  /** A mount process that was killed leaves its mount, on which no other can be put. */
  #mountService(mountPoint: string): Service {
    const args = ['mount', mountPoint, '--config', this.#files.config('client')];
    return this.#service('mount', args, () => removeStaleMount(mountPoint, (text) => this.#display.say(text)));
  }

  async #bringUp(service: Service): Promise<void> {
    if (this.#stopping !== undefined) throw new CliError('stopped');
    try {
      await service.start();
    } catch (error) {
      const log = this.#files.log(service.name);
      const lines = (await lastLogLines(log)).map((line) => `  ${line}`);
      throw new CliError([`${(error as Error).message}; the end of ${log}:`, ...lines].join('\n'), 1, 'EDAEMON', { cause: error });
    }
  }

  #welcome(): void {
    const isDefault = this.#files.folder === defaultDataFolder();
    this.#display.say(
      welcome({
        folder: this.#files.folder,
        mount: this.#mountPoint,
        noMountReason: this.#noMountReason,
        httpPort: this.#state.ports.http,
        key: this.#files.key,
        command: commandHere(),
        config: isDefault ? undefined : this.#files.config('client'),
      }),
    );
  }

  #stopOrHurry(): void {
    if (this.#stopping === undefined) {
      this.#display.say('stopping; Ctrl-C again to hurry');
      void this.#stop();
      return;
    }
    for (const service of this.#services) service.kill();
  }

  /** The mount first, since it still has to write; the management last, since all others ask it. */
  #stop(): Promise<void> {
    this.#stopping ??= (async () => {
      const named = (name: string): Service[] => this.#services.filter((service) => service.name === name);
      const others = this.#services.filter((service) => service.name !== 'mount' && service.name !== 'mgmtd');
      for (const group of [named('mount'), others, named('mgmtd')]) await Promise.all(group.map((service) => service.stop()));
      if (this.#mountPoint !== undefined) await this.#leaveNoMount(this.#mountPoint);
      await rememberProcesses(this.#files, []);
      this.#ended(0);
    })();
    return this.#stopping;
  }

  /** A mount process that was killed cannot unmount by itself. */
  async #leaveNoMount(mountPoint: string): Promise<void> {
    await removeStaleMount(mountPoint, () => {}).catch(() => {});
  }
}

/** Makes folders, key and configuration files where they are missing; resolves with the state to run with. */
async function prepare(files: DevFiles, options: DevOptions): Promise<DevState> {
  for (const folder of [files.configFolder, files.logFolder]) await mkdir(folder, { recursive: true, mode: 0o700 });
  const kept = await readState(files.state);
  const state: DevState = { ports: await choosePorts(kept?.ports), targets: targetCount(options.targets, kept?.targets) };
  if (!existsSync(files.key)) await generateKeyFile(files.key);
  for (const { name, config } of planDaemons(files, state)) await writeFile(files.config(name), config);
  await writeFile(files.config('client'), clientConfig(files, state));
  await writeState(files.state, state);
  return state;
}

/** @throws CliError when the cluster cannot be brought up; nothing is left running then */
export async function runDev(options: DevOptions): Promise<number> {
  const files = devFiles(resolve(options.dir ?? defaultDataFolder()));
  await mkdir(files.folder, { recursive: true, mode: 0o700 });
  const lock = await lockDev(files.folder);
  try {
    const say = (text: string): void => void process.stdout.write(`${text}\n`);
    await waitForEarlierRun(files, say);
    const mountPoint = typeof options.mount === 'string' ? resolve(options.mount) : files.mount;
    await removeStaleMount(mountPoint, say);
    const noMountReason = options.mount === false ? 'started with --no-mount' : whyNoMount();
    if (noMountReason !== '' && options.mount !== false) say(`no mount: ${noMountReason}`);
    if (noMountReason === '') await mkdir(mountPoint, { recursive: true });
    const isNew = !existsSync(files.state);
    const state = await prepare(files, options);
    return await new DevCluster(files, state, isNew, noMountReason === '' ? mountPoint : undefined, noMountReason).run();
  } finally {
    await lock.release();
  }
}
