/**
 * ibexfs/rdma: RDMA for Node. Registered memory, queue pairs and one-sided operations through libibverbs, which is looked
 * for at run time: importing this works everywhere, and `availability()` says what is missing. See docs/rdma.md.
 *
 * ```ts
 * import { connect, openDevice } from 'ibexfs/rdma';
 * const device = openDevice();
 * const domain = device.createProtectionDomain();
 * const completionQueue = device.createCompletionQueue();
 * const arena = domain.createArena(2 ** 20);
 * const { queuePair, data } = await connect({ domain, completionQueue, host: 'node7', port: 7420, keyFile: '/etc/ibexfs/key' });
 * await queuePair.read(arena.bytes, data);
 * ```
 */
export { Arena, type ArenaOptions, type RemoteMemory, remoteSlice } from './arena.js';
export { Batch } from './batch.js';
export { CompletionQueue, type CompletionQueueOptions } from './completion-queue.js';
export { type ConnectOptions, connect, Listener, type ListenOptions, listen } from './connect.js';
export { Connection, type ConnectionOptions } from './connection.js';
export { Device } from './device.js';
export {
  type Availability,
  availability,
  type DeviceInfo,
  type DeviceLimits,
  type DeviceReport,
  devices,
  type GidInfo,
  type LiveObjects,
  liveObjects,
  openDevice,
  type PortInfo,
} from './devices.js';
export { type CompletionStatus, RdmaError, type RdmaErrorCode, type RdmaErrorContext, rdmaErrorCodes } from './errors.js';
export type { ReceiveOptions } from './messages.js';
export type { Message, OperationOptions } from './operation.js';
export { ProtectionDomain } from './protection-domain.js';
export {
  type ConnectionDescriptor,
  type ConnectionTerms,
  type MessageOptions,
  QueuePair,
  type QueuePairOptions,
  type QueuePairState,
  type SendOptions,
} from './queue-pair.js';
export type { RequestOptions } from './requests.js';
