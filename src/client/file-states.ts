/**
 * What native code knows about open files and this thread may read without a call: FileState of
 * native/stripes/file_table.h, 8 doubles a slot. `file` is the number that openFile gave.
 */
import type { Attributes } from '../wire/messages.js';
import type { NativeFiles } from './backend.js';

const DOUBLES_PER_SLOT = 8;
const SIZE = 0;
const MTIME_US = 1;
const CLEAR_SET_ID = 2;
/** A file's number is its slot in the low bits and the slot's generation above them. */
const SLOT_MASK = 0xffff;

export class FileStates {
  readonly #native: NativeFiles;
  readonly #doubles: Float64Array;

  constructor(native: NativeFiles) {
    this.#native = native;
    this.#doubles = new Float64Array(native.fileStates);
  }

  size(file: number): number {
    return this.#doubles[(file & SLOT_MASK) * DOUBLES_PER_SLOT + SIZE] as number;
  }

  /** Microseconds since 1970; 0: everything written has been settled. */
  mtimeUs(file: number): number {
    return this.#doubles[(file & SLOT_MASK) * DOUBLES_PER_SLOT + MTIME_US] as number;
  }

  /** After a truncation. */
  setSize(file: number, size: number): void {
    this.#native.setFileSize(file, size);
  }

  /** The metadata server knows of every write up to `mtimeUs`; a later one leaves the file dirty. */
  settled(file: number, mtimeUs: number): void {
    this.#native.settleFile(file, mtimeUs);
  }

  /** The next write is reported, so that set-id bits are cleared. */
  clearSetIdOnWrite(file: number): void {
    this.#doubles[(file & SLOT_MASK) * DOUBLES_PER_SLOT + CLEAR_SET_ID] = 1;
  }

  /**
   * Puts what was written here and not yet settled into attributes from the metadata server, in place; where
   * nothing was, takes the size over from them.
   */
  merge(file: number, attributes: Attributes): Attributes {
    const mtimeUs = this.mtimeUs(file);
    if (mtimeUs === 0) {
      // A write may come in between: native code looks again.
      if (this.size(file) !== attributes.size) this.#native.adoptFileSize(file, attributes.size);
    } else {
      overlay(attributes, this.size(file), mtimeUs);
    }
    return attributes;
  }
}

/** A dirty file reaches as far as the longer of both sides says and was changed when it was last written here. */
export function overlay(attributes: Attributes, size: number, mtimeUs: number): void {
  if (size > attributes.size) attributes.size = size;
  const { seconds, nanoseconds } = fromMicroseconds(mtimeUs);
  attributes.mtime = seconds;
  attributes.mtimeNs = nanoseconds;
  if (seconds > attributes.ctime || (seconds === attributes.ctime && nanoseconds > attributes.ctimeNs)) {
    attributes.ctime = seconds;
    attributes.ctimeNs = nanoseconds;
  }
}

export function fromMicroseconds(microseconds: number): { seconds: number; nanoseconds: number } {
  const seconds = Math.floor(microseconds / 1e6);
  return { seconds, nanoseconds: Math.round(microseconds - seconds * 1e6) * 1000 };
}
