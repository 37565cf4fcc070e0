/**
 * Channels make retries of changing calls recognisable: a call takes a channel, its number is the channel's
 * next sequence, and until it was answered no other call uses that channel. The server remembers one answer
 * a channel, so its memory is bounded by their number.
 *
 * A call that was given up without an answer leaves its channel behind: the server may still be at work on
 * it and must not see the next sequence meanwhile. Such a channel is retired and a new one takes its place.
 * Its number comes back when the late answer has arrived or the session has ended, and then only after all
 * numbers that were never used.
 */
import type { CallChannel } from './session.js';
import { type Patience, waitFor } from './waiting.js';

/** Channels that are free or taken by a waiting call. */
const LIVE_MAX = 256;
/** Servers accept channel numbers up to this. */
const NUMBER_MAX = 1023;

export class Channel implements CallChannel {
  readonly id: number;
  readonly #owner: Channels;
  sequence = 0;
  /** What is known of the latest sequence; 'lost': its session has ended. */
  state: 'unsent' | 'sent' | 'answered' | 'lost' = 'unsent';
  retired = false;

  constructor(id: number, owner: Channels) {
    this.id = id;
    this.#owner = owner;
  }

  next(): this {
    this.sequence++;
    this.state = 'unsent';
    this.retired = false;
    return this;
  }

  sent(): void {
    this.state = 'sent';
  }

  settled(answered: boolean): void {
    this.state = answered ? 'answered' : 'lost';
    if (this.retired) this.#owner.usable(this);
  }
}

export class Channels {
  readonly #free: Channel[] = [];
  /** Retired ones that may be used again, longest unused first. */
  readonly #usable: Channel[] = [];
  readonly #waiters = new Set<(channel: Channel) => void>();
  #numbers = 0;
  #live = 0;

  /** A channel whose sequence has been moved on; a promise only where all are taken. */
  take(patience: Patience): Channel | Promise<Channel> {
    const channel = this.#free.pop() ?? this.#make();
    if (channel !== undefined) return channel.next();
    return waitFor<Channel>(patience, (resolve) => {
      this.#waiters.add(resolve);
      return () => this.#waiters.delete(resolve);
    });
  }

  /** The call has ended, in whatever way. */
  giveBack(channel: Channel): void {
    if (channel.state === 'answered' || channel.state === 'unsent') {
      const waiter = this.#nextWaiter();
      if (waiter === undefined) this.#free.push(channel);
      else waiter(channel.next());
      return;
    }
    channel.retired = true;
    this.#live--;
    if (channel.state === 'lost') this.#usable.push(channel);
    this.#serveWaiter();
  }

  /** For Channel: the server is past the sequence with which this one was retired. */
  usable(channel: Channel): void {
    this.#usable.push(channel);
    this.#serveWaiter();
  }

  #make(): Channel | undefined {
    if (this.#live >= LIVE_MAX) return undefined;
    const channel = this.#numbers < NUMBER_MAX ? new Channel(++this.#numbers, this) : this.#usable.shift();
    if (channel !== undefined) this.#live++;
    return channel;
  }

  #serveWaiter(): void {
    if (this.#waiters.size === 0) return;
    const channel = this.#make();
    if (channel !== undefined) this.#nextWaiter()?.(channel.next());
  }

  #nextWaiter(): ((channel: Channel) => void) | undefined {
    const [waiter] = this.#waiters;
    if (waiter !== undefined) this.#waiters.delete(waiter);
    return waiter;
  }
}
