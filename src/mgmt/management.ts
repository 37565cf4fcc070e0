/**
 * mgmtd's working whole: the state, where it is stored, who is told, and which sessions are which node. The
 * handlers and the HTTP API act on this; it knows neither sockets nor HTTP.
 */
import type { Logger } from 'pino';
import type { Session } from '../net/session.js';
import type { ClusterMap } from '../wire/cluster-map.js';
import { IbexError } from '../wire/errors.js';
import type { NodeId, TargetId } from '../wire/fid.js';
import { mgmt, type SessionCarriers, type Usage } from '../wire/messages.js';
import type { LivenessLimits } from './liveness.js';
import { LivenessTable, stallMs } from './liveness-table.js';
import { MapFeed, type Subscriber } from './map-feed.js';
import { type MgmtState, observe } from './state.js';
import type { MgmtStore } from './store.js';

/** What is needed of a session; tests bring smaller ones. */
export type MgmtSession = Pick<Session, 'peer' | 'isOpen' | 'notify' | 'close'>;

export interface ManagementOptions {
  readonly store: Pick<MgmtStore, 'save'>;
  readonly state: MgmtState;
  readonly logger: Logger;
  readonly limits: LivenessLimits;
  readonly heartbeatMs: number;
  readonly tickMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

interface Seat {
  readonly session: MgmtSession;
  readonly node: NodeId;
  readonly targets: Set<TargetId>;
}

interface Visitor {
  /** Sessions are numbered as they come. */
  readonly id: number;
  readonly since: number;
  readonly subscriber: Subscriber;
}

export class Management {
  readonly logger: Logger;
  readonly heartbeatMs: number;
  readonly feed: MapFeed;
  readonly now: () => number;
  /** Latest figures of every target. */
  readonly usage = new Map<TargetId, Usage>();
  /** What nodes last said of their sessions. */
  readonly carriers = new Map<NodeId, SessionCarriers>();
  readonly sessions = new Map<MgmtSession, Visitor>();
  readonly #nodes: LivenessTable<NodeId>;
  readonly #targets: LivenessTable<TargetId>;
  readonly #seats = new Map<NodeId, Seat>();
  readonly #seatBySession = new Map<MgmtSession, Seat>();
  readonly #store: Pick<MgmtStore, 'save'>;
  readonly #tickMs: number;
  #lastTick: number;
  #visits = 0;
  #state: MgmtState;

  constructor(options: ManagementOptions) {
    this.logger = options.logger;
    this.heartbeatMs = options.heartbeatMs;
    this.now = options.now;
    this.#store = options.store;
    this.#tickMs = options.tickMs;
    this.#state = options.state;
    this.feed = new MapFeed(options.state.map);
    this.#lastTick = options.now();
    const { nodes, targets } = options.state.map;
    this.#nodes = new LivenessTable(
      options.limits,
      nodes.map((node) => [node.id, node.reachability]),
      this.#lastTick,
    );
    this.#targets = new LivenessTable(
      options.limits,
      targets.map((target) => [target.id, target.reachability]),
      this.#lastTick,
    );
  }

  get state(): MgmtState {
    return this.#state;
  }

  get map(): ClusterMap {
    return this.#state.map;
  }

  /** Stores the new state, then lets everybody know. When storing fails nothing has changed. */
  commit(next: MgmtState): void {
    if (next === this.#state) return;
    this.#store.save(this.#state, next);
    this.#state = next;
    this.feed.publish(next.map);
  }

  opened(session: MgmtSession): void {
    this.sessions.set(session, {
      id: ++this.#visits,
      since: this.now(),
      subscriber: {
        sendMapPage: (page) => session.notify(mgmt.mapChanged, { page }),
        mapChangeFailed: (error) => this.#cutOff(session, error),
      },
    });
  }

  closed(session: MgmtSession, reason: string): void {
    const visitor = this.sessions.get(session);
    if (visitor !== undefined) this.feed.unsubscribe(visitor.subscriber);
    this.sessions.delete(session);
    const seat = this.seatOf(session);
    if (seat === undefined) return;
    this.logger.warn({ node: seat.node, peer: session.peer.address }, `lost the session of node ${seat.node}: ${reason}`);
    this.#leave(seat);
  }

  /** What stands for the session in the feed of map changes. */
  subscriberOf(session: MgmtSession): Subscriber {
    const visitor = this.sessions.get(session);
    if (visitor === undefined) throw new IbexError('ERR_CONNECTION_LOST', 'session has ended');
    return visitor.subscriber;
  }

  /** The node that this session has registered as. */
  seatOf(session: MgmtSession): Seat | undefined {
    return this.#seatBySession.get(session);
  }

  /** The open session that is this node now, if heartbeats still come from it. */
  liveSession(node: NodeId): MgmtSession | undefined {
    const seat = this.#seats.get(node);
    return seat?.session.isOpen === true && this.#nodes.stateOf(node) === 'online' ? seat.session : undefined;
  }

  /** The other node on whose open session the target is alive. */
  targetLiveOn(target: TargetId, except: NodeId): NodeId | undefined {
    for (const seat of this.#seats.values()) {
      if (seat.node !== except && seat.targets.has(target) && seat.session.isOpen && this.#targets.stateOf(target) === 'online')
        return seat.node;
    }
    return undefined;
  }

  /** `session` is the node from now on; one that was it before is ended. */
  seatNode(session: MgmtSession, node: NodeId): void {
    const own = this.seatOf(session);
    if (own !== undefined && own.node !== node) this.#leave(own);
    const before = this.#seats.get(node);
    if (before !== undefined && before.session !== session) {
      this.#leave(before);
      before.session.close(`node ${node} registered on another session`);
    }
    if (before?.session !== session) {
      const seat: Seat = { session, node, targets: new Set() };
      this.#seats.set(node, seat);
      this.#seatBySession.set(session, seat);
    }
    this.#nodes.apply(node, { type: 'registered', at: this.now() });
  }

  seatTarget(session: MgmtSession, target: TargetId, usage: Usage): void {
    for (const seat of this.#seats.values()) seat.targets.delete(target);
    this.seatOf(session)?.targets.add(target);
    this.usage.set(target, usage);
    this.#targets.apply(target, { type: 'registered', at: this.now() });
  }

  /**
   * Node and the targets it reports are alive; what it says of targets that it has not registered is ignored.
   *
   * @throws IbexError ERR_NOT_REGISTERED when the session is not this node
   */
  heartbeat(session: MgmtSession, node: NodeId, figures: readonly Usage[]): void {
    const seat = this.#seats.get(node);
    if (seat?.session !== session) throw new IbexError('ERR_NOT_REGISTERED', `node ${node} has not registered on this session`);
    const at = this.now();
    this.#nodes.apply(node, { type: 'heartbeat', at });
    for (const usage of figures) {
      if (!seat.targets.has(usage.target)) continue;
      this.usage.set(usage.target, usage);
      this.#targets.apply(usage.target, { type: 'heartbeat', at });
    }
  }

  /** Lets time pass: states worsen, and what was observed since the last tick enters the map in one change. */
  tick(): void {
    const at = this.now();
    const stalledMs = stallMs(this.#lastTick, at, this.#tickMs);
    this.#lastTick = at;
    for (const table of [this.#nodes, this.#targets]) {
      if (stalledMs > 0) table.applyToAll({ type: 'stalled', forMs: stalledMs });
      table.applyToAll({ type: 'tick', at });
    }
    const before = this.#state.map;
    this.commit(
      observe(this.#state, {
        node: (id) => this.#nodes.stateOf(id),
        target: (id) => this.#targets.stateOf(id),
        usage: (id) => this.usage.get(id),
      }),
    );
    this.#logTransitions(before);
  }

  #logTransitions(before: ClusterMap): void {
    if (before === this.map) return;
    const changed = (
      what: string,
      old: readonly { id: number; reachability: string }[],
      now: readonly { id: number; alias: string; reachability: string }[],
    ): void => {
      const states = new Map(old.map((entry) => [entry.id, entry.reachability]));
      for (const { id, alias, reachability } of now) {
        const was = states.get(id);
        if (was === undefined || was === reachability) continue;
        this.logger[reachability === 'online' ? 'info' : 'warn'](
          { [what]: id, alias, from: was, to: reachability },
          `${what} ${id} (${alias}) is ${reachability}, was ${was}`,
        );
      }
    };
    changed('node', before.nodes, this.map.nodes);
    changed('target', before.targets, this.map.targets);
  }

  /** Its copy of the map is stale for good: it has to come again and ask for a whole one. */
  #cutOff(session: MgmtSession, error: unknown): void {
    const reason = `cannot send a change of the cluster map: ${error instanceof Error ? error.message : String(error)}`;
    this.logger.error({ peer: session.peer.address, name: session.peer.name }, `ending the session of ${session.peer.name}: ${reason}`);
    session.close(reason);
  }

  #leave(seat: Seat): void {
    const at = this.now();
    this.#seats.delete(seat.node);
    this.#seatBySession.delete(seat.session);
    this.#nodes.apply(seat.node, { type: 'session-lost', at });
    for (const target of seat.targets) this.#targets.apply(target, { type: 'session-lost', at });
  }
}
