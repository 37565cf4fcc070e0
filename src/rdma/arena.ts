/** Registered memory: one ArrayBuffer that the adapter may read and write. */
import { markAsUntransferable } from 'node:worker_threads';
import { loadNative } from '../native.js';
import { closed, invalid, native } from './errors.js';
import { FreeSpace } from './free-space.js';
import type { NativeArena, NativeProtectionDomain } from './native.js';

/** What peers may do with the memory; this process may always do everything. All false by default. */
export interface ArenaOptions {
  readonly remoteRead?: boolean;
  readonly remoteWrite?: boolean;
  readonly remoteAtomic?: boolean;
  /**
   * The bus may reorder what the adapter writes: faster for bulk data, and then arrival may be learned from completions
   * only, never by looking at memory. Without effect on devices that do not know it.
   */
  readonly relaxedOrdering?: boolean;
}

/**
 * Memory of a peer, or of ours as a peer gets it: plain numbers that can be sent as JSON. Who has it can use the memory
 * over any queue pair of the protection domain, as far as the arena's rights go.
 */
export interface RemoteMemory {
  /** In the address space of its owner; below 2^53. */
  readonly address: number;
  /** Bytes. */
  readonly length: number;
  /** The rkey, 32 bits. */
  readonly key: number;
}

/** Part of memory of a peer. @throws RdmaError ERR_RDMA_INVALID when it is not inside */
export function remoteSlice(memory: RemoteMemory, offset: number, length = memory.length - offset): RemoteMemory {
  if (!(offset >= 0 && length >= 0 && offset + length <= memory.length))
    throw invalid(`bytes ${offset} to ${offset + length} are not inside of remote memory of ${memory.length} bytes`);
  return { address: memory.address + offset, length, key: memory.key };
}

const arenas = new WeakMap<ArrayBufferLike, Arena>();

/**
 * Made by {@link ProtectionDomain.createArena}. The memory stays mapped and registered while JavaScript can see it or an
 * operation uses it, whatever is closed or collected; it cannot be transferred to another thread.
 */
export class Arena {
  /** All of it. Either lay it out yourself, or use {@link Arena.alloc}, not both. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #native: NativeArena;
  readonly #domain: NativeProtectionDomain;
  readonly #space: FreeSpace;
  /** Memory that the adapter may still touch although nobody waits for it any more, with how many operations do. */
  readonly #quarantined = new Map<Uint8Array, number>();
  readonly #freedLater = new Set<number>();
  #open = true;

  /** @internal */
  constructor(domain: NativeProtectionDomain, bytes: number, options: ArenaOptions) {
    const { remoteRead = false, remoteWrite = false, remoteAtomic = false, relaxedOrdering = false } = options;
    const rights = { remoteRead, remoteWrite, remoteAtomic, relaxedOrdering };
    this.#native = native(() => new (loadNative().rdma.Arena)(domain, bytes, rights));
    this.bytes = new Uint8Array(this.#native.buffer);
    this.#domain = domain;
    markAsUntransferable(this.bytes.buffer);
    this.#space = new FreeSpace(bytes);
    arenas.set(this.bytes.buffer, this);
  }

  /**
   * The number of the arena that holds a view's memory.
   *
   * @throws RdmaError ERR_RDMA_INVALID when none of the domain does, ERR_RDMA_CLOSED
   * @internal
   */
  static slotOf(view: Uint8Array, domain: NativeProtectionDomain): number {
    const arena = arenas.get(view.buffer);
    if (arena === undefined) throw invalid('the bytes are not memory of an arena: take them from Arena.alloc or Arena.bytes');
    if (!arena.#open) throw closed('arena');
    if (arena.#domain !== domain) throw invalid('the bytes are memory of an arena of another protection domain');
    return arena.#native.slot;
  }

  /**
   * Takes `length` bytes, aligned to 64, until {@link Arena.free}.
   *
   * @throws RdmaError ERR_RDMA_INVALID; ERR_RDMA_QUEUE_FULL when no gap is large enough
   */
  alloc(length: number): Uint8Array<ArrayBuffer> {
    if (!this.#open) throw closed('arena');
    const offset = this.#space.take(length);
    return new Uint8Array(this.bytes.buffer, offset, length);
  }

  /**
   * Gives back what alloc gave. Where an aborted operation may still touch it, it stays set aside until the adapter is
   * done with it. The promises of other operations on it must have settled.
   */
  free(view: Uint8Array): void {
    if (!this.#open) return;
    if (view.buffer !== this.bytes.buffer) throw invalid('the bytes are not memory of this arena');
    this.#space.check(view.byteOffset);
    if (this.#isQuarantined(view.byteOffset)) this.#freedLater.add(view.byteOffset);
    else this.#space.give(view.byteOffset);
  }

  /** Bytes that alloc could still give, in gaps of whatever size. */
  get freeBytes(): number {
    return this.#space.freeBytes;
  }

  /** An aborted operation may touch `view` until the function that this gives is called. @internal */
  static quarantine(view: Uint8Array): () => void {
    const arena = arenas.get(view.buffer);
    return arena === undefined ? () => undefined : arena.#quarantine(view);
  }

  #quarantine(view: Uint8Array): () => void {
    this.#quarantined.set(view, (this.#quarantined.get(view) ?? 0) + 1);
    return () => {
      const uses = (this.#quarantined.get(view) ?? 1) - 1;
      if (uses > 0) this.#quarantined.set(view, uses);
      else this.#quarantined.delete(view);
      for (const offset of this.#freedLater) {
        if (this.#isQuarantined(offset)) continue;
        this.#freedLater.delete(offset);
        this.#space.give(offset);
      }
    };
  }

  #isQuarantined(offset: number): boolean {
    const end = offset + this.#space.check(offset);
    return [...this.#quarantined.keys()].some((view) => view.byteOffset < end && view.byteOffset + view.byteLength > offset);
  }

  /**
   * What a peer needs to read or write `view`, within the rights of the arena.
   *
   * @throws RdmaError ERR_RDMA_INVALID when peers were given no right, or the view is not of this arena
   */
  expose(view: Uint8Array = this.bytes): RemoteMemory {
    if (!this.#open) throw closed('arena');
    if (view.buffer !== this.bytes.buffer) throw invalid('the bytes are not memory of this arena');
    return native(() => this.#native.remote(view.byteOffset, view.byteLength));
  }

  /**
   * Takes the memory away: all views of it have length 0 from now on, and peers' keys are void once the last operation
   * that uses it has ended, which may be later. Closing twice is fine.
   */
  close(): void {
    this.#open = false;
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}
