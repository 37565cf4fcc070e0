/** An open device: what protection domains and completion queues are made of. */
import { loadNative } from '../native.js';
import { CompletionQueue, type CompletionQueueOptions } from './completion-queue.js';
import type { DeviceLimits, GidInfo, PortInfo } from './devices.js';
import { native } from './errors.js';
import type { NativeDevice } from './native.js';
import { ProtectionDomain } from './protection-domain.js';

/** Made by {@link openDevice}. Belongs to the thread that opened it; other threads open it for themselves. */
export class Device {
  readonly name: string;
  readonly limits: DeviceLimits;
  readonly #native: NativeDevice;

  /** @internal */
  constructor(name: string) {
    this.name = name;
    this.#native = native(() => new (loadNative().rdma.Device)(name));
    this.limits = this.#native.limits();
  }

  /**
   * State of a port, asked with each call.
   *
   * @throws RdmaError ERR_RDMA_UNAVAILABLE when there is no such port, ERR_RDMA_CLOSED
   */
  port(number = 1): Omit<PortInfo, 'gids' | 'problem'> {
    return native(() => this.#native.port(number));
  }

  /** The used entries of a port's address table. */
  gids(port = 1): GidInfo[] {
    return native(() => this.#native.gids(port));
  }

  /** Why a port cannot carry traffic now (down, no RoCE v2 address); undefined when it can. */
  portProblem(port = 1): string | undefined {
    const problem = native(() => this.#native.portTrouble(port));
    return problem === '' ? undefined : problem;
  }

  /** The unit of isolation: keys of its memory hold for its queue pairs. */
  createProtectionDomain(): ProtectionDomain {
    return new ProtectionDomain(this.#native);
  }

  /** Where operations of queue pairs end. */
  createCompletionQueue(options: CompletionQueueOptions = {}): CompletionQueue {
    return new CompletionQueue(this.#native, options);
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
