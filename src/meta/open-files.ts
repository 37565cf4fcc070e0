/**
 * Who has which file open; in memory only. A client that lost its session keeps its opens for a grace period:
 * they count as unconfirmed until its `reopen` names them, and what it does not name ends with the period.
 * What happens to a file that nobody has open any more is orphans.ts.
 */
import { IbexError } from '../wire/errors.js';
import { type Fid, formatFid } from '../wire/fid.js';

interface Counts {
  readers: number;
  writers: number;
}

interface Client {
  connected: boolean;
  opens: number;
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

  /** An open whose answer had to be sent again: counted already, or unconfirmed, or lost with a restart. */
  opened(clientId: string, fid: Fid, write: boolean): void {
    const counts = this.#clients.get(clientId)?.confirmed.get(fid);
    if (counts === undefined || (write ? counts.writers : counts.readers) === 0) this.reopen(clientId, fid, write);
  }

  clientOpened(clientId: string): void {
    const client = this.#client(clientId);
    client.connected = true;
  }

  /** Its opens turn unconfirmed and end after the grace period. */
  clientClosed(clientId: string): void {
    const client = this.#clients.get(clientId);
    if (client === undefined) return;
    client.connected = false;
    for (const [fid, counts] of client.confirmed) {
      const kept = client.unconfirmed.get(fid);
      if (kept === undefined) client.unconfirmed.set(fid, counts);
      else {
        kept.readers += counts.readers;
        kept.writers += counts.writers;
      }
    }
    client.confirmed.clear();
    clearTimeout(client.timer);
    client.timer = setTimeout(() => this.#endGrace(clientId, client), this.#options.graceMs);
    client.timer.unref();
  }

  close(): void {
    for (const client of this.#clients.values()) clearTimeout(client.timer);
  }

  #client(clientId: string): Client {
    let client = this.#clients.get(clientId);
    if (client === undefined) {
      client = { connected: false, opens: 0, confirmed: new Map(), unconfirmed: new Map(), timer: undefined };
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
