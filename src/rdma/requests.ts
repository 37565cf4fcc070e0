/** Operations as the records that native code posts, checked as far as JavaScript can. */
import { RdmaOperation, RdmaRequestFlag } from '../wire/generated.js';
import { Arena, type RemoteMemory } from './arena.js';
import { invalid } from './errors.js';
import type { NativeProtectionDomain } from './native.js';
import { encodeRequest, REQUEST_WORDS, type RequestFields } from './records.js';

/** Ready to be posted, any number of times. */
export interface PreparedRequest {
  readonly words: Uint32Array;
  readonly count: number;
  /** Local memory: of receives one view for each. */
  readonly views: readonly Uint8Array[];
  readonly receives: boolean;
}

export interface RequestOptions {
  readonly fence?: boolean;
  readonly immediate?: number;
}

const UINT32_MAX = 2 ** 32 - 1;
const UINT64_MAX = 2n ** 64n - 1n;
const ATOMIC_BYTES = 8;

const isUint32 = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= UINT32_MAX;

function checkImmediate(immediate: number): number {
  if (!isUint32(immediate)) throw invalid(`the immediate is ${immediate}: give a whole number of 32 bits`);
  return immediate;
}

function checkRemote(remote: RemoteMemory, bytes: number): void {
  const { address, length, key } = remote;
  const fits = Number.isSafeInteger(address) && address >= 0 && Number.isSafeInteger(length) && Number.isSafeInteger(address + length);
  if (!fits || length < 0 || !isUint32(key)) throw invalid('the remote memory is not what Arena.expose gives');
  if (length < bytes) throw invalid(`the remote memory has ${length} bytes, the local ${bytes}`);
}

function checkOperand(value: bigint): bigint {
  if (typeof value !== 'bigint' || value < 0n || value > UINT64_MAX) throw invalid(`an operand of an atomic is ${value}: give 64 bits`);
  return value;
}

const fence = (options: RequestOptions): number => (options.fence === true ? RdmaRequestFlag.fence : 0);

export class Requests {
  readonly #domain: NativeProtectionDomain;
  readonly #inlineBytesMax: number;
  readonly #requestBytesMax: number;

  constructor(domain: NativeProtectionDomain, inlineBytesMax: number, requestBytesMax: number) {
    this.#domain = domain;
    this.#inlineBytesMax = inlineBytesMax;
    this.#requestBytesMax = requestBytesMax;
  }

  #one(view: Uint8Array, fields: Omit<RequestFields, 'arena' | 'offset' | 'length'>): PreparedRequest {
    const words = new Uint32Array(REQUEST_WORDS);
    const arena = Arena.slotOf(view, this.#domain);
    encodeRequest(words, 0, { ...fields, arena, offset: view.byteOffset, length: view.byteLength });
    return { words, count: 1, views: [view], receives: fields.operation === RdmaOperation.receive };
  }

  /** What is short enough travels in the request itself. */
  #inline(bytes: number): number {
    return bytes <= this.#inlineBytesMax ? RdmaRequestFlag.inlineData : 0;
  }

  write(local: Uint8Array, remote: RemoteMemory, options: RequestOptions, immediate?: number): PreparedRequest {
    checkRemote(remote, local.byteLength);
    const flags = fence(options) | this.#inline(local.byteLength);
    if (immediate === undefined) return this.#pieces(RdmaOperation.write, flags, local, remote);
    return this.#pieces(RdmaOperation.write, flags, local, remote, checkImmediate(immediate));
  }

  read(local: Uint8Array, remote: RemoteMemory, options: RequestOptions): PreparedRequest {
    checkRemote(remote, local.byteLength);
    return this.#pieces(RdmaOperation.read, fence(options), local, remote);
  }

  /** Cut where it is longer than one request may be; an immediate goes with the last piece, which arrives last. */
  #pieces(operation: RdmaOperation, flags: number, local: Uint8Array, remote: RemoteMemory, immediate?: number): PreparedRequest {
    const arena = Arena.slotOf(local, this.#domain);
    const count = Math.max(1, Math.ceil(local.byteLength / this.#requestBytesMax));
    const words = new Uint32Array(count * REQUEST_WORDS);
    for (let piece = 0; piece < count; piece++) {
      const done = piece * this.#requestBytesMax;
      const told = immediate !== undefined && piece === count - 1;
      encodeRequest(words, piece * REQUEST_WORDS, {
        operation: told ? RdmaOperation.writeWithImmediate : operation,
        flags,
        arena,
        offset: local.byteOffset + done,
        length: Math.min(this.#requestBytesMax, local.byteLength - done),
        remoteKey: remote.key,
        remoteAddress: remote.address + done,
        ...(told ? { immediate } : {}),
      });
    }
    return { words, count, views: [local], receives: false };
  }

  send(local: Uint8Array, options: RequestOptions): PreparedRequest {
    if (local.byteLength > this.#requestBytesMax)
      throw invalid(`a message of ${local.byteLength} bytes is longer than one may be, ${this.#requestBytesMax}`);
    const flags = fence(options) | this.#inline(local.byteLength);
    if (options.immediate === undefined) return this.#one(local, { operation: RdmaOperation.send, flags });
    return this.#one(local, { operation: RdmaOperation.sendWithImmediate, flags, immediate: checkImmediate(options.immediate) });
  }

  receive(local: Uint8Array): PreparedRequest {
    return this.#one(local, { operation: RdmaOperation.receive, flags: 0 });
  }

  compareAndSwap(result: Uint8Array, remote: RemoteMemory, expected: bigint, desired: bigint, options: RequestOptions): PreparedRequest {
    const operands = { compareOrAdd: checkOperand(expected), swap: checkOperand(desired) };
    return this.#atomic(RdmaOperation.compareAndSwap, result, remote, operands, options);
  }

  fetchAndAdd(result: Uint8Array, remote: RemoteMemory, add: bigint, options: RequestOptions): PreparedRequest {
    return this.#atomic(RdmaOperation.fetchAndAdd, result, remote, { compareOrAdd: checkOperand(add) }, options);
  }

  #atomic(
    operation: RdmaOperation,
    result: Uint8Array,
    remote: RemoteMemory,
    operands: { readonly compareOrAdd: bigint; readonly swap?: bigint },
    options: RequestOptions,
  ): PreparedRequest {
    if (result.byteLength !== ATOMIC_BYTES) throw invalid('the result of an atomic needs 8 bytes');
    checkRemote(remote, ATOMIC_BYTES);
    if (remote.address % ATOMIC_BYTES !== 0) throw invalid('an atomic needs 8 aligned bytes of the peer');
    return this.#one(result, { operation, flags: fence(options), remoteKey: remote.key, remoteAddress: remote.address, ...operands });
  }
}

/** Several as one. */
export function joinRequests(parts: readonly PreparedRequest[]): PreparedRequest {
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  const words = new Uint32Array(count * REQUEST_WORDS);
  let at = 0;
  for (const part of parts) {
    words.set(part.words, at);
    at += part.words.length;
  }
  return { words, count, views: parts.flatMap(({ views }) => views), receives: parts[0]?.receives ?? false };
}
