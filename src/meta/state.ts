/** What the operations of a metadata target work on. */
import type { Logger } from 'pino';
import type { ClusterMap } from '../wire/cluster-map.js';
import type { Fid } from '../wire/fid.js';
import type { Timestamp } from './clock.js';
import type { FidAllocator } from './fid-allocator.js';
import type { FileLocks } from './file-locks.js';
import type { Leases } from './leases.js';
import type { NameHashKey } from './name-hash.js';
import type { OpenFiles } from './open-files.js';
import type { Orphans } from './orphans.js';
import type { Store } from './store/store.js';
import type { ChunkOperations, MetaLimits } from './types.js';

export interface MetaState {
  readonly store: Store;
  readonly logger: Logger;
  readonly limits: MetaLimits;
  readonly chunks: ChunkOperations;
  readonly map: () => ClusterMap;
  readonly owns: (fid: Fid) => boolean;
  readonly now: () => Timestamp;
  readonly hashKey: NameHashKey;
  readonly fids: FidAllocator;
  readonly opens: OpenFiles;
  readonly orphans: Orphans;
  readonly locks: FileLocks;
  readonly leases: Leases;
  /** The least change version that this start gives; see saveInode. */
  readonly changeBase: number;
  /** Logs what was changed outside of a batch, and starts what waits for it to be logged. */
  readonly commit: () => void | Promise<void>;
  /** Aborted when the target is closed and has waited long enough for calls to chunks. */
  readonly ending: AbortSignal;
  /** Differs from file to file; see placement.ts. */
  turn: number;
  /** Calls handled since the start. */
  operations: number;
}
