/**
 * A process's place in the cluster's conversation: it listens, connects, authenticates, and carries RPCs.
 * One per process. It knows no message by name: services register handlers.
 */
import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import type { RuntimeOptions } from '../native.js';
import type { Address } from '../wire/cluster-map.js';
import { decodeBody, encodeBody } from '../wire/codec.js';
import { IbexError, toIbexError } from '../wire/errors.js';
import { type FrameEvent, FrameType, PROTOCOL_VERSION } from '../wire/generated.js';
import {
  ClientHandshake,
  encodeRefusal,
  type HandshakeResult,
  type HandshakeStep,
  type Identity,
  type PeerKind,
  type QueuePairWord,
  ServerHandshake,
} from '../wire/handshake.js';
import { catalogue, type Message, peer, type RequestOf, type ResponseOf, type SessionCarriers } from '../wire/messages.js';
import { type Carrier, Carriers, carrierTraffic, countCarriers, nativeRdmaOptions, type RdmaSettings, rdmaOff, whyTcp } from './carrier.js';
import { monotonicMs, Runtime } from './runtime.js';
import { Session } from './session.js';
import { type Patience, waitFor } from './waiting.js';
import { Warnings } from './warnings.js';

export interface EndpointOptions {
  readonly key: Buffer;
  readonly kind: PeerKind;
  readonly name?: string | undefined;
  readonly logger: Logger;
  readonly nodeId?: number | undefined;
  readonly runtime?: Partial<RuntimeOptions>;
  /** Off when absent. */
  readonly rdma?: RdmaSettings | undefined;
  /** Where accepted connections are served; 'threads' where native code answers bulk I/O. Default 'loop'. */
  readonly serving?: 'loop' | 'threads';
  /** Finds a numeric address for a host name; default: as the system does. */
  readonly resolveHost?: (host: string) => Promise<string>;
}

export interface CallContext {
  readonly session: Session;
  readonly mapVersion: number;
  readonly channel: number;
  readonly sequence: number;
  /** Hex id of the calling process, stable over its reconnects. */
  readonly clientId: string;
}

export type Handler<M extends Message> = (request: RequestOf<M>, context: CallContext) => ResponseOf<M> | Promise<ResponseOf<M>>;

export interface SessionListener {
  opened?(session: Session): void;
  closed?(session: Session, reason: string): void;
}

interface Reply {
  readonly frame: FrameEvent;
  readonly message: Message | undefined;
  readonly value: unknown;
  readonly error?: IbexError;
}

const CONNECT_TIMEOUT_MS = 5_000;
const EXPIRY_CHECK_MS = 250;
/** Replies that wait for the log when the endpoint is closed get this long. */
const CLOSE_WAIT_MS = 5_000;
/** Refused strangers that are worth a line each; the rest is counted. */
const REFUSALS = { most: 5, perMs: 1_000 };

export class Endpoint {
  readonly runtime: Runtime;
  readonly identity: Identity;
  readonly carriers: Carriers;
  readonly logger: Logger;
  readonly #key: Buffer;
  readonly #serving: 'loop' | 'threads';
  readonly #reactorThreads: number;
  readonly #handlers = new Map<number, Handler<Message>>();
  readonly #sessions = new Map<number, Session>();
  readonly #sessionListeners: SessionListener[] = [];
  #beforeReplies: (() => void | Promise<void>) | undefined;
  readonly #handshaking = new Set<number>();
  readonly #refusals: Warnings;
  readonly #resolveHost: (host: string) => Promise<string>;
  /** Batches of replies that wait for the hook. */
  readonly #sending = new Set<Promise<void>>();
  #replies: Reply[] = [];
  #repliesScheduled = false;
  #nextReactor = 0;
  #expiryTimer: NodeJS.Timeout | undefined;
  #nodeId: number;
  #closed = false;
  #closing: Promise<void> | undefined;
  /** Requests served, by operation. */
  readonly served = new Map<number, number>();

  constructor(options: EndpointOptions) {
    this.#key = options.key;
    this.logger = options.logger;
    this.#refusals = new Warnings(options.logger, REFUSALS);
    this.#resolveHost = options.resolveHost ?? (async (host) => (await lookup(host)).address);
    this.#serving = options.serving ?? 'loop';
    this.#reactorThreads = options.runtime?.reactorThreads ?? 0;
    this.#nodeId = options.nodeId ?? 0;
    this.identity = {
      kind: options.kind,
      name: options.name ?? `${hostname()}:${process.pid}`,
      clientId: randomBytes(16).toString('hex'),
      nodeId: this.#nodeId,
    };
    const rdma = options.rdma ?? rdmaOff;
    const isClient = options.kind === 'client' || options.kind === 'mount' || options.kind === 'tool';
    this.runtime = new Runtime({ ...options.runtime, rdma: nativeRdmaOptions(rdma, isClient) });
    this.carriers = new Carriers(this.runtime.native, rdma.policy, options.logger);
    this.runtime.listeners.accepted = (connection, _listener, address) => this.#accepted(connection, address);
    this.runtime.listeners.batchEnd = () => this.#sendReplies();
    this.handle(peer.rdmaTrouble, () => ({ trouble: this.carriers.trouble().slice(0, 4096) }));
    this.runtime.listeners.log = (level, text) => this.#logNative(level, text);
  }

  get nodeId(): number {
    return this.#nodeId;
  }

  /** Known once mgmtd has registered this daemon. */
  set nodeId(id: number) {
    this.#nodeId = id;
  }

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** For heartbeats. */
  sessionCarriers(): SessionCarriers {
    return { ...countCarriers(this.#sessions.values()), traffic: carrierTraffic(this.runtime.native.metrics()) };
  }

  get sessions(): ReadonlyMap<number, Session> {
    return this.#sessions;
  }

  /** @throws IbexError when the address cannot be listened on */
  async listen(address: Address): Promise<Address> {
    const host = await this.#numericHost(address.host, {
      what: `looking up ${address.host}`,
      deadline: monotonicMs() + CONNECT_TIMEOUT_MS,
    });
    const { port } = this.runtime.native.listen(host, address.port, this.#serving);
    return { host: address.host, port };
  }

  handle<M extends Message>(message: M, handler: Handler<M>): void {
    this.#handlers.set(message.operation, handler as unknown as Handler<Message>);
  }

  /** Runs after the handlers of a batch and before their replies leave; when it throws they become errors. */
  beforeReplies(hook: () => void | Promise<void>): void {
    this.#beforeReplies = hook;
  }

  onSession(listener: SessionListener): void {
    this.#sessionListeners.push(listener);
  }

  /**
   * Connects and authenticates.
   *
   * @param options.bulk the session carries file data: its connection is driven by a reactor thread
   * @throws IbexError ERR_CONNECTION_LOST, ERR_TIMED_OUT, ERR_HANDSHAKE_REFUSED, ERR_CANCELED
   */
  async connect(address: Address, options: { signal?: AbortSignal; timeoutMs?: number; bulk?: boolean } = {}): Promise<Session> {
    const where = `${address.host}:${address.port}`;
    const patience = {
      what: `connecting to ${where}`,
      deadline: monotonicMs() + (options.timeoutMs ?? CONNECT_TIMEOUT_MS),
      signal: options.signal,
    };
    const host = await this.#numericHost(address.host, patience);
    if (this.isClosed) throw new IbexError('ERR_SHUTTING_DOWN', 'this endpoint was closed');
    const reactor = options.bulk === true && this.#reactorThreads > 0 ? this.#nextReactor++ % this.#reactorThreads : -1;
    return new Promise((resolve, reject) => {
      const connection = this.runtime.native.connect(host, address.port, reactor);
      let session: Session | undefined;
      const handshake = new ClientHandshake(this.#key, { ...this.identity, nodeId: this.#nodeId });
      const give = (error: IbexError): void => {
        this.runtime.closeConnection(connection, error.message);
        settle(() => reject(error));
      };
      const timer = setTimeout(() => give(new IbexError('ERR_TIMED_OUT', patience.what)), Math.max(0, patience.deadline - monotonicMs()));
      const abort = (): void => give(new IbexError('ERR_CANCELED', `connecting to ${where}`, { cause: options.signal?.reason }));
      options.signal?.addEventListener('abort', abort, { once: true });
      let settled = false;
      const settle = (then: () => void): void => {
        if (settled) return;
        settled = true;
        clearTimeout(timer);
        options.signal?.removeEventListener('abort', abort);
        then();
      };
      let result: HandshakeResult | undefined;
      let own: QueuePairWord = { reason: '' };
      const open = (carrier: Carrier): void => {
        if (result === undefined) return;
        const opened = this.#open(connection, result, where, undefined, carrier);
        session = opened;
        settle(() => resolve(opened));
      };
      /** Both have offered: the client tries the path and says what it will be. */
      const choose = (status: number, reason: string): void => {
        if (status !== 0) this.carriers.insist(reason);
        this.#sendStep(connection, handshake.carrier({ rdma: status === 0, reason }));
        this.runtime.flush(); // by TCP, which the queue pair now replaces
        open(status === 0 ? this.carriers.use(connection) : this.carriers.tcp(connection, reason));
      };
      const attempt = (step: () => void): void => {
        try {
          step();
        } catch (error) {
          give(toIbexError(error));
        }
      };
      const authenticated = (authentic: HandshakeResult): void => {
        result = authentic;
        const peer = authentic.queuePair;
        if ('reason' in own || peer === undefined || 'reason' in peer) {
          const why = whyTcp(own, peer, 'server');
          this.carriers.insist(why);
          open(this.carriers.tcp(connection, why));
          return;
        }
        try {
          this.runtime.native.rdmaAccept(connection, peer.offer);
        } catch (error) {
          choose(1, toIbexError(error).message);
          return;
        }
        this.runtime.native.rdmaProbe(connection);
      };
      this.runtime.attach(connection, {
        opened: () =>
          attempt(() => {
            own = this.carriers.offer(connection);
            if ('reason' in own) this.carriers.insist(own.reason);
            this.#sendStep(connection, handshake.start(this.carriers.policy === 'off' ? undefined : own));
          }),
        rdmaProbed: (_connection, status, reason) => {
          if (session === undefined && !settled) attempt(() => choose(status, reason));
        },
        frame: (_connection, frame, source, start, stop) => {
          if (session !== undefined) {
            this.#frame(session, frame, source, start, stop);
            return;
          }
          attempt(() => {
            const step = handshake.receive(frame.type as FrameType, Buffer.from(source.subarray(start, stop)));
            this.#sendStep(connection, step);
            if (step.result !== undefined) authenticated(step.result);
          });
        },
        closed: (_connection, _status, reason) => {
          if (session !== undefined) this.#ended(session, reason);
          settle(() => reject(new IbexError('ERR_CONNECTION_LOST', `connecting to ${where}: ${reason}`)));
        },
      });
      if (options.signal?.aborted === true) abort();
    });
  }

  /** Answers that are due leave first. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#sendReplies();
    const patience = { what: 'replies', deadline: monotonicMs() + CLOSE_WAIT_MS };
    const sent = Promise.allSettled(this.#sending);
    if (this.#sending.size > 0)
      await waitFor<void>(patience, (resolve) => void sent.then(() => resolve())).catch((error: unknown) =>
        this.logger.warn({ err: error }, 'closed before all answers were sent'),
      );
    this.#closed = true;
    clearTimeout(this.#expiryTimer);
    for (const session of this.#sessions.values()) session.close('endpoint closed');
    this.runtime.flush();
    for (const session of [...this.#sessions.values()]) this.#ended(session, 'endpoint closed');
    this.runtime.close();
    this.#refusals.close();
  }

  async #numericHost(host: string, patience: Patience): Promise<string> {
    if (isIP(host) !== 0) return host;
    return waitFor<string>(patience, (resolve, reject) => {
      this.#resolveHost(host).then(resolve, (error: Error) =>
        reject(new IbexError('ERR_CONNECTION_LOST', `host name ${host} cannot be resolved: ${error.message}`, { cause: error })),
      );
      return undefined;
    });
  }

  #accepted(connection: number, address: string): void {
    let session: Session | undefined;
    let result: HandshakeResult | undefined;
    let own: QueuePairWord = { reason: '' };
    const handshake = new ServerHandshake(this.#key, { ...this.identity, nodeId: this.#nodeId }, (client) => {
      own = this.carriers.answer(connection, client);
      return own;
    });
    this.#handshaking.add(connection);
    const open = (authentic: HandshakeResult, carrier: Carrier): void => {
      this.#handshaking.delete(connection);
      // Chunk requests bear no numbers by which one that comes again is known: there the connection tells.
      const only = this.#serving === 'threads' ? authentic.peer.clientId : undefined;
      session = this.#open(connection, authentic, address, only, carrier);
    };
    this.runtime.attach(connection, {
      opened: () => {},
      frame: (_connection, frame, source, start, stop) => {
        if (session !== undefined) {
          this.#frame(session, frame, source, start, stop);
          return;
        }
        try {
          const step = handshake.receive(frame.type as FrameType, Buffer.from(source.subarray(start, stop)));
          this.#sendStep(connection, step); // before listeners learn of the session: the welcome leaves first
          result ??= step.result;
          if (result === undefined || handshake.awaitsCarrier) return;
          if (step.carrier?.rdma === true) {
            this.runtime.flush();
            open(result, this.carriers.use(connection));
            return;
          }
          const why = step.carrier === undefined ? whyTcp(own, result.queuePair, 'client') : `the client: ${step.carrier.reason}`;
          if (step.carrier !== undefined) this.carriers.insist(why);
          open(result, this.carriers.tcp(connection, why));
        } catch (error) {
          const refusal = toIbexError(error);
          this.#handshaking.delete(connection);
          this.#refusals.warn(
            { peer: address, claims: handshake.claimedName, code: refusal.kind },
            `handshake refused: ${refusal.message}`,
          );
          this.runtime.sendFrame({ connection, type: FrameType.refuse, version: PROTOCOL_VERSION }, encodeRefusal(refusal));
          this.runtime.closeConnection(connection, `handshake refused: ${refusal.message}`);
        }
      },
      closed: (_connection, _status, reason) => {
        if (session !== undefined) this.#ended(session, reason);
        else if (this.#handshaking.delete(connection))
          this.#refusals.warn({ peer: address }, `connection ended before it was authenticated: ${reason}`);
      },
    });
  }

  #sendStep(connection: number, step: HandshakeStep): void {
    if (step.frame !== undefined) this.runtime.sendFrame({ connection, type: step.frame.type, version: PROTOCOL_VERSION }, step.frame.body);
  }

  /** only: the id of a peer that has no more than one connection to this process. */
  #open(connection: number, result: HandshakeResult, address: string, only: string | undefined, carrier: Carrier): Session {
    this.runtime.native.authenticate(connection, only);
    this.carriers.report(carrier, `${result.peer.kind} ${result.peer.name} (${address})`);
    const session = new Session(this.runtime, connection, { ...result.peer, address, carrier }, () => this.#armExpiry());
    this.#sessions.set(connection, session);
    for (const listener of this.#sessionListeners) listener.opened?.(session);
    return session;
  }

  #ended(session: Session, reason: string): void {
    if (!this.#sessions.delete(session.connection)) return;
    session.ended(reason);
    for (const listener of this.#sessionListeners) listener.closed?.(session, reason);
  }

  /** One timer for the deadlines of all calls; it runs only while calls wait. */
  #armExpiry(): void {
    this.#expiryTimer ??= setTimeout(() => {
      this.#expiryTimer = undefined;
      const now = monotonicMs();
      let waiting = 0;
      for (const session of this.#sessions.values()) waiting += session.expire(now);
      if (!this.#closed && waiting > 0) this.#armExpiry();
    }, EXPIRY_CHECK_MS).unref();
  }

  #frame(session: Session, frame: FrameEvent, source: Buffer, start: number, stop: number): void {
    const message = catalogue.get(frame.operation);
    if (frame.type !== FrameType.rpcRequest) {
      session.receive(frame, message, source, start, stop);
      return;
    }
    const handler = this.#handlers.get(frame.operation);
    if (message === undefined || handler === undefined) {
      this.#reply({
        frame,
        message,
        value: undefined,
        error: new IbexError('ERR_UNKNOWN_OPERATION', `operation ${frame.operation} at ${this.identity.kind}`),
      });
      return;
    }
    this.served.set(frame.operation, (this.served.get(frame.operation) ?? 0) + 1);
    try {
      const request = decodeBody(message.request, source, start, stop) as RequestOf<Message>;
      const value = handler(request, {
        session,
        mapVersion: frame.mapVersion,
        channel: frame.channel,
        sequence: frame.sequence,
        clientId: session.peer.clientId,
      });
      if (!(value instanceof Promise)) {
        this.#replies.push({ frame, message, value });
        return;
      }
      value.then(
        (settled) => this.#reply({ frame, message, value: settled }),
        (error: unknown) => this.#reply({ frame, message, value: undefined, error: this.#explain(message, error) }),
      );
    } catch (error) {
      this.#replies.push({ frame, message, value: undefined, error: this.#explain(message, error) });
    }
  }

  #explain(message: Message, error: unknown): IbexError {
    if (!(error instanceof IbexError)) this.logger.error({ err: error }, `${message.name} failed`);
    return toIbexError(error);
  }

  /** Queues a reply made outside a batch and sends at the end of the turn. */
  #reply(reply: Reply): void {
    this.#replies.push(reply);
    if (this.#repliesScheduled) return;
    this.#repliesScheduled = true;
    process.nextTick(() => {
      this.#repliesScheduled = false;
      this.#sendReplies();
    });
  }

  #sendReplies(): void {
    if (this.#replies.length === 0) return;
    const replies = this.#replies;
    this.#replies = [];
    let wait: void | Promise<void>;
    try {
      wait = this.#beforeReplies?.();
    } catch (error) {
      this.#encodeReplies(replies, toIbexError(error));
      return;
    }
    if (!(wait instanceof Promise)) {
      this.#encodeReplies(replies, undefined);
      return;
    }
    const sent = wait
      .then(
        () => this.#encodeReplies(replies, undefined),
        (error: unknown) => this.#encodeReplies(replies, toIbexError(error)),
      )
      .finally(() => this.#sending.delete(sent));
    this.#sending.add(sent);
  }

  #encodeReplies(replies: readonly Reply[], failure: IbexError | undefined): void {
    if (this.#closed) return;
    for (const { frame, message, value, error } of replies) {
      const refusal = failure ?? error;
      const fields = { connection: frame.connection, type: FrameType.rpcResponse, operation: frame.operation, requestId: frame.requestId };
      if (refusal === undefined) {
        try {
          this.runtime.sendFrame(fields, encodeBody((message as Message).response, value));
          continue;
        } catch (encodeError) {
          const explained = this.#explain(message as Message, encodeError);
          this.runtime.sendFrame({ ...fields, status: explained.status }, Buffer.from(detailOf(explained)));
          continue;
        }
      }
      this.runtime.sendFrame({ ...fields, status: refusal.status }, Buffer.from(detailOf(refusal)));
    }
  }

  #logNative(level: number, text: string): void {
    if (level >= 50) this.logger.error(text);
    else if (level >= 40) this.logger.warn(text);
    else if (level >= 30) this.logger.info(text);
    else this.logger.debug(text);
  }
}

/** The part of the message behind 'ECODE: summary: ', which the other side puts there again. */
function detailOf(error: IbexError): string {
  return error.message.split(': ').slice(2).join(': ').slice(0, 4096);
}
