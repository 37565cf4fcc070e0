/**
 * readDirectory: a page of entries in the order of their name hashes. The cookie of an entry is its hash + 1, so
 * a page goes on at the first hash not less than the cookie: entries that exist throughout are seen exactly once,
 * whatever is added and removed. Entries of one hash stay on one page.
 */
import type { DirectoryEntry } from '../../wire/messages.js';
import { decodeEntry } from '../dentries.js';
import { attributesOf } from '../inode.js';
import { findInode, loadDirectory } from '../inodes.js';
import { nameFromBytes } from '../names.js';
import { DENTRY_PREFIX_BYTES, directoryPrefix, hashAt, hashBytes } from '../tables.js';
import { leaseToReader } from './leasing.js';
import type { Read, Response } from './operation.js';

/** A page ends here, so that a message stays well below its limit of 1 MiB. */
const PAGE_BYTES_MAX = 512 << 10;
const ENTRY_BYTES = 24;
const ATTRIBUTES_BYTES = 105;
const HASH_END = 2 ** 52;

export const readDirectory: Read<'readDirectory'> = (state, { fid, cookie, limit, withAttributes, lease }, origin) => {
  const directory = loadDirectory(state, fid);
  const entries: DirectoryEntry[] = [];
  if (cookie >= HASH_END) return { entries, end: true };
  const prefix = directoryPrefix(fid);
  let end = true;
  let bytes = 0;
  let last = -1;
  state.store.scan(prefix, prefix + hashBytes(cookie), (key, value) => {
    const hash = hashAt(key);
    if (hash !== last && (entries.length >= limit || bytes >= PAGE_BYTES_MAX)) {
      end = false;
      return false;
    }
    last = hash;
    const entry = decodeEntry(value);
    entries.push({ name: nameFromBytes(key.slice(DENTRY_PREFIX_BYTES)), fid: entry.fid, type: entry.type, cookie: hash + 1 });
    bytes += key.length + ENTRY_BYTES + (withAttributes ? ATTRIBUTES_BYTES : 0);
    return true;
  });
  if (withAttributes) {
    for (const entry of entries) {
      // An inode of another target has none here; the caller asks there.
      const inode = findInode(state, entry.fid);
      if (inode !== undefined) entry.attributes = attributesOf(inode);
    }
  }
  const response: Response<'readDirectory'> = { entries, end, directory: attributesOf(directory) };
  if (lease === true) leaseToReader(state, fid, response, origin);
  return response;
};
