/** Views of what programs hand in, checked as node:fs checks them. */
import { IbexError } from '../wire/errors.js';
import type { Encoding } from './types.js';

/** The part of `buffer` that offset and length name; offset from the view's start, length to its end by default. */
export function viewOf(buffer: NodeJS.ArrayBufferView, offset = 0, length = buffer.byteLength - offset): Uint8Array {
  if (!ArrayBuffer.isView(buffer)) throw new IbexError('ERR_INVALID', 'buffer must be a Buffer, TypedArray or DataView');
  if (!Number.isInteger(offset) || offset < 0 || offset > buffer.byteLength) {
    throw new IbexError('ERR_INVALID', `offset ${offset} is not within the buffer's ${buffer.byteLength} bytes`);
  }
  if (!Number.isInteger(length) || length < 0 || offset + length > buffer.byteLength) {
    throw new IbexError('ERR_INVALID', `length ${length} from offset ${offset} is more than the buffer's ${buffer.byteLength} bytes`);
  }
  return new Uint8Array(buffer.buffer, buffer.byteOffset + offset, length);
}

/** The size that truncate was given, as node takes it: negative is 0. */
export function toSize(length: number): number {
  if (typeof length !== 'number' || Number.isNaN(length)) throw new IbexError('ERR_INVALID', `the length ${String(length)} is no number`);
  if (length > Number.MAX_SAFE_INTEGER) throw new IbexError('ERR_FILE_TOO_BIG', `a file has at most ${Number.MAX_SAFE_INTEGER} bytes`);
  return Math.max(0, Math.trunc(length));
}

export function toBytes(data: string | NodeJS.ArrayBufferView, encoding?: Encoding | null): Uint8Array {
  return typeof data === 'string' ? Buffer.from(data, encoding ?? 'utf8') : viewOf(data);
}
