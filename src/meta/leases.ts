/**
 * Leases on directories: for a lease's time a client knows that nobody else changes a directory's entries or
 * attributes, and answers from what it has seen there. In memory; a change by another client first calls the lease
 * back and waits until the holder has answered or the lease has run out.
 *
 * After a start nobody knows who held what. If leases may have been left by the process before (which is noted in
 * the store with the first one), changes of directories wait out one lease's time.
 */
import type { Fid } from '../wire/fid.js';
import type { Clock } from './clock.js';
import { changing, holderInTheWay, type LeaseState, mayHold, unleased } from './lease-decision.js';
import type { Store } from './store/store.js';
import { LEASES } from './tables.js';

/** Asks a client to give a lease up; settles when it has. It may fail or take for ever. */
export type CallBack = (clientId: string, fid: Fid) => Promise<unknown>;

export interface LeasesOptions {
  readonly store: Store;
  readonly leaseMs: number;
  readonly leasesMax: number;
  readonly callBack: CallBack;
  readonly isDirectory: (fid: Fid) => boolean;
  readonly clock: Clock;
}

interface Ending {
  readonly done: Promise<void>;
  finish(): void;
}

interface Lease {
  state: LeaseState;
  /** It is being called back. */
  ending: Ending | undefined;
}

export class Leases {
  readonly #options: LeasesOptions;
  /** Those used since the last turn, and those not used since. What was not used for two turns has run out. */
  #current = new Map<Fid, Lease>();
  #previous = new Map<Fid, Lease>();
  #turnedMs = 0;
  #expiresMs = 0;
  /** The store says that leases may be held. */
  #noted: boolean;
  #graceUntilMs = 0;
  #grace: Promise<void> | undefined;

  constructor(options: LeasesOptions) {
    this.#options = options;
    const left = options.store.get(LEASES);
    this.#noted = left !== undefined;
    if (left !== undefined) this.#graceUntilMs = options.clock.nowMs() + left.readUInt32BE(0);
  }

  /** Leases of the last two turns, held or not. */
  get size(): number {
    return this.#current.size + this.#previous.size;
  }

  /** Nobody holds a lease: changes need not be looked at. */
  get none(): boolean {
    return this.#current.size === 0 && this.#previous.size === 0 && this.#graceUntilMs === 0;
  }

  /** What a change of these directories by the client must wait for; then it asks again. undefined: nothing. */
  inTheWay(directories: readonly Fid[], clientId: string): Promise<unknown> | undefined {
    const nowMs = this.#options.clock.nowMs();
    const waits: Promise<void>[] = [];
    if (this.#graceUntilMs > 0) {
      if (nowMs >= this.#graceUntilMs) this.#graceUntilMs = 0;
      else if (directories.some(this.#options.isDirectory)) waits.push(this.#waitOutGrace(nowMs));
    }
    for (const fid of directories) {
      const lease = this.#find(fid, nowMs);
      if (lease === undefined) continue;
      lease.state = changing(lease.state, clientId, nowMs);
      if (holderInTheWay(lease.state, clientId, nowMs) !== undefined) waits.push(this.#end(fid, lease, nowMs));
    }
    return waits.length === 0 ? undefined : Promise.all(waits);
  }

  /**
   * Milliseconds for which the client may rely on the directory from now on; undefined: it may not. `use`: what it has
   * just done there.
   */
  grant(fid: Fid, clientId: string, use: 'read' | 'changed'): number | undefined {
    const { leaseMs, leasesMax, clock } = this.#options;
    if (leaseMs === 0) return undefined;
    const nowMs = clock.nowMs();
    let lease = this.#find(fid, nowMs);
    if (lease === undefined) {
      if (this.size >= leasesMax) return undefined;
      lease = { state: use === 'changed' ? changing(unleased, clientId, nowMs) : unleased, ending: undefined };
      this.#current.set(fid, lease);
    }
    if (lease.ending !== undefined || !mayHold(lease.state, clientId, nowMs, leaseMs)) return undefined;
    if (!this.#noted) this.#note();
    this.#expiresMs = nowMs + leaseMs;
    lease.state = { ...lease.state, holder: clientId, expiresMs: this.#expiresMs };
    return leaseMs;
  }

  /** The client relies on nothing any more. */
  giveBack(clientId: string): void {
    for (const leases of [this.#current, this.#previous]) {
      for (const lease of leases.values()) {
        if (lease.state.holder !== clientId) continue;
        lease.state = { ...lease.state, holder: undefined };
        lease.ending?.finish();
      }
    }
  }

  /** At the end of the target, when nothing is granted any more: the next start need not wait where all have run out. */
  close(): void {
    const { store, clock } = this.#options;
    if (!this.#noted || clock.nowMs() < Math.max(this.#expiresMs, this.#graceUntilMs)) return;
    store.transaction(() => store.delete(LEASES));
  }

  #note(): void {
    const { store, leaseMs } = this.#options;
    const value = Buffer.alloc(4);
    value.writeUInt32BE(leaseMs);
    store.transaction(() => {
      store.put(LEASES, value);
      store.onUndo(() => {
        this.#noted = false;
      });
    });
    this.#noted = true;
  }

  #find(fid: Fid, nowMs: number): Lease | undefined {
    if (nowMs - this.#turnedMs >= this.#options.leaseMs) {
      this.#previous = this.#current;
      this.#current = new Map();
      this.#turnedMs = nowMs;
    }
    const used = this.#current.get(fid);
    if (used !== undefined) return used;
    const unused = this.#previous.get(fid);
    if (unused === undefined) return undefined;
    this.#previous.delete(fid);
    this.#current.set(fid, unused);
    return unused;
  }

  /** Settles when the holder has given the lease up or it has run out. */
  #end(fid: Fid, lease: Lease, nowMs: number): Promise<void> {
    if (lease.ending !== undefined) return lease.ending.done;
    const holder = lease.state.holder as string;
    let finish = (): void => undefined;
    const done = new Promise<void>((resolve) => {
      finish = () => {
        callOff();
        lease.ending = undefined;
        resolve();
      };
      const callOff = this.#options.clock.after(lease.state.expiresMs - nowMs, finish);
    });
    const ending = { done, finish };
    lease.ending = ending;
    const givenUp = (): void => {
      // A late answer says nothing about the lease that came after.
      if (lease.ending !== ending) return;
      lease.state = { ...lease.state, holder: undefined };
      finish();
    };
    // Who cannot be asked may rely on the lease to its end.
    this.#options.callBack(holder, fid).then(givenUp, () => undefined);
    return done;
  }

  #waitOutGrace(nowMs: number): Promise<void> {
    this.#grace ??= new Promise((resolve) => {
      this.#options.clock.after(this.#graceUntilMs - nowMs, resolve);
    });
    return this.#grace;
  }
}
