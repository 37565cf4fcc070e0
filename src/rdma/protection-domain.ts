/** The unit of isolation: memory and the queue pairs for which its keys hold. */
import { loadNative } from '../native.js';
import { Arena, type ArenaOptions } from './arena.js';
import type { CompletionQueue } from './completion-queue.js';
import { native } from './errors.js';
import type { NativeDevice, NativeProtectionDomain } from './native.js';
import { QueuePair, type QueuePairOptions } from './queue-pair.js';

/**
 * Made by {@link Device.createProtectionDomain}. A key that a peer was given is valid on every queue pair of the domain:
 * peers that are trusted differently get domains of their own.
 */
export class ProtectionDomain {
  readonly #native: NativeProtectionDomain;

  /** @internal */
  constructor(device: NativeDevice) {
    this.#native = native(() => new (loadNative().rdma.ProtectionDomain)(device));
  }

  /**
   * Maps and registers memory. Takes milliseconds, so it is done at start, not per operation.
   *
   * @throws RdmaError ERR_RDMA_VERB, often with errno ENOMEM: the message then names the limit on locked memory
   */
  createArena(bytes: number, options: ArenaOptions = {}): Arena {
    return new Arena(this.#native, bytes, options);
  }

  /**
   * Makes a queue pair, not yet connected: receives can be posted.
   *
   * @throws RdmaError ERR_RDMA_NOT_SUPPORTED when the port cannot be used, ERR_RDMA_QUEUE_FULL when the completion queue
   *   has too few entries left, ERR_RDMA_INVALID, ERR_RDMA_VERB
   */
  createQueuePair(queue: CompletionQueue, options: QueuePairOptions = {}): QueuePair {
    return new QueuePair(this.#native, queue, options);
  }

  /** What was made of it goes on working until closed itself. Closing twice is fine. */
  close(): void {
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}
