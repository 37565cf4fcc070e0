/** rename(2) and renameat2(2) with RENAME_NOREPLACE and RENAME_EXCHANGE. */
import { IbexError } from '../../wire/errors.js';
import { type Fid, formatFid } from '../../wire/fid.js';
import { type Entry, entryKey, findEntry, loadEntry, setEntry } from '../dentries.js';
import { attributesOf, FileType, type Inode, isDirectory } from '../inode.js';
import { checkLinks, findInode, loadDirectory, loadInode, saveInode, stampChange, stampModification } from '../inodes.js';
import { destroyInode } from '../orphans.js';
import type { MetaState } from '../state.js';
import type { Key } from '../store/key.js';
import { leaseOnParent, leaseOnSecond } from './leasing.js';
import type { Change, Request } from './operation.js';

/** Everything that a rename touches. `from` and `to` are one object when the directories are one. */
interface Move {
  readonly from: Inode;
  readonly fromKey: Key;
  readonly source: Entry;
  readonly moved: Inode;
  readonly to: Inode;
  readonly toKey: Key;
  readonly target: Entry | undefined;
  readonly replaced: Inode | undefined;
}

export const rename: Change<'rename'> = {
  /** A directory that is moved has another parent and another ctime then; one that is replaced is gone. */
  directories(state, { parent, name, newParent, newName }) {
    const source = findEntry(state, entryKey(state, parent, name));
    const target = findEntry(state, entryKey(state, newParent, newName));
    if (source !== undefined && source.fid === target?.fid) return []; // two names of one inode: both stay
    const directories = newParent === parent ? [parent] : [parent, newParent];
    for (const entry of [source, target]) if (entry?.type === FileType.directory) directories.push(entry.fid);
    return directories;
  },
  lease(state, request, response, origin) {
    leaseOnParent(state, request, response, origin);
    if (request.lease === true && request.newParent !== request.parent) leaseOnSecond(state, request.newParent, response, origin);
  },
  apply(state, request) {
    const move = loadMove(state, request);
    const { from, to, moved } = move;
    // Two names of one inode: rename(2) leaves both.
    if (move.target?.fid !== moved.fid) {
      if (request.mode === 'exchange') exchange(state, move, request);
      else replace(state, move, request);
    }
    return {
      moved: attributesOf(moved),
      directory: attributesOf(from),
      ...(to === from ? {} : { newDirectory: attributesOf(to) }),
      ...(move.replaced === undefined ? {} : { replaced: move.replaced.fid }),
    };
  },
};

function loadMove(state: MetaState, request: Request<'rename'>): Move {
  const from = loadDirectory(state, request.parent);
  const fromKey = entryKey(state, request.parent, request.name);
  const to = request.newParent === request.parent ? from : loadOtherDirectory(state, request.newParent);
  const toKey = entryKey(state, request.newParent, request.newName);
  const source = loadEntry(state, fromKey, request.name);
  const target = findEntry(state, toKey);
  if (request.mode === 'keep' && target !== undefined) throw new IbexError('ERR_EXISTS', JSON.stringify(request.newName));
  if (request.mode === 'exchange' && target === undefined) throw new IbexError('ERR_NOT_FOUND', JSON.stringify(request.newName));
  const moved = loadInode(state, source.fid);
  const replaced = target === undefined || target.fid === source.fid ? undefined : loadInode(state, target.fid);
  return { from, fromKey, source, moved, to, toKey, target, replaced };
}

function loadOtherDirectory(state: MetaState, fid: Fid): Inode {
  if (findInode(state, fid) === undefined && !state.owns(fid)) throw new IbexError('ERR_CROSS_DEVICE', `directory ${formatFid(fid)}`);
  return loadDirectory(state, fid);
}

function replace(state: MetaState, move: Move, request: Request<'rename'>): void {
  const { from, to, moved, replaced } = move;
  const movesDirectory = isDirectory(moved);
  if (movesDirectory && from !== to) checkNotBelow(state, moved, to, request.name);
  if (replaced !== undefined) checkReplaceable(moved, replaced, request);
  const linkLost = movesDirectory ? 1 : 0;
  const linkWon = (movesDirectory ? 1 : 0) - (replaced !== undefined && isDirectory(replaced) ? 1 : 0);
  if (from !== to && linkWon > 0) checkLinks(state, to);

  const now = state.now();
  state.store.delete(move.fromKey);
  setEntry(state, move.toKey, move.source);
  from.size--;
  from.links -= linkLost;
  to.size += replaced === undefined ? 1 : 0;
  to.links += linkWon;
  if (movesDirectory) moved.parent = to.fid;
  stampChange(moved, now);
  saveInode(state, moved);
  saveDirectories(state, move, now);
  if (replaced === undefined) return;
  if (isDirectory(replaced)) destroyInode(state, replaced);
  else state.orphans.unlinked(state, replaced, now);
}

function checkReplaceable(moved: Inode, replaced: Inode, request: Request<'rename'>): void {
  const name = JSON.stringify(request.newName);
  if (isDirectory(moved) && !isDirectory(replaced)) throw new IbexError('ERR_NOT_DIRECTORY', `a directory cannot replace ${name}`);
  if (!isDirectory(moved) && isDirectory(replaced)) throw new IbexError('ERR_IS_DIRECTORY', `only a directory can replace ${name}`);
  if (isDirectory(replaced) && replaced.size > 0) throw new IbexError('ERR_NOT_EMPTY', `${name} has ${replaced.size} entries`);
}

function exchange(state: MetaState, move: Move, request: Request<'rename'>): void {
  const { from, to, moved } = move;
  const other = move.replaced!;
  if (from !== to) {
    if (isDirectory(moved)) checkNotBelow(state, moved, to, request.name);
    if (isDirectory(other)) checkNotBelow(state, other, from, request.newName);
    if (isDirectory(moved) && !isDirectory(other)) checkLinks(state, to);
    if (isDirectory(other) && !isDirectory(moved)) checkLinks(state, from);
  }
  const now = state.now();
  setEntry(state, move.fromKey, move.target!);
  setEntry(state, move.toKey, move.source);
  const toWins = (isDirectory(moved) ? 1 : 0) - (isDirectory(other) ? 1 : 0);
  to.links += toWins;
  from.links -= toWins;
  if (isDirectory(moved)) moved.parent = to.fid;
  if (isDirectory(other)) other.parent = from.fid;
  stampChange(moved, now);
  stampChange(other, now);
  saveInode(state, moved);
  saveInode(state, other);
  saveDirectories(state, move, now);
}

function saveDirectories(state: MetaState, { from, to }: Move, now: ReturnType<MetaState['now']>): void {
  stampModification(from, now);
  saveInode(state, from);
  if (to === from) return;
  stampModification(to, now);
  saveInode(state, to);
}

/** A directory must not end up inside itself. */
function checkNotBelow(state: MetaState, moved: Inode, to: Inode, name: string): void {
  for (let directory = to; ; directory = loadDirectory(state, directory.parent as Fid)) {
    if (directory.fid === moved.fid) throw new IbexError('ERR_INVALID', `directory ${JSON.stringify(name)} would be moved below itself`);
    if (directory.parent === directory.fid || directory.parent === 0) return;
  }
}
