/**
 * Bytes of the metadata log. A log file is a header and then entries; an entry is all changes of one batch.
 * All numbers are little-endian; u64 values stay below 2^53.
 *
 *     file header   8 'IBXMLOG1' | u64 generation | u32 CRC-32C of the 16 bytes before | 12 zero
 *     entry         u32 magic | u32 CRC-32C of everything after it | u32 bytes of the entry | u32 changes |
 *                   u64 sequence | u64 durable | changes
 *     change        u16 key bytes | u32 value bytes, 0xffffffff: delete | key | value
 *
 * `sequence` counts entries from 1 without gaps. `durable` is the last sequence known to be on disk when the
 * entry was written: a damaged entry that some later entry calls durable is a broken disk, while any other
 * is only what a power cut took from the tail.
 */
import type { Crc32c } from '../types.js';
import type { Key } from './key.js';

export const LOG_HEADER_BYTES = 32;
const FILE_MAGIC = Buffer.from('IBXMLOG1', 'latin1');
const ENTRY_MAGIC = 0x454c5849;
const ENTRY_MAGIC_BYTES = Buffer.from([0x49, 0x58, 0x4c, 0x45]);
const ENTRY_HEADER_BYTES = 32;
const CHANGE_HEADER_BYTES = 6;
const DELETED = 0xffffffff;
/** Keys are at most this long: LMDB takes 1978 bytes, and a u16 holds the length. */
export const KEY_BYTES_MAX = 1024;

function writeU64(buffer: Buffer, value: number, at: number): void {
  buffer.writeUInt32LE(value >>> 0, at);
  buffer.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
}

function readU64(buffer: Buffer, at: number): number {
  return buffer.readUInt32LE(at) + buffer.readUInt32LE(at + 4) * 0x1_0000_0000;
}

export function encodeLogHeader(generation: number, crc32c: Crc32c): Buffer {
  const header = Buffer.alloc(LOG_HEADER_BYTES);
  FILE_MAGIC.copy(header);
  writeU64(header, generation, 8);
  header.writeUInt32LE(crc32c(header.subarray(0, 16)), 16);
  return header;
}

/** The generation that the header names; undefined when it is not a whole header. */
export function decodeLogHeader(bytes: Buffer, crc32c: Crc32c): number | undefined {
  if (bytes.length < LOG_HEADER_BYTES || !bytes.subarray(0, 8).equals(FILE_MAGIC)) return undefined;
  if (bytes.readUInt32LE(16) !== crc32c(bytes.subarray(0, 16))) return undefined;
  return readU64(bytes, 8);
}

/** Builds one entry in a buffer that it keeps and grows. */
export class EntryWriter {
  readonly #crc32c: Crc32c;
  #buffer = Buffer.allocUnsafeSlow(64 * 1024);
  #end = ENTRY_HEADER_BYTES;
  #changes = 0;

  constructor(crc32c: Crc32c) {
    this.#crc32c = crc32c;
  }

  start(): void {
    // One huge batch must not hold its memory for ever.
    if (this.#buffer.length > 8 << 20) this.#buffer = Buffer.allocUnsafeSlow(64 * 1024);
    this.#end = ENTRY_HEADER_BYTES;
    this.#changes = 0;
  }

  add(key: Key, value: Buffer | null): void {
    const valueBytes = value === null ? 0 : value.length;
    this.#room(CHANGE_HEADER_BYTES + key.length + valueBytes);
    const buffer = this.#buffer;
    let at = this.#end;
    buffer.writeUInt16LE(key.length, at);
    buffer.writeUInt32LE(value === null ? DELETED : valueBytes, at + 2);
    at += CHANGE_HEADER_BYTES;
    at += buffer.write(key, at, 'latin1');
    if (value !== null) buffer.set(value, at);
    this.#end = at + valueBytes;
    this.#changes++;
  }

  /** The whole entry; valid until the next `start`. */
  finish(sequence: number, durable: number): Buffer {
    const buffer = this.#buffer;
    buffer.writeUInt32LE(ENTRY_MAGIC, 0);
    buffer.writeUInt32LE(this.#end, 8);
    buffer.writeUInt32LE(this.#changes, 12);
    writeU64(buffer, sequence, 16);
    writeU64(buffer, durable, 24);
    buffer.writeUInt32LE(this.#crc32c(buffer.subarray(8, this.#end)), 4);
    return buffer.subarray(0, this.#end);
  }

  #room(bytes: number): void {
    if (this.#end + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#end + bytes));
    this.#buffer.copy(larger, 0, 0, this.#end);
    this.#buffer = larger;
  }
}

export interface LogEntry {
  readonly sequence: number;
  readonly durable: number;
  readonly changes: readonly { readonly key: Key; readonly value: Buffer | null }[];
  /** Where the next entry starts. */
  readonly end: number;
}

/** The entry at `at`; undefined when there is no whole, sound one. */
export function decodeEntry(bytes: Buffer, at: number, crc32c: Crc32c): LogEntry | undefined {
  if (at + ENTRY_HEADER_BYTES > bytes.length || bytes.readUInt32LE(at) !== ENTRY_MAGIC) return undefined;
  const length = bytes.readUInt32LE(at + 8);
  const end = at + length;
  if (length < ENTRY_HEADER_BYTES || end > bytes.length) return undefined;
  if (bytes.readUInt32LE(at + 4) !== crc32c(bytes.subarray(at + 8, end))) return undefined;
  const count = bytes.readUInt32LE(at + 12);
  const changes: { key: Key; value: Buffer | null }[] = [];
  let position = at + ENTRY_HEADER_BYTES;
  for (let index = 0; index < count; index++) {
    if (position + CHANGE_HEADER_BYTES > end) return undefined;
    const keyBytes = bytes.readUInt16LE(position);
    const size = bytes.readUInt32LE(position + 2);
    const valueBytes = size === DELETED ? 0 : size;
    position += CHANGE_HEADER_BYTES;
    if (position + keyBytes + valueBytes > end) return undefined;
    const key = bytes.toString('latin1', position, position + keyBytes);
    position += keyBytes;
    changes.push({ key, value: size === DELETED ? null : Buffer.from(bytes.subarray(position, position + valueBytes)) });
    position += valueBytes;
  }
  if (position !== end) return undefined;
  return { sequence: readU64(bytes, at + 16), durable: readU64(bytes, at + 24), changes, end };
}

/** The next sound entry that starts after `at`, wherever it lies; finds what follows a damaged one. */
export function findEntry(bytes: Buffer, at: number, crc32c: Crc32c): LogEntry | undefined {
  for (let found = bytes.indexOf(ENTRY_MAGIC_BYTES, at); found >= 0; found = bytes.indexOf(ENTRY_MAGIC_BYTES, found + 1)) {
    const entry = decodeEntry(bytes, found, crc32c);
    if (entry !== undefined) return entry;
  }
  return undefined;
}
