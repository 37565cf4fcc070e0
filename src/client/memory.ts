/** Memory that stays known to native code, so that file data is received into it and sent from it directly. */
import { IbexError } from '../wire/errors.js';
import type { BufferRegistry } from './buffers.js';
import type { Memory } from './types.js';

const MEMORY_BYTES_MAX = 2 ** 32;
/** Whole pages, so that no other object shares memory that hardware may write to. */
const PAGE_BYTES = 4096;

interface Held {
  readonly registry: BufferRegistry;
  readonly memory: ArrayBuffer;
}

// Registered memory is held by native code: only the handle tells that the program has let go of it. Letting
// the registration go is harmless where the buffer is still used: it is registered again with the next call.
const forgotten = new FinalizationRegistry<Held>(({ registry, memory }) => registry.unpin(memory));

class RegisteredMemory implements Memory {
  readonly buffer: Buffer;
  readonly #held: Held;

  constructor(registry: BufferRegistry, size: number) {
    const memory = new ArrayBuffer(Math.ceil(size / PAGE_BYTES) * PAGE_BYTES);
    registry.pin(memory);
    this.buffer = Buffer.from(memory, 0, size);
    this.#held = { registry, memory };
    forgotten.register(this, this.#held, this);
  }

  free(): void {
    forgotten.unregister(this);
    this.#held.registry.unpin(this.#held.memory);
  }

  [Symbol.dispose](): void {
    this.free();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.free();
  }
}

export function makeMemory(registry: BufferRegistry, size: number): Memory {
  if (!Number.isInteger(size) || size <= 0 || size > MEMORY_BYTES_MAX) {
    throw new IbexError('ERR_INVALID', `alloc of ${size} bytes: give a whole number from 1 to ${MEMORY_BYTES_MAX}`);
  }
  return new RegisteredMemory(registry, size);
}
