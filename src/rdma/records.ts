/** The fixed records that native code shares (src/wire/schema.json), as words of 32 bits: the fast way in JavaScript. */
import {
  RdmaCompletionBytes,
  RdmaCompletionFlag,
  RdmaCompletionOffset,
  type RdmaOperation,
  RdmaRequestBytes,
  RdmaRequestOffset,
} from '../wire/generated.js';

const word = (offset: number): number => offset / 4;
export const REQUEST_WORDS = word(RdmaRequestBytes);
export const COMPLETION_WORDS = word(RdmaCompletionBytes);

const TAG = word(RdmaRequestOffset.tag);
const INDEX = word(RdmaRequestOffset.index);
const QUEUE_PAIR = word(RdmaRequestOffset.queuePair);
/** operation and flags share it. */
const OPERATION = word(RdmaRequestOffset.operation);
const ARENA = word(RdmaRequestOffset.arena);
const REMOTE_KEY = word(RdmaRequestOffset.remoteKey);
const OFFSET = word(RdmaRequestOffset.offset);
const LENGTH = word(RdmaRequestOffset.length);
const IMMEDIATE = word(RdmaRequestOffset.immediate);
const REMOTE_ADDRESS = word(RdmaRequestOffset.remoteAddress);
const COMPARE_OR_ADD = word(RdmaRequestOffset.compareOrAdd);
const SWAP = word(RdmaRequestOffset.swap);

const TWO_32 = 2 ** 32;

export interface RequestFields {
  readonly operation: RdmaOperation;
  readonly flags: number;
  readonly arena: number;
  readonly offset: number;
  readonly length: number;
  readonly remoteKey?: number;
  readonly remoteAddress?: number;
  readonly immediate?: number;
  readonly compareOrAdd?: bigint;
  readonly swap?: bigint;
}

function setBigint(words: Uint32Array, at: number, value: bigint): void {
  words[at] = Number(BigInt.asUintN(32, value));
  words[at + 1] = Number(BigInt.asUintN(32, value >> 32n));
}

/** Writes a request without tag, index and queue pair, which are set when it is posted. `words` is zero there. */
export function encodeRequest(words: Uint32Array, at: number, fields: RequestFields): void {
  words[at + OPERATION] = fields.operation | (fields.flags << 8);
  words[at + ARENA] = fields.arena;
  words[at + OFFSET] = fields.offset;
  words[at + OFFSET + 1] = Math.floor(fields.offset / TWO_32);
  words[at + LENGTH] = fields.length;
  if (fields.remoteAddress !== undefined) {
    words[at + REMOTE_KEY] = fields.remoteKey ?? 0;
    words[at + REMOTE_ADDRESS] = fields.remoteAddress;
    words[at + REMOTE_ADDRESS + 1] = Math.floor(fields.remoteAddress / TWO_32);
  }
  if (fields.immediate !== undefined) words[at + IMMEDIATE] = fields.immediate;
  if (fields.compareOrAdd !== undefined) setBigint(words, at + COMPARE_OR_ADD, fields.compareOrAdd);
  if (fields.swap !== undefined) setBigint(words, at + SWAP, fields.swap);
}

/** Says whose the request at `at` is. */
export function addressRequest(words: Uint32Array, at: number, tag: number, index: number, queuePair: number): void {
  words[at + TAG] = tag;
  words[at + INDEX] = index;
  words[at + QUEUE_PAIR] = queuePair;
}

export const tagOfRequest = (words: Uint32Array, at: number): number => words[at + TAG] as number;
export const queuePairOfRequest = (words: Uint32Array, at: number): number => words[at + QUEUE_PAIR] as number;
export const operationOfRequest = (words: Uint32Array, at: number): number => (words[at + OPERATION] as number) & 0xff;

const COMPLETION_TAG = word(RdmaCompletionOffset.tag);
const COMPLETION_INDEX = word(RdmaCompletionOffset.index);
const COMPLETION_QUEUE_PAIR = word(RdmaCompletionOffset.queuePair);
/** operation, status and flags share it. */
const COMPLETION_OPERATION = word(RdmaCompletionOffset.operation);
const COMPLETION_BYTES = word(RdmaCompletionOffset.bytes);
const COMPLETION_IMMEDIATE = word(RdmaCompletionOffset.immediate);
const COMPLETION_COUNT = word(RdmaCompletionOffset.count);
const COMPLETION_VENDOR_ERROR = word(RdmaCompletionOffset.vendorError);

/** One record of a batch of completions; moved along instead of made anew. */
export class CompletionCursor {
  readonly #words: Uint32Array;
  #at = 0;

  constructor(records: ArrayBuffer) {
    this.#words = new Uint32Array(records);
  }

  moveTo(record: number): this {
    this.#at = record * COMPLETION_WORDS;
    return this;
  }

  #word(offset: number): number {
    return this.#words[this.#at + offset] as number;
  }

  get tag(): number {
    return this.#word(COMPLETION_TAG);
  }
  get index(): number {
    return this.#word(COMPLETION_INDEX);
  }
  get queuePair(): number {
    return this.#word(COMPLETION_QUEUE_PAIR);
  }
  get operation(): number {
    return this.#word(COMPLETION_OPERATION) & 0xff;
  }
  get status(): number {
    return (this.#word(COMPLETION_OPERATION) >>> 8) & 0xff;
  }
  get bytes(): number {
    return this.#word(COMPLETION_BYTES);
  }
  /** Undefined when the message had none. */
  get immediate(): number | undefined {
    return (this.#flags & RdmaCompletionFlag.immediate) === 0 ? undefined : this.#word(COMPLETION_IMMEDIATE);
  }
  get receivedWrite(): boolean {
    return (this.#flags & RdmaCompletionFlag.receivedWrite) !== 0;
  }
  /** Requests that it stands for: more than one when all of them succeeded and have nothing else to tell. */
  get count(): number {
    return this.#word(COMPLETION_COUNT);
  }
  get vendorError(): number {
    return this.#word(COMPLETION_VENDOR_ERROR);
  }
  get #flags(): number {
    return this.#word(COMPLETION_OPERATION) >>> 16;
  }
}
