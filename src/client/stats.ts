/**
 * What stat and readdir give: the shapes of fs.Stats and fs.Dirent over the attributes of an inode.
 * Values are computed when asked for, so that a stat costs no more than its reply.
 */
import { constants } from 'node:fs';
import type { Fid } from '../wire/fid.js';
import type { Attributes } from '../wire/messages.js';

const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK } = constants;
/** Preferred size of a read or write that st_blksize announces. */
const BLOCK_SIZE = 128 * 1024;
const SECTOR = 512;

const milliseconds = (seconds: number, nanoseconds: number): number => seconds * 1000 + nanoseconds / 1e6;
const nanoseconds = (seconds: number, rest: number): bigint => BigInt(seconds) * 1_000_000_000n + BigInt(rest);

/** The checks that Stats and Dirent share; `type` holds the type bits of st_mode. */
abstract class Typed {
  protected abstract get typeBits(): number;
  isFile(): boolean {
    return this.typeBits === S_IFREG;
  }
  isDirectory(): boolean {
    return this.typeBits === S_IFDIR;
  }
  isSymbolicLink(): boolean {
    return this.typeBits === S_IFLNK;
  }
  isFIFO(): boolean {
    return this.typeBits === S_IFIFO;
  }
  isSocket(): boolean {
    return this.typeBits === S_IFSOCK;
  }
  isCharacterDevice(): boolean {
    return this.typeBits === S_IFCHR;
  }
  isBlockDevice(): boolean {
    return this.typeBits === S_IFBLK;
  }
}

export class Stats extends Typed {
  /** As the metadata server gave them, merged with what this process has written since. */
  readonly attributes: Attributes;

  constructor(attributes: Attributes) {
    super();
    this.attributes = attributes;
  }

  protected override get typeBits(): number {
    return this.attributes.mode & S_IFMT;
  }
  get fid(): Fid {
    return this.attributes.fid;
  }
  get ino(): number {
    return this.attributes.fid;
  }
  get dev(): number {
    return 0;
  }
  get mode(): number {
    return this.attributes.mode;
  }
  get nlink(): number {
    return this.attributes.links;
  }
  get uid(): number {
    return this.attributes.uid;
  }
  get gid(): number {
    return this.attributes.gid;
  }
  get rdev(): number {
    return this.attributes.device;
  }
  get size(): number {
    return this.attributes.size;
  }
  get blksize(): number {
    return BLOCK_SIZE;
  }
  /** As if the file had no holes: the metadata server does not know what its targets have allocated. */
  get blocks(): number {
    return Math.ceil(this.attributes.size / SECTOR);
  }
  get atimeMs(): number {
    return milliseconds(this.attributes.atime, this.attributes.atimeNs);
  }
  get mtimeMs(): number {
    return milliseconds(this.attributes.mtime, this.attributes.mtimeNs);
  }
  get ctimeMs(): number {
    return milliseconds(this.attributes.ctime, this.attributes.ctimeNs);
  }
  /** No birth time is kept; as on other such file systems, the change time stands in. */
  get birthtimeMs(): number {
    return this.ctimeMs;
  }
  get atimeNs(): bigint {
    return nanoseconds(this.attributes.atime, this.attributes.atimeNs);
  }
  get mtimeNs(): bigint {
    return nanoseconds(this.attributes.mtime, this.attributes.mtimeNs);
  }
  get ctimeNs(): bigint {
    return nanoseconds(this.attributes.ctime, this.attributes.ctimeNs);
  }
  get atime(): Date {
    return new Date(this.atimeMs);
  }
  get mtime(): Date {
    return new Date(this.mtimeMs);
  }
  get ctime(): Date {
    return new Date(this.ctimeMs);
  }
  get birthtime(): Date {
    return new Date(this.birthtimeMs);
  }
}

export class Dirent extends Typed {
  readonly name: string;
  /** Directory that holds the entry. */
  readonly parentPath: string;
  readonly fid: Fid;
  /** With `withStats` only. */
  readonly stats: Stats | undefined;
  readonly #type: number;

  constructor(name: string, parentPath: string, fid: Fid, type: number, stats?: Stats) {
    super();
    this.name = name;
    this.parentPath = parentPath;
    this.fid = fid;
    this.#type = type & S_IFMT;
    this.stats = stats;
  }

  protected override get typeBits(): number {
    return this.#type;
  }
  get path(): string {
    return this.parentPath;
  }
}
