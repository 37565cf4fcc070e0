/** `ibex meta`: puts a metadata target together with the network, mgmtd and the storage targets. */
import { join } from 'node:path';
import type { Logger } from 'pino';
import { formatAddress, type MetaConfig } from '../config/index.js';
import { advertisedAddresses } from '../daemon/advertise.js';
import { Closers } from '../daemon/closers.js';
import { ensureFolder, lockFolder } from '../daemon/folder.js';
import { openNodeIdentity } from '../daemon/identity.js';
import { connectCluster, listen, openEndpoint } from '../daemon/listen.js';
import { Registration } from '../daemon/registration.js';
import { type RunningDaemon, runDaemon } from '../daemon/run.js';
import { NodeFile, TargetFolder } from '../daemon/target-folder.js';
import { loadNative } from '../native.js';
import type { Cluster } from '../net/cluster.js';
import type { Endpoint } from '../net/endpoint.js';
import type { Session } from '../net/session.js';
import type { Address } from '../wire/cluster-map.js';
import { IbexError } from '../wire/errors.js';
import type { Fid, NodeId, TargetId } from '../wire/fid.js';
import { client, type Message, meta, mgmt } from '../wire/messages.js';
import { Assignment } from './assignment.js';
import { chunkOperations } from './chunk-operations.js';
import { openMetaTarget } from './open-target.js';
import { type CallOrigin, defaultMetaLimits, type MetaTarget } from './types.js';

export interface RunningMeta extends RunningDaemon {
  readonly address: Address;
}

/** Where the data folder has log and database. */
const STORE_FOLDER = 'store';

/** Resolves with the exit code when the daemon has ended. */
export function runMeta(config: MetaConfig): Promise<number> {
  return runDaemon('meta', config.log, ({ logger, fatal }) => startMeta(config, logger, fatal));
}

/** @throws StartupError in one line that says what to do */
export async function startMeta(config: MetaConfig, logger: Logger, fatal: (error: Error) => void): Promise<RunningMeta> {
  const closers = new Closers();
  try {
    const { data } = config.meta;
    await ensureFolder(data, 'data folder (meta.data)');
    const lock = await lockFolder(data, 'data folder (meta.data)');
    closers.add(() => lock.release());
    const nodeFile = new NodeFile(data, await openNodeIdentity(data, 'meta'));
    const { endpoint } = await openEndpoint({ kind: 'meta', logger, keyFile: config.cluster.keyFile, rdma: config.rdma });
    closers.add(() => endpoint.close());
    const daemon = new MetaDaemon(config, endpoint, nodeFile, logger, fatal);
    closers.add(() => daemon.close());
    await daemon.openFolder();
    const address = await listen(endpoint, config.listen);
    daemon.register(address).catch(fatal);
    return { address, summary: `meta serves ${data} on ${formatAddress(address)}`, stop: () => closers.close() };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

class MetaDaemon {
  readonly #config: MetaConfig;
  readonly #endpoint: Endpoint;
  readonly #nodeFile: NodeFile;
  readonly #logger: Logger;
  readonly #fatal: (error: Error) => void;
  readonly #abort = new AbortController();
  #folder: TargetFolder | undefined;
  #cluster: Cluster | undefined;
  #registration: Registration | undefined;
  #assignment: Assignment | undefined;
  #target: MetaTarget | undefined;
  #opening: Promise<MetaTarget> | undefined;
  /** Of each client, in the order in which they began. */
  readonly #sessions = new Map<string, Session[]>();

  constructor(config: MetaConfig, endpoint: Endpoint, nodeFile: NodeFile, logger: Logger, fatal: (error: Error) => void) {
    this.#config = config;
    this.#endpoint = endpoint;
    this.#nodeFile = nodeFile;
    this.#logger = logger;
    this.#fatal = fatal;
    this.#serve();
  }

  async openFolder(): Promise<void> {
    this.#folder = await TargetFolder.open({
      folder: this.#config.meta.data,
      kind: 'meta',
      nodeFile: this.#nodeFile,
      held: true,
      content: STORE_FOLDER,
      usage: () => this.#target?.usage(),
      serve: ({ target, since = 0 }) => this.#assigned(target, since),
    });
  }

  /** Connects to mgmtd, whenever that is there, and keeps this node and its target registered. */
  async register(address: Address): Promise<void> {
    const {
      cluster,
      listen: { advertise },
      meta: { alias },
    } = this.#config;
    try {
      const connected = await connectCluster(this.#endpoint, cluster.mgmtd, this.#logger, this.#abort.signal);
      this.#cluster = connected;
      if (this.#abort.signal.aborted) return await connected.close();
      connected.onMap((map) => {
        this.#assignment?.mapChanged(map, this.#endpoint.nodeId as NodeId);
        this.#target?.service.mapChanged();
      });
      this.#registration = new Registration({
        session: () => connected.mgmtdSession,
        kind: 'meta',
        uuid: this.#nodeFile.identity.uuid,
        alias: alias === '' ? undefined : alias,
        addresses: advertisedAddresses(address, advertise),
        logger: this.#logger,
        carriers: () => this.#endpoint.sessionCarriers(),
        onNode: (node) => {
          this.#endpoint.nodeId = node;
        },
      });
      if (this.#folder !== undefined) this.#registration.add(this.#folder);
    } catch (error) {
      if (!this.#abort.signal.aborted) throw error;
    }
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await this.#registration?.close();
    const target = await this.#opening?.catch(() => undefined);
    this.#target = undefined;
    await target?.close();
    await this.#cluster?.close();
    await this.#folder?.close();
  }

  #assigned(target: TargetId, since: number): Promise<void> {
    if (this.#assignment === undefined) this.#assignment = new Assignment(target, since);
    else this.#assignment.accepted(since);
    return this.#open(target);
  }

  /** Opens the target when mgmtd has accepted it for the first time since the start. */
  async #open(target: TargetId): Promise<void> {
    if (this.#opening !== undefined) return;
    this.#opening = this.#openTarget(target);
    try {
      this.#target = await this.#opening;
    } catch (error) {
      // Registered and not able to serve: others must not wait for it.
      this.#fatal(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
    // Clients may have come while the log was read.
    for (const clientId of this.#sessions.keys()) this.#target.service.clientOpened(clientId);
    this.#logger.info({ target }, `metadata target ${target} is open`);
  }

  async #openTarget(target: TargetId): Promise<MetaTarget> {
    const { data, durability, databaseSizeMaxBytes, acceptLoss } = this.#config.meta;
    const cluster = this.#cluster as Cluster;
    const rootTarget = await this.#rootTarget(cluster);
    return openMetaTarget({
      folder: join(data, STORE_FOLDER),
      target,
      logger: this.#logger,
      durability,
      mapBytesMax: databaseSizeMaxBytes,
      acceptLoss,
      crc32c: loadNative().crc32c,
      chunks: chunkOperations(this.#endpoint.runtime),
      map: () => cluster.map,
      grantSequences: (count) => cluster.mgmtd(mgmt.grantSequences, { target, count }),
      ownsRoot: rootTarget === target,
      // Sequences are granted to a target that has its store on disk.
      hasServed: cluster.map.sequences.some((range) => range.target === target),
      owns: (fid) => ownerOf(cluster, fid, target) === target,
      callBack: (clientId, fid) => this.#endLease(clientId, fid),
      onFatal: this.#fatal,
    });
  }

  /** The answer to the registration may be here before the map that it made. */
  #rootTarget(cluster: Cluster): Promise<TargetId> {
    const { signal } = this.#abort;
    return new Promise((resolve, reject) => {
      const done = (then: () => void): void => {
        stop();
        signal.removeEventListener('abort', abort);
        then();
      };
      const look = (): void => {
        const { rootTarget } = cluster.map;
        if (rootTarget !== undefined) done(() => resolve(rootTarget));
      };
      const abort = (): void => done(() => reject(new IbexError('ERR_SHUTTING_DOWN', 'metadata target is being closed')));
      const stop = cluster.onMap(look);
      signal.addEventListener('abort', abort, { once: true });
      look();
    });
  }

  #serve(): void {
    const endpoint = this.#endpoint;
    for (const name of Object.keys(meta) as (keyof typeof meta)[]) {
      const handle = (request: unknown, origin: CallOrigin): unknown =>
        (this.#present().service.handlers[name] as (request: unknown, origin: CallOrigin) => unknown)(request, origin);
      endpoint.handle(meta[name] as Message, (request, { clientId, channel, sequence, mapVersion }) => {
        this.#assignment?.check(mapVersion);
        return handle(request, { clientId, channel, sequence });
      });
    }
    endpoint.beforeReplies(() => this.#target?.service.commit());
    endpoint.onSession({
      opened: (session) => this.#sessionOpened(session),
      closed: (session) => this.#sessionClosed(session),
    });
  }

  #sessionOpened(session: Session): void {
    const { clientId, kind } = session.peer;
    if (!isClient(kind)) return;
    const sessions = this.#sessions.get(clientId);
    if (sessions === undefined) this.#sessions.set(clientId, [session]);
    else sessions.push(session);
    this.#target?.service.clientOpened(clientId);
  }

  #sessionClosed(session: Session): void {
    const { clientId, kind } = session.peer;
    if (!isClient(kind)) return;
    const left = this.#sessions.get(clientId)?.filter((other) => other !== session) ?? [];
    if (left.length > 0) {
      this.#sessions.set(clientId, left);
      return;
    }
    this.#sessions.delete(clientId);
    this.#target?.service.clientClosed(clientId);
  }

  #present(): MetaTarget {
    if (this.#target !== undefined) return this.#target;
    throw this.#abort.signal.aborted
      ? new IbexError('ERR_SHUTTING_DOWN', 'metadata target is being closed')
      : new IbexError('ERR_TRY_AGAIN', 'metadata target is not open yet');
  }

  async #endLease(clientId: string, fid: Fid): Promise<void> {
    const session = this.#sessions.get(clientId)?.at(-1);
    if (session === undefined) throw new IbexError('ERR_CONNECTION_LOST', `client ${clientId} has no session`);
    // Later the answer means nothing any more.
    await session.call(client.endLease, { fid }, { timeoutMs: defaultMetaLimits.leaseMs });
  }
}

/** Sequences that were granted a moment ago may not be in the map yet: they are ours. */
function ownerOf(cluster: Cluster, fid: Fid, self: TargetId): TargetId {
  try {
    return cluster.metaOf(fid);
  } catch {
    return self;
  }
}

function isClient(kind: string): boolean {
  return kind === 'client' || kind === 'mount' || kind === 'tool';
}
