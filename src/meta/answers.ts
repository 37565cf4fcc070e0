/**
 * The last answer of every channel of every client, stored in the transaction that made the change: a request
 * that comes again after a lost connection is answered, not applied again. Errors are not stored, since what
 * failed changed nothing and may as well be tried.
 *
 * Value of an answer: float64 sequence, u16 operation (both big-endian), body as on the wire.
 */
import type { Logger } from 'pino';
import { decodeBody, encodeBody } from '../wire/codec.js';
import { IbexError } from '../wire/errors.js';
import type { Message } from '../wire/messages.js';
import type { Store } from './store/store.js';
import { ANSWERS, answerKey } from './tables.js';
import type { CallOrigin, MetaLimits } from './types.js';

const CHANNEL_MAX = 1023;
const CLIENT_ID = /^[0-9A-Za-z._-]{1,64}$/;
const HEAD_BYTES = 10;
/** How often clients that are gone are looked at, while there are any. */
const SWEEP_MS = 3_600_000;
/** Clients forgotten in one transaction. */
const FORGET_COUNT = 100;

interface Client {
  /** Channel to its last answered sequence. */
  readonly channels: Map<number, number>;
  /** Monotonic milliseconds; undefined while it has a session. */
  goneSince: number | undefined;
}

export class Answers {
  readonly #store: Store;
  readonly #limits: MetaLimits;
  readonly #logger: Logger;
  readonly #clients = new Map<string, Client>();
  #timer: NodeJS.Timeout | undefined;

  /** Reads which sequences were answered; all clients count as gone until they come back. */
  constructor(store: Store, limits: MetaLimits, logger: Logger) {
    this.#store = store;
    this.#limits = limits;
    this.#logger = logger;
    const now = performance.now();
    store.scan(ANSWERS, '', (key, value) => {
      const end = key.indexOf('\0');
      this.#client(key.slice(1, end), now).channels.set(key.charCodeAt(end + 1) * 256 + key.charCodeAt(end + 2), value.readDoubleBE(0));
      return true;
    });
    if (this.#clients.size > 0) this.#sweepLater();
  }

  /**
   * The stored answer of this request, undefined when it is new.
   *
   * @throws ERR_BAD_REQUEST for a sequence older than the last one, or one that another operation had
   */
  find(message: Message, origin: CallOrigin): unknown {
    if (origin.sequence === 0) return undefined;
    if (!CLIENT_ID.test(origin.clientId) || !(origin.channel >= 0 && origin.channel <= CHANNEL_MAX)) {
      throw new IbexError(
        'ERR_BAD_REQUEST',
        `client ${JSON.stringify(origin.clientId.slice(0, 80))}, channel ${origin.channel}: ids are 1 to 64 letters or digits, channels end at ${CHANNEL_MAX}`,
      );
    }
    const last = this.#clients.get(origin.clientId)?.channels.get(origin.channel);
    if (last === undefined || origin.sequence > last) return undefined;
    const where = `${message.name} of client ${origin.clientId}, channel ${origin.channel}`;
    if (origin.sequence < last)
      throw new IbexError('ERR_BAD_REQUEST', `${where}: sequence ${origin.sequence} comes after ${last} was answered`);
    const stored = this.#store.get(answerKey(origin.clientId, origin.channel));
    if (stored === undefined || stored.readUInt16BE(8) !== message.operation) {
      throw new IbexError('ERR_BAD_REQUEST', `${where}: sequence ${last} belongs to operation ${stored?.readUInt16BE(8)}`);
    }
    return decodeBody(message.response, stored, HEAD_BYTES, stored.length);
  }

  /** This request, or a later one of its channel, was answered. */
  isAnswered(origin: CallOrigin): boolean {
    const last = this.#clients.get(origin.clientId)?.channels.get(origin.channel);
    return origin.sequence > 0 && last !== undefined && last >= origin.sequence;
  }

  /** Inside the transaction of the change; never for a request older than the last one that was answered. */
  record(message: Message, origin: CallOrigin, response: unknown): void {
    if (origin.sequence === 0) return;
    if (this.isAnswered(origin)) throw new Error(`an answer of client ${origin.clientId}, channel ${origin.channel} would go backwards`);
    const body = encodeBody(message.response, response);
    const value = Buffer.allocUnsafe(HEAD_BYTES + body.length);
    value.writeDoubleBE(origin.sequence, 0);
    value.writeUInt16BE(message.operation, 8);
    value.set(body, HEAD_BYTES);
    this.#store.put(answerKey(origin.clientId, origin.channel), value);
    const { channels } = this.#client(origin.clientId, undefined);
    const before = channels.get(origin.channel);
    channels.set(origin.channel, origin.sequence);
    this.#store.onUndo(() => {
      if (before === undefined) channels.delete(origin.channel);
      else channels.set(origin.channel, before);
    });
  }

  clientOpened(clientId: string): void {
    const client = this.#clients.get(clientId);
    if (client !== undefined) client.goneSince = undefined;
  }

  clientClosed(clientId: string): void {
    const client = this.#clients.get(clientId);
    if (client === undefined) return;
    client.goneSince = performance.now();
    // Moved to the end: the map is in the order in which clients left.
    this.#clients.delete(clientId);
    this.#clients.set(clientId, client);
    if (this.#clients.size > this.#limits.rememberedClientsMax)
      this.#forget(this.#clients.size - this.#limits.rememberedClientsMax, Number.POSITIVE_INFINITY);
    this.#sweepLater();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #client(clientId: string, goneSince: number | undefined): Client {
    let client = this.#clients.get(clientId);
    if (client === undefined) {
      client = { channels: new Map(), goneSince };
      this.#clients.set(clientId, client);
    }
    return client;
  }

  #sweepLater(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#forget(FORGET_COUNT, performance.now() - this.#limits.rememberClientMs);
        if ([...this.#clients.values()].some((client) => client.goneSince !== undefined)) this.#sweepLater();
      },
      Math.min(SWEEP_MS, this.#limits.rememberClientMs),
    );
    this.#timer.unref();
  }

  /** Forgets clients that left before `before`, longest gone first. */
  #forget(most: number, before: number): void {
    const gone: [string, Client][] = [];
    for (const [clientId, client] of this.#clients) {
      if (gone.length >= most) break;
      if (client.goneSince !== undefined && client.goneSince < before) gone.push([clientId, client]);
    }
    if (gone.length === 0) return;
    try {
      this.#store.transaction(() => {
        for (const [clientId, client] of gone)
          for (const channel of client.channels.keys()) this.#store.delete(answerKey(clientId, channel));
      });
      void Promise.resolve(this.#store.commit()).catch((error: unknown) =>
        this.#logger.warn({ err: error }, 'cannot forget clients that are gone'),
      );
      for (const [clientId] of gone) this.#clients.delete(clientId);
    } catch (error) {
      this.#logger.warn({ err: error }, 'cannot forget clients that are gone; tried again later');
    }
  }
}
