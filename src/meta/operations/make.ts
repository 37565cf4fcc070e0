/** makeDirectory, makeSymlink, makeNode: inodes that are not opened. */
import { IbexError } from '../../wire/errors.js';
import { addEntry, entryKey, findEntry } from '../dentries.js';
import { attributesOf, defaultsOf, encodeDefaults, encodeLayout, FileType, type Inode, MODE_BITS, SET_GID } from '../inode.js';
import { checkLinks, createInode, loadDirectory, type NewInode } from '../inodes.js';
import type { MetaState } from '../state.js';
import { chooseLayout } from './layout-choice.js';
import { leaseOnParent, leaseOnSecond, parentOnly } from './leasing.js';
import type { Change, Response } from './operation.js';

const SYMLINK_BYTES_MAX = 4095;

/** In a directory with the set-group-id bit, what is created takes the directory's group. */
export function groupOf(directory: Inode, gid: number): number {
  return (directory.mode & SET_GID) !== 0 ? directory.gid : gid;
}

/** Creates the inode that `fields` describes for a directory that has no such name. */
function make(
  state: MetaState,
  parent: Inode,
  name: string,
  fields: (directory: Inode) => Omit<NewInode, 'fid' | 'gid'> & { gid: number },
): Response<'makeNode'> {
  const key = entryKey(state, parent.fid, name);
  if (findEntry(state, key) !== undefined) throw new IbexError('ERR_EXISTS', JSON.stringify(name));
  const described = fields(parent);
  const type = described.mode & FileType.mask;
  if (type === FileType.directory) checkLinks(state, parent);
  const now = state.now();
  const inode = createInode(state, { ...described, fid: state.fids.next(), gid: groupOf(parent, described.gid) }, now);
  addEntry(state, parent, key, { fid: inode.fid, type }, type === FileType.directory ? 1 : 0, now);
  return { attributes: attributesOf(inode), directory: attributesOf(parent) };
}

export const makeDirectory: Change<'makeDirectory'> = {
  directories: parentOnly,
  apply(state, { parent, name, mode, uid, gid }) {
    return make(state, loadDirectory(state, parent), name, (directory) => ({
      mode: FileType.directory | (mode & MODE_BITS) | (directory.mode & SET_GID),
      uid,
      gid,
      parent,
      body: encodeDefaults(defaultsOf(directory)),
    }));
  },
  lease(state, request, response, origin) {
    leaseOnParent(state, request, response, origin);
    if (request.lease === true) leaseOnSecond(state, response.attributes.fid, response, origin);
  },
};

export const makeSymlink: Change<'makeSymlink'> = {
  directories: parentOnly,
  lease: leaseOnParent,
  apply(state, { parent, name, target, uid, gid }) {
    const body = Buffer.from(target, 'utf8');
    if (body.length === 0) throw new IbexError('ERR_NOT_FOUND', `target of symbolic link ${JSON.stringify(name)} is empty`);
    if (body.length > SYMLINK_BYTES_MAX)
      throw new IbexError(
        'ERR_NAME_TOO_LONG',
        `target of symbolic link ${JSON.stringify(name)} has ${body.length} bytes, at most ${SYMLINK_BYTES_MAX}`,
      );
    return make(state, loadDirectory(state, parent), name, () => ({
      mode: FileType.symlink | 0o777,
      uid,
      gid,
      size: body.length,
      body,
    }));
  },
};

const NODE_TYPES = new Set<number>([FileType.file, FileType.fifo, FileType.socket, FileType.character, FileType.block]);

export const makeNode: Change<'makeNode'> = {
  directories: parentOnly,
  lease: leaseOnParent,
  apply(state, { parent, name, mode, device, uid, gid }) {
    // mknod(2): no type means a regular file.
    const type = (mode & FileType.mask) === 0 ? FileType.file : mode & FileType.mask;
    if (!NODE_TYPES.has(type)) throw new IbexError('ERR_INVALID', `mode 0${mode.toString(8)} is not one of a file, fifo, socket or device`);
    const isDevice = type === FileType.character || type === FileType.block;
    return make(state, loadDirectory(state, parent), name, (directory) => ({
      mode: type | (mode & MODE_BITS),
      uid,
      gid,
      device: isDevice ? device : 0,
      body: type === FileType.file ? encodeLayout(chooseLayout(state, directory, undefined)) : Buffer.alloc(0),
    }));
  },
};
