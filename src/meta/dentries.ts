/** Entries of directories in the store; inside a transaction where it changes. */
import { IbexError } from '../wire/errors.js';
import type { Fid } from '../wire/fid.js';
import type { Timestamp } from './clock.js';
import type { Inode } from './inode.js';
import { saveInode, stampModification } from './inodes.js';
import { nameHash } from './name-hash.js';
import { entryNameBytes } from './names.js';
import type { MetaState } from './state.js';
import type { Key } from './store/key.js';
import { dentryKey } from './tables.js';

export interface Entry {
  readonly fid: Fid;
  /** Type bits of st_mode. */
  readonly type: number;
}

/** Checks the name and builds its key. */
export function entryKey(state: MetaState, parent: Fid, name: string): Key {
  const bytes = entryNameBytes(name);
  return dentryKey(parent, nameHash(bytes, state.hashKey), bytes);
}

export function decodeEntry(value: Buffer): Entry {
  return { fid: value.readDoubleBE(0) as Fid, type: value[8]! << 12 };
}

function encodeEntry(entry: Entry): Buffer {
  const value = Buffer.allocUnsafe(9);
  value.writeDoubleBE(entry.fid, 0);
  value[8] = entry.type >>> 12;
  return value;
}

export function findEntry(state: MetaState, key: Key): Entry | undefined {
  const value = state.store.get(key);
  return value === undefined ? undefined : decodeEntry(value);
}

export function loadEntry(state: MetaState, key: Key, name: string): Entry {
  const entry = findEntry(state, key);
  if (entry === undefined) throw new IbexError('ERR_NOT_FOUND', JSON.stringify(name));
  return entry;
}

/** Points the key at the entry; counts nothing. */
export function setEntry(state: MetaState, key: Key, entry: Entry): void {
  state.store.put(key, encodeEntry(entry));
}

/** Adds a new name to the directory: one entry more, `links` subdirectories more, new times. */
export function addEntry(state: MetaState, directory: Inode, key: Key, entry: Entry, links: number, now: Timestamp): void {
  setEntry(state, key, entry);
  directory.size++;
  directory.links += links;
  stampModification(directory, now);
  saveInode(state, directory);
}

export function dropEntry(state: MetaState, directory: Inode, key: Key, links: number, now: Timestamp): void {
  state.store.delete(key);
  directory.size--;
  directory.links -= links;
  stampModification(directory, now);
  saveInode(state, directory);
}
