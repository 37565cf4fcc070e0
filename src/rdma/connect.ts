/** Bringing queue pairs up over TCP, between ends that prove that they know the cluster key. */
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { Channel, peerOf } from './channel.js';
import { answer, type Connection, type ConnectionOptions, keyOf, offer, TIMEOUT_MS, within } from './connection.js';
import { RdmaError } from './errors.js';

/** Of {@link connect}. */
export interface ConnectOptions extends ConnectionOptions {
  /** Name or address of the machine where the peer listens. */
  readonly host: string;
  readonly port: number;
  readonly signal?: AbortSignal;
}

/** Of {@link listen}. */
export interface ListenOptions extends ConnectionOptions {
  /** Address to listen on (127.0.0.1: this machine alone). */
  readonly host?: string;
  /** 0 (the default) takes any; see {@link Listener.port}. */
  readonly port?: number;
  /** Called for strangers who were refused and connections that did not come up. */
  readonly onRefused?: (error: Error, peerAddress: string) => void;
}

/** Strangers who may be in their handshake at once. */
const HANDSHAKES_MAX = 64;
/** Connections that may wait to be taken by the iteration. */
const WAITING_MAX = 64;

function opened(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the connection was closed')));
  });
}

/**
 * Connects a new queue pair with one of a {@link listen}er.
 *
 * @throws IbexError ERR_HANDSHAKE_REFUSED when one end does not know the key; RdmaError ERR_RDMA_CONNECT when nobody
 *   answers or the connection does not come up in time; what {@link ProtectionDomain.createQueuePair} and
 *   {@link QueuePair.connect} throw; the signal's reason
 */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const { host, port, signal, timeoutMs = TIMEOUT_MS } = options;
  const key = await keyOf(options);
  signal?.throwIfAborted();
  const socket = createConnection({ host, port, noDelay: true });
  const work = async (): Promise<Connection> => {
    try {
      await opened(socket);
    } catch (error) {
      throw new RdmaError('ERR_RDMA_CONNECT', `no RDMA listener answers at ${host}:${port}: ${(error as Error).message}`, { cause: error });
    }
    return await offer(await Channel.connected(socket, key), options);
  };
  return await within(socket, timeoutMs, signal, work());
}

/**
 * Waits for peers. Each connection gets a queue pair of its own.
 *
 * ```ts
 * for await (const connection of await listen({ domain, completionQueue, keyFile, host: '0.0.0.0', port: 7420 })) serve(connection);
 * ```
 */
export async function listen(options: ListenOptions): Promise<Listener> {
  const key = await keyOf(options);
  const server = createServer({ noDelay: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new RdmaError('ERR_RDMA_CONNECT', `cannot listen: ${error.message}`, { cause: error })));
    server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
  });
  return new Listener(server, key, options);
}

/** Made by {@link listen}. Iterating gives connections as they come up; ends when it is closed. */
export class Listener {
  readonly #server: Server;
  readonly #key: Buffer;
  readonly #options: ListenOptions;
  readonly #sockets = new Set<Socket>();
  readonly #waiting: Connection[] = [];
  #wake: (() => void) | undefined;
  #open = true;

  /** @internal */
  constructor(server: Server, key: Buffer, options: ListenOptions) {
    this.#server = server;
    this.#key = key;
    this.#options = options;
    server.on('connection', (socket) => void this.#accept(socket));
    server.on('error', (error) => options.onRefused?.(error, ''));
  }

  /** TCP port that it listens on. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async #accept(socket: Socket): Promise<void> {
    const address = peerOf(socket);
    try {
      if (this.#sockets.size >= HANDSHAKES_MAX || this.#waiting.length >= WAITING_MAX) throw new Error('too many connections wait');
      this.#sockets.add(socket);
      const work = Channel.accepted(socket, this.#key).then((channel) => answer(channel, this.#options));
      const connection = await within(socket, this.#options.timeoutMs ?? TIMEOUT_MS, undefined, work);
      if (!this.#open) return await connection.close();
      this.#waiting.push(connection);
      this.#wake?.();
    } catch (error) {
      socket.destroySoon();
      this.#options.onRefused?.(error as Error, address);
    } finally {
      this.#sockets.delete(socket);
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Connection, void, undefined> {
    for (;;) {
      const connection = this.#waiting.shift();
      if (connection !== undefined) yield connection;
      else if (!this.#open) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }

  /** Takes no more connections; those that were taken stay. Closing twice is fine. */
  async close(): Promise<void> {
    this.#open = false;
    this.#wake?.();
    for (const socket of this.#sockets) socket.destroy();
    const left = this.#waiting.splice(0).map((connection) => connection.close());
    if (this.#server.listening) await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await Promise.all(left);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
