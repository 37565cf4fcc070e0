/** `ibex storage`: serves the chunks of several target folders. File bytes stay in native code. */
import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import { formatAddress, type StorageConfig } from '../config/index.js';
import { advertisedAddresses } from '../daemon/advertise.js';
import { Closers } from '../daemon/closers.js';
import { ensureFolder, lockFolder } from '../daemon/folder.js';
import { openNodeIdentity } from '../daemon/identity.js';
import { connectCluster, listen, openEndpoint } from '../daemon/listen.js';
import { pause } from '../daemon/pause.js';
import { Registration } from '../daemon/registration.js';
import { type RunningDaemon, runDaemon } from '../daemon/run.js';
import { NodeFile, TargetFolder } from '../daemon/target-folder.js';
import type { Cluster } from '../net/cluster.js';
import type { Endpoint } from '../net/endpoint.js';
import type { Address } from '../wire/cluster-map.js';
import { FaultLog } from './fault-log.js';
import { CHUNK_FOLDER, ServedTargets } from './served-targets.js';
import { logStatistics } from './statistics.js';

export interface RunningStorage extends RunningDaemon {
  readonly address: Address;
}

/** More reactor threads than this gain nothing while the disks behind them are the limit. */
const REACTOR_THREADS_AUTO_MAX = 4;
/** How long a folder that could not be opened is left alone: a disk may be mounted late. */
const FOLDER_RETRY_MS = 15_000;

/** Resolves with the exit code when the daemon has ended. */
export function runStorage(config: StorageConfig): Promise<number> {
  return runDaemon('storage', config.log, ({ logger, fatal }) => startStorage(config, logger, fatal));
}

/** @throws StartupError in one line that says what to do; not for a single one of several target folders */
export async function startStorage(config: StorageConfig, logger: Logger, fatal: (error: Error) => void): Promise<RunningStorage> {
  const closers = new Closers();
  try {
    const { data } = config.storage;
    await ensureFolder(data, 'data folder (storage.data)');
    const lock = await lockFolder(data, 'data folder (storage.data)');
    closers.add(() => lock.release());
    const nodeFile = new NodeFile(data, await openNodeIdentity(data, 'storage'));
    const reactorThreads = config.storage.reactorThreads || Math.min(REACTOR_THREADS_AUTO_MAX, availableParallelism());
    const { endpoint } = await openEndpoint({
      kind: 'storage',
      logger,
      keyFile: config.cluster.keyFile,
      serving: 'threads',
      rdma: config.rdma,
      runtime: { reactorThreads, bufferBytes: config.storage.bufferMemoryBytes },
    });
    closers.add(() => endpoint.close());
    const faults = new FaultLog(logger);
    endpoint.runtime.listeners.targetFault = (target, status, detail) => faults.report(target, status, detail);
    const service = new StorageService(config, endpoint, nodeFile, logger);
    closers.add(() => service.close());
    await service.openFolders();
    const address = await listen(endpoint, config.listen);
    service.register(address).catch(fatal);
    closers.add(logStatistics(logger, () => endpoint.runtime.native.metrics()));
    return {
      address,
      summary: `storage serves ${config.storage.targets.length} target folders on ${formatAddress(address)}`,
      stop: () => closers.close(),
    };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

class StorageService {
  readonly #config: StorageConfig;
  readonly #endpoint: Endpoint;
  readonly #nodeFile: NodeFile;
  readonly #logger: Logger;
  readonly #abort = new AbortController();
  readonly #folders: TargetFolder[] = [];
  readonly #served: ServedTargets;
  #cluster: Cluster | undefined;
  #registration: Registration | undefined;
  #retrying: Promise<void> = Promise.resolve();

  constructor(config: StorageConfig, endpoint: Endpoint, nodeFile: NodeFile, logger: Logger) {
    this.#config = config;
    this.#endpoint = endpoint;
    this.#nodeFile = nodeFile;
    this.#logger = logger;
    this.#served = new ServedTargets(endpoint.runtime.native);
  }

  /** @throws the first folder's error when none can be opened; otherwise those that failed are tried again later */
  async openFolders(): Promise<void> {
    const failed: string[] = [];
    let firstError: unknown;
    for (const folder of this.#config.storage.targets) {
      try {
        await this.#open(folder);
      } catch (error) {
        firstError ??= error;
        failed.push(folder);
        this.#logger.error({ folder }, `target folder is not in service: ${(error as Error).message}`);
      }
    }
    if (this.#folders.length === 0) throw firstError;
    if (failed.length > 0) this.#retrying = this.#openLater(failed);
  }

  /** Connects to mgmtd, whenever that is there, and keeps this node and its targets registered. */
  async register(address: Address): Promise<void> {
    const {
      cluster,
      storage,
      listen: { advertise },
    } = this.#config;
    try {
      const connected = await connectCluster(this.#endpoint, cluster.mgmtd, this.#logger, this.#abort.signal);
      this.#cluster = connected;
      if (this.#abort.signal.aborted) return await connected.close();
      this.#registration = new Registration({
        session: () => connected.mgmtdSession,
        kind: 'storage',
        uuid: this.#nodeFile.identity.uuid,
        alias: storage.alias === '' ? undefined : storage.alias,
        addresses: advertisedAddresses(address, advertise),
        logger: this.#logger,
        carriers: () => this.#endpoint.sessionCarriers(),
        onNode: (node) => {
          this.#endpoint.nodeId = node;
        },
      });
      for (const folder of this.#folders) this.#registration.add(folder);
    } catch (error) {
      if (!this.#abort.signal.aborted) throw error;
    }
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await this.#retrying;
    await this.#registration?.close();
    await this.#cluster?.close();
    this.#served.close();
    for (const folder of this.#folders) await folder.close();
  }

  async #open(folder: string): Promise<void> {
    const opened = await TargetFolder.open({
      folder,
      kind: 'storage',
      nodeFile: this.#nodeFile,
      pool: this.#config.storage.pool,
      content: CHUNK_FOLDER,
      serve: ({ target, since = 0 }) => this.#served.serve(folder, target, since),
    });
    this.#folders.push(opened);
    this.#registration?.add(opened);
  }

  async #openLater(folders: readonly string[]): Promise<void> {
    let waiting = [...folders];
    while (waiting.length > 0 && !this.#abort.signal.aborted) {
      await pause(FOLDER_RETRY_MS, this.#abort.signal);
      if (this.#abort.signal.aborted) return;
      const failed: string[] = [];
      for (const folder of waiting) {
        try {
          await this.#open(folder);
          this.#logger.info({ folder }, `target folder ${folder} can be used now`);
        } catch {
          failed.push(folder);
        }
      }
      waiting = failed;
    }
  }
}
