/** A queue pair that was connected over TCP, with the TCP connection beside it that tells when the peer is gone. */
import { isIP, type Socket } from 'node:net';
import { IbexError } from '../wire/errors.js';
import { readKeyFile } from '../wire/key.js';
import { type Channel, peerOf } from './channel.js';
import type { CompletionQueue } from './completion-queue.js';
import { invalid, RdmaError } from './errors.js';
import type { ProtectionDomain } from './protection-domain.js';
import type { ConnectionDescriptor, QueuePair, QueuePairOptions } from './queue-pair.js';

/** For {@link connect} and {@link listen}: what the queue pair is made of, and who may have the other end. */
export interface ConnectionOptions {
  readonly domain: ProtectionDomain;
  readonly completionQueue: CompletionQueue;
  /** The cluster key, 32 bytes; or `keyFile`. Both ends must know it. */
  readonly key?: Buffer;
  /** A file as `ibex key generate` makes it. */
  readonly keyFile?: string;
  /** `address` is chosen by the TCP connection where it is not given. */
  readonly queuePair?: QueuePairOptions;
  /** Told the peer when it connects: any JSON of at most 60 KB, such as what `arena.expose()` gives. */
  readonly data?: unknown;
  /**
   * Called before the peer can send anything: post receives here. A listener gets what the client tells; what it returns,
   * if anything, is told the client instead of `data`.
   */
  readonly prepare?: (queuePair: QueuePair, data: unknown) => unknown;
  /** After this, bringing up the connection fails (10 000 ms). */
  readonly timeoutMs?: number;
}

export const TIMEOUT_MS = 10_000;

export async function keyOf({ key, keyFile }: ConnectionOptions): Promise<Buffer> {
  if (key !== undefined) return key;
  if (keyFile === undefined) throw invalid('a connection needs the cluster key: give key or keyFile');
  return await readKeyFile(keyFile);
}

/** Runs `work` until its time is over or the signal says stop; then the socket is destroyed, which ends it. */
export async function within<Value>(
  socket: Socket,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  work: Promise<Value>,
): Promise<Value> {
  signal?.throwIfAborted();
  let reason: unknown;
  const stop = (why: unknown): void => {
    reason ??= why;
    socket.destroy();
  };
  const late = (): void => stop(new RdmaError('ERR_RDMA_CONNECT', `no connection with ${peerOf(socket)} within ${timeoutMs} ms`));
  const timer = setTimeout(late, timeoutMs);
  const onAbort = (): void => stop(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await work;
  } catch (error) {
    // What the peer is told of it is still sent.
    socket.destroySoon();
    throw reason ?? (error instanceof IbexError ? error : new RdmaError('ERR_RDMA_CONNECT', (error as Error).message, { cause: error }));
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

/** The descriptor's meaning is checked when the queue pair is connected. */
function descriptorOf(value: Record<string, unknown>): ConnectionDescriptor {
  const { descriptor } = value;
  if (typeof descriptor !== 'object' || descriptor === null) throw new RdmaError('ERR_RDMA_CONNECT', 'the peer sent no descriptor');
  return descriptor as ConnectionDescriptor;
}

function makeQueuePair(socket: Socket, { domain, completionQueue, queuePair = {} }: ConnectionOptions): QueuePair {
  // An IPv4 client of an IPv6 socket: ::ffff:10.0.0.1.
  const local = socket.localAddress?.replace(/^::ffff:/, '') ?? '';
  const address = isIP(local) === 0 ? {} : { address: local };
  return domain.createQueuePair(completionQueue, { ...address, ...queuePair });
}

/** The client's part: offers, takes what the server answers, and says that it is ready. */
export async function offer(channel: Channel, options: ConnectionOptions): Promise<Connection> {
  return await bringUp(channel, options, async (queuePair) => {
    options.prepare?.(queuePair, undefined);
    channel.send({ descriptor: queuePair.descriptor, data: options.data });
    const answer = await channel.receive();
    if (typeof answer['refused'] === 'string') throw new RdmaError('ERR_RDMA_CONNECT', `the peer refused: ${answer['refused']}`);
    queuePair.connect(descriptorOf(answer));
    channel.send({ ready: true });
    return answer['data'];
  });
}

/** The server's part. Its end can receive before the client learns of it; the client's can before the server is told. */
export async function answer(channel: Channel, options: ConnectionOptions): Promise<Connection> {
  return await bringUp(channel, options, async (queuePair) => {
    const request = await channel.receive();
    let told: unknown;
    try {
      told = options.prepare?.(queuePair, request['data']);
      queuePair.connect(descriptorOf(request));
    } catch (error) {
      channel.send({ refused: (error as Error).message });
      throw error;
    }
    channel.send({ descriptor: queuePair.descriptor, data: told ?? options.data });
    const { ready } = await channel.receive();
    if (ready !== true) throw new RdmaError('ERR_RDMA_CONNECT', 'the peer did not become ready');
    return request['data'];
  });
}

async function bringUp(
  channel: Channel,
  options: ConnectionOptions,
  exchange: (queuePair: QueuePair) => Promise<unknown>,
): Promise<Connection> {
  const queuePair = makeQueuePair(channel.socket, options);
  try {
    const data = await exchange(queuePair);
    return new Connection(channel, queuePair, data);
  } catch (error) {
    await queuePair.close();
    throw error;
  }
}

/**
 * Made by {@link connect} and {@link listen}. The TCP connection stays open beside the queue pair: when the peer closes
 * it, or dies, the queue pair is closed here too.
 */
export class Connection {
  readonly queuePair: QueuePair;
  /** What the peer gave as `data`; proved to come from one who knows the key, and to be checked like any input. */
  readonly data: unknown;
  /** Host name and process of the peer, as it says. */
  readonly peerName: string;
  /** IP address and port of the peer's TCP connection. */
  readonly peerAddress: string;
  readonly #socket: Socket;

  /** @internal */
  constructor({ socket, peer }: Channel, queuePair: QueuePair, data: unknown) {
    this.#socket = socket;
    this.queuePair = queuePair;
    this.data = data;
    this.peerName = peer.name;
    this.peerAddress = peerOf(socket);
    socket.on('error', () => undefined);
    const end = (): void => void this.close();
    socket.once('close', end);
    socket.once('end', end);
    if (socket.destroyed || socket.readableEnded) end();
    // Operations on the way are what keeps the process alive.
    socket.unref();
    void queuePair.ended.then(() => socket.destroySoon());
  }

  /** Closes the queue pair and the TCP connection, by which the peer learns of it. Closing twice is fine. */
  async close(): Promise<void> {
    await this.queuePair.close();
    this.#socket.destroySoon();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
