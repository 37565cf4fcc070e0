/** Packs directory entries into FuseDirectoryEntry records, as many as the kernel has room for. */
import { FuseDirectoryEntryBytes, writeFuseDirectoryEntry } from '../wire/generated.js';
import type { Attributes } from '../wire/messages.js';
import type { Validity } from './replies.js';

/** What the kernel's own records take beside the name: fuse_dirent, and fuse_entry_out before it in readdirplus. */
const DIRENT_BYTES = 24;
const DIRENT_PLUS_BYTES = 24 + 128;
const SECTOR_BYTES = 512;
const NAME_BYTES_MAX = 255;

const padded = (bytes: number): number => (bytes + 7) & ~7;

export class DirectoryRecords {
  readonly #plus: boolean;
  readonly #validity: Validity;
  readonly #blockSize: number;
  #room: number;
  #buffer = Buffer.allocUnsafe(16 * 1024);
  #view = viewOver(this.#buffer);
  #bytes = 0;

  /** room: bytes that the kernel reads at once. */
  constructor(room: number, plus: boolean, validity: Validity, blockSize: number) {
    this.#room = room;
    this.#plus = plus;
    this.#validity = validity;
    this.#blockSize = blockSize;
  }

  /** False: the kernel has no room for it. attributes undefined: name and type only. */
  add(name: string, inode: number, type: number, cookie: number, attributes: Attributes | undefined): boolean {
    this.#reserve(FuseDirectoryEntryBytes + padded(NAME_BYTES_MAX * 3));
    const at = this.#bytes;
    const nameLength = this.#buffer.write(name, at + FuseDirectoryEntryBytes, 'utf8');
    const taken = padded((this.#plus ? DIRENT_PLUS_BYTES : DIRENT_BYTES) + nameLength);
    if (taken > this.#room) return false;
    this.#room -= taken;
    const common = { cookie, inode, mode: type, nameLength, blockSize: this.#blockSize };
    if (attributes === undefined || !this.#plus) {
      writeFuseDirectoryEntry(this.#view, at, common);
    } else {
      writeFuseDirectoryEntry(this.#view, at, {
        ...common,
        node: attributes.fid,
        mode: attributes.mode,
        size: attributes.size,
        blocks: Math.ceil(attributes.size / SECTOR_BYTES),
        atime: attributes.atime,
        mtime: attributes.mtime,
        ctime: attributes.ctime,
        atimeNanoseconds: attributes.atimeNs,
        mtimeNanoseconds: attributes.mtimeNs,
        ctimeNanoseconds: attributes.ctimeNs,
        links: attributes.links,
        uid: attributes.uid,
        gid: attributes.gid,
        device: attributes.device,
        entryValidMs: this.#validity.entryMs,
        attributesValidMs: this.#validity.attributesMs,
      });
    }
    const end = at + FuseDirectoryEntryBytes + nameLength;
    this.#bytes = padded(end);
    this.#buffer.fill(0, end, this.#bytes);
    return true;
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#bytes);
  }

  #reserve(more: number): void {
    if (this.#bytes + more <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(this.#buffer.length * 2);
    this.#buffer.copy(larger, 0, 0, this.#bytes);
    this.#buffer = larger;
    this.#view = viewOver(larger);
  }
}

function viewOver(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
