/**
 * Memory of the program that native code may move file data to and from. Registering an ArrayBuffer has a
 * price, and programs use the same few again and again: those are remembered for a moment after their use.
 */
import type { NativeBuffers } from './backend.js';

interface Registration {
  readonly memory: ArrayBufferLike;
  readonly slot: number;
  uses: number;
  /** Held by alloc: not idle however long unused. */
  pinned: boolean;
}

/** What may be kept of the program's memory after its last use: few, small, and not for long. */
const IDLE_COUNT_MAX = 64;
const IDLE_BYTES_MAX = 32 * 2 ** 20;
const IDLE_MS = 1000;

export class BufferRegistry {
  readonly #native: NativeBuffers;
  readonly #known = new Map<ArrayBufferLike, Registration>();
  /** Idle ones in the order of their last use. */
  readonly #idle = new Set<Registration>();
  #idleBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(native: NativeBuffers) {
    this.#native = native;
  }

  /** The slot of `memory` for fileIo; every call is paired with one `done`. */
  use(memory: ArrayBufferLike, lasting = false): number {
    let registration = this.#known.get(memory);
    if (registration === undefined) {
      registration = { memory, slot: this.#native.registerBuffer(nameable(memory), lasting), uses: 0, pinned: false };
      this.#known.set(memory, registration);
    } else if (registration.uses === 0 && this.#idle.delete(registration)) {
      this.#idleBytes -= memory.byteLength;
    }
    registration.uses += 1;
    return registration.slot;
  }

  /** once: the memory is not expected to be used again. */
  done(memory: ArrayBufferLike, once = false): void {
    const registration = this.#known.get(memory);
    if (registration === undefined) return;
    registration.uses -= 1;
    if (registration.uses > 0 || registration.pinned) return;
    if (once) this.#release(registration);
    else this.#retire(registration);
  }

  /** Keeps `memory` registered until `unpin`. */
  pin(memory: ArrayBufferLike): void {
    this.use(memory, true);
    const registration = this.#known.get(memory) as Registration;
    registration.pinned = true;
    registration.uses -= 1;
  }

  unpin(memory: ArrayBufferLike): void {
    const registration = this.#known.get(memory);
    if (registration === undefined || !registration.pinned) return;
    registration.pinned = false;
    if (registration.uses === 0) this.#release(registration);
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const registration of [...this.#known.values()]) this.#release(registration);
    this.#idle.clear();
    this.#idleBytes = 0;
  }

  get size(): number {
    return this.#known.size;
  }

  #retire(registration: Registration): void {
    this.#idle.add(registration);
    this.#idleBytes += registration.memory.byteLength;
    while (this.#idle.size > IDLE_COUNT_MAX || this.#idleBytes > IDLE_BYTES_MAX) {
      const oldest = this.#idle.values().next().value as Registration;
      this.#forget(oldest);
    }
    if (this.#idle.size > 0) {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        for (const idle of [...this.#idle]) this.#forget(idle);
      }, IDLE_MS).unref();
    }
  }

  #forget(registration: Registration): void {
    if (!this.#idle.delete(registration)) return;
    this.#idleBytes -= registration.memory.byteLength;
    this.#release(registration);
  }

  #release(registration: Registration): void {
    this.#known.delete(registration.memory);
    this.#native.releaseBuffer(registration.slot);
  }
}

/** N-API cannot name a SharedArrayBuffer itself, only a view of it. */
function nameable(memory: ArrayBufferLike): ArrayBuffer | Uint8Array {
  return memory instanceof ArrayBuffer ? memory : new Uint8Array(memory);
}
