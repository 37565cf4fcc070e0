/** link, unlink, removeDirectory. */
import { IbexError } from '../../wire/errors.js';
import { addEntry, dropEntry, entryKey, findEntry, loadEntry } from '../dentries.js';
import { attributesOf, FileType, isDirectory, typeOf } from '../inode.js';
import { checkLinks, findInode, loadDirectory, loadInode, saveInode, stampChange } from '../inodes.js';
import { destroyInode } from '../orphans.js';
import { leaseOnParent, parentOnly } from './leasing.js';
import type { Change } from './operation.js';

export const link: Change<'link'> = {
  directories: parentOnly,
  lease: leaseOnParent,
  apply(state, { fid, parent, name }) {
    const directory = loadDirectory(state, parent);
    const key = entryKey(state, parent, name);
    const inode = findInode(state, fid);
    if (inode === undefined && !state.owns(fid)) throw new IbexError('ERR_CROSS_DEVICE', JSON.stringify(name));
    const linked = inode ?? loadInode(state, fid);
    if (isDirectory(linked)) throw new IbexError('ERR_NOT_PERMITTED', `hard link ${JSON.stringify(name)} to a directory`);
    if (findEntry(state, key) !== undefined) throw new IbexError('ERR_EXISTS', JSON.stringify(name));
    // linkat(2): a file without a name is gone for good, though open.
    if (linked.links === 0) throw new IbexError('ERR_NOT_FOUND', `the file to link as ${JSON.stringify(name)} was removed`);
    checkLinks(state, linked);
    const now = state.now();
    linked.links++;
    stampChange(linked, now);
    saveInode(state, linked);
    addEntry(state, directory, key, { fid, type: typeOf(linked) }, 0, now);
    return { attributes: attributesOf(linked), directory: attributesOf(directory) };
  },
};

export const unlink: Change<'unlink'> = {
  directories: parentOnly,
  lease: leaseOnParent,
  apply(state, { parent, name }) {
    const directory = loadDirectory(state, parent);
    const key = entryKey(state, parent, name);
    const entry = loadEntry(state, key, name);
    if (entry.type === FileType.directory) throw new IbexError('ERR_IS_DIRECTORY', JSON.stringify(name));
    const now = state.now();
    dropEntry(state, directory, key, 0, now);
    state.orphans.unlinked(state, loadInode(state, entry.fid), now);
    return { directory: attributesOf(directory) };
  },
};

export const removeDirectory: Change<'removeDirectory'> = {
  directories(state, { parent, name }) {
    const removed = findEntry(state, entryKey(state, parent, name));
    return removed === undefined ? [parent] : [parent, removed.fid];
  },
  lease: leaseOnParent,
  apply(state, { parent, name }) {
    const directory = loadDirectory(state, parent);
    const key = entryKey(state, parent, name);
    const entry = loadEntry(state, key, name);
    if (entry.type !== FileType.directory) throw new IbexError('ERR_NOT_DIRECTORY', JSON.stringify(name));
    const removed = loadDirectory(state, entry.fid);
    if (removed.size > 0) throw new IbexError('ERR_NOT_EMPTY', `${JSON.stringify(name)} has ${removed.size} entries`);
    dropEntry(state, directory, key, 1, state.now());
    // Whoever still stands in it finds nothing there: every operation on it ends in ENOENT.
    destroyInode(state, removed);
    return { directory: attributesOf(directory), removed: removed.fid };
  },
};
