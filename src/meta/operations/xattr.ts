/** Extended attributes: one entry a name, its bytes counted in the inode. */
import { IbexError } from '../../wire/errors.js';
import { type Fid, formatFid } from '../../wire/fid.js';
import { loadInode, saveInode, stampChange } from '../inodes.js';
import { nameFromBytes, xattrNameBytes } from '../names.js';
import { xattrKey, xattrPrefix } from '../tables.js';
import { itself } from './leasing.js';
import type { Change, Read } from './operation.js';

const NAMES_MAX = 4096;
const NAME_OFFSET = 9;

const missing = (fid: Fid, name: string): IbexError => new IbexError('ERR_NO_DATA', `${JSON.stringify(name)} of ${formatFid(fid)}`);

export const setXattr: Change<'setXattr'> = {
  directories: itself,
  apply(state, { fid, name, value, mode }) {
    const inode = loadInode(state, fid);
    const bytes = xattrNameBytes(name);
    const key = xattrKey(fid, bytes);
    const before = state.store.get(key);
    if (mode === 'create' && before !== undefined) throw new IbexError('ERR_EXISTS', JSON.stringify(name));
    if (mode === 'replace' && before === undefined) throw missing(fid, name);
    const { xattrValueBytesMax, xattrTotalBytesMax } = state.limits;
    if (value.length > xattrValueBytesMax)
      throw new IbexError('ERR_OVERFLOW', `value of ${JSON.stringify(name)} has ${value.length} bytes, at most ${xattrValueBytesMax}`);
    const total = inode.xattrBytes + bytes.length + value.length - (before === undefined ? 0 : bytes.length + before.length);
    if (total > xattrTotalBytesMax)
      throw new IbexError('ERR_NO_SPACE', `attributes of ${formatFid(fid)} would take ${total} bytes, at most ${xattrTotalBytesMax}`);
    state.store.put(key, Buffer.from(value));
    inode.xattrBytes = total;
    stampChange(inode, state.now());
    saveInode(state, inode);
    return {};
  },
};

export const removeXattr: Change<'removeXattr'> = {
  directories: itself,
  apply(state, { fid, name }) {
    const inode = loadInode(state, fid);
    const bytes = xattrNameBytes(name);
    const key = xattrKey(fid, bytes);
    const before = state.store.get(key);
    if (before === undefined) throw missing(fid, name);
    state.store.delete(key);
    inode.xattrBytes -= bytes.length + before.length;
    stampChange(inode, state.now());
    saveInode(state, inode);
    return {};
  },
};

export const getXattr: Read<'getXattr'> = (state, { fid, name }) => {
  loadInode(state, fid);
  const value = state.store.get(xattrKey(fid, xattrNameBytes(name)));
  if (value === undefined) throw missing(fid, name);
  return { value };
};

export const listXattrs: Read<'listXattrs'> = (state, { fid }) => {
  const names: string[] = [];
  if (loadInode(state, fid).xattrBytes > 0) {
    state.store.scan(xattrPrefix(fid), '', (key) => names.push(nameFromBytes(key.slice(NAME_OFFSET))) < NAMES_MAX);
  }
  return { names };
};
