/** getLayout and setLayout. */
import { IbexError } from '../../wire/errors.js';
import { type Fid, formatFid } from '../../wire/fid.js';
import type { LayoutDefaults } from '../../wire/messages.js';
import { removeChunks } from '../chunk-cutting.js';
import { defaultsOf, encodeDefaults, encodeLayout, type Inode, InodeFlag, isDirectory, isFile, layoutOf } from '../inode.js';
import { loadInode, saveInode, stampChange } from '../inodes.js';
import type { MetaState } from '../state.js';
import { mergeDefaults, place } from './layout-choice.js';
import { itself } from './leasing.js';
import type { Change, Read } from './operation.js';

export const getLayout: Read<'getLayout'> = (state, { fid }) => {
  const inode = loadInode(state, fid);
  if (isDirectory(inode)) return { defaults: defaultsOf(inode), own: (inode.flags & InodeFlag.ownDefaults) !== 0 };
  if (isFile(inode)) return { layout: layoutOf(inode), own: true };
  throw new IbexError('ERR_INVALID', `${formatFid(fid)} is neither a file nor a directory: it has no layout`);
};

export const setLayout: Change<'setLayout'> = {
  directories: itself,
  before(state, { fid }, proceed) {
    const inode = loadInode(state, fid);
    return isFile(inode) ? dropChunks(state, fid, proceed) : undefined;
  },
  apply(state, { fid, layout }) {
    const inode = loadInode(state, fid);
    if (isDirectory(inode)) {
      inode.body = encodeDefaults(mergeDefaults(defaultsOf(inode), layout));
      inode.flags |= InodeFlag.ownDefaults;
    } else if (isFile(inode)) {
      checkUnused(state, inode);
      inode.body = encodeLayout(place(state, mergeDefaults(asDefaults(inode), layout)));
      inode.flags &= ~InodeFlag.mayHaveChunks;
    } else throw new IbexError('ERR_INVALID', `${formatFid(fid)} is neither a file nor a directory: it has no layout`);
    stampChange(inode, state.now());
    saveInode(state, inode);
    return {};
  },
};

function asDefaults(inode: Inode): LayoutDefaults {
  const { pattern, pool, stripeSize, targets } = layoutOf(inode);
  return { pattern, pool, stripeSize, stripeCount: targets.length };
}

function checkUnused(state: MetaState, inode: Inode): void {
  if (inode.size > 0)
    throw new IbexError('ERR_INVALID', `${formatFid(inode.fid)} has ${inode.size} bytes: only an empty file can get another layout`);
  if (state.opens.isOpen(inode.fid))
    throw new IbexError('ERR_INVALID', `${formatFid(inode.fid)} is open: only a closed file can get another layout`);
  if (state.orphans.unsure)
    throw new IbexError(
      'ERR_TRY_AGAIN',
      `this metadata target started within the last ${state.limits.openGraceMs} ms and does not know yet whether ${formatFid(inode.fid)} is open`,
    );
}

/** The file was open for writing once, so empty chunks may be where it no longer will be. */
function dropChunks(state: MetaState, fid: Fid, proceed: () => void): Promise<() => void> {
  return state.locks.takeFor(fid, () => {
    proceed();
    const inode = loadInode(state, fid);
    checkUnused(state, inode);
    return removeChunks(state, inode);
  });
}
