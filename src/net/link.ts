/**
 * A lasting way to one peer: connects on first use, reconnects with growing pauses while somebody wants it,
 * and makes sure that the one who answers is the one who was sought. Calls are made on `session()`, retried
 * by who knows what may be.
 */
import type { Logger } from 'pino';
import type { Address } from '../wire/cluster-map.js';
import { IbexError, toIbexError } from '../wire/errors.js';
import type { PeerKind } from '../wire/handshake.js';
import { Backoff } from './backoff.js';
import type { Endpoint } from './endpoint.js';
import { untilRdmaIsBack } from './rdma-return.js';
import { monotonicMs } from './runtime.js';
import type { Session } from './session.js';
import { pause, waitFor } from './waiting.js';
import { Warnings } from './warnings.js';

export interface ExpectedPeer {
  readonly kind: PeerKind;
  /** Absent: any node of the kind. A daemon that does not know its number yet is not taken for this one. */
  readonly nodeId?: number | undefined;
}

export interface LinkOptions {
  readonly endpoint: Endpoint;
  /** Asked before every try: the map may have moved the peer. Tried in order. */
  readonly addresses: () => readonly Address[];
  /** Who has to answer there: an address may meanwhile be another daemon's. */
  readonly expected: () => ExpectedPeer;
  /** For logs and errors: 'mgmtd', 'metadata server m1'. */
  readonly what: string;
  /** Carries file data (driven by a reactor thread). */
  readonly bulk?: boolean;
  /** Runs on every new session before callers get it; when it throws the session is given up. */
  readonly prepare?: (session: Session) => Promise<void> | void;
}

interface Waiter {
  resolve(session: Session): void;
  reject(error: Error): void;
}

/** A session that ended sooner has not shown that the peer works: the pauses go on growing. */
const PROVEN_MS = 1_000;
const WARNINGS = { most: 1, perMs: 10_000 };

export class Link {
  readonly #options: LinkOptions;
  readonly #logger: Logger;
  readonly #warnings: Warnings;
  readonly #backoff = new Backoff();
  /** Between looks whether RDMA can be used again: they grow until it was. */
  readonly #rdmaBackoff = new Backoff(1_000, 300_000);
  readonly #abort = new AbortController();
  readonly #waiters = new Set<Waiter>();
  #session: Session | undefined;
  #servedAt = 0;
  #connecting = false;
  /** Ends the pause between two tries: nobody waits any more. */
  #wake: (() => void) | undefined;
  #lastError: IbexError | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#logger = options.endpoint.logger;
    this.#warnings = new Warnings(this.#logger, WARNINGS);
  }

  /** The session there is now, without waiting. */
  get current(): Session | undefined {
    return this.#session?.isOpen === true ? this.#session : undefined;
  }

  /**
   * @throws IbexError the last cause when none could be had by `deadline` (monotonic ms),
   *   ERR_HANDSHAKE_REFUSED at once, ERR_CANCELED, ERR_SHUTTING_DOWN after close
   */
  session(deadline: number, signal?: AbortSignal): Promise<Session> {
    const session = this.current;
    if (session !== undefined) return Promise.resolve(session);
    if (this.#over) return Promise.reject(this.#closedError());
    const { what } = this.#options;
    return waitFor<Session>(
      { what: `a session with ${what}`, deadline, signal },
      (resolve, reject) => {
        const waiter = { resolve, reject };
        this.#waiters.add(waiter);
        void this.#connect();
        return () => {
          this.#waiters.delete(waiter);
          if (this.#waiters.size === 0) this.#wake?.();
        };
      },
      () => this.#lastError ?? new IbexError('ERR_TIMED_OUT', `a session with ${what}`),
    );
  }

  /** For a new map: a session with who is not the expected peer any more ends. */
  verify(): void {
    const session = this.current;
    if (session !== undefined && !this.#isExpected(session)) session.close(`${this.#options.what} is served elsewhere now`);
  }

  close(): void {
    this.#abort.abort();
    this.#session?.close('link closed');
    this.#failWaiters(this.#closedError());
    this.#warnings.close();
  }

  get #over(): boolean {
    return this.#abort.signal.aborted || this.#options.endpoint.isClosed;
  }

  #closedError(): IbexError {
    return new IbexError('ERR_SHUTTING_DOWN', `${this.#options.what}: link closed`);
  }

  async #connect(): Promise<void> {
    if (this.#connecting) return;
    this.#connecting = true;
    try {
      if (this.#session !== undefined) await this.#afterSession();
      while (this.#waiters.size > 0 && !this.#over) {
        const session = await this.#tryAddresses();
        if (session !== undefined) {
          this.#serve(session);
          return;
        }
        if (this.#lastError?.kind === 'ERR_HANDSHAKE_REFUSED') this.#failWaiters(this.#lastError);
        if (this.#waiters.size > 0) await this.#pause();
      }
      if (this.#over) this.#failWaiters(this.#closedError());
    } finally {
      this.#connecting = false;
    }
  }

  /** A server that takes us on and drops us is not called in a tight loop. */
  async #afterSession(): Promise<void> {
    this.#session = undefined;
    if (monotonicMs() - this.#servedAt >= PROVEN_MS) this.#backoff.reset();
    else await this.#pause();
  }

  async #tryAddresses(): Promise<Session | undefined> {
    const { endpoint, addresses, what, bulk, prepare } = this.#options;
    const { signal } = this.#abort;
    const candidates = addresses();
    if (candidates.length === 0) this.#lastError = new IbexError('ERR_CONNECTION_LOST', `${what}: no address known`);
    for (const address of candidates) {
      let session: Session | undefined;
      try {
        session = await endpoint.connect(address, { signal, bulk: bulk === true });
        this.#check(session);
        await prepare?.(session);
        if (signal.aborted) throw this.#closedError();
        return session;
      } catch (error) {
        session?.close('could not be prepared');
        this.#lastError = toIbexError(error);
        this.#logger.debug({ err: error, address }, `${what}: no connection`);
      }
    }
    return undefined;
  }

  #isExpected({ peer }: Session): boolean {
    const { kind, nodeId } = this.#options.expected();
    return peer.kind === kind && (nodeId === undefined || peer.nodeId === nodeId);
  }

  #check(session: Session): void {
    if (this.#isExpected(session)) return;
    const { kind, nodeId } = this.#options.expected();
    const { peer } = session;
    const wanted = nodeId === undefined ? kind : `${kind} node ${nodeId}`;
    const found = peer.nodeId === 0 ? `a ${peer.kind} that has not registered yet` : `${peer.kind} node ${peer.nodeId}`;
    const text = `${this.#options.what}: ${wanted} is expected at ${peer.address}, there answers ${found} (${peer.name})`;
    // A daemon that has just started is worth no warning: it registers in a moment.
    if (peer.kind !== kind || peer.nodeId !== 0) this.#warnings.warn({ address: peer.address }, text);
    throw new IbexError('ERR_CONNECTION_LOST', text);
  }

  #serve(session: Session): void {
    this.#session = session;
    this.#servedAt = monotonicMs();
    this.#lastError = undefined;
    if (session.peer.carrier.kind === 'rdma') this.#rdmaBackoff.reset();
    else if (this.#options.endpoint.carriers.policy === 'prefer') void this.#returnToRdma(session);
    for (const waiter of [...this.#waiters]) waiter.resolve(session);
  }

  /** What is under way on the session is done again on the next, as after any loss of a connection. */
  async #returnToRdma(session: Session): Promise<void> {
    const { endpoint, what } = this.#options;
    if (!(await untilRdmaIsBack(session, endpoint.carriers, this.#rdmaBackoff))) return;
    this.#logger.info(`${what}: both sides can use RDMA now, so the session over TCP ends`);
    session.close('RDMA can be used again');
  }

  #failWaiters(error: IbexError): void {
    for (const waiter of [...this.#waiters]) waiter.reject(error);
  }

  /** Ends early when nobody waits any more, so that who asks next is served at once. */
  async #pause(): Promise<void> {
    const controller = new AbortController();
    const wake = (): void => controller.abort();
    const { signal } = this.#abort;
    signal.addEventListener('abort', wake, { once: true });
    this.#wake = wake;
    const patience = { what: this.#options.what, deadline: Number.POSITIVE_INFINITY, signal: controller.signal };
    await pause(this.#backoff.nextMs(), patience).catch(() => {});
    signal.removeEventListener('abort', wake);
    this.#wake = undefined;
  }
}
