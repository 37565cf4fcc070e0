/** Opens a metadata target: its store, what a new one needs, and the background work. */
import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { statfs } from 'node:fs/promises';
import { IbexError } from '../wire/errors.js';
import { formatFid, ROOT_FID } from '../wire/fid.js';
import { Answers } from './answers.js';
import { monotonicClock, wallClock } from './clock.js';
import { FidAllocator } from './fid-allocator.js';
import { FileLocks } from './file-locks.js';
import { encodeDefaults, FileType, isDirectory } from './inode.js';
import { createInode, findInode } from './inodes.js';
import { Leases } from './leases.js';
import type { NameHashKey } from './name-hash.js';
import { OpenFiles } from './open-files.js';
import { Orphans } from './orphans.js';
import { Remover } from './remover.js';
import { Service } from './service.js';
import type { MetaState } from './state.js';
import { Store } from './store/store.js';
import { groupBytes, HASH_KEY, STARTS } from './tables.js';
import { defaultLayout, defaultMetaLimits, type MetaTarget, type MetaTargetOptions } from './types.js';

/** Bytes of disk that an inode with its name takes, about; for the number of inodes that may still be created. */
const INODE_DISK_BYTES = 512;
/** More than one start can make of one inode; and 2^21 starts stay below 2^53. */
const CHANGES_PER_START = 2 ** 32;

/** @throws IbexError when the folder is damaged, of another format or not the target's; it says what to do */
export async function openMetaTarget(options: MetaTargetOptions): Promise<MetaTarget> {
  const { folder, logger, crc32c, durability, applyIntervalMs, mapBytesMax, acceptLoss, onFatal } = options;
  const store = await Store.open({ folder, logger, crc32c, groupBytes, durability, applyIntervalMs, mapBytesMax, acceptLoss, onFatal });
  try {
    return await startTarget(options, store);
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function startTarget(options: MetaTargetOptions, store: Store): Promise<MetaTarget> {
  const { logger, chunks } = options;
  const limits = { ...defaultMetaLimits, ...options.limits };
  const isNew = store.get(HASH_KEY) === undefined;
  if (isNew && options.hasServed === true) {
    throw new IbexError(
      'ERR_WRONG_DISK',
      `metadata target ${options.target} has served before, but ${options.folder} has nothing of it; mount or restore the disk that holds its metadata`,
    );
  }
  const hashKey = loadHashKey(store);
  const changeBase = countStart(store) * CHANGES_PER_START;
  const orphans = new Orphans();
  const ending = new AbortController();
  // One for each change that waits.
  setMaxListeners(0, ending.signal);
  const opens = new OpenFiles({
    graceMs: limits.openGraceMs,
    clientOpensMax: limits.clientOpensMax,
    ended: (files) => orphans.ended(state, files),
  });
  const state: MetaState = {
    store,
    logger,
    limits,
    chunks,
    hashKey,
    changeBase,
    orphans,
    opens,
    map: options.map,
    owns: options.owns ?? (() => true),
    now: wallClock(),
    fids: new FidAllocator(store, options.grantSequences, logger),
    locks: new FileLocks(),
    leases: new Leases({
      store,
      leaseMs: limits.leaseMs,
      leasesMax: limits.leasesMax,
      clock: options.clock ?? monotonicClock,
      callBack: options.callBack ?? (() => new Promise(() => undefined)),
      isDirectory: (fid) => {
        const inode = findInode(state, fid);
        return inode !== undefined && isDirectory(inode);
      },
    }),
    commit: () => service.commit(),
    ending: ending.signal,
    turn: randomBytes(2).readUInt16LE(),
    operations: 0,
  };
  if (options.ownsRoot) makeRoot(state, options);
  // A target is new only once: mgmtd grants it sequences afterwards. And a start that was counted stays counted.
  await store.syncLog();
  const answers = new Answers(store, limits, logger);
  const remover = new Remover(store, chunks, limits, logger);
  const service: Service = new Service(state, answers, remover);
  if (!isNew) orphans.startGrace(state, limits.openGraceMs);
  service.mapChanged();
  remover.wake();
  // Creating waits for sequences of mgmtd, nothing else does.
  await state.fids.start();
  return {
    service,
    ready: () => state.fids.ready(),
    usage: () => usage(options.folder, service),
    close: async () => {
      orphans.close();
      opens.close();
      answers.close();
      const timer = setTimeout(() => ending.abort(closing()), limits.closeWaitMs);
      await Promise.all([service.idle(), remover.close(), state.fids.close()]);
      clearTimeout(timer);
      state.leases.close();
      await store.close();
    },
  };
}

const closing = (): IbexError => new IbexError('ERR_SHUTTING_DOWN', 'metadata target is being closed');

function loadHashKey(store: Store): NameHashKey {
  let bytes = store.get(HASH_KEY);
  if (bytes === undefined) {
    bytes = randomBytes(8);
    const made = bytes;
    store.transaction(() => store.put(HASH_KEY, made));
  }
  if (bytes.length !== 8) throw new IbexError('ERR_IO', `the name hash key of the metadata target has ${bytes.length} bytes instead of 8`);
  return { k0: bytes.readInt32LE(0), k1: bytes.readInt32LE(4) };
}

/** How often this target has started, this time included. */
function countStart(store: Store): number {
  const before = store.get(STARTS);
  const starts = (before === undefined ? 0 : before.readDoubleBE(0)) + 1;
  const value = Buffer.alloc(8);
  value.writeDoubleBE(starts);
  store.transaction(() => store.put(STARTS, value));
  return starts;
}

function makeRoot(state: MetaState, options: MetaTargetOptions): void {
  if (findInode(state, ROOT_FID) !== undefined) return;
  state.store.transaction(() => {
    createInode(
      state,
      {
        fid: ROOT_FID,
        mode: FileType.directory | 0o755,
        uid: 0,
        gid: 0,
        parent: ROOT_FID,
        body: encodeDefaults(options.rootLayout ?? defaultLayout),
      },
      state.now(),
    );
  });
  state.logger.info({ target: options.target }, `made the root directory ${formatFid(ROOT_FID)}`);
}

async function usage(folder: string, service: Service): ReturnType<MetaTarget['usage']> {
  const { bsize, blocks, bavail } = await statfs(folder);
  const { inodes } = service.statistics();
  const inodesFree = Math.floor((bavail * bsize) / INODE_DISK_BYTES);
  return { bytesTotal: blocks * bsize, bytesFree: bavail * bsize, inodesTotal: inodes + inodesFree, inodesFree };
}
