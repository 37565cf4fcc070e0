/** Reads of one inode: lookup, getAttributes, readSymlink. Reading leaves access times alone, as noatime does. */
import { IbexError } from '../../wire/errors.js';
import { formatFid } from '../../wire/fid.js';
import { entryKey, findEntry } from '../dentries.js';
import { attributesOf, FileType, typeOf } from '../inode.js';
import { loadDirectory, loadInode } from '../inodes.js';
import { leaseToReader } from './leasing.js';
import type { Read, Response } from './operation.js';

export const lookup: Read<'lookup'> = (state, { parent, name, lease }, origin) => {
  const directory = loadDirectory(state, parent);
  const entry = findEntry(state, entryKey(state, parent, name));
  if (entry !== undefined) return { attributes: attributesOf(loadInode(state, entry.fid)) };
  const response: Response<'lookup'> = { directory: attributesOf(directory) };
  if (lease === true) leaseToReader(state, parent, response, origin);
  return response;
};

export const getAttributes: Read<'getAttributes'> = (state, { fid }) => ({ attributes: attributesOf(loadInode(state, fid)) });

export const readSymlink: Read<'readSymlink'> = (state, { fid }) => {
  const inode = loadInode(state, fid);
  if (typeOf(inode) !== FileType.symlink) throw new IbexError('ERR_INVALID', `${formatFid(fid)} is not a symbolic link`);
  return { target: inode.body.toString('utf8') };
};
