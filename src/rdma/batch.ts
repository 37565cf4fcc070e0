/** Many operations as one: one call of native code, one chain, one promise. */
import type { RemoteMemory } from './arena.js';
import { invalid } from './errors.js';
import type { Message, OperationOptions } from './operation.js';
import { joinRequests, type PreparedRequest, type RequestOptions, type Requests } from './requests.js';

/**
 * Made by {@link QueuePair.batch}. Either of receives or of everything else. What is in it stays, so that the same
 * operations can be submitted again and again without being made anew; several submissions may be on the way at once.
 */
export class Batch {
  readonly #requests: Requests;
  readonly #post: (request: PreparedRequest, options: OperationOptions) => Promise<readonly Message[]>;
  #parts: PreparedRequest[] = [];
  #joined: PreparedRequest | undefined;

  /** @internal */
  constructor(requests: Requests, post: (request: PreparedRequest, options: OperationOptions) => Promise<readonly Message[]>) {
    this.#requests = requests;
    this.#post = post;
  }

  /** Requests in it; a read or write that was cut counts as many. */
  get length(): number {
    return this.#parts.reduce((sum, { count }) => sum + count, 0);
  }

  #add(part: PreparedRequest): this {
    const [first] = this.#parts;
    if (first !== undefined && first.receives !== part.receives) throw invalid('a batch is either of receives or of other operations');
    this.#parts.push(part);
    this.#joined = undefined;
    return this;
  }

  write(local: Uint8Array, remote: RemoteMemory, options: RequestOptions = {}): this {
    return this.#add(this.#requests.write(local, remote, options));
  }

  writeWithImm(local: Uint8Array, remote: RemoteMemory, immediate: number, options: RequestOptions = {}): this {
    return this.#add(this.#requests.write(local, remote, options, immediate));
  }

  read(local: Uint8Array, remote: RemoteMemory, options: RequestOptions = {}): this {
    return this.#add(this.#requests.read(local, remote, options));
  }

  send(local: Uint8Array, options: RequestOptions = {}): this {
    return this.#add(this.#requests.send(local, options));
  }

  recv(local: Uint8Array): this {
    return this.#add(this.#requests.receive(local));
  }

  /** The value before is in `result` when the batch has ended. */
  compareAndSwap(result: Uint8Array, remote: RemoteMemory, expected: bigint, desired: bigint, options: RequestOptions = {}): this {
    return this.#add(this.#requests.compareAndSwap(result, remote, expected, desired, options));
  }

  /** The value before is in `result` when the batch has ended. */
  fetchAndAdd(result: Uint8Array, remote: RemoteMemory, add: bigint, options: RequestOptions = {}): this {
    return this.#add(this.#requests.fetchAndAdd(result, remote, add, options));
  }

  /** Empties it. What was submitted goes on. */
  clear(): void {
    this.#parts = [];
    this.#joined = undefined;
  }

  /**
   * Posts all of it. Resolves when all have ended, of receives with their messages in order; rejects, then too, with the
   * error of the first that failed.
   */
  submit(options: OperationOptions = {}): Promise<readonly Message[]> {
    if (this.#parts.length === 0) return Promise.resolve([]);
    this.#joined ??= joinRequests(this.#parts);
    return this.#post(this.#joined, options);
  }
}
