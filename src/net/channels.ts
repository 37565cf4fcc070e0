/**
 * Channels make retries of changing calls recognisable: a call takes a channel, its number is the channel's
 * next sequence, and until it was answered no other call uses that channel. The server remembers one answer
 * a channel, so its memory is bounded by their number.
 */
const CHANNELS_MAX = 256;

export interface Channel {
  readonly id: number;
  sequence: number;
}

export class Channels {
  readonly #free: Channel[] = [];
  readonly #waiters: ((channel: Channel) => void)[] = [];
  #made = 0;

  /** A channel whose sequence has been moved on; a promise only where all are taken. */
  take(): Channel | Promise<Channel> {
    const channel = this.#free.pop() ?? (this.#made < CHANNELS_MAX ? { id: ++this.#made, sequence: 0 } : undefined);
    if (channel !== undefined) {
      channel.sequence++;
      return channel;
    }
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  giveBack(channel: Channel): void {
    const next = this.#waiters.shift();
    if (next === undefined) this.#free.push(channel);
    else {
      channel.sequence++;
      next(channel);
    }
  }
}
