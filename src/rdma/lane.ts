/** One of the two queues of a queue pair as JavaScript sees it: how full it is, and what waits for a place in it. */
import type { Operation } from './operation.js';

/** Requests that may wait for a place: beyond it, callers are told to wait for what they have. */
export const WAITING_MAX = 65_536;

export class Lane {
  readonly depth: number;
  outstanding = 0;
  #waiting: Operation[] = [];
  #waitingRequests = 0;

  constructor(depth: number) {
    this.depth = depth;
  }

  get waits(): boolean {
    return this.#waiting.length > 0;
  }

  hasRoomFor(requests: number): boolean {
    return this.#waitingRequests + requests <= WAITING_MAX;
  }

  /** Takes an operation: gives how many of its requests have a place now. The others wait. */
  enter(operation: Operation): number {
    const count = this.waits ? 0 : Math.min(operation.count, this.depth - this.outstanding);
    this.outstanding += count;
    if (count < operation.count) {
      this.#waiting.push(operation);
      this.#waitingRequests += operation.count - count;
    }
    return count;
  }

  /** Hands on what has a place by now, in order. */
  pump(post: (operation: Operation, count: number) => void): void {
    let done = 0;
    for (const operation of this.#waiting) {
      const count = Math.min(operation.unposted, this.depth - this.outstanding);
      if (count === 0) break;
      this.outstanding += count;
      this.#waitingRequests -= count;
      post(operation, count);
      if (operation.unposted > 0) break;
      done += 1;
    }
    if (done > 0) this.#waiting = this.#waiting.slice(done);
  }

  /** Takes out what waits, of one operation or of all; each with how many of its requests waited. */
  drop(only?: Operation): { readonly operation: Operation; readonly count: number }[] {
    const dropped = this.#waiting.filter((operation) => only === undefined || operation === only);
    if (dropped.length === 0) return [];
    this.#waiting = only === undefined ? [] : this.#waiting.filter((operation) => operation !== only);
    return dropped.map((operation) => {
      this.#waitingRequests -= operation.unposted;
      return { operation, count: operation.unposted };
    });
  }
}
