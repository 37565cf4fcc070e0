/**
 * Inodes: the record in memory and its bytes on disk.
 *
 *     0 u8 format (2) | 1 u8 flags | 4 u32 mode | 8 u32 links | 12 u32 uid | 16 u32 gid | 20 u32 device |
 *     24 f64 size (directories: number of entries) | 32 f64 atime | 40 f64 mtime | 48 f64 ctime (seconds) |
 *     56 u32 atime ns | 60 u32 mtime ns | 64 u32 ctime ns | 68 u32 bytes of xattrs |
 *     72 f64 parent (directories) | 80 f64 change | 88 body
 *     body of a file       u8 pool bytes | pool | u32 stripe size | u16 targets | u32 each
 *     body of a directory  u8 pool bytes | pool | u32 stripe size | u16 stripe count      (what it passes on)
 *     body of a symlink    UTF-8
 *
 * Numbers are little-endian. The body stays bytes until someone asks for it.
 */
import { IbexError } from '../wire/errors.js';
import { type Fid, formatFid, type TargetId } from '../wire/fid.js';
import type { Attributes, Layout, LayoutDefaults } from '../wire/messages.js';

export const FileType = {
  mask: 0o170000,
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  fifo: 0o010000,
  socket: 0o140000,
  character: 0o020000,
  block: 0o060000,
} as const;
export const SET_UID = 0o4000;
export const SET_GID = 0o2000;
export const MODE_BITS = 0o7777;

/** Bits of Inode.flags. */
export const InodeFlag = {
  /** It was opened for writing at least once, so targets may hold chunks of it. Never cleared by a mere size of 0. */
  mayHaveChunks: 1,
  /** A directory whose layout defaults were set on itself, not copied from its parent. */
  ownDefaults: 2,
} as const;

const FORMAT = 2;
const HEAD_BYTES = 88;
/** What st_size of a directory says; there is nothing behind it. */
const DIRECTORY_SIZE = 4096;

export interface Inode {
  readonly fid: Fid;
  flags: number;
  mode: number;
  links: number;
  uid: number;
  gid: number;
  device: number;
  /** Bytes of a file or of a symlink's target; entries of a directory. */
  size: number;
  atime: number;
  mtime: number;
  ctime: number;
  atimeNs: number;
  mtimeNs: number;
  ctimeNs: number;
  xattrBytes: number;
  /** Of a directory; 0 for anything else. */
  parent: number;
  /** Raised with every save, by saveInode alone: never the same for two states of one inode. */
  change: number;
  body: Buffer;
}

export const typeOf = (inode: Inode): number => inode.mode & FileType.mask;
export const isDirectory = (inode: Inode): boolean => (inode.mode & FileType.mask) === FileType.directory;
export const isFile = (inode: Inode): boolean => (inode.mode & FileType.mask) === FileType.file;

export function encodeInode(inode: Inode): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + inode.body.length);
  bytes[0] = FORMAT;
  bytes[1] = inode.flags;
  bytes[2] = 0;
  bytes[3] = 0;
  bytes.writeUInt32LE(inode.mode, 4);
  bytes.writeUInt32LE(inode.links, 8);
  bytes.writeUInt32LE(inode.uid, 12);
  bytes.writeUInt32LE(inode.gid, 16);
  bytes.writeUInt32LE(inode.device, 20);
  bytes.writeDoubleLE(inode.size, 24);
  bytes.writeDoubleLE(inode.atime, 32);
  bytes.writeDoubleLE(inode.mtime, 40);
  bytes.writeDoubleLE(inode.ctime, 48);
  bytes.writeUInt32LE(inode.atimeNs, 56);
  bytes.writeUInt32LE(inode.mtimeNs, 60);
  bytes.writeUInt32LE(inode.ctimeNs, 64);
  bytes.writeUInt32LE(inode.xattrBytes, 68);
  bytes.writeDoubleLE(inode.parent, 72);
  bytes.writeDoubleLE(inode.change, 80);
  bytes.set(inode.body, HEAD_BYTES);
  return bytes;
}

export function decodeInode(fid: Fid, bytes: Buffer): Inode {
  if (bytes.length < HEAD_BYTES || bytes[0] !== FORMAT) throw damaged(fid, `record of ${bytes.length} bytes in format ${bytes[0]}`);
  return {
    fid,
    flags: bytes[1]!,
    mode: bytes.readUInt32LE(4),
    links: bytes.readUInt32LE(8),
    uid: bytes.readUInt32LE(12),
    gid: bytes.readUInt32LE(16),
    device: bytes.readUInt32LE(20),
    size: bytes.readDoubleLE(24),
    atime: bytes.readDoubleLE(32),
    mtime: bytes.readDoubleLE(40),
    ctime: bytes.readDoubleLE(48),
    atimeNs: bytes.readUInt32LE(56),
    mtimeNs: bytes.readUInt32LE(60),
    ctimeNs: bytes.readUInt32LE(64),
    xattrBytes: bytes.readUInt32LE(68),
    parent: bytes.readDoubleLE(72),
    change: bytes.readDoubleLE(80),
    body: bytes.subarray(HEAD_BYTES),
  };
}

export function attributesOf(inode: Inode): Attributes {
  return {
    fid: inode.fid,
    mode: inode.mode,
    links: inode.links,
    uid: inode.uid,
    gid: inode.gid,
    size: isDirectory(inode) ? DIRECTORY_SIZE : inode.size,
    device: inode.device,
    atime: inode.atime,
    atimeNs: inode.atimeNs,
    mtime: inode.mtime,
    mtimeNs: inode.mtimeNs,
    ctime: inode.ctime,
    ctimeNs: inode.ctimeNs,
    change: inode.change,
  };
}

/** In the 16 bits of the count, which is at most 1024: the pattern is mirror. */
const MIRROR = 0x8000;

export function encodeLayout(layout: Layout): Buffer {
  const pool = Buffer.from(layout.pool, 'utf8');
  const bytes = Buffer.allocUnsafe(1 + pool.length + 6 + 4 * layout.targets.length);
  let at = encodeHead(bytes, pool, layout.stripeSize, layout.targets.length);
  for (const target of layout.targets) at = bytes.writeUInt32LE(target, at);
  return bytes;
}

export function layoutOf(inode: Inode): Layout {
  const { pool, stripeSize, count, end } = decodeHead(inode);
  if (inode.body.length !== end + 4 * count) throw damaged(inode.fid, 'layout');
  const targets: TargetId[] = [];
  for (let index = 0; index < count; index++) targets.push(inode.body.readUInt32LE(end + 4 * index) as TargetId);
  return { pattern: 'plain', pool, stripeSize, targets };
}

export function encodeDefaults(defaults: LayoutDefaults): Buffer {
  const pool = Buffer.from(defaults.pool, 'utf8');
  const bytes = Buffer.allocUnsafe(1 + pool.length + 6);
  encodeHead(bytes, pool, defaults.stripeSize, defaults.stripeCount | (defaults.pattern === 'mirror' ? MIRROR : 0));
  return bytes;
}

export function defaultsOf(inode: Inode): LayoutDefaults {
  const { pool, stripeSize, count, end } = decodeHead(inode);
  if (inode.body.length !== end) throw damaged(inode.fid, 'layout defaults');
  const pattern = (count & MIRROR) === 0 ? 'plain' : 'mirror';
  return { pattern, pool, stripeSize, stripeCount: count & ~MIRROR };
}

function encodeHead(bytes: Buffer, pool: Buffer, stripeSize: number, count: number): number {
  if (pool.length > 255) throw new IbexError('ERR_INVALID', `pool name of ${pool.length} bytes, at most 255`);
  bytes[0] = pool.length;
  pool.copy(bytes, 1);
  const at = bytes.writeUInt32LE(stripeSize, 1 + pool.length);
  return bytes.writeUInt16LE(count, at);
}

function decodeHead(inode: Inode): { pool: string; stripeSize: number; count: number; end: number } {
  const { body } = inode;
  const poolEnd = 1 + (body[0] ?? 255);
  if (body.length < poolEnd + 6) throw damaged(inode.fid, 'layout');
  return {
    pool: body.toString('utf8', 1, poolEnd),
    stripeSize: body.readUInt32LE(poolEnd),
    count: body.readUInt16LE(poolEnd + 4),
    end: poolEnd + 6,
  };
}

function damaged(fid: Fid, what: string): IbexError {
  return new IbexError('ERR_IO', `inode ${formatFid(fid)} is damaged: ${what}`);
}
