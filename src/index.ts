/**
 * ibexfs: files of a cluster from a Node program.
 *
 * ```ts
 * import { connect } from 'ibexfs';
 * await using fs = await connect({ mgmtd: 'mgmt:7410', keyFile: '/etc/ibexfs/key' });
 * await fs.writeFile('/hello', 'world');
 * ```
 */
export { connect } from './client/connect.js';
export { FileError } from './client/errors.js';
export { Dirent, Stats } from './client/stats.js';
export type {
  Abortable,
  ConnectOptions,
  Directory,
  Encoding,
  EncodingOptions,
  FileData,
  FileHandle,
  FileSystem,
  LayoutInfo,
  LayoutOptions,
  ListOptions,
  Memory,
  OpenFlags,
  OpenOptions,
  ReadFileOptions,
  ReadOptions,
  ReadStreamOptions,
  Space,
  WriteFileOptions,
  WriteOptions,
  WriteStreamOptions,
} from './client/types.js';
export { type ErrorCode, errorKinds, IbexError } from './wire/errors.js';
export { type Fid, formatFid, type TargetId } from './wire/fid.js';
