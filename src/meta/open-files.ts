/**
 * Who has which file open; in memory only. When a client loses its session or begins another one, it keeps its
 * opens for a grace period: they count as unconfirmed until its `reopen` names them, and what it does not name
 * ends with the period.
 * What happens to a file that nobody has open any more is orphans.ts.
 */
import { IbexError } from '../wire/errors.js';
import { type Fid, formatFid } from '../wire/fid.js';
import type { CallOrigin } from './types.js';

interface Counts {
  readers: number;
  writers: number;
}

interface Client {
  connected: boolean;
  opens: number;
  /** Rises when the confirmed opens turn unconfirmed. */
  session: number;
  /** Channel to the last request on it that opened a file, counted since the start, and the session it counted in. */
  readonly counted: Map<number, { readonly sequence: number; readonly session: number }>;
  readonly confirmed: Map<Fid, Counts>;
  unconfirmed: Map<Fid, Counts>;
  timer: NodeJS.Timeout | undefined;
}

export interface OpenFilesOptions {
  readonly graceMs: number;
  readonly clientOpensMax: number;
  /** Nobody has these open any more, since a client's grace period is over. */
  readonly ended: (files: readonly Fid[]) => void;
}

export class OpenFiles {
  readonly #options: OpenFilesOptions;
  readonly #totals = new Map<Fid, Counts>();
  readonly #clients = new Map<string, Client>();

  constructor(options: OpenFilesOptions) {
    this.#options = options;
  }

  /** Files that someone has open. */
  get count(): number {
    return this.#totals.size;
  }

  isOpen(fid: Fid): boolean {
    return this.#totals.has(fid);
  }

  writers(fid: Fid): number {
    return this.#totals.get(fid)?.writers ?? 0;
  }

  open(clientId: string, fid: Fid, write: boolean): void {
    const client = this.#client(clientId);
    if (client.opens >= this.#options.clientOpensMax) {
      throw new IbexError('ERR_OVERLOADED', `client ${clientId} has ${client.opens} files open, so ${formatFid(fid)} is refused`);
    }
    client.opens++;
    add(client.confirmed, fid, write, 1);
    add(this.#totals, fid, write, 1);
  }

  /** Ends one open. False: it was not known. */
  release(clientId: string, fid: Fid, write: boolean): boolean {
    const client = this.#clients.get(clientId);
    if (client === undefined) return false;
    if (!take(client.confirmed, fid, write) && !take(client.unconfirmed, fid, write)) return false;
    client.opens--;
    add(this.#totals, fid, write, -1);
    return true;
  }

  /** The client says that it has this open: an unconfirmed open becomes sure, an unknown one (we were restarted) is taken on. */
  reopen(clientId: string, fid: Fid, write: boolean): void {
    const client = this.#client(clientId);
    if (take(client.unconfirmed, fid, write)) add(client.confirmed, fid, write, 1);
    else this.open(clientId, fid, write);
  }

  /** As `open`, by a request that may come again. */
  openedBy(origin: CallOrigin, fid: Fid, write: boolean): void {
    this.open(origin.clientId, fid, write);
    this.#note(origin);
  }

  /** Ends what `openedBy` counted: the request failed after all. */
  takeBack({ clientId, channel }: CallOrigin, fid: Fid, write: boolean): void {
    this.release(clientId, fid, write);
    this.#clients.get(clientId)?.counted.delete(channel);
  }

  /**
   * An open whose answer had to be sent again. Counted in this session: nothing is missing. Counted in an earlier
   * one: it turned unconfirmed, and the client's `reopen` did not know of it. Not counted: we were restarted.
   */
  answeredAgain(origin: CallOrigin, fid: Fid, write: boolean): void {
    const client = this.#client(origin.clientId);
    const counted = client.counted.get(origin.channel);
    if (counted?.sequence === origin.sequence) {
      if (counted.session === client.session) return;
      this.reopen(origin.clientId, fid, write);
    } else this.open(origin.clientId, fid, write);
    this.#note(origin);
  }

  /** A session begins with `reopen`: what counted in an earlier one, which may not have ended yet, must be named again. */
  clientOpened(clientId: string): void {
    const client = this.#client(clientId);
    client.connected = true;
    this.#unconfirm(client);
    if (client.unconfirmed.size > 0) this.#startGrace(clientId, client);
  }

  /** Its opens turn unconfirmed and end after the grace period. */
  clientClosed(clientId: string): void {
    const client = this.#clients.get(clientId);
    if (client === undefined) return;
    client.connected = false;
    this.#unconfirm(client);
    this.#startGrace(clientId, client);
  }

  close(): void {
    for (const client of this.#clients.values()) clearTimeout(client.timer);
  }

  #note({ clientId, channel, sequence }: CallOrigin): void {
    const client = this.#client(clientId);
    if (sequence > 0) client.counted.set(channel, { sequence, session: client.session });
  }

  #unconfirm(client: Client): void {
    client.session++;
    for (const [fid, counts] of client.confirmed) {
      const kept = client.unconfirmed.get(fid);
      if (kept === undefined) client.unconfirmed.set(fid, counts);
      else {
        kept.readers += counts.readers;
        kept.writers += counts.writers;
      }
    }
    client.confirmed.clear();
  }

  #startGrace(clientId: string, client: Client): void {
    clearTimeout(client.timer);
    client.timer = setTimeout(() => this.#endGrace(clientId, client), this.#options.graceMs);
    client.timer.unref();
  }

  #client(clientId: string): Client {
    let client = this.#clients.get(clientId);
    if (client === undefined) {
      client = {
        connected: false,
        opens: 0,
        session: 0,
        counted: new Map(),
        confirmed: new Map(),
        unconfirmed: new Map(),
        timer: undefined,
      };
      this.#clients.set(clientId, client);
    }
    return client;
  }

  #endGrace(clientId: string, client: Client): void {
    client.timer = undefined;
    const ended: Fid[] = [];
    for (const [fid, counts] of client.unconfirmed) {
      const total = this.#totals.get(fid);
      if (total === undefined) continue;
      client.opens -= counts.readers + counts.writers;
      total.readers -= counts.readers;
      total.writers -= counts.writers;
      if (total.readers + total.writers > 0) continue;
      this.#totals.delete(fid);
      ended.push(fid);
    }
    client.unconfirmed = new Map();
    if (!client.connected && client.opens === 0) this.#clients.delete(clientId);
    if (ended.length > 0) this.#options.ended(ended);
  }
}

function add(files: Map<Fid, Counts>, fid: Fid, write: boolean, by: 1 | -1): void {
  let counts = files.get(fid);
  if (counts === undefined) {
    counts = { readers: 0, writers: 0 };
    files.set(fid, counts);
  }
  if (write) counts.writers += by;
  else counts.readers += by;
  if (counts.readers + counts.writers === 0) files.delete(fid);
}

function take(files: Map<Fid, Counts>, fid: Fid, write: boolean): boolean {
  const counts = files.get(fid);
  if (counts === undefined || (write ? counts.writers : counts.readers) === 0) return false;
  add(files, fid, write, -1);
  return true;
}
