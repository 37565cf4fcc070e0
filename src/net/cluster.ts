/**
 * The rest of the cluster as a client or daemon sees it: a current copy of the map, calls to mgmtd and to
 * the metadata server that owns a FID, routes to storage targets for native code. Calls survive lost
 * connections, restarts and map changes until their time is over; who serves what comes from the map alone.
 */
import { type Address, type ClusterMap, entryOf, type NodeEntry, type TargetEntry } from '../wire/cluster-map.js';
import { IbexError, toIbexError } from '../wire/errors.js';
import { type Fid, fidSequence, type NodeId, ROOT_FID, type TargetId } from '../wire/fid.js';
import type { Message, RequestOf, ResponseOf } from '../wire/messages.js';
import { Backoff } from './backoff.js';
import { type Channel, Channels } from './channels.js';
import type { Endpoint } from './endpoint.js';
import { Link } from './link.js';
import { MapFollower } from './map-follower.js';
import { monotonicMs } from './runtime.js';
import { type CallOptions, deadlineOf, type Session } from './session.js';
import { StorageRoutes } from './storage-routes.js';
import { type Patience, pause, waitFor } from './waiting.js';
import { Warnings } from './warnings.js';

const MAP_WAIT_MS = 250;

interface Peer {
  readonly link: Link;
  /** Where changes are numbered: metadata servers remember their answers. */
  readonly channels?: Channels;
}

/** Its calls act on the map of the moment, as those of the cluster do. */
type MetaSessionListener = (target: TargetId, session: Pick<Session, 'call'>) => Promise<void> | void;

export class Cluster {
  readonly endpoint: Endpoint;
  readonly #mgmtd: Link;
  readonly #metas = new Map<TargetId, Peer>();
  readonly #routes: StorageRoutes;
  readonly #mapListeners = new Set<(map: ClusterMap) => void>();
  readonly #metaListeners = new Set<MetaSessionListener>();
  #map: ClusterMap | undefined;
  readonly #abort = new AbortController();
  #closed = false;

  private constructor(endpoint: Endpoint, addresses: readonly Address[]) {
    this.endpoint = endpoint;
    this.#mgmtd = new Link({
      endpoint,
      addresses: () => addresses,
      expected: () => ({ kind: 'mgmtd' }),
      what: 'mgmtd',
      prepare: (session) => MapFollower.start(session, (map) => this.#take(map)),
    });
    this.#routes = new StorageRoutes(endpoint, () => this.map);
    endpoint.runtime.listeners.routeNeeded = (target) => this.#routes.need(target as TargetId);
  }

  /** @throws IbexError when no mgmtd answers within timeoutMs (default 10,000) */
  static async connect(endpoint: Endpoint, mgmtd: readonly Address[], options: { timeoutMs?: number } = {}): Promise<Cluster> {
    const cluster = new Cluster(endpoint, mgmtd);
    try {
      await cluster.#mgmtd.session(monotonicMs() + (options.timeoutMs ?? 10_000));
    } catch (error) {
      await cluster.close();
      const cause = toIbexError(error);
      if (cause.kind === 'ERR_HANDSHAKE_REFUSED') throw cause;
      const where = mgmtd.map((address) => `${address.host}:${address.port}`).join(', ');
      throw new IbexError('ERR_CONNECTION_LOST', `no mgmtd answers at ${where}: is it running? (${cause.message})`, { cause: error });
    }
    void cluster.#staySubscribed();
    return cluster;
  }

  get map(): ClusterMap {
    if (this.#map === undefined) throw new IbexError('ERR_TRY_AGAIN', 'the cluster map has not arrived yet');
    return this.#map;
  }

  /** Called with every new map; returns how to stop. */
  onMap(listener: (map: ClusterMap) => void): () => void {
    this.#mapListeners.add(listener);
    return () => this.#mapListeners.delete(listener);
  }

  /** Called on every session with a metadata server before calls use it: to say which files are open. */
  onMetaSession(listener: MetaSessionListener): void {
    this.#metaListeners.add(listener);
  }

  /** Session with mgmtd that is open now, if any. */
  get mgmtdSession(): Session | undefined {
    return this.#mgmtd.current;
  }

  target(id: TargetId): TargetEntry | undefined {
    return entryOf(this.#map?.targets ?? [], id);
  }

  node(id: NodeId): NodeEntry | undefined {
    return entryOf(this.#map?.nodes ?? [], id);
  }

  /**
   * The metadata target that owns the inode, by the map of this moment.
   *
   * @throws IbexError ERR_TRY_AGAIN while there is no map or no root, ERR_STALE_FILE where nobody owns it
   */
  metaOf(fid: Fid): TargetId {
    const owner = this.#ownerOf(fid);
    if (owner !== undefined) return owner;
    if (this.map.rootTarget === undefined) throw new IbexError('ERR_TRY_AGAIN', 'no metadata target has registered yet: start ibex meta');
    throw new IbexError('ERR_STALE_FILE', `no metadata target owns FID sequence 0x${fidSequence(fid).toString(16)}`);
  }

  #ownerOf(fid: Fid): TargetId | undefined {
    const map = this.#map;
    if (map === undefined) return undefined;
    if (fid === ROOT_FID) return map.rootTarget;
    const sequence = fidSequence(fid);
    let low = 0;
    let high = map.sequences.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const range = map.sequences[middle] as (typeof map.sequences)[number];
      if (sequence < range.first) high = middle - 1;
      else if (sequence > range.last) low = middle + 1;
      else return range.target;
    }
    return undefined;
  }

  /** Calls mgmtd; retried over lost connections until its time is over. */
  mgmtd<M extends Message>(message: M, request: RequestOf<M>, options: CallOptions = {}): Promise<ResponseOf<M>> {
    return this.#retry(() => ({ link: this.#mgmtd }), message, request, options);
  }

  /** Calls the metadata target that owns `fid`. Whatever is wrong comes as a rejection. */
  meta<M extends Message>(fid: Fid, message: M, request: RequestOf<M>, options: CallOptions = {}): Promise<ResponseOf<M>> {
    const deadline = deadlineOf(options);
    const owner = this.#ownerOf(fid);
    const session = owner === undefined || message.changes ? undefined : this.#metas.get(owner)?.link.current;
    if (session === undefined) return this.#retry((patience) => this.#peerOf(fid, patience), message, request, { ...options, deadline });
    // The usual case costs one promise: an answer, or an error that no retry helps.
    const { signal } = options;
    return session.call(message, request, { signal, deadline, mapVersion: this.map.version }).catch((error: unknown) => {
      if (!toIbexError(error).retryable || signal?.aborted === true) throw error;
      return this.#retry((patience) => this.#peerOf(fid, patience), message, request, { ...options, deadline });
    });
  }

  /** Calls a metadata target by its id, for what is not about a FID. */
  metaTarget<M extends Message>(target: TargetId, message: M, request: RequestOf<M>, options: CallOptions = {}): Promise<ResponseOf<M>> {
    return this.#retry(() => this.#metaPeer(target), message, request, options);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#abort.abort();
    this.#routes.close();
    for (const { link } of this.#metas.values()) link.close();
    this.#mgmtd.close();
  }

  /** `find` is asked before every try: the map may have moved what is called. A new peer numbers changes anew. */
  async #retry<M extends Message>(
    find: (patience: Patience) => Peer | Promise<Peer>,
    message: M,
    request: RequestOf<M>,
    options: CallOptions,
  ): Promise<ResponseOf<M>> {
    const { signal } = options;
    const deadline = deadlineOf(options);
    const patience = { what: message.name, deadline, signal };
    let backoff: Backoff | undefined;
    let peer: Peer | undefined;
    let channel: Channel | undefined;
    try {
      for (;;) {
        const mapVersion = this.#map?.version ?? 0;
        try {
          const found = find(patience);
          const now = found instanceof Promise ? await found : found;
          if (message.changes && now.channels !== peer?.channels) {
            if (channel !== undefined) peer?.channels?.giveBack(channel);
            channel = undefined;
            const taken = now.channels?.take(patience);
            channel = taken instanceof Promise ? await taken : taken;
          }
          peer = now;
          const session = peer.link.current ?? (await peer.link.session(deadline, signal));
          return await session.call(message, request, { signal, deadline, mapVersion, channel });
        } catch (error) {
          backoff ??= new Backoff(10, 500);
          await this.#beforeNextTry(toIbexError(error), mapVersion, backoff, patience);
        }
      }
    } finally {
      if (channel !== undefined) peer?.channels?.giveBack(channel);
    }
  }

  /** @throws what the last try did where no other try can help or may be made */
  async #beforeNextTry(cause: IbexError, mapVersion: number, backoff: Backoff, patience: Patience): Promise<void> {
    const { deadline, signal } = patience;
    const again =
      cause.retryable && cause.kind !== 'ERR_TIMED_OUT' && monotonicMs() < deadline && signal?.aborted !== true && !this.#closed;
    if (!again) throw cause;
    if (cause.kind === 'ERR_STALE_MAP' || cause.kind === 'ERR_NOT_MY_TARGET') await this.#newerMap(mapVersion, patience);
    else if (cause.kind !== 'ERR_CONNECTION_LOST') await pause(backoff.nextMs(), patience);
  }

  #peerOf(fid: Fid, patience: Patience): Peer | Promise<Peer> {
    const owner = this.#ownerOf(fid);
    return owner === undefined ? this.#findOwner(fid, patience) : this.#metaPeer(owner);
  }

  /** For a FID that this map assigns to nobody: the file may be newer than the map, which then comes in a moment. */
  async #findOwner(fid: Fid, patience: Patience): Promise<Peer> {
    for (let looks = 0; ; looks++) {
      const version = this.#map?.version ?? 0;
      try {
        return this.#metaPeer(this.metaOf(fid));
      } catch (error) {
        const cause = toIbexError(error);
        const again = (cause.retryable || looks === 0) && monotonicMs() < patience.deadline && !this.#closed;
        if (!again) throw cause;
        await this.#newerMap(version, patience);
      }
    }
  }

  /** Waits for a map newer than `version`, at most a moment: the caller tries again anyway. */
  #newerMap(version: number, { what, deadline, signal }: Patience): Promise<void> {
    if ((this.#map?.version ?? 0) > version) return Promise.resolve();
    return waitFor<void>({ what, deadline: Number.POSITIVE_INFINITY, signal }, (resolve) => {
      const stop = this.onMap(() => resolve());
      const timer = setTimeout(resolve, Math.max(0, Math.min(MAP_WAIT_MS, deadline - monotonicMs())));
      return () => {
        clearTimeout(timer);
        stop();
      };
    });
  }

  #metaPeer(target: TargetId): Peer {
    let peer = this.#metas.get(target);
    if (peer === undefined) {
      const link = new Link({
        endpoint: this.endpoint,
        addresses: () => this.#addressesOf(target),
        expected: () => ({ kind: 'meta', nodeId: this.target(target)?.node }),
        what: `metadata target ${target}`,
        prepare: async (session) => {
          const call: Session['call'] = (message, request, options) =>
            session.call(message, request, { mapVersion: this.map.version, ...options });
          for (const listener of this.#metaListeners) await listener(target, { call });
        },
      });
      peer = { link, channels: new Channels() };
      this.#metas.set(target, peer);
    }
    return peer;
  }

  #addressesOf(target: TargetId): readonly Address[] {
    const entry = this.target(target);
    return entry === undefined ? [] : (this.node(entry.node)?.addresses ?? []);
  }

  /** A lost session is sought again at once, not only when somebody calls; whatever mgmtd says, only close() ends this. */
  async #staySubscribed(): Promise<void> {
    const backoff = new Backoff(250, 10_000);
    const warnings = new Warnings(this.endpoint.logger, { most: 1, perMs: 30_000 });
    const patience = { what: 'mgmtd', deadline: Number.POSITIVE_INFINITY, signal: this.#abort.signal };
    while (!this.#closed && !this.endpoint.isClosed) {
      try {
        const session = await this.#mgmtd.session(Number.POSITIVE_INFINITY);
        backoff.reset();
        await session.closed;
      } catch (error) {
        if (this.#closed) break;
        warnings.warn({ err: error }, `no session with mgmtd, asked again until there is one: ${toIbexError(error).message}`);
        await pause(backoff.nextMs(), patience).catch(() => {});
      }
    }
    warnings.close();
  }

  #take(map: ClusterMap): void {
    if (this.#map !== undefined && this.#map.clusterId !== map.clusterId) {
      throw new IbexError(
        'ERR_HANDSHAKE_REFUSED',
        `mgmtd now serves cluster ${map.clusterId}, this process belongs to ${this.#map.clusterId}`,
      );
    }
    this.#map = map;
    this.#routes.mapChanged(map);
    for (const { link } of this.#metas.values()) link.verify();
    for (const listener of this.#mapListeners) listener(map);
  }
}
