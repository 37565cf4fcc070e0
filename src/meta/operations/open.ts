/** open, release, reopen. */
import type { Fid } from '../../wire/fid.js';
import { cutChunks } from '../chunk-cutting.js';
import { attributesOf, InodeFlag, layoutOf } from '../inode.js';
import { findInode, loadFile, saveInode, stampModification } from '../inodes.js';
import type { MetaState } from '../state.js';
import type { CallOrigin } from '../types.js';
import type { Change } from './operation.js';

/** Counts an open; taken back with the transaction. */
export function openFor(state: MetaState, origin: CallOrigin, fid: Fid, write: boolean): void {
  state.opens.openedBy(origin, fid, write);
  state.store.onUndo(() => state.opens.takeBack(origin, fid, write));
}

export const open: Change<'open'> = {
  before(state, { fid, write, truncate }, proceed) {
    if (truncate) return cut(state, fid, proceed);
    // Who writes must not begin while the file gets another layout.
    return write ? state.locks.takeWhenHeld(fid, proceed) : undefined;
  },
  apply(state, { fid, write, truncate }, origin) {
    const inode = loadFile(state, fid);
    const markWritten = write && (inode.flags & InodeFlag.mayHaveChunks) === 0;
    if (markWritten) inode.flags |= InodeFlag.mayHaveChunks;
    if (truncate) {
      inode.size = 0;
      stampModification(inode, state.now());
    }
    if (markWritten || truncate) saveInode(state, inode);
    openFor(state, origin, fid, write);
    return { attributes: attributesOf(inode), layout: layoutOf(inode) };
  },
  repeated(state, { fid, write }, _response, origin) {
    state.opens.answeredAgain(origin, fid, write);
  },
};

function cut(state: MetaState, fid: Fid, proceed: () => void): Promise<() => void> {
  return state.locks.takeFor(fid, () => {
    proceed();
    return cutChunks(state, loadFile(state, fid), 0);
  });
}

export const release: Change<'release'> = {
  apply(state, { files }, origin) {
    for (const { fid, write } of files) {
      if (!state.opens.release(origin.clientId, fid, write)) continue;
      state.store.onUndo(() => state.opens.open(origin.clientId, fid, write));
      if (!state.opens.isOpen(fid)) state.orphans.released(state, fid);
    }
    return {};
  },
};

export const reopen: Change<'reopen'> = {
  apply(state, { files }, origin) {
    for (const { fid, write } of files) {
      if (findInode(state, fid) === undefined) continue;
      state.opens.reopen(origin.clientId, fid, write);
      state.store.onUndo(() => state.opens.release(origin.clientId, fid, write));
    }
    return {};
  },
};
