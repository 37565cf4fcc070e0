// Generated from schema.json by scripts/generate-wire.mjs. Do not edit.

/** The bytes 'IBX1' at the start of every frame. */
export const PROTOCOL_MAGIC = 827867721;
/** Highest protocol version this build speaks. */
export const PROTOCOL_VERSION = 1;
/** Lowest protocol version this build still serves. */
export const PROTOCOL_VERSION_MIN = 1;
/** Size of FrameHeader on the wire. */
export const FRAME_HEADER_BYTES = 64;
/** Largest body of a frame before a connection is authenticated. */
export const HANDSHAKE_BODY_BYTES_MAX = 1024;
/** Largest msgpack body of an RPC frame. */
export const RPC_BODY_BYTES_MAX = 1048576;
/** Largest data part of one chunk request or response. */
export const CHUNK_DATA_BYTES_MAX = 4194304;
/** Bits of the object id inside a packed FID (inode number): packed = sequence * 2^20 + object. */
export const FID_OBJECT_BITS = 20;
/** Largest message between queue pairs, with its MessagePrefix: a chunk frame with small data fits in one. */
export const MESSAGE_BYTES_MAX = 8448;
/** Over queue pairs, data of a frame up to this size follows its body; larger data is moved by RDMA READ and WRITE where the memory is registered. */
export const MESSAGE_DATA_BYTES_MAX = 8192;
/** Longest name of a directory entry in bytes. */
export const NAME_BYTES_MAX = 255;

/** Type of a frame. Types 1 to 15 belong to the handshake. */
export const FrameType = {
  hello: 1,
  challenge: 2,
  proof: 3,
  welcome: 4,
  refuse: 5,
  carrier: 6,
  rpcRequest: 16,
  rpcResponse: 17,
  rpcNotify: 18,
  chunkRequest: 32,
  chunkResponse: 33,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

/** Bits of FrameHeader.flags of chunk frames. remoteData: over queue pairs only; the data is not behind the body. In a request, remoteAddress and remoteKey name the client's memory that the server reads it from or writes it to; in a response, it was written there. */
export const FrameFlag = {
  remoteData: 1,
} as const;
export type FrameFlag = (typeof FrameFlag)[keyof typeof FrameFlag];

/** Bits of MessagePrefix.flags. probe: the first message each way, without payload, shows that the path works. */
export const MessageFlag = {
  probe: 1,
} as const;
export type MessageFlag = (typeof MessageFlag)[keyof typeof MessageFlag];

/** Outcome carried in FrameHeader.status. Values below 1000 are Linux errno numbers; 0 is success. */
export const StatusCode = {
  ok: 0,
  notPermitted: 1,
  noEntry: 2,
  interrupted: 4,
  ioError: 5,
  badDescriptor: 9,
  tryAgain: 11,
  noMemory: 12,
  accessDenied: 13,
  exists: 17,
  crossDevice: 18,
  notDirectory: 20,
  isDirectory: 21,
  invalid: 22,
  fileTooBig: 27,
  noSpace: 28,
  readOnly: 30,
  tooManyLinks: 31,
  nameTooLong: 36,
  notImplemented: 38,
  notEmpty: 39,
  loop: 40,
  noData: 61,
  overflow: 75,
  notSupported: 95,
  connectionReset: 104,
  timedOut: 110,
  stale: 116,
  canceled: 125,
  staleMap: 1001,
  notMyTarget: 1002,
  badRequest: 1003,
  overloaded: 1004,
  shuttingDown: 1005,
  unknownOperation: 1006,
  notAuthenticated: 1007,
  badFrame: 1008,
  handshakeRefused: 1009,
  internal: 1010,
  wrongDisk: 1011,
  notRegistered: 1012,
} as const;
export type StatusCode = (typeof StatusCode)[keyof typeof StatusCode];

/** Operation of a chunk request, in FrameHeader.operation. */
export const ChunkOperation = {
  read: 1,
  write: 2,
  truncate: 3,
  stat: 4,
  sync: 5,
  remove: 6,
} as const;
export type ChunkOperation = (typeof ChunkOperation)[keyof typeof ChunkOperation];

/** Kind of a record that native code hands to TypeScript through the event ring. */
export const EventKind = {
  padding: 0,
  connectionAccepted: 1,
  connectionOpened: 2,
  connectionClosed: 3,
  frame: 4,
  ioDone: 5,
  chunkDone: 6,
  routeNeeded: 7,
  targetFault: 8,
  fuseRequest: 9,
  fuseClosed: 10,
  log: 11,
  rdmaProbed: 12,
} as const;
export type EventKind = (typeof EventKind)[keyof typeof EventKind];

/** Kind of a record that TypeScript hands to native code through the command buffer. */
export const CommandKind = {
  sendFrame: 1,
  closeConnection: 2,
  fuseReply: 3,
  fileIo: 4,
  chunkOperation: 5,
  fuseFacts: 6,
} as const;
export type CommandKind = (typeof CommandKind)[keyof typeof CommandKind];

/** Operation of a fileIo command. */
export const FileIoOperation = {
  read: 1,
  write: 2,
  flush: 3,
  sync: 4,
} as const;
export type FileIoOperation = (typeof FileIoOperation)[keyof typeof FileIoOperation];

/** Name operations that native/fuse hands to TypeScript: numbers are those of the kernel's FUSE protocol (uapi linux/fuse.h, enum fuse_opcode), plus settle, which native code makes itself. */
export const FuseOperation = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  statfs: 17,
  release: 18,
  fsync: 20,
  setxattr: 21,
  getxattr: 22,
  listxattr: 23,
  removexattr: 24,
  flush: 25,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  create: 35,
  destroy: 38,
  fallocate: 43,
  readdirplus: 44,
  rename2: 45,
} as const;
export type FuseOperation = (typeof FuseOperation)[keyof typeof FuseOperation];

/** What a fuseReply command carries. */
export const FuseReplyKind = {
  error: 1,
  entry: 2,
  attributes: 3,
  open: 4,
  create: 5,
  bytes: 6,
  statfs: 7,
  directory: 8,
  xattrSize: 9,
} as const;
export type FuseReplyKind = (typeof FuseReplyKind)[keyof typeof FuseReplyKind];

/** Bits of FuseFactsCommand.facts. attributes: those of the command are the directory's. noXattrs: the inode has no extended attributes. names: the directory has no other names than those told since `empty`, and the one behind the command if there is one. empty: it has no names but that one. forget: nothing that was told of the inode before holds any more. */
export const FuseFact = {
  attributes: 1,
  noXattrs: 2,
  names: 4,
  empty: 8,
  forget: 16,
} as const;
export type FuseFact = (typeof FuseFact)[keyof typeof FuseFact];

/** Operation of an RdmaRequest and of an RdmaCompletion; the numbers are those of native/verbs/work_request.h. */
export const RdmaOperation = {
  send: 0,
  sendWithImmediate: 1,
  write: 2,
  writeWithImmediate: 3,
  read: 4,
  compareAndSwap: 5,
  fetchAndAdd: 6,
  receive: 7,
} as const;
export type RdmaOperation = (typeof RdmaOperation)[keyof typeof RdmaOperation];

/** Bits of RdmaRequest.flags. fence: waits for all earlier READs and atomics of the queue pair. inlineData: the bytes are copied when posted. */
export const RdmaRequestFlag = {
  fence: 1,
  inlineData: 2,
} as const;
export type RdmaRequestFlag = (typeof RdmaRequestFlag)[keyof typeof RdmaRequestFlag];

/** Bits of RdmaCompletion.flags. immediate: the field immediate holds. receivedWrite: a receive that a WRITE with immediate took; it holds no data. */
export const RdmaCompletionFlag = {
  immediate: 1,
  receivedWrite: 2,
} as const;
export type RdmaCompletionFlag = (typeof RdmaCompletionFlag)[keyof typeof RdmaCompletionFlag];

/** How an RDMA operation ended; the numbers are those of the verbs interface (enum ibv_wc_status). */
export const RdmaStatus = {
  success: 0,
  localLength: 1,
  localQueuePairOperation: 2,
  localEecOperation: 3,
  localProtection: 4,
  flushed: 5,
  memoryWindowBind: 6,
  badResponse: 7,
  localAccess: 8,
  remoteInvalidRequest: 9,
  remoteAccess: 10,
  remoteOperation: 11,
  retriesExceeded: 12,
  receiverNotReady: 13,
  localRddViolation: 14,
  remoteInvalidReadRequest: 15,
  remoteAborted: 16,
  invalidEecNumber: 17,
  invalidEecState: 18,
  fatal: 19,
  responseTimeout: 20,
  general: 21,
} as const;
export type RdmaStatus = (typeof RdmaStatus)[keyof typeof RdmaStatus];

/** Severity of a log event; the numbers are pino's. */
export const LogLevel = {
  debug: 20,
  info: 30,
  warn: 40,
  error: 50,
} as const;
export type LogLevel = (typeof LogLevel)[keyof typeof LogLevel];

/** Start of every frame. headerCrc is the CRC32C of the 60 bytes before it. */
export interface FrameHeader {
  magic: number;
  version: number;
  type: number;
  operation: number;
  requestId: number;
  mapVersion: number;
  bodyLength: number;
  dataLength: number;
  status: number;
  channel: number;
  sequence: number;
  flags: number;
  headerCrc: number;
}
export const FrameHeaderBytes = 64;
/** Byte offsets of the fields of FrameHeader. */
export const FrameHeaderOffset = {
  magic: 0,
  version: 4,
  type: 5,
  operation: 6,
  requestId: 8,
  mapVersion: 16,
  bodyLength: 24,
  dataLength: 28,
  status: 32,
  channel: 36,
  sequence: 40,
  flags: 48,
  headerCrc: 60,
} as const;
export function readFrameHeader(view: DataView, at: number): FrameHeader {
  return {
    magic: view.getUint32(at, true),
    version: view.getUint8(at + 4),
    type: view.getUint8(at + 5),
    operation: view.getUint16(at + 6, true),
    requestId: view.getUint32(at + 8, true) + view.getUint32(at + 12, true) * 4294967296,
    mapVersion: view.getUint32(at + 16, true) + view.getUint32(at + 20, true) * 4294967296,
    bodyLength: view.getUint32(at + 24, true),
    dataLength: view.getUint32(at + 28, true),
    status: view.getUint32(at + 32, true),
    channel: view.getUint32(at + 36, true),
    sequence: view.getUint32(at + 40, true) + view.getUint32(at + 44, true) * 4294967296,
    flags: view.getUint32(at + 48, true),
    headerCrc: view.getUint32(at + 60, true),
  };
}
export function writeFrameHeader(view: DataView, at: number, value: Partial<FrameHeader>): void {
  view.setUint32(at, value.magic ?? 0, true);
  view.setUint8(at + 4, value.version ?? 0);
  view.setUint8(at + 5, value.type ?? 0);
  view.setUint16(at + 6, value.operation ?? 0, true);
  const requestIdValue = value.requestId ?? 0;
  view.setUint32(at + 8, requestIdValue >>> 0, true);
  view.setUint32(at + 12, Math.floor(requestIdValue / 4294967296), true);
  const mapVersionValue = value.mapVersion ?? 0;
  view.setUint32(at + 16, mapVersionValue >>> 0, true);
  view.setUint32(at + 20, Math.floor(mapVersionValue / 4294967296), true);
  view.setUint32(at + 24, value.bodyLength ?? 0, true);
  view.setUint32(at + 28, value.dataLength ?? 0, true);
  view.setUint32(at + 32, value.status ?? 0, true);
  view.setUint32(at + 36, value.channel ?? 0, true);
  const sequenceValue = value.sequence ?? 0;
  view.setUint32(at + 40, sequenceValue >>> 0, true);
  view.setUint32(at + 44, Math.floor(sequenceValue / 4294967296), true);
  view.setUint32(at + 48, value.flags ?? 0, true);
  view.setUint32(at + 52, 0, true);
  view.setUint32(at + 56, 0, true);
  view.setUint32(at + 60, value.headerCrc ?? 0, true);
}

/** Body of a chunk request. A chunk file is named by (fid, column) on a target; offset and length are bytes inside the chunk file. For truncate, offset is the new size. syncStamp is for sync: of the oldest write to the chunk that the caller does not know to be durable, 0 when it has none. remoteAddress and remoteKey name the client's registered buffer where the frames travel over queue pairs, and are 0 over TCP. */
export interface ChunkRequest {
  target: number;
  column: number;
  fidSequence: number;
  fidObject: number;
  fidVersion: number;
  offset: number;
  length: number;
  flags: number;
  remoteAddress: number;
  remoteKey: number;
  groupEpoch: number;
  syncStamp: number;
}
export const ChunkRequestBytes = 64;
/** Byte offsets of the fields of ChunkRequest. */
export const ChunkRequestOffset = {
  target: 0,
  column: 4,
  fidSequence: 8,
  fidObject: 16,
  fidVersion: 20,
  offset: 24,
  length: 32,
  flags: 36,
  remoteAddress: 40,
  remoteKey: 48,
  groupEpoch: 52,
  syncStamp: 56,
} as const;
export function readChunkRequest(view: DataView, at: number): ChunkRequest {
  return {
    target: view.getUint32(at, true),
    column: view.getUint32(at + 4, true),
    fidSequence: view.getUint32(at + 8, true) + view.getUint32(at + 12, true) * 4294967296,
    fidObject: view.getUint32(at + 16, true),
    fidVersion: view.getUint32(at + 20, true),
    offset: view.getUint32(at + 24, true) + view.getUint32(at + 28, true) * 4294967296,
    length: view.getUint32(at + 32, true),
    flags: view.getUint32(at + 36, true),
    remoteAddress: view.getUint32(at + 40, true) + view.getUint32(at + 44, true) * 4294967296,
    remoteKey: view.getUint32(at + 48, true),
    groupEpoch: view.getUint32(at + 52, true),
    syncStamp: view.getUint32(at + 56, true) + view.getUint32(at + 60, true) * 4294967296,
  };
}
export function writeChunkRequest(view: DataView, at: number, value: Partial<ChunkRequest>): void {
  view.setUint32(at, value.target ?? 0, true);
  view.setUint32(at + 4, value.column ?? 0, true);
  const fidSequenceValue = value.fidSequence ?? 0;
  view.setUint32(at + 8, fidSequenceValue >>> 0, true);
  view.setUint32(at + 12, Math.floor(fidSequenceValue / 4294967296), true);
  view.setUint32(at + 16, value.fidObject ?? 0, true);
  view.setUint32(at + 20, value.fidVersion ?? 0, true);
  const offsetValue = value.offset ?? 0;
  view.setUint32(at + 24, offsetValue >>> 0, true);
  view.setUint32(at + 28, Math.floor(offsetValue / 4294967296), true);
  view.setUint32(at + 32, value.length ?? 0, true);
  view.setUint32(at + 36, value.flags ?? 0, true);
  const remoteAddressValue = value.remoteAddress ?? 0;
  view.setUint32(at + 40, remoteAddressValue >>> 0, true);
  view.setUint32(at + 44, Math.floor(remoteAddressValue / 4294967296), true);
  view.setUint32(at + 48, value.remoteKey ?? 0, true);
  view.setUint32(at + 52, value.groupEpoch ?? 0, true);
  const syncStampValue = value.syncStamp ?? 0;
  view.setUint32(at + 56, syncStampValue >>> 0, true);
  view.setUint32(at + 60, Math.floor(syncStampValue / 4294967296), true);
}

/** Body of a chunk response: bytes moved, and the chunk file's size and allocated 512-byte blocks after the operation (stat only; otherwise 0). syncStamp: for write and sync, which failures of syncs the caller need not be told any more (native/chunks/sync_failures.h). */
export interface ChunkResponse {
  bytes: number;
  chunkSize: number;
  chunkBlocks: number;
  syncStamp: number;
}
export const ChunkResponseBytes = 32;
/** Byte offsets of the fields of ChunkResponse. */
export const ChunkResponseOffset = {
  bytes: 0,
  chunkSize: 8,
  chunkBlocks: 16,
  syncStamp: 24,
} as const;
export function readChunkResponse(view: DataView, at: number): ChunkResponse {
  return {
    bytes: view.getUint32(at, true),
    chunkSize: view.getUint32(at + 8, true) + view.getUint32(at + 12, true) * 4294967296,
    chunkBlocks: view.getUint32(at + 16, true) + view.getUint32(at + 20, true) * 4294967296,
    syncStamp: view.getUint32(at + 24, true) + view.getUint32(at + 28, true) * 4294967296,
  };
}
export function writeChunkResponse(view: DataView, at: number, value: Partial<ChunkResponse>): void {
  view.setUint32(at, value.bytes ?? 0, true);
  view.setUint32(at + 4, 0, true);
  const chunkSizeValue = value.chunkSize ?? 0;
  view.setUint32(at + 8, chunkSizeValue >>> 0, true);
  view.setUint32(at + 12, Math.floor(chunkSizeValue / 4294967296), true);
  const chunkBlocksValue = value.chunkBlocks ?? 0;
  view.setUint32(at + 16, chunkBlocksValue >>> 0, true);
  view.setUint32(at + 20, Math.floor(chunkBlocksValue / 4294967296), true);
  const syncStampValue = value.syncStamp ?? 0;
  view.setUint32(at + 24, syncStampValue >>> 0, true);
  view.setUint32(at + 28, Math.floor(syncStampValue / 4294967296), true);
}

/** Start of every message (SEND) between queue pairs. length payload bytes follow: the next bytes of the stream of frames. credits: receives that the sender has posted again since it last said so; each lets the peer send one message. */
export interface MessagePrefix {
  length: number;
  credits: number;
  flags: number;
}
export const MessagePrefixBytes = 8;
/** Byte offsets of the fields of MessagePrefix. */
export const MessagePrefixOffset = {
  length: 0,
  credits: 4,
  flags: 6,
} as const;
export function readMessagePrefix(view: DataView, at: number): MessagePrefix {
  return {
    length: view.getUint32(at, true),
    credits: view.getUint16(at + 4, true),
    flags: view.getUint16(at + 6, true),
  };
}
export function writeMessagePrefix(view: DataView, at: number, value: Partial<MessagePrefix>): void {
  view.setUint32(at, value.length ?? 0, true);
  view.setUint16(at + 4, value.credits ?? 0, true);
  view.setUint16(at + 6, value.flags ?? 0, true);
}

/** What the handshake tells of a queue pair: where it is, how it is connected, and how many messages it takes before credits are given back. gidHigh and gidLow are the GID's bytes in the order of the wire. linkLayer: 1 InfiniBand, 2 Ethernet. */
export interface QueuePairOffer {
  queuePairNumber: number;
  packetSequenceNumber: number;
  gidHigh: number;
  gidLow: number;
  mtuBytes: number;
  lid: number;
  linkLayer: number;
  routeHeaderRequired: number;
  responderDepth: number;
  initiatorDepth: number;
  messages: number;
  messageBytes: number;
}
export const QueuePairOfferBytes = 48;
/** Byte offsets of the fields of QueuePairOffer. */
export const QueuePairOfferOffset = {
  queuePairNumber: 0,
  packetSequenceNumber: 4,
  gidHigh: 8,
  gidLow: 16,
  mtuBytes: 24,
  lid: 28,
  linkLayer: 30,
  routeHeaderRequired: 31,
  responderDepth: 32,
  initiatorDepth: 33,
  messages: 34,
  messageBytes: 36,
} as const;
export function readQueuePairOffer(view: DataView, at: number): QueuePairOffer {
  return {
    queuePairNumber: view.getUint32(at, true),
    packetSequenceNumber: view.getUint32(at + 4, true),
    gidHigh: view.getUint32(at + 8, true) + view.getUint32(at + 12, true) * 4294967296,
    gidLow: view.getUint32(at + 16, true) + view.getUint32(at + 20, true) * 4294967296,
    mtuBytes: view.getUint32(at + 24, true),
    lid: view.getUint16(at + 28, true),
    linkLayer: view.getUint8(at + 30),
    routeHeaderRequired: view.getUint8(at + 31),
    responderDepth: view.getUint8(at + 32),
    initiatorDepth: view.getUint8(at + 33),
    messages: view.getUint16(at + 34, true),
    messageBytes: view.getUint32(at + 36, true),
  };
}
export function writeQueuePairOffer(view: DataView, at: number, value: Partial<QueuePairOffer>): void {
  view.setUint32(at, value.queuePairNumber ?? 0, true);
  view.setUint32(at + 4, value.packetSequenceNumber ?? 0, true);
  const gidHighValue = value.gidHigh ?? 0;
  view.setUint32(at + 8, gidHighValue >>> 0, true);
  view.setUint32(at + 12, Math.floor(gidHighValue / 4294967296), true);
  const gidLowValue = value.gidLow ?? 0;
  view.setUint32(at + 16, gidLowValue >>> 0, true);
  view.setUint32(at + 20, Math.floor(gidLowValue / 4294967296), true);
  view.setUint32(at + 24, value.mtuBytes ?? 0, true);
  view.setUint16(at + 28, value.lid ?? 0, true);
  view.setUint8(at + 30, value.linkLayer ?? 0);
  view.setUint8(at + 31, value.routeHeaderRequired ?? 0);
  view.setUint8(at + 32, value.responderDepth ?? 0);
  view.setUint8(at + 33, value.initiatorDepth ?? 0);
  view.setUint16(at + 34, value.messages ?? 0, true);
  view.setUint32(at + 36, value.messageBytes ?? 0, true);
  view.setUint32(at + 40, 0, true);
  view.setUint32(at + 44, 0, true);
}

/** Start of every record in the event ring and the command buffer. length counts the whole record including this header and padding to 8 bytes. */
export interface RingRecord {
  length: number;
  kind: number;
  flags: number;
}
export const RingRecordBytes = 8;
/** Byte offsets of the fields of RingRecord. */
export const RingRecordOffset = {
  length: 0,
  kind: 4,
  flags: 6,
} as const;
export function readRingRecord(view: DataView, at: number): RingRecord {
  return {
    length: view.getUint32(at, true),
    kind: view.getUint16(at + 4, true),
    flags: view.getUint16(at + 6, true),
  };
}
export function writeRingRecord(view: DataView, at: number, value: Partial<RingRecord>): void {
  view.setUint32(at, value.length ?? 0, true);
  view.setUint16(at + 4, value.kind ?? 0, true);
  view.setUint16(at + 6, value.flags ?? 0, true);
}

/** connectionAccepted, connectionOpened, connectionClosed, rdmaProbed (status 0: the path works); followed by textLength bytes: peer address 'host:port', the reason of a close or of a probe that failed. */
export interface ConnectionEvent {
  connection: number;
  listener: number;
  status: number;
  textLength: number;
}
export const ConnectionEventBytes = 24;
/** Byte offsets of the fields of ConnectionEvent. */
export const ConnectionEventOffset = {
  connection: 8,
  listener: 12,
  status: 16,
  textLength: 20,
} as const;
export function readConnectionEvent(view: DataView, at: number): ConnectionEvent {
  return {
    connection: view.getUint32(at + 8, true),
    listener: view.getUint32(at + 12, true),
    status: view.getUint32(at + 16, true),
    textLength: view.getUint32(at + 20, true),
  };
}
export function writeConnectionEvent(view: DataView, at: number, value: Partial<ConnectionEvent>): void {
  view.setUint32(at + 8, value.connection ?? 0, true);
  view.setUint32(at + 12, value.listener ?? 0, true);
  view.setUint32(at + 16, value.status ?? 0, true);
  view.setUint32(at + 20, value.textLength ?? 0, true);
}

/** A handshake or RPC frame that arrived; followed by its 64-byte FrameHeader as received when type is a handshake type, then bodyLength body bytes. */
export interface FrameEvent {
  connection: number;
  type: number;
  version: number;
  operation: number;
  requestId: number;
  mapVersion: number;
  status: number;
  channel: number;
  sequence: number;
  flags: number;
  bodyLength: number;
  headerLength: number;
}
export const FrameEventBytes = 64;
/** Byte offsets of the fields of FrameEvent. */
export const FrameEventOffset = {
  connection: 8,
  type: 12,
  version: 13,
  operation: 14,
  requestId: 16,
  mapVersion: 24,
  status: 32,
  channel: 36,
  sequence: 40,
  flags: 48,
  bodyLength: 52,
  headerLength: 56,
} as const;
export function readFrameEvent(view: DataView, at: number): FrameEvent {
  return {
    connection: view.getUint32(at + 8, true),
    type: view.getUint8(at + 12),
    version: view.getUint8(at + 13),
    operation: view.getUint16(at + 14, true),
    requestId: view.getUint32(at + 16, true) + view.getUint32(at + 20, true) * 4294967296,
    mapVersion: view.getUint32(at + 24, true) + view.getUint32(at + 28, true) * 4294967296,
    status: view.getUint32(at + 32, true),
    channel: view.getUint32(at + 36, true),
    sequence: view.getUint32(at + 40, true) + view.getUint32(at + 44, true) * 4294967296,
    flags: view.getUint32(at + 48, true),
    bodyLength: view.getUint32(at + 52, true),
    headerLength: view.getUint32(at + 56, true),
  };
}
export function writeFrameEvent(view: DataView, at: number, value: Partial<FrameEvent>): void {
  view.setUint32(at + 8, value.connection ?? 0, true);
  view.setUint8(at + 12, value.type ?? 0);
  view.setUint8(at + 13, value.version ?? 0);
  view.setUint16(at + 14, value.operation ?? 0, true);
  const requestIdValue = value.requestId ?? 0;
  view.setUint32(at + 16, requestIdValue >>> 0, true);
  view.setUint32(at + 20, Math.floor(requestIdValue / 4294967296), true);
  const mapVersionValue = value.mapVersion ?? 0;
  view.setUint32(at + 24, mapVersionValue >>> 0, true);
  view.setUint32(at + 28, Math.floor(mapVersionValue / 4294967296), true);
  view.setUint32(at + 32, value.status ?? 0, true);
  view.setUint32(at + 36, value.channel ?? 0, true);
  const sequenceValue = value.sequence ?? 0;
  view.setUint32(at + 40, sequenceValue >>> 0, true);
  view.setUint32(at + 44, Math.floor(sequenceValue / 4294967296), true);
  view.setUint32(at + 48, value.flags ?? 0, true);
  view.setUint32(at + 52, value.bodyLength ?? 0, true);
  view.setUint32(at + 56, value.headerLength ?? 0, true);
  view.setUint32(at + 60, 0, true);
}

/** ioDone: the fileIo command with this tag has ended; bytes were moved. */
export interface IoEvent {
  tag: number;
  status: number;
  bytes: number;
  target: number;
}
export const IoEventBytes = 32;
/** Byte offsets of the fields of IoEvent. */
export const IoEventOffset = {
  tag: 8,
  status: 12,
  bytes: 16,
  target: 24,
} as const;
export function readIoEvent(view: DataView, at: number): IoEvent {
  return {
    tag: view.getUint32(at + 8, true),
    status: view.getUint32(at + 12, true),
    bytes: view.getUint32(at + 16, true) + view.getUint32(at + 20, true) * 4294967296,
    target: view.getUint32(at + 24, true),
  };
}
export function writeIoEvent(view: DataView, at: number, value: Partial<IoEvent>): void {
  view.setUint32(at + 8, value.tag ?? 0, true);
  view.setUint32(at + 12, value.status ?? 0, true);
  const bytesValue = value.bytes ?? 0;
  view.setUint32(at + 16, bytesValue >>> 0, true);
  view.setUint32(at + 20, Math.floor(bytesValue / 4294967296), true);
  view.setUint32(at + 24, value.target ?? 0, true);
  view.setUint32(at + 28, 0, true);
}

/** chunkDone: the chunkOperation command with this tag has ended. */
export interface ChunkEvent {
  tag: number;
  status: number;
  chunkSize: number;
  chunkBlocks: number;
  target: number;
}
export const ChunkEventBytes = 40;
/** Byte offsets of the fields of ChunkEvent. */
export const ChunkEventOffset = {
  tag: 8,
  status: 12,
  chunkSize: 16,
  chunkBlocks: 24,
  target: 32,
} as const;
export function readChunkEvent(view: DataView, at: number): ChunkEvent {
  return {
    tag: view.getUint32(at + 8, true),
    status: view.getUint32(at + 12, true),
    chunkSize: view.getUint32(at + 16, true) + view.getUint32(at + 20, true) * 4294967296,
    chunkBlocks: view.getUint32(at + 24, true) + view.getUint32(at + 28, true) * 4294967296,
    target: view.getUint32(at + 32, true),
  };
}
export function writeChunkEvent(view: DataView, at: number, value: Partial<ChunkEvent>): void {
  view.setUint32(at + 8, value.tag ?? 0, true);
  view.setUint32(at + 12, value.status ?? 0, true);
  const chunkSizeValue = value.chunkSize ?? 0;
  view.setUint32(at + 16, chunkSizeValue >>> 0, true);
  view.setUint32(at + 20, Math.floor(chunkSizeValue / 4294967296), true);
  const chunkBlocksValue = value.chunkBlocks ?? 0;
  view.setUint32(at + 24, chunkBlocksValue >>> 0, true);
  view.setUint32(at + 28, Math.floor(chunkBlocksValue / 4294967296), true);
  view.setUint32(at + 32, value.target ?? 0, true);
  view.setUint32(at + 36, 0, true);
}

/** routeNeeded (requests wait for a connection to this target) and targetFault (a disk operation of this target failed; status is the errno); followed by textLength bytes of detail. */
export interface TargetEvent {
  target: number;
  status: number;
  textLength: number;
}
export const TargetEventBytes = 24;
/** Byte offsets of the fields of TargetEvent. */
export const TargetEventOffset = {
  target: 8,
  status: 12,
  textLength: 16,
} as const;
export function readTargetEvent(view: DataView, at: number): TargetEvent {
  return {
    target: view.getUint32(at + 8, true),
    status: view.getUint32(at + 12, true),
    textLength: view.getUint32(at + 16, true),
  };
}
export function writeTargetEvent(view: DataView, at: number, value: Partial<TargetEvent>): void {
  view.setUint32(at + 8, value.target ?? 0, true);
  view.setUint32(at + 12, value.status ?? 0, true);
  view.setUint32(at + 16, value.textLength ?? 0, true);
  view.setUint32(at + 20, 0, true);
}

/** log: a message of native code; followed by textLength bytes. */
export interface LogEvent {
  level: number;
  textLength: number;
}
export const LogEventBytes = 16;
/** Byte offsets of the fields of LogEvent. */
export const LogEventOffset = {
  level: 8,
  textLength: 12,
} as const;
export function readLogEvent(view: DataView, at: number): LogEvent {
  return {
    level: view.getUint16(at + 8, true),
    textLength: view.getUint32(at + 12, true),
  };
}
export function writeLogEvent(view: DataView, at: number, value: Partial<LogEvent>): void {
  view.setUint16(at + 8, value.level ?? 0, true);
  view.setUint16(at + 10, 0, true);
  view.setUint32(at + 12, value.textLength ?? 0, true);
}

/** A name request of the kernel. node is the packed FID the request is about. nameLength and secondLength bytes follow (names, link target, or xattr name and value). The meaning of the fields depends on the operation; native/fuse/request.h lists it. unique names the request in its answer; 0: no answer is expected. dataError is the errno of data that could not be written (flush, fsync, release). */
export interface FuseRequestEvent {
  session: number;
  operation: number;
  dataError: number;
  unique: number;
  node: number;
  uid: number;
  gid: number;
  pid: number;
  mode: number;
  umask: number;
  flags: number;
  valid: number;
  owner: number;
  group: number;
  atimeNanoseconds: number;
  atime: number;
  mtime: number;
  mtimeNanoseconds: number;
  device: number;
  handle: number;
  offset: number;
  size: number;
  newNode: number;
  nameLength: number;
  secondLength: number;
}
export const FuseRequestEventBytes = 136;
/** Byte offsets of the fields of FuseRequestEvent. */
export const FuseRequestEventOffset = {
  session: 8,
  operation: 12,
  dataError: 14,
  unique: 16,
  node: 24,
  uid: 32,
  gid: 36,
  pid: 40,
  mode: 44,
  umask: 48,
  flags: 52,
  valid: 56,
  owner: 60,
  group: 64,
  atimeNanoseconds: 68,
  atime: 72,
  mtime: 80,
  mtimeNanoseconds: 88,
  device: 92,
  handle: 96,
  offset: 104,
  size: 112,
  newNode: 120,
  nameLength: 128,
  secondLength: 132,
} as const;
export function readFuseRequestEvent(view: DataView, at: number): FuseRequestEvent {
  return {
    session: view.getUint32(at + 8, true),
    operation: view.getUint16(at + 12, true),
    dataError: view.getUint16(at + 14, true),
    unique: view.getUint32(at + 16, true) + view.getUint32(at + 20, true) * 4294967296,
    node: view.getUint32(at + 24, true) + view.getUint32(at + 28, true) * 4294967296,
    uid: view.getUint32(at + 32, true),
    gid: view.getUint32(at + 36, true),
    pid: view.getUint32(at + 40, true),
    mode: view.getUint32(at + 44, true),
    umask: view.getUint32(at + 48, true),
    flags: view.getUint32(at + 52, true),
    valid: view.getUint32(at + 56, true),
    owner: view.getUint32(at + 60, true),
    group: view.getUint32(at + 64, true),
    atimeNanoseconds: view.getUint32(at + 68, true),
    atime: view.getUint32(at + 72, true) + view.getInt32(at + 76, true) * 4294967296,
    mtime: view.getUint32(at + 80, true) + view.getInt32(at + 84, true) * 4294967296,
    mtimeNanoseconds: view.getUint32(at + 88, true),
    device: view.getUint32(at + 92, true),
    handle: view.getUint32(at + 96, true) + view.getUint32(at + 100, true) * 4294967296,
    offset: view.getUint32(at + 104, true) + view.getUint32(at + 108, true) * 4294967296,
    size: view.getUint32(at + 112, true) + view.getUint32(at + 116, true) * 4294967296,
    newNode: view.getUint32(at + 120, true) + view.getUint32(at + 124, true) * 4294967296,
    nameLength: view.getUint32(at + 128, true),
    secondLength: view.getUint32(at + 132, true),
  };
}
export function writeFuseRequestEvent(view: DataView, at: number, value: Partial<FuseRequestEvent>): void {
  view.setUint32(at + 8, value.session ?? 0, true);
  view.setUint16(at + 12, value.operation ?? 0, true);
  view.setUint16(at + 14, value.dataError ?? 0, true);
  const uniqueValue = value.unique ?? 0;
  view.setUint32(at + 16, uniqueValue >>> 0, true);
  view.setUint32(at + 20, Math.floor(uniqueValue / 4294967296), true);
  const nodeValue = value.node ?? 0;
  view.setUint32(at + 24, nodeValue >>> 0, true);
  view.setUint32(at + 28, Math.floor(nodeValue / 4294967296), true);
  view.setUint32(at + 32, value.uid ?? 0, true);
  view.setUint32(at + 36, value.gid ?? 0, true);
  view.setUint32(at + 40, value.pid ?? 0, true);
  view.setUint32(at + 44, value.mode ?? 0, true);
  view.setUint32(at + 48, value.umask ?? 0, true);
  view.setUint32(at + 52, value.flags ?? 0, true);
  view.setUint32(at + 56, value.valid ?? 0, true);
  view.setUint32(at + 60, value.owner ?? 0, true);
  view.setUint32(at + 64, value.group ?? 0, true);
  view.setUint32(at + 68, value.atimeNanoseconds ?? 0, true);
  const atimeValue = value.atime ?? 0;
  view.setUint32(at + 72, atimeValue >>> 0, true);
  view.setUint32(at + 76, Math.floor(atimeValue / 4294967296), true);
  const mtimeValue = value.mtime ?? 0;
  view.setUint32(at + 80, mtimeValue >>> 0, true);
  view.setUint32(at + 84, Math.floor(mtimeValue / 4294967296), true);
  view.setUint32(at + 88, value.mtimeNanoseconds ?? 0, true);
  view.setUint32(at + 92, value.device ?? 0, true);
  const handleValue = value.handle ?? 0;
  view.setUint32(at + 96, handleValue >>> 0, true);
  view.setUint32(at + 100, Math.floor(handleValue / 4294967296), true);
  const offsetValue = value.offset ?? 0;
  view.setUint32(at + 104, offsetValue >>> 0, true);
  view.setUint32(at + 108, Math.floor(offsetValue / 4294967296), true);
  const sizeValue = value.size ?? 0;
  view.setUint32(at + 112, sizeValue >>> 0, true);
  view.setUint32(at + 116, Math.floor(sizeValue / 4294967296), true);
  const newNodeValue = value.newNode ?? 0;
  view.setUint32(at + 120, newNodeValue >>> 0, true);
  view.setUint32(at + 124, Math.floor(newNodeValue / 4294967296), true);
  view.setUint32(at + 128, value.nameLength ?? 0, true);
  view.setUint32(at + 132, value.secondLength ?? 0, true);
}

/** fuseClosed: the kernel has ended this session (unmounted, or its connection was aborted); status is an errno. */
export interface FuseClosedEvent {
  session: number;
  status: number;
}
export const FuseClosedEventBytes = 16;
/** Byte offsets of the fields of FuseClosedEvent. */
export const FuseClosedEventOffset = {
  session: 8,
  status: 12,
} as const;
export function readFuseClosedEvent(view: DataView, at: number): FuseClosedEvent {
  return {
    session: view.getUint32(at + 8, true),
    status: view.getUint32(at + 12, true),
  };
}
export function writeFuseClosedEvent(view: DataView, at: number, value: Partial<FuseClosedEvent>): void {
  view.setUint32(at + 8, value.session ?? 0, true);
  view.setUint32(at + 12, value.status ?? 0, true);
}

/** Answer to a FuseRequestEvent. error is 0 or a positive errno. For kind entry, attributes and create the attribute fields hold; for open and create handle and openFlags hold; for bytes, dataLength bytes follow; for directory, dataLength bytes of FuseDirectoryEntry records follow; for statfs the fields size (block size), blocks, handle (blocks free), offset (files), sequence (files free) hold. */
export interface FuseReplyCommand {
  session: number;
  kind: number;
  unique: number;
  error: number;
  mode: number;
  node: number;
  size: number;
  blocks: number;
  atime: number;
  mtime: number;
  ctime: number;
  atimeNanoseconds: number;
  mtimeNanoseconds: number;
  ctimeNanoseconds: number;
  links: number;
  uid: number;
  gid: number;
  device: number;
  blockSize: number;
  entryValidMs: number;
  attributesValidMs: number;
  handle: number;
  offset: number;
  sequence: number;
  openFlags: number;
  dataLength: number;
}
export const FuseReplyCommandBytes = 168;
/** Byte offsets of the fields of FuseReplyCommand. */
export const FuseReplyCommandOffset = {
  session: 8,
  kind: 12,
  unique: 16,
  error: 24,
  mode: 28,
  node: 32,
  size: 40,
  blocks: 48,
  atime: 56,
  mtime: 64,
  ctime: 72,
  atimeNanoseconds: 80,
  mtimeNanoseconds: 84,
  ctimeNanoseconds: 88,
  links: 92,
  uid: 96,
  gid: 100,
  device: 104,
  blockSize: 108,
  entryValidMs: 112,
  attributesValidMs: 116,
  handle: 120,
  offset: 128,
  sequence: 136,
  openFlags: 144,
  dataLength: 148,
} as const;
export function readFuseReplyCommand(view: DataView, at: number): FuseReplyCommand {
  return {
    session: view.getUint32(at + 8, true),
    kind: view.getUint16(at + 12, true),
    unique: view.getUint32(at + 16, true) + view.getUint32(at + 20, true) * 4294967296,
    error: view.getUint32(at + 24, true),
    mode: view.getUint32(at + 28, true),
    node: view.getUint32(at + 32, true) + view.getUint32(at + 36, true) * 4294967296,
    size: view.getUint32(at + 40, true) + view.getUint32(at + 44, true) * 4294967296,
    blocks: view.getUint32(at + 48, true) + view.getUint32(at + 52, true) * 4294967296,
    atime: view.getUint32(at + 56, true) + view.getInt32(at + 60, true) * 4294967296,
    mtime: view.getUint32(at + 64, true) + view.getInt32(at + 68, true) * 4294967296,
    ctime: view.getUint32(at + 72, true) + view.getInt32(at + 76, true) * 4294967296,
    atimeNanoseconds: view.getUint32(at + 80, true),
    mtimeNanoseconds: view.getUint32(at + 84, true),
    ctimeNanoseconds: view.getUint32(at + 88, true),
    links: view.getUint32(at + 92, true),
    uid: view.getUint32(at + 96, true),
    gid: view.getUint32(at + 100, true),
    device: view.getUint32(at + 104, true),
    blockSize: view.getUint32(at + 108, true),
    entryValidMs: view.getUint32(at + 112, true),
    attributesValidMs: view.getUint32(at + 116, true),
    handle: view.getUint32(at + 120, true) + view.getUint32(at + 124, true) * 4294967296,
    offset: view.getUint32(at + 128, true) + view.getUint32(at + 132, true) * 4294967296,
    sequence: view.getUint32(at + 136, true) + view.getUint32(at + 140, true) * 4294967296,
    openFlags: view.getUint32(at + 144, true),
    dataLength: view.getUint32(at + 148, true),
  };
}
export function writeFuseReplyCommand(view: DataView, at: number, value: Partial<FuseReplyCommand>): void {
  view.setUint32(at + 8, value.session ?? 0, true);
  view.setUint16(at + 12, value.kind ?? 0, true);
  view.setUint16(at + 14, 0, true);
  const uniqueValue = value.unique ?? 0;
  view.setUint32(at + 16, uniqueValue >>> 0, true);
  view.setUint32(at + 20, Math.floor(uniqueValue / 4294967296), true);
  view.setUint32(at + 24, value.error ?? 0, true);
  view.setUint32(at + 28, value.mode ?? 0, true);
  const nodeValue = value.node ?? 0;
  view.setUint32(at + 32, nodeValue >>> 0, true);
  view.setUint32(at + 36, Math.floor(nodeValue / 4294967296), true);
  const sizeValue = value.size ?? 0;
  view.setUint32(at + 40, sizeValue >>> 0, true);
  view.setUint32(at + 44, Math.floor(sizeValue / 4294967296), true);
  const blocksValue = value.blocks ?? 0;
  view.setUint32(at + 48, blocksValue >>> 0, true);
  view.setUint32(at + 52, Math.floor(blocksValue / 4294967296), true);
  const atimeValue = value.atime ?? 0;
  view.setUint32(at + 56, atimeValue >>> 0, true);
  view.setUint32(at + 60, Math.floor(atimeValue / 4294967296), true);
  const mtimeValue = value.mtime ?? 0;
  view.setUint32(at + 64, mtimeValue >>> 0, true);
  view.setUint32(at + 68, Math.floor(mtimeValue / 4294967296), true);
  const ctimeValue = value.ctime ?? 0;
  view.setUint32(at + 72, ctimeValue >>> 0, true);
  view.setUint32(at + 76, Math.floor(ctimeValue / 4294967296), true);
  view.setUint32(at + 80, value.atimeNanoseconds ?? 0, true);
  view.setUint32(at + 84, value.mtimeNanoseconds ?? 0, true);
  view.setUint32(at + 88, value.ctimeNanoseconds ?? 0, true);
  view.setUint32(at + 92, value.links ?? 0, true);
  view.setUint32(at + 96, value.uid ?? 0, true);
  view.setUint32(at + 100, value.gid ?? 0, true);
  view.setUint32(at + 104, value.device ?? 0, true);
  view.setUint32(at + 108, value.blockSize ?? 0, true);
  view.setUint32(at + 112, value.entryValidMs ?? 0, true);
  view.setUint32(at + 116, value.attributesValidMs ?? 0, true);
  const handleValue = value.handle ?? 0;
  view.setUint32(at + 120, handleValue >>> 0, true);
  view.setUint32(at + 124, Math.floor(handleValue / 4294967296), true);
  const offsetValue = value.offset ?? 0;
  view.setUint32(at + 128, offsetValue >>> 0, true);
  view.setUint32(at + 132, Math.floor(offsetValue / 4294967296), true);
  const sequenceValue = value.sequence ?? 0;
  view.setUint32(at + 136, sequenceValue >>> 0, true);
  view.setUint32(at + 140, Math.floor(sequenceValue / 4294967296), true);
  view.setUint32(at + 144, value.openFlags ?? 0, true);
  view.setUint32(at + 148, value.dataLength ?? 0, true);
  view.setUint32(at + 152, 0, true);
  view.setUint32(at + 156, 0, true);
  view.setUint32(at + 160, 0, true);
  view.setUint32(at + 164, 0, true);
}

/** fuseFacts: what native code may answer the kernel by itself about the inode `node`, until CLOCK_BOOTTIME stands at untilMs milliseconds; followed by nameLength bytes: a name that the directory has. */
export interface FuseFactsCommand {
  session: number;
  facts: number;
  node: number;
  size: number;
  blocks: number;
  atime: number;
  mtime: number;
  ctime: number;
  atimeNanoseconds: number;
  mtimeNanoseconds: number;
  ctimeNanoseconds: number;
  mode: number;
  links: number;
  uid: number;
  gid: number;
  device: number;
  blockSize: number;
  nameLength: number;
  untilMs: number;
}
export const FuseFactsCommandBytes = 128;
/** Byte offsets of the fields of FuseFactsCommand. */
export const FuseFactsCommandOffset = {
  session: 8,
  facts: 12,
  node: 16,
  size: 24,
  blocks: 32,
  atime: 40,
  mtime: 48,
  ctime: 56,
  atimeNanoseconds: 64,
  mtimeNanoseconds: 68,
  ctimeNanoseconds: 72,
  mode: 76,
  links: 80,
  uid: 84,
  gid: 88,
  device: 92,
  blockSize: 96,
  nameLength: 100,
  untilMs: 104,
} as const;
export function readFuseFactsCommand(view: DataView, at: number): FuseFactsCommand {
  return {
    session: view.getUint32(at + 8, true),
    facts: view.getUint32(at + 12, true),
    node: view.getUint32(at + 16, true) + view.getUint32(at + 20, true) * 4294967296,
    size: view.getUint32(at + 24, true) + view.getUint32(at + 28, true) * 4294967296,
    blocks: view.getUint32(at + 32, true) + view.getUint32(at + 36, true) * 4294967296,
    atime: view.getUint32(at + 40, true) + view.getInt32(at + 44, true) * 4294967296,
    mtime: view.getUint32(at + 48, true) + view.getInt32(at + 52, true) * 4294967296,
    ctime: view.getUint32(at + 56, true) + view.getInt32(at + 60, true) * 4294967296,
    atimeNanoseconds: view.getUint32(at + 64, true),
    mtimeNanoseconds: view.getUint32(at + 68, true),
    ctimeNanoseconds: view.getUint32(at + 72, true),
    mode: view.getUint32(at + 76, true),
    links: view.getUint32(at + 80, true),
    uid: view.getUint32(at + 84, true),
    gid: view.getUint32(at + 88, true),
    device: view.getUint32(at + 92, true),
    blockSize: view.getUint32(at + 96, true),
    nameLength: view.getUint32(at + 100, true),
    untilMs: view.getUint32(at + 104, true) + view.getUint32(at + 108, true) * 4294967296,
  };
}
export function writeFuseFactsCommand(view: DataView, at: number, value: Partial<FuseFactsCommand>): void {
  view.setUint32(at + 8, value.session ?? 0, true);
  view.setUint32(at + 12, value.facts ?? 0, true);
  const nodeValue = value.node ?? 0;
  view.setUint32(at + 16, nodeValue >>> 0, true);
  view.setUint32(at + 20, Math.floor(nodeValue / 4294967296), true);
  const sizeValue = value.size ?? 0;
  view.setUint32(at + 24, sizeValue >>> 0, true);
  view.setUint32(at + 28, Math.floor(sizeValue / 4294967296), true);
  const blocksValue = value.blocks ?? 0;
  view.setUint32(at + 32, blocksValue >>> 0, true);
  view.setUint32(at + 36, Math.floor(blocksValue / 4294967296), true);
  const atimeValue = value.atime ?? 0;
  view.setUint32(at + 40, atimeValue >>> 0, true);
  view.setUint32(at + 44, Math.floor(atimeValue / 4294967296), true);
  const mtimeValue = value.mtime ?? 0;
  view.setUint32(at + 48, mtimeValue >>> 0, true);
  view.setUint32(at + 52, Math.floor(mtimeValue / 4294967296), true);
  const ctimeValue = value.ctime ?? 0;
  view.setUint32(at + 56, ctimeValue >>> 0, true);
  view.setUint32(at + 60, Math.floor(ctimeValue / 4294967296), true);
  view.setUint32(at + 64, value.atimeNanoseconds ?? 0, true);
  view.setUint32(at + 68, value.mtimeNanoseconds ?? 0, true);
  view.setUint32(at + 72, value.ctimeNanoseconds ?? 0, true);
  view.setUint32(at + 76, value.mode ?? 0, true);
  view.setUint32(at + 80, value.links ?? 0, true);
  view.setUint32(at + 84, value.uid ?? 0, true);
  view.setUint32(at + 88, value.gid ?? 0, true);
  view.setUint32(at + 92, value.device ?? 0, true);
  view.setUint32(at + 96, value.blockSize ?? 0, true);
  view.setUint32(at + 100, value.nameLength ?? 0, true);
  const untilMsValue = value.untilMs ?? 0;
  view.setUint32(at + 104, untilMsValue >>> 0, true);
  view.setUint32(at + 108, Math.floor(untilMsValue / 4294967296), true);
  view.setUint32(at + 112, 0, true);
  view.setUint32(at + 116, 0, true);
  view.setUint32(at + 120, 0, true);
  view.setUint32(at + 124, 0, true);
}

/** One entry in a fuseReply of kind directory; followed by nameLength bytes and padding to 8. node 0 marks an entry without attributes (then inode and mode's type bits still hold). cookie is the offset of the entry after this one. */
export interface FuseDirectoryEntry {
  cookie: number;
  inode: number;
  node: number;
  size: number;
  blocks: number;
  atime: number;
  mtime: number;
  ctime: number;
  atimeNanoseconds: number;
  mtimeNanoseconds: number;
  ctimeNanoseconds: number;
  mode: number;
  links: number;
  uid: number;
  gid: number;
  device: number;
  entryValidMs: number;
  attributesValidMs: number;
  nameLength: number;
  blockSize: number;
}
export const FuseDirectoryEntryBytes = 112;
/** Byte offsets of the fields of FuseDirectoryEntry. */
export const FuseDirectoryEntryOffset = {
  cookie: 0,
  inode: 8,
  node: 16,
  size: 24,
  blocks: 32,
  atime: 40,
  mtime: 48,
  ctime: 56,
  atimeNanoseconds: 64,
  mtimeNanoseconds: 68,
  ctimeNanoseconds: 72,
  mode: 76,
  links: 80,
  uid: 84,
  gid: 88,
  device: 92,
  entryValidMs: 96,
  attributesValidMs: 100,
  nameLength: 104,
  blockSize: 108,
} as const;
export function readFuseDirectoryEntry(view: DataView, at: number): FuseDirectoryEntry {
  return {
    cookie: view.getUint32(at, true) + view.getUint32(at + 4, true) * 4294967296,
    inode: view.getUint32(at + 8, true) + view.getUint32(at + 12, true) * 4294967296,
    node: view.getUint32(at + 16, true) + view.getUint32(at + 20, true) * 4294967296,
    size: view.getUint32(at + 24, true) + view.getUint32(at + 28, true) * 4294967296,
    blocks: view.getUint32(at + 32, true) + view.getUint32(at + 36, true) * 4294967296,
    atime: view.getUint32(at + 40, true) + view.getInt32(at + 44, true) * 4294967296,
    mtime: view.getUint32(at + 48, true) + view.getInt32(at + 52, true) * 4294967296,
    ctime: view.getUint32(at + 56, true) + view.getInt32(at + 60, true) * 4294967296,
    atimeNanoseconds: view.getUint32(at + 64, true),
    mtimeNanoseconds: view.getUint32(at + 68, true),
    ctimeNanoseconds: view.getUint32(at + 72, true),
    mode: view.getUint32(at + 76, true),
    links: view.getUint32(at + 80, true),
    uid: view.getUint32(at + 84, true),
    gid: view.getUint32(at + 88, true),
    device: view.getUint32(at + 92, true),
    entryValidMs: view.getUint32(at + 96, true),
    attributesValidMs: view.getUint32(at + 100, true),
    nameLength: view.getUint32(at + 104, true),
    blockSize: view.getUint32(at + 108, true),
  };
}
export function writeFuseDirectoryEntry(view: DataView, at: number, value: Partial<FuseDirectoryEntry>): void {
  const cookieValue = value.cookie ?? 0;
  view.setUint32(at, cookieValue >>> 0, true);
  view.setUint32(at + 4, Math.floor(cookieValue / 4294967296), true);
  const inodeValue = value.inode ?? 0;
  view.setUint32(at + 8, inodeValue >>> 0, true);
  view.setUint32(at + 12, Math.floor(inodeValue / 4294967296), true);
  const nodeValue = value.node ?? 0;
  view.setUint32(at + 16, nodeValue >>> 0, true);
  view.setUint32(at + 20, Math.floor(nodeValue / 4294967296), true);
  const sizeValue = value.size ?? 0;
  view.setUint32(at + 24, sizeValue >>> 0, true);
  view.setUint32(at + 28, Math.floor(sizeValue / 4294967296), true);
  const blocksValue = value.blocks ?? 0;
  view.setUint32(at + 32, blocksValue >>> 0, true);
  view.setUint32(at + 36, Math.floor(blocksValue / 4294967296), true);
  const atimeValue = value.atime ?? 0;
  view.setUint32(at + 40, atimeValue >>> 0, true);
  view.setUint32(at + 44, Math.floor(atimeValue / 4294967296), true);
  const mtimeValue = value.mtime ?? 0;
  view.setUint32(at + 48, mtimeValue >>> 0, true);
  view.setUint32(at + 52, Math.floor(mtimeValue / 4294967296), true);
  const ctimeValue = value.ctime ?? 0;
  view.setUint32(at + 56, ctimeValue >>> 0, true);
  view.setUint32(at + 60, Math.floor(ctimeValue / 4294967296), true);
  view.setUint32(at + 64, value.atimeNanoseconds ?? 0, true);
  view.setUint32(at + 68, value.mtimeNanoseconds ?? 0, true);
  view.setUint32(at + 72, value.ctimeNanoseconds ?? 0, true);
  view.setUint32(at + 76, value.mode ?? 0, true);
  view.setUint32(at + 80, value.links ?? 0, true);
  view.setUint32(at + 84, value.uid ?? 0, true);
  view.setUint32(at + 88, value.gid ?? 0, true);
  view.setUint32(at + 92, value.device ?? 0, true);
  view.setUint32(at + 96, value.entryValidMs ?? 0, true);
  view.setUint32(at + 100, value.attributesValidMs ?? 0, true);
  view.setUint32(at + 104, value.nameLength ?? 0, true);
  view.setUint32(at + 108, value.blockSize ?? 0, true);
}

/** sendFrame: send a handshake or RPC frame on a connection; followed by bodyLength body bytes. Native code fills magic and CRC. */
export interface SendFrameCommand {
  connection: number;
  type: number;
  version: number;
  operation: number;
  requestId: number;
  mapVersion: number;
  status: number;
  channel: number;
  sequence: number;
  flags: number;
  bodyLength: number;
}
export const SendFrameCommandBytes = 64;
/** Byte offsets of the fields of SendFrameCommand. */
export const SendFrameCommandOffset = {
  connection: 8,
  type: 12,
  version: 13,
  operation: 14,
  requestId: 16,
  mapVersion: 24,
  status: 32,
  channel: 36,
  sequence: 40,
  flags: 48,
  bodyLength: 52,
} as const;
export function readSendFrameCommand(view: DataView, at: number): SendFrameCommand {
  return {
    connection: view.getUint32(at + 8, true),
    type: view.getUint8(at + 12),
    version: view.getUint8(at + 13),
    operation: view.getUint16(at + 14, true),
    requestId: view.getUint32(at + 16, true) + view.getUint32(at + 20, true) * 4294967296,
    mapVersion: view.getUint32(at + 24, true) + view.getUint32(at + 28, true) * 4294967296,
    status: view.getUint32(at + 32, true),
    channel: view.getUint32(at + 36, true),
    sequence: view.getUint32(at + 40, true) + view.getUint32(at + 44, true) * 4294967296,
    flags: view.getUint32(at + 48, true),
    bodyLength: view.getUint32(at + 52, true),
  };
}
export function writeSendFrameCommand(view: DataView, at: number, value: Partial<SendFrameCommand>): void {
  view.setUint32(at + 8, value.connection ?? 0, true);
  view.setUint8(at + 12, value.type ?? 0);
  view.setUint8(at + 13, value.version ?? 0);
  view.setUint16(at + 14, value.operation ?? 0, true);
  const requestIdValue = value.requestId ?? 0;
  view.setUint32(at + 16, requestIdValue >>> 0, true);
  view.setUint32(at + 20, Math.floor(requestIdValue / 4294967296), true);
  const mapVersionValue = value.mapVersion ?? 0;
  view.setUint32(at + 24, mapVersionValue >>> 0, true);
  view.setUint32(at + 28, Math.floor(mapVersionValue / 4294967296), true);
  view.setUint32(at + 32, value.status ?? 0, true);
  view.setUint32(at + 36, value.channel ?? 0, true);
  const sequenceValue = value.sequence ?? 0;
  view.setUint32(at + 40, sequenceValue >>> 0, true);
  view.setUint32(at + 44, Math.floor(sequenceValue / 4294967296), true);
  view.setUint32(at + 48, value.flags ?? 0, true);
  view.setUint32(at + 52, value.bodyLength ?? 0, true);
  view.setUint32(at + 56, 0, true);
  view.setUint32(at + 60, 0, true);
}

/** closeConnection: send what is queued, then close; followed by textLength bytes of reason for the log. */
export interface CloseConnectionCommand {
  connection: number;
  textLength: number;
}
export const CloseConnectionCommandBytes = 24;
/** Byte offsets of the fields of CloseConnectionCommand. */
export const CloseConnectionCommandOffset = {
  connection: 8,
  textLength: 12,
} as const;
export function readCloseConnectionCommand(view: DataView, at: number): CloseConnectionCommand {
  return {
    connection: view.getUint32(at + 8, true),
    textLength: view.getUint32(at + 12, true),
  };
}
export function writeCloseConnectionCommand(view: DataView, at: number, value: Partial<CloseConnectionCommand>): void {
  view.setUint32(at + 8, value.connection ?? 0, true);
  view.setUint32(at + 12, value.textLength ?? 0, true);
  view.setUint32(at + 16, 0, true);
  view.setUint32(at + 20, 0, true);
}

/** fileIo: read or write length bytes at offset of an open file from or into a registered JavaScript buffer (slot, slotOffset); flush and sync use no buffer. file is a FileId, for sync a HandleId (native/stripes/file_table.h). Ends with an ioDone event of the same tag. */
export interface FileIoCommand {
  operation: number;
  tag: number;
  file: number;
  slot: number;
  offset: number;
  slotOffset: number;
  length: number;
}
export const FileIoCommandBytes = 56;
/** Byte offsets of the fields of FileIoCommand. */
export const FileIoCommandOffset = {
  operation: 8,
  tag: 12,
  file: 16,
  slot: 24,
  offset: 32,
  slotOffset: 40,
  length: 48,
} as const;
export function readFileIoCommand(view: DataView, at: number): FileIoCommand {
  return {
    operation: view.getUint16(at + 8, true),
    tag: view.getUint32(at + 12, true),
    file: view.getUint32(at + 16, true) + view.getUint32(at + 20, true) * 4294967296,
    slot: view.getUint32(at + 24, true),
    offset: view.getUint32(at + 32, true) + view.getUint32(at + 36, true) * 4294967296,
    slotOffset: view.getUint32(at + 40, true) + view.getUint32(at + 44, true) * 4294967296,
    length: view.getUint32(at + 48, true) + view.getUint32(at + 52, true) * 4294967296,
  };
}
export function writeFileIoCommand(view: DataView, at: number, value: Partial<FileIoCommand>): void {
  view.setUint16(at + 8, value.operation ?? 0, true);
  view.setUint16(at + 10, 0, true);
  view.setUint32(at + 12, value.tag ?? 0, true);
  const fileValue = value.file ?? 0;
  view.setUint32(at + 16, fileValue >>> 0, true);
  view.setUint32(at + 20, Math.floor(fileValue / 4294967296), true);
  view.setUint32(at + 24, value.slot ?? 0, true);
  view.setUint32(at + 28, 0, true);
  const offsetValue = value.offset ?? 0;
  view.setUint32(at + 32, offsetValue >>> 0, true);
  view.setUint32(at + 36, Math.floor(offsetValue / 4294967296), true);
  const slotOffsetValue = value.slotOffset ?? 0;
  view.setUint32(at + 40, slotOffsetValue >>> 0, true);
  view.setUint32(at + 44, Math.floor(slotOffsetValue / 4294967296), true);
  const lengthValue = value.length ?? 0;
  view.setUint32(at + 48, lengthValue >>> 0, true);
  view.setUint32(at + 52, Math.floor(lengthValue / 4294967296), true);
}

/** An RDMA operation that JavaScript posts: on the queue pair with the slot queuePair, with length bytes at offset of the arena with the slot arena. remoteAddress and remoteKey name memory of the peer (one-sided operations); compareOrAdd and swap are the operands of atomics. tag and index come back in the RdmaCompletion. */
export interface RdmaRequest {
  tag: number;
  index: number;
  queuePair: number;
  operation: number;
  flags: number;
  arena: number;
  remoteKey: number;
  offset: number;
  length: number;
  immediate: number;
  remoteAddress: number;
  compareOrAdd: number;
  swap: number;
}
export const RdmaRequestBytes = 64;
/** Byte offsets of the fields of RdmaRequest. */
export const RdmaRequestOffset = {
  tag: 0,
  index: 4,
  queuePair: 8,
  operation: 12,
  flags: 13,
  arena: 16,
  remoteKey: 20,
  offset: 24,
  length: 32,
  immediate: 36,
  remoteAddress: 40,
  compareOrAdd: 48,
  swap: 56,
} as const;
export function readRdmaRequest(view: DataView, at: number): RdmaRequest {
  return {
    tag: view.getUint32(at, true),
    index: view.getUint32(at + 4, true),
    queuePair: view.getUint32(at + 8, true),
    operation: view.getUint8(at + 12),
    flags: view.getUint8(at + 13),
    arena: view.getUint32(at + 16, true),
    remoteKey: view.getUint32(at + 20, true),
    offset: view.getUint32(at + 24, true) + view.getUint32(at + 28, true) * 4294967296,
    length: view.getUint32(at + 32, true),
    immediate: view.getUint32(at + 36, true),
    remoteAddress: view.getUint32(at + 40, true) + view.getUint32(at + 44, true) * 4294967296,
    compareOrAdd: view.getUint32(at + 48, true) + view.getUint32(at + 52, true) * 4294967296,
    swap: view.getUint32(at + 56, true) + view.getUint32(at + 60, true) * 4294967296,
  };
}
export function writeRdmaRequest(view: DataView, at: number, value: Partial<RdmaRequest>): void {
  view.setUint32(at, value.tag ?? 0, true);
  view.setUint32(at + 4, value.index ?? 0, true);
  view.setUint32(at + 8, value.queuePair ?? 0, true);
  view.setUint8(at + 12, value.operation ?? 0);
  view.setUint8(at + 13, value.flags ?? 0);
  view.setUint16(at + 14, 0, true);
  view.setUint32(at + 16, value.arena ?? 0, true);
  view.setUint32(at + 20, value.remoteKey ?? 0, true);
  const offsetValue = value.offset ?? 0;
  view.setUint32(at + 24, offsetValue >>> 0, true);
  view.setUint32(at + 28, Math.floor(offsetValue / 4294967296), true);
  view.setUint32(at + 32, value.length ?? 0, true);
  view.setUint32(at + 36, value.immediate ?? 0, true);
  const remoteAddressValue = value.remoteAddress ?? 0;
  view.setUint32(at + 40, remoteAddressValue >>> 0, true);
  view.setUint32(at + 44, Math.floor(remoteAddressValue / 4294967296), true);
  const compareOrAddValue = value.compareOrAdd ?? 0;
  view.setUint32(at + 48, compareOrAddValue >>> 0, true);
  view.setUint32(at + 52, Math.floor(compareOrAddValue / 4294967296), true);
  const swapValue = value.swap ?? 0;
  view.setUint32(at + 56, swapValue >>> 0, true);
  view.setUint32(at + 60, Math.floor(swapValue / 4294967296), true);
}

/** The end of an RdmaRequest, or of as many as count says: requests of one tag from index on, none of them a receive, which succeeded one after another. bytes is what a receive got. */
export interface RdmaCompletion {
  tag: number;
  index: number;
  queuePair: number;
  operation: number;
  status: number;
  flags: number;
  bytes: number;
  immediate: number;
  vendorError: number;
  count: number;
}
export const RdmaCompletionBytes = 32;
/** Byte offsets of the fields of RdmaCompletion. */
export const RdmaCompletionOffset = {
  tag: 0,
  index: 4,
  queuePair: 8,
  operation: 12,
  status: 13,
  flags: 14,
  bytes: 16,
  immediate: 20,
  vendorError: 24,
  count: 28,
} as const;
export function readRdmaCompletion(view: DataView, at: number): RdmaCompletion {
  return {
    tag: view.getUint32(at, true),
    index: view.getUint32(at + 4, true),
    queuePair: view.getUint32(at + 8, true),
    operation: view.getUint8(at + 12),
    status: view.getUint8(at + 13),
    flags: view.getUint8(at + 14),
    bytes: view.getUint32(at + 16, true),
    immediate: view.getUint32(at + 20, true),
    vendorError: view.getUint32(at + 24, true),
    count: view.getUint32(at + 28, true),
  };
}
export function writeRdmaCompletion(view: DataView, at: number, value: Partial<RdmaCompletion>): void {
  view.setUint32(at, value.tag ?? 0, true);
  view.setUint32(at + 4, value.index ?? 0, true);
  view.setUint32(at + 8, value.queuePair ?? 0, true);
  view.setUint8(at + 12, value.operation ?? 0);
  view.setUint8(at + 13, value.status ?? 0);
  view.setUint8(at + 14, value.flags ?? 0);
  view.setUint8(at + 15, 0);
  view.setUint32(at + 16, value.bytes ?? 0, true);
  view.setUint32(at + 20, value.immediate ?? 0, true);
  view.setUint32(at + 24, value.vendorError ?? 0, true);
  view.setUint32(at + 28, value.count ?? 0, true);
}

/** chunkOperation: truncate, stat, sync or remove one chunk. Ends with a chunkDone event of the same tag. */
export interface ChunkOperationCommand {
  target: number;
  operation: number;
  tag: number;
  column: number;
  fid: number;
  offset: number;
  deadlineMs: number;
}
export const ChunkOperationCommandBytes = 48;
/** Byte offsets of the fields of ChunkOperationCommand. */
export const ChunkOperationCommandOffset = {
  target: 8,
  operation: 12,
  tag: 16,
  column: 20,
  fid: 24,
  offset: 32,
  deadlineMs: 40,
} as const;
export function readChunkOperationCommand(view: DataView, at: number): ChunkOperationCommand {
  return {
    target: view.getUint32(at + 8, true),
    operation: view.getUint16(at + 12, true),
    tag: view.getUint32(at + 16, true),
    column: view.getUint32(at + 20, true),
    fid: view.getUint32(at + 24, true) + view.getUint32(at + 28, true) * 4294967296,
    offset: view.getUint32(at + 32, true) + view.getUint32(at + 36, true) * 4294967296,
    deadlineMs: view.getUint32(at + 40, true),
  };
}
export function writeChunkOperationCommand(view: DataView, at: number, value: Partial<ChunkOperationCommand>): void {
  view.setUint32(at + 8, value.target ?? 0, true);
  view.setUint16(at + 12, value.operation ?? 0, true);
  view.setUint16(at + 14, 0, true);
  view.setUint32(at + 16, value.tag ?? 0, true);
  view.setUint32(at + 20, value.column ?? 0, true);
  const fidValue = value.fid ?? 0;
  view.setUint32(at + 24, fidValue >>> 0, true);
  view.setUint32(at + 28, Math.floor(fidValue / 4294967296), true);
  const offsetValue = value.offset ?? 0;
  view.setUint32(at + 32, offsetValue >>> 0, true);
  view.setUint32(at + 36, Math.floor(offsetValue / 4294967296), true);
  view.setUint32(at + 40, value.deadlineMs ?? 0, true);
  view.setUint32(at + 44, 0, true);
}
