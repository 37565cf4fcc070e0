/**
 * Public types of a metadata target: what it needs from outside (clock, chunks, FID sequences, cluster
 * map) and what it offers. Nothing here knows of sockets or of LMDB.
 */
import type { Logger } from 'pino';
import type { ClusterMap } from '../wire/cluster-map.js';
import type { Fid, TargetId } from '../wire/fid.js';
import type { LayoutDefaults, meta, RequestOf, ResponseOf } from '../wire/messages.js';
import type { Clock } from './clock.js';
import type { CallBack } from './leases.js';

/** Who sent a request. A changing request with sequence > 0 is applied once; a retry gets the stored answer. */
export interface CallOrigin {
  /** 1 to 64 letters or digits, stable over reconnects of one client process. */
  readonly clientId: string;
  readonly channel: number;
  readonly sequence: number;
}

/** What a metadata target asks of storage targets. Every call has a bounded duration and rejects with an IbexError. */
export interface ChunkOperations {
  /** Sets the chunk's length; a chunk that does not exist stays away, which is success. */
  truncate(target: TargetId, fid: Fid, column: number, length: number): Promise<void>;
  /** A chunk that does not exist is success. */
  remove(target: TargetId, fid: Fid, column: number): Promise<void>;
  stat(target: TargetId, fid: Fid, column: number): Promise<{ readonly size: number; readonly blocks: number }>;
  sync(target: TargetId, fid: Fid, column: number): Promise<void>;
}

/** CRC-32C of `buffer`, continued from `seed` (0 by default). */
export type Crc32c = (buffer: Uint8Array, seed?: number) => number;

/** 'sync': on disk before any answer. 'relaxed': in the kernel before the answer, on disk within about a second. */
export type Durability = 'relaxed' | 'sync';

export interface MetaLimits {
  /** Hard links of one file; as ext4 has it. */
  readonly fileLinksMax: number;
  /** 2 + subdirectories of one directory. */
  readonly directoryLinksMax: number;
  readonly xattrValueBytesMax: number;
  /** Names and values of one inode together. */
  readonly xattrTotalBytesMax: number;
  /** Clients whose last answers are kept; the longest gone makes room. */
  readonly rememberedClientsMax: number;
  /** How long the last answers of a client that is gone are kept. */
  readonly rememberClientMs: number;
  /** How long the opens of a client that is gone, and after a start all unlinked files, are kept. */
  readonly openGraceMs: number;
  /** How long a client may answer from what it knows of a directory; 0: never. Longer than a message takes, and no longer than others are willing to wait for a client that died. */
  readonly leaseMs: number;
  /** Directories under lease at one time. */
  readonly leasesMax: number;
  /** Files that one client has open at one time. */
  readonly clientOpensMax: number;
  /** Chunks of one file that are cut at one time. */
  readonly chunksInFlightMax: number;
  /** Removed files whose chunks are being removed at one time. */
  readonly removalsInFlightMax: number;
  /** First and longest pause before a removal that failed is tried again. */
  readonly removalRetryMs: number;
  readonly removalRetryMsMax: number;
  /** How long the end of a target waits for changes that wait for chunks. */
  readonly closeWaitMs: number;
}

export const defaultMetaLimits: MetaLimits = {
  fileLinksMax: 65_000,
  directoryLinksMax: 0x7fffffff,
  xattrValueBytesMax: 65_536,
  xattrTotalBytesMax: 262_144,
  rememberedClientsMax: 100_000,
  rememberClientMs: 24 * 3_600_000,
  openGraceMs: 60_000,
  leaseMs: 1_000,
  leasesMax: 65_536,
  clientOpensMax: 1_000_000,
  chunksInFlightMax: 64,
  removalsInFlightMax: 32,
  removalRetryMs: 500,
  removalRetryMsMax: 15_000,
  // A daemon has 15 s to stop in, and the store needs some of them.
  closeWaitMs: 5000,
};

/** What the root directory passes on until someone changes it. */
export const defaultLayout: LayoutDefaults = { pattern: 'plain', pool: 'default', stripeSize: 1 << 20, stripeCount: 4 };

export interface MetaTargetOptions {
  /** Folder of the target; created when missing. Holds `database` and `log-*`; the caller keeps other processes from it. */
  readonly folder: string;
  readonly target: TargetId;
  readonly logger: Logger;
  readonly crc32c: Crc32c;
  readonly chunks: ChunkOperations;
  /** The newest cluster map this process has; placement reads it. */
  readonly map: () => ClusterMap;
  /** The next range of FID sequences, inclusive; asked for ahead of need. */
  readonly grantSequences: (count: number) => Promise<{ readonly first: number; readonly last: number }>;
  /** This target owns the root directory and makes it when it is missing. */
  readonly ownsRoot: boolean;
  /** Whether this target owns the inode; by default it owns all. */
  readonly owns?: ((fid: Fid) => boolean) | undefined;
  readonly durability?: Durability | undefined;
  /** Longest time that changes stay out of LMDB while it keeps up; 200 by default. */
  readonly applyIntervalMs?: number | undefined;
  /** Largest size of the LMDB database; the file grows as needed. */
  readonly mapBytesMax?: number | undefined;
  readonly limits?: Partial<MetaLimits> | undefined;
  readonly rootLayout?: LayoutDefaults | undefined;
  /** Asks a client to give up its lease on a directory. By default nobody can be asked, and leases run out. */
  readonly callBack?: CallBack | undefined;
  /** By which leases run out; the monotonic clock by default. */
  readonly clock?: Clock | undefined;
  /** This target has served before, so that a folder without its store is the wrong one. */
  readonly hasServed?: boolean | undefined;
  /** Goes on after a damaged log with what can be read, giving up what cannot. Only at an operator's word. */
  readonly acceptLoss?: boolean | undefined;
  /** The target can no longer promise anything (the disk lost what it had accepted): the process must end. */
  readonly onFatal?: ((error: Error) => void) | undefined;
}

export type MetaHandlers = {
  readonly [Name in keyof typeof meta]: (
    request: RequestOf<(typeof meta)[Name]>,
    origin: CallOrigin,
  ) => ResponseOf<(typeof meta)[Name]> | Promise<ResponseOf<(typeof meta)[Name]>>;
};

/** A metadata target without network. After each batch of handler calls `commit` runs before any answer leaves. */
export interface MetaService {
  readonly handlers: MetaHandlers;
  /** Writes the batch to the log. Throws or rejects when it could not: then nothing of the batch happened. */
  commit(): void | Promise<void>;
  /** A session of this client came up; its opens are kept, but must be confirmed by `reopen`. */
  clientOpened(clientId: string): void;
  /** The last session of this client ended; its opens are dropped after the grace period. */
  clientClosed(clientId: string): void;
  /** There is a newer cluster map: tries again what failed at targets that are back. */
  mapChanged(): void;
  statistics(): ResponseOf<typeof meta.statistics>;
}

export interface MetaTarget {
  readonly service: MetaService;
  /** Settles when files can be created, which a new target learns from mgmtd. */
  ready(): Promise<void>;
  /** Room of the file system under the folder, for heartbeats. */
  usage(): Promise<{ bytesTotal: number; bytesFree: number; inodesTotal: number; inodesFree: number }>;
  /** Applies and syncs everything. Changes that wait for chunks get a few seconds, removals of chunks none. */
  close(): Promise<void>;
}
