/** create: a regular file, opened for writing by the caller (its release says write: true). */
import { IbexError } from '../../wire/errors.js';
import type { Fid } from '../../wire/fid.js';
import { addEntry, type Entry, entryKey, findEntry } from '../dentries.js';
import { attributesOf, encodeLayout, FileType, InodeFlag, layoutOf, MODE_BITS } from '../inode.js';
import { createInode, loadDirectory, loadFile, saveInode } from '../inodes.js';
import type { MetaState } from '../state.js';
import type { CallOrigin } from '../types.js';
import { chooseLayout } from './layout-choice.js';
import { leaseOnParent } from './leasing.js';
import { groupOf } from './make.js';
import { openFor } from './open.js';
import type { Change, Response } from './operation.js';

export const create: Change<'create'> = {
  before(state, { parent, name }, proceed) {
    if (state.locks.count === 0) return undefined;
    const existing = findEntry(state, entryKey(state, parent, name));
    return existing !== undefined && state.locks.isHeld(existing.fid) ? waitForExisting(state, parent, name, proceed) : undefined;
  },
  directories(state, { parent, name }) {
    return findEntry(state, entryKey(state, parent, name)) === undefined ? [parent] : [];
  },
  apply(state, request, origin) {
    const directory = loadDirectory(state, request.parent);
    const key = entryKey(state, request.parent, request.name);
    const existing = findEntry(state, key);
    if (existing !== undefined) return openExisting(state, request, existing, origin);
    const now = state.now();
    const layout = chooseLayout(state, directory, request.layout);
    const inode = createInode(
      state,
      {
        fid: state.fids.next(),
        mode: FileType.file | (request.mode & MODE_BITS),
        uid: request.uid,
        gid: groupOf(directory, request.gid),
        flags: InodeFlag.mayHaveChunks,
        body: encodeLayout(layout),
      },
      now,
    );
    addEntry(state, directory, key, { fid: inode.fid, type: FileType.file }, 0, now);
    openFor(state, origin, inode.fid, true);
    return { attributes: attributesOf(inode), layout, created: true, directory: attributesOf(directory) };
  },
  lease(state, request, response, origin) {
    if (response.created) leaseOnParent(state, request, response, origin);
  },
  repeated(state, _request, response, origin) {
    state.opens.answeredAgain(origin, response.attributes.fid, true);
  },
};

/** Opening for writing, as in open.ts; while it waits the name may come to stand for another file. */
async function waitForExisting(state: MetaState, parent: Fid, name: string, proceed: () => void): Promise<() => void> {
  const key = entryKey(state, parent, name);
  for (;;) {
    const existing = findEntry(state, key);
    if (existing === undefined) {
      proceed();
      return () => undefined;
    }
    const free = await state.locks.takeFor(existing.fid, proceed);
    if (findEntry(state, key)?.fid === existing.fid) return free;
    free();
  }
}

function openExisting(
  state: MetaState,
  request: { name: string; exclusive: boolean },
  entry: Entry,
  origin: CallOrigin,
): Response<'create'> {
  if (request.exclusive) throw new IbexError('ERR_EXISTS', JSON.stringify(request.name));
  if (entry.type === FileType.directory) throw new IbexError('ERR_IS_DIRECTORY', JSON.stringify(request.name));
  // A link or a special file came in between: the caller looks it up and follows or opens it.
  if (entry.type !== FileType.file) throw new IbexError('ERR_EXISTS', `${JSON.stringify(request.name)} is not a regular file`);
  const inode = loadFile(state, entry.fid);
  if ((inode.flags & InodeFlag.mayHaveChunks) === 0) {
    inode.flags |= InodeFlag.mayHaveChunks;
    saveInode(state, inode);
  }
  openFor(state, origin, inode.fid, true);
  return { attributes: attributesOf(inode), layout: layoutOf(inode), created: false };
}
