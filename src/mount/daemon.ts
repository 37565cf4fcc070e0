/** `ibex mount`: wires native code's FUSE session to the cluster and looks after its life. */
import { stat } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { MetadataCalls } from '../client/backend.js';
import { OpenFiles } from '../client/open-files.js';
import type { ClientConfig } from '../config/index.js';
import { Closers } from '../daemon/closers.js';
import { type RunningDaemon, runDaemon } from '../daemon/run.js';
import { StartupError } from '../daemon/startup-error.js';
import { Backoff } from '../net/backoff.js';
import { Cluster } from '../net/cluster.js';
import { Endpoint } from '../net/endpoint.js';
import { bootTimeMs, monotonicMs } from '../net/runtime.js';
import { toIbexError } from '../wire/errors.js';
import { type Fid, formatFid } from '../wire/fid.js';
import { readKeyFile } from '../wire/key.js';
import { client, meta } from '../wire/messages.js';
import { KernelFacts } from './kernel-facts.js';
import { KnownDirectories } from './known-directories.js';
import { RecentChanges } from './recent-changes.js';
import { Replies } from './replies.js';
import { MountSession } from './session.js';
import { SpaceCache } from './space-cache.js';
import { ToldAttributes } from './told-attributes.js';

export interface MountSettings {
  readonly readOnly?: boolean | undefined;
}

/** What is still to be written gets this long before the mount is taken away from under open files. */
const DRAIN_MS_MAX = 8_000;
/** Leases run out soon by themselves. */
const GIVE_BACK_MS_MAX = 500;
/** Names of a directory that are asked for at once: a page of some 20 KiB. Larger directories are not known as a whole. */
const LISTED_MAX = 512;

/** Mounts the file system on `mountpoint`, serves it, and resolves with the exit code when it is unmounted or a signal came. */
export function runMount(config: ClientConfig, mountpoint: string, settings: MountSettings = {}): Promise<number> {
  return runDaemon('mount', config.log, ({ logger, finish }) => startMount(config, mountpoint, settings, logger, finish));
}

/** @throws StartupError in one line that says what to do */
export async function startMount(
  config: ClientConfig,
  mountpoint: string,
  settings: MountSettings,
  logger: Logger,
  finish: (reason: string) => void,
): Promise<RunningDaemon> {
  const closers = new Closers();
  try {
    await checkMountpoint(mountpoint);
    const key = await readKeyFile(config.cluster.keyFile);
    const endpoint = new Endpoint({
      key,
      kind: 'mount',
      name: config.client.name || undefined,
      logger,
      rdma: config.rdma,
      runtime: {
        reactorThreads: config.client.reactorThreads,
        bufferBytes: config.client.bufferMemoryBytes,
        ioTimeoutMs: config.client.requestTimeoutMs,
      },
    });
    closers.add(() => endpoint.close());
    const cluster = await connectInTime(endpoint, config, logger);
    closers.add(() => cluster.close());
    const mount = new Mount(config, endpoint, cluster, logger);
    closers.add(() => mount.stop());
    mount.start(mountpoint, settings, () => finish(`${mountpoint} was unmounted`));
    return { summary: `the file system is mounted on ${mountpoint}`, stop: () => closers.close() };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

class Mount {
  readonly #config: ClientConfig;
  readonly #endpoint: Endpoint;
  readonly #files: OpenFiles;
  readonly #logger: Logger;
  readonly #served: MountSession;
  readonly #calls: MetadataCalls;
  readonly #directories: KnownDirectories;
  #session: number | undefined;
  #mounted = false;
  #closed: () => void = () => {};

  constructor(config: ClientConfig, endpoint: Endpoint, cluster: Cluster, logger: Logger) {
    this.#config = config;
    this.#endpoint = endpoint;
    this.#logger = logger;
    const { runtime } = endpoint;
    const calls = callsWithTimeout(cluster, config.client.requestTimeoutMs);
    this.#files = new OpenFiles(calls, runtime, (error, what) => logger.warn({ err: error }, `${what} failed`));
    cluster.onMetaSession((target, session) => this.#files.reopen(target, session));
    const told = new ToldAttributes();
    const space = new SpaceCache(cluster, () => cluster.map, config.client.requestTimeoutMs, monotonicMs);
    const validity = { entryMs: config.mount.entryValidityMs, attributesMs: config.mount.attributeValidityMs };
    const facts = new KernelFacts(runtime, () => this.#session ?? 0);
    this.#directories = new KnownDirectories({
      facts,
      attributesMs: validity.attributesMs,
      nowMs: bootTimeMs,
      list: (fid) => calls.meta(fid, meta.readDirectory, { fid, cookie: 0, limit: LISTED_MAX, withAttributes: false, lease: true }),
    });
    endpoint.handle(client.endLease, ({ fid }) => {
      this.#directories.end(fid);
      // Before the answer leaves: no thread answers from what it was told any more.
      runtime.flush();
      return {};
    });
    this.#calls = calls;
    this.#served = new MountSession({
      calls,
      files: this.#files,
      replies: new Replies(runtime, this.#files, told, validity, logger),
      told,
      changes: new RecentChanges(),
      facts,
      directories: this.#directories,
      logger,
      space: () => space.get(),
      invalidate: (node) => {
        if (this.#session !== undefined) runtime.native.invalidateInode(this.#session, node, false);
      },
      now: bootTimeMs,
    });
  }

  /** From here on the kernel asks. `unmounted` is called when somebody else has unmounted. */
  start(mountpoint: string, settings: MountSettings, unmounted: () => void): void {
    const { runtime } = this.#endpoint;
    this.#closed = unmounted;
    runtime.listeners.fuseRequest = (request, source, start) => this.#served.handle(request, source, start);
    runtime.listeners.fuseClosed = () => {
      this.#mounted = false;
      this.#closed();
    };
    const { threads, allowOther } = this.#config.mount;
    // As root others are let in always; the kernel checks permission bits.
    const options = { threads, allowOther: allowOther || process.getuid?.() === 0, readOnly: settings.readOnly === true };
    try {
      this.#session = runtime.native.mountFuse(mountpoint, options);
    } catch (error) {
      throw new StartupError(toIbexError(error).kind, `cannot mount on ${mountpoint}: ${(error as Error).message}`, { cause: error });
    }
    this.#mounted = true;
  }

  async stop(): Promise<void> {
    if (this.#session === undefined) return;
    if (this.#mounted) {
      await this.#drain();
      const closed = new Promise<void>((resolve) => {
        this.#closed = resolve;
      });
      this.#endpoint.runtime.native.unmountFuse(this.#session, true);
      await closed;
    }
    await this.#drain();
    await this.#giveBackLeases();
    await this.#files.released();
  }

  /** Nothing is answered any more: others need not wait until the leases run out. */
  async #giveBackLeases(): Promise<void> {
    const targets = new Set([...this.#directories.leased()].map((fid) => this.#calls.metaOf(fid)));
    const given = [...targets].map((target) => this.#calls.metaTarget(target, meta.giveBackLeases, {}, { timeoutMs: GIVE_BACK_MS_MAX }));
    await Promise.allSettled(given);
  }

  /** Everything that programs have written is on its way no longer; bounded in time. */
  async #drain(): Promise<void> {
    const dirty = [...this.#files.values()].filter((file) => file.writers > 0);
    if (dirty.length === 0) return;
    this.#logger.info(`${dirty.length} files are still open for writing: waiting for their data`);
    const all = dirty.map(async (file) => {
      try {
        await this.#files.drain(file, `inode ${formatFid(file.fid)}`);
        await this.#files.settle(file, false);
      } catch (error) {
        this.#logger.error({ err: error, inode: formatFid(file.fid) }, 'data written to an open file may be lost');
      }
    });
    await Promise.race([Promise.all(all), pause(DRAIN_MS_MAX, undefined, { ref: false })]);
  }
}

/** Requests wait for servers that are away this long, then fail. */
function callsWithTimeout(cluster: Cluster, timeoutMs: number): MetadataCalls {
  const usual = { timeoutMs };
  return {
    metaOf: (fid: Fid) => cluster.metaOf(fid),
    meta: (fid, message, request, options) =>
      cluster.meta(fid, message, request, options === undefined ? usual : { timeoutMs, ...options }),
    metaTarget: (target, message, request, options) =>
      cluster.metaTarget(target, message, request, options === undefined ? usual : { timeoutMs, ...options }),
  };
}

/** Servers of one machine start in any order: mgmtd gets as long as a request would. */
async function connectInTime(endpoint: Endpoint, config: ClientConfig, logger: Logger): Promise<Cluster> {
  const deadline = monotonicMs() + config.client.requestTimeoutMs;
  const backoff = new Backoff(250, 4_000);
  for (;;) {
    try {
      return await Cluster.connect(endpoint, config.cluster.mgmtd, { timeoutMs: Math.max(1, deadline - monotonicMs()) });
    } catch (error) {
      const cause = toIbexError(error);
      const delayMs = backoff.nextMs();
      if (!cause.retryable || monotonicMs() + delayMs >= deadline) throw error;
      logger.warn(cause.message);
      await pause(delayMs);
    }
  }
}

async function checkMountpoint(mountpoint: string): Promise<void> {
  let directory: boolean;
  try {
    directory = (await stat(mountpoint)).isDirectory();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT')
      throw new StartupError('ERR_NOT_FOUND', `mount point ${mountpoint} does not exist: make it with mkdir`, { cause: error });
    if (code === 'ENOTCONN') {
      throw new StartupError(
        'ERR_IO',
        `mount point ${mountpoint} is held by a mount that has died: unmount it with 'ibex umount ${mountpoint}'`,
        { cause: error },
      );
    }
    throw new StartupError('ERR_ACCESS', `mount point ${mountpoint}: ${(error as Error).message}`, { cause: error });
  }
  if (!directory) throw new StartupError('ERR_NOT_DIRECTORY', `mount point ${mountpoint} is not a directory`);
}
