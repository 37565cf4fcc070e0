/**
 * The narrow view that the client and the mount have of the cluster and of native code, so that both can be
 * tested without either. `Cluster` and `Runtime` of src/net are what stands behind it.
 */
import type { NativeRuntime } from '../native.js';
import type { Runtime } from '../net/runtime.js';
import type { CallOptions } from '../net/session.js';
import type { Fid, TargetId } from '../wire/fid.js';
import type { Message, RequestOf, ResponseOf } from '../wire/messages.js';

export interface MetadataCalls {
  /** The metadata target that owns an inode. */
  metaOf(fid: Fid): TargetId;
  /** Calls the metadata target that owns `fid`. */
  meta<M extends Message>(fid: Fid, message: M, request: RequestOf<M>, options?: CallOptions): Promise<ResponseOf<M>>;
  metaTarget<M extends Message>(target: TargetId, message: M, request: RequestOf<M>, options?: CallOptions): Promise<ResponseOf<M>>;
}

export interface ManagementCalls {
  mgmtd<M extends Message>(message: M, request: RequestOf<M>, options?: CallOptions): Promise<ResponseOf<M>>;
}

export type NativeBuffers = Pick<NativeRuntime, 'registerBuffer' | 'releaseBuffer'>;
export type NativeFiles = Pick<
  NativeRuntime,
  'fileStates' | 'openFile' | 'closeFile' | 'openHandle' | 'closeHandle' | 'setFileSize' | 'adoptFileSize' | 'settleFile'
>;

export interface FileIo {
  readonly native: NativeFiles;
  readonly fileIo: Runtime['fileIo'];
}
