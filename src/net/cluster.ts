/**
 * The rest of the cluster as a client or daemon sees it: a current copy of the map, calls to mgmtd and to
 * the metadata server that owns a FID, routes to storage targets for native code. Calls survive lost
 * connections, restarts and map changes until their time is over; who serves what comes from the map alone.
 */
import type { Address, ClusterMap, MapChange, NodeEntry, TargetEntry } from '../wire/cluster-map.js';
import { applyMapChange } from '../wire/cluster-map.js';
import { IbexError, toIbexError } from '../wire/errors.js';
import { type Fid, fidSequence, type NodeId, ROOT_FID, type TargetId } from '../wire/fid.js';
import { type Message, mgmt, type RequestOf, type ResponseOf } from '../wire/messages.js';
import { Backoff } from './backoff.js';
import { Channels } from './channels.js';
import type { Endpoint } from './endpoint.js';
import { Link } from './link.js';
import { monotonicMs } from './runtime.js';
import { CALL_TIMEOUT_MS, type CallOptions, type Session } from './session.js';
import { StorageRoutes } from './storage-routes.js';
import { pause } from './waiting.js';
import { Warnings } from './warnings.js';

const MAP_WAIT_MS = 250;
/** Changes that may arrive before the map they belong to. */
const EARLY_CHANGES_MAX = 1024;

interface Peer {
  readonly link: Link;
  /** Where changes are numbered: metadata servers remember their answers. */
  readonly channels?: Channels;
}

export class Cluster {
  readonly endpoint: Endpoint;
  readonly #mgmtd: Link;
  readonly #metas = new Map<TargetId, Peer>();
  readonly #routes: StorageRoutes;
  readonly #mapListeners = new Set<(map: ClusterMap) => void>();
  readonly #metaListeners = new Set<(target: TargetId, session: Session) => Promise<void> | void>();
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
      prepare: (session) => this.#subscribe(session),
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
  onMetaSession(listener: (target: TargetId, session: Session) => Promise<void> | void): void {
    this.#metaListeners.add(listener);
  }

  /** Session with mgmtd that is open now, if any. */
  get mgmtdSession(): Session | undefined {
    return this.#mgmtd.current;
  }

  target(id: TargetId): TargetEntry | undefined {
    return this.#map?.targets.find((target) => target.id === id);
  }

  node(id: NodeId): NodeEntry | undefined {
    return this.#map?.nodes.find((node) => node.id === id);
  }

  /** The metadata target that owns the inode. */
  metaOf(fid: Fid): TargetId {
    const { map } = this;
    if (fid === ROOT_FID) {
      if (map.rootTarget === undefined) throw new IbexError('ERR_TRY_AGAIN', 'no metadata target has registered yet: start ibex meta');
      return map.rootTarget;
    }
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
    throw new IbexError('ERR_STALE_FILE', `no metadata target owns FID sequence 0x${sequence.toString(16)}`);
  }

  /** Calls mgmtd; retried over lost connections until its time is over. */
  async mgmtd<M extends Message>(message: M, request: RequestOf<M>, options: CallOptions = {}): Promise<ResponseOf<M>> {
    return this.#retry({ link: this.#mgmtd }, message, request, options);
  }

  /** Calls the metadata target that owns `fid`. */
  meta<M extends Message>(fid: Fid, message: M, request: RequestOf<M>, options: CallOptions = {}): Promise<ResponseOf<M>> {
    const peer = this.#metaPeer(this.metaOf(fid));
    const session = peer.link.current;
    if (session === undefined || message.changes) return this.#retry(peer, message, request, options, fid);
    // The usual case costs one promise: an answer, or an error that no retry helps.
    return session.call(message, request, { ...options, mapVersion: this.map.version }).catch((error: unknown) => {
      if (!toIbexError(error).retryable || options.signal?.aborted === true) throw error;
      return this.#retry(peer, message, request, options, fid);
    });
  }

  /** Calls a metadata target by its id, for what is not about a FID. */
  metaTarget<M extends Message>(target: TargetId, message: M, request: RequestOf<M>, options: CallOptions = {}): Promise<ResponseOf<M>> {
    return this.#retry(this.#metaPeer(target), message, request, options);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#abort.abort();
    this.#routes.close();
    for (const { link } of this.#metas.values()) link.close();
    this.#mgmtd.close();
  }

  async #retry<M extends Message>(peer: Peer, message: M, request: RequestOf<M>, options: CallOptions, fid?: Fid): Promise<ResponseOf<M>> {
    const deadline = monotonicMs() + (options.timeoutMs ?? CALL_TIMEOUT_MS);
    const { link, channels } = peer;
    let backoff: Backoff | undefined;
    const taken = message.changes ? channels?.take({ what: message.name, deadline, signal: options.signal }) : undefined;
    const channel = taken instanceof Promise ? await taken : taken;
    try {
      for (;;) {
        const mapVersion = this.#map?.version ?? 0;
        try {
          const session = link.current ?? (await link.session(deadline));
          return await session.call(message, request, {
            ...options,
            mapVersion,
            channel,
            timeoutMs: Math.max(1, deadline - monotonicMs()),
          });
        } catch (error) {
          const cause = toIbexError(error);
          const timeLeftMs = deadline - monotonicMs();
          const again =
            cause.retryable && cause.kind !== 'ERR_TIMED_OUT' && timeLeftMs > 0 && options.signal?.aborted !== true && !this.#closed;
          if (!again) throw cause;
          if (fid !== undefined && (cause.kind === 'ERR_STALE_MAP' || cause.kind === 'ERR_NOT_MY_TARGET')) await this.#newerMap(mapVersion);
          else if (cause.kind !== 'ERR_CONNECTION_LOST') {
            backoff ??= new Backoff(10, 500);
            await new Promise((resolve) => setTimeout(resolve, Math.min(timeLeftMs, (backoff as Backoff).nextMs())));
          }
        }
      }
    } finally {
      if (channel !== undefined) channels?.giveBack(channel);
    }
  }

  /** Waits for a map newer than `version`, at most a moment: the caller tries again anyway. */
  #newerMap(version: number): Promise<void> {
    if ((this.#map?.version ?? 0) > version) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        stop();
        resolve();
      };
      const timer = setTimeout(done, MAP_WAIT_MS);
      const stop = this.onMap(done);
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
          for (const listener of this.#metaListeners) await listener(target, session);
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

  /** Changes that come in the same batch as the map itself wait for it. */
  async #subscribe(session: Session): Promise<void> {
    let early: MapChange[] | undefined = [];
    session.onNotify(mgmt.mapChanged, ({ change }) => {
      if (early === undefined) this.#change(session, change);
      else if (early.length < EARLY_CHANGES_MAX) early.push(change);
      else session.close('the cluster map changes faster than it arrives');
    });
    const { map } = await session.call(mgmt.subscribeMap, { kind: this.endpoint.identity.kind, name: this.endpoint.identity.name });
    if (this.#map !== undefined && this.#map.clusterId !== map.clusterId) {
      throw new IbexError(
        'ERR_HANDSHAKE_REFUSED',
        `mgmtd now serves cluster ${map.clusterId}, this process belongs to ${this.#map.clusterId}`,
      );
    }
    this.#take(map);
    const changes = early;
    early = undefined;
    for (const change of changes) this.#change(session, change);
  }

  #change(session: Session, change: MapChange): void {
    const { map } = this;
    if (change.to <= map.version) return;
    const next = applyMapChange(map, change);
    if (next === undefined) session.close(`missed a change of the cluster map between ${map.version} and ${change.from}`);
    else this.#take(next);
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
    this.#map = map;
    this.#routes.mapChanged(map);
    for (const { link } of this.#metas.values()) link.verify();
    for (const listener of this.#mapListeners) listener(map);
  }
}
