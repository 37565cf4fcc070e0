/** Reads of one inode: lookup, getAttributes, readSymlink. Reading leaves access times alone, as noatime does. */
import { IbexError } from '../../wire/errors.js';
import { formatFid } from '../../wire/fid.js';
import { entryKey, findEntry } from '../dentries.js';
import { attributesOf, FileType, typeOf } from '../inode.js';
import { loadDirectory, loadInode } from '../inodes.js';
import type { Read } from './operation.js';

export const lookup: Read<'lookup'> = (state, { parent, name }) => {
  const directory = loadDirectory(state, parent);
  const entry = findEntry(state, entryKey(state, parent, name));
  return entry === undefined ? { directory: attributesOf(directory) } : { attributes: attributesOf(loadInode(state, entry.fid)) };
};

export const getAttributes: Read<'getAttributes'> = (state, { fid }) => ({ attributes: attributesOf(loadInode(state, fid)) });

export const readSymlink: Read<'readSymlink'> = (state, { fid }) => {
  const inode = loadInode(state, fid);
  if (typeOf(inode) !== FileType.symlink) throw new IbexError('ERR_INVALID', `${formatFid(fid)} is not a symbolic link`);
  return { target: inode.body.toString('utf8') };
};
