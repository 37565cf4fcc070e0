/**
 * A lasting way to one peer: connects on first use, reconnects with growing pauses while somebody wants it,
 * and tells when a session has come or gone. Calls are made on `session()`, retried by who knows what may be.
 */
import type { Logger } from 'pino';
import type { Address } from '../wire/cluster-map.js';
import { IbexError, toIbexError } from '../wire/errors.js';
import { Backoff } from './backoff.js';
import type { Endpoint } from './endpoint.js';
import { monotonicMs } from './runtime.js';
import type { Session } from './session.js';

export interface LinkOptions {
  readonly endpoint: Endpoint;
  /** Asked before every try: the map may have moved the peer. Tried in order. */
  readonly addresses: () => readonly Address[];
  /** For logs and errors: 'mgmtd', 'metadata server m1'. */
  readonly what: string;
  /** Carries file data (driven by a reactor thread). */
  readonly bulk?: boolean;
  /** Runs on every new session before callers get it; when it throws the session is given up. */
  readonly prepare?: (session: Session) => Promise<void> | void;
}

interface Waiter {
  readonly deadline: number;
  resolve(session: Session): void;
  reject(error: Error): void;
}

export class Link {
  readonly #options: LinkOptions;
  readonly #logger: Logger;
  readonly #backoff = new Backoff();
  readonly #abort = new AbortController();
  #session: Session | undefined;
  #waiters: Waiter[] = [];
  #connecting = false;
  #lastError: IbexError | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#logger = options.endpoint.logger;
  }

  /** The session there is now, without waiting. */
  get current(): Session | undefined {
    return this.#session?.isOpen === true ? this.#session : undefined;
  }

  /** @throws IbexError the last cause when none could be had by `deadline` (monotonic ms), ERR_HANDSHAKE_REFUSED at once */
  session(deadline: number): Promise<Session> {
    const session = this.current;
    if (session !== undefined) return Promise.resolve(session);
    return new Promise((resolve, reject) => {
      this.#waiters.push({ deadline, resolve, reject });
      void this.#connect();
    });
  }

  close(): void {
    this.#abort.abort();
    this.#session?.close('link closed');
    this.#failWaiters(Number.POSITIVE_INFINITY, new IbexError('ERR_SHUTTING_DOWN', `${this.#options.what}: link closed`));
  }

  async #connect(): Promise<void> {
    if (this.#connecting) return;
    this.#connecting = true;
    try {
      while (this.#waiters.length > 0 && !this.#abort.signal.aborted) {
        const session = await this.#tryAddresses();
        if (session !== undefined) {
          this.#serve(session);
          return;
        }
        const now = monotonicMs();
        const cause = this.#lastError ?? new IbexError('ERR_CONNECTION_LOST', `${this.#options.what}: no address known`);
        this.#failWaiters(cause.kind === 'ERR_HANDSHAKE_REFUSED' ? Number.POSITIVE_INFINITY : now, cause);
        if (this.#waiters.length > 0) await this.#pause(this.#backoff.nextMs());
      }
    } finally {
      this.#connecting = false;
    }
  }

  async #tryAddresses(): Promise<Session | undefined> {
    for (const address of this.#options.addresses()) {
      let session: Session | undefined;
      try {
        session = await this.#options.endpoint.connect(address, { signal: this.#abort.signal, bulk: this.#options.bulk === true });
        await this.#options.prepare?.(session);
        return session;
      } catch (error) {
        session?.close('could not be prepared');
        this.#lastError = toIbexError(error);
        this.#logger.debug({ err: error, address }, `${this.#options.what}: no connection`);
      }
    }
    return undefined;
  }

  #serve(session: Session): void {
    this.#session = session;
    this.#backoff.reset();
    this.#lastError = undefined;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.resolve(session);
  }

  #failWaiters(until: number, error: IbexError): void {
    const failed = this.#waiters.filter((waiter) => waiter.deadline <= until);
    this.#waiters = this.#waiters.filter((waiter) => waiter.deadline > until);
    for (const waiter of failed) waiter.reject(error);
  }

  /** Wakes early when the next waiter's time is over. */
  #pause(pauseMs: number): Promise<void> {
    const next = Math.min(...this.#waiters.map((waiter) => waiter.deadline));
    const { signal } = this.#abort;
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, Math.max(1, Math.min(pauseMs, next - monotonicMs())));
      signal.addEventListener('abort', done, { once: true });
    });
  }
}
