/**
 * Keys of the tables of a metadata target; part of the on-disk format.
 *
 *     'd' parent(8) hash(7) name          -> child FID, type          names of a directory, in cookie order
 *     'i' fid(8)                          -> inode record
 *     'x' fid(8) name                     -> value                    extended attributes
 *     'o' fid(8)                          -> empty                    unlinked files that were open
 *     'r' fid(8)                          -> targets                  files whose chunks are to be removed
 *     'a' client 0 channel(2)             -> sequence, answer         last answers for retried requests
 *     's' name                            -> counters, FID ranges, the key of the name hash, how long leases may be held, how often it started
 *
 * FIDs, hashes and lengths in keys are big-endian, so that keys sort as numbers. Names are UTF-8.
 */
import type { Fid } from '../wire/fid.js';
import type { Key } from './store/key.js';

const HIGH = 0x1_0000_0000;

/** 8 bytes, big-endian. */
export function fidBytes(fid: Fid): Key {
  const high = Math.floor(fid / HIGH);
  const low = fid >>> 0;
  return String.fromCharCode(
    (high >>> 24) & 255,
    (high >>> 16) & 255,
    (high >>> 8) & 255,
    high & 255,
    low >>> 24,
    (low >>> 16) & 255,
    (low >>> 8) & 255,
    low & 255,
  );
}

export function fidAt(key: Key, at: number): Fid {
  let value = 0;
  for (let index = at; index < at + 8; index++) value = value * 256 + key.charCodeAt(index);
  return value as Fid;
}

const HASH_BYTES = 7;
/** Bytes before the name in a dentry key. */
export const DENTRY_PREFIX_BYTES = 1 + 8 + HASH_BYTES;

export function hashBytes(hash: number): Key {
  const high = Math.floor(hash / HIGH);
  const low = hash >>> 0;
  return String.fromCharCode(
    (high >>> 16) & 255,
    (high >>> 8) & 255,
    high & 255,
    low >>> 24,
    (low >>> 16) & 255,
    (low >>> 8) & 255,
    low & 255,
  );
}

export function hashAt(key: Key): number {
  let value = 0;
  for (let index = 9; index < 9 + HASH_BYTES; index++) value = value * 256 + key.charCodeAt(index);
  return value;
}

export const directoryPrefix = (parent: Fid): Key => `d${fidBytes(parent)}`;
/** `name`: UTF-8 bytes as characters. */
export const dentryKey = (parent: Fid, hash: number, name: Key): Key => `d${fidBytes(parent)}${hashBytes(hash)}${name}`;
export const inodeKey = (fid: Fid): Key => `i${fidBytes(fid)}`;
export const xattrPrefix = (fid: Fid): Key => `x${fidBytes(fid)}`;
export const xattrKey = (fid: Fid, name: Key): Key => `x${fidBytes(fid)}${name}`;
export const ORPHANS: Key = 'o';
export const orphanKey = (fid: Fid): Key => ORPHANS + fidBytes(fid);
export const REMOVALS: Key = 'r';
export const removalKey = (fid: Fid): Key => REMOVALS + fidBytes(fid);
export const ANSWERS: Key = 'a';
export const answerKey = (clientId: string, channel: number): Key =>
  `${ANSWERS}${clientId}\0${String.fromCharCode(channel >>> 8, channel & 255)}`;
export const COUNTERS: Key = 's counters';
export const FID_RANGES: Key = 's fids';
export const HASH_KEY: Key = 's hash key';
export const LEASES: Key = 's leases';
export const STARTS: Key = 's starts';

/** By what a table is scanned: directories and xattrs by their FID, the others as a whole. */
export function groupBytes(key: Key): number {
  const table = key.charCodeAt(0);
  return table === 0x64 || table === 0x78 ? 9 : 1;
}
