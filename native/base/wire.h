// Generated from src/wire/schema.json by scripts/generate-wire.mjs. Do not edit.
// clang-format off
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace ibexfs::wire {

static_assert(std::endian::native == std::endian::little, "the wire is little-endian and structs are copied as they are");

// The bytes 'IBX1' at the start of every frame.
inline constexpr uint32_t kProtocolMagic = 827867721;
// Highest protocol version this build speaks.
inline constexpr uint32_t kProtocolVersion = 1;
// Lowest protocol version this build still serves.
inline constexpr uint32_t kProtocolVersionMin = 1;
// Size of FrameHeader on the wire.
inline constexpr uint32_t kFrameHeaderBytes = 64;
// Largest body of a frame before a connection is authenticated.
inline constexpr uint32_t kHandshakeBodyBytesMax = 1024;
// Largest msgpack body of an RPC frame.
inline constexpr uint32_t kRpcBodyBytesMax = 1048576;
// Largest data part of one chunk request or response.
inline constexpr uint32_t kChunkDataBytesMax = 4194304;
// Bits of the object id inside a packed FID (inode number): packed = sequence * 2^20 + object.
inline constexpr uint32_t kFidObjectBits = 20;
// Largest message between queue pairs, with its MessagePrefix: a chunk frame with small data fits in one.
inline constexpr uint32_t kMessageBytesMax = 8448;
// Over queue pairs, data of a frame up to this size follows its body; larger data is moved by RDMA READ and WRITE where the memory is registered.
inline constexpr uint32_t kMessageDataBytesMax = 8192;
// Longest name of a directory entry in bytes.
inline constexpr uint32_t kNameBytesMax = 255;

// Type of a frame. Types 1 to 15 belong to the handshake.
enum class FrameType : uint8_t {
  kHello = 1,
  kChallenge = 2,
  kProof = 3,
  kWelcome = 4,
  kRefuse = 5,
  kCarrier = 6,
  kRpcRequest = 16,
  kRpcResponse = 17,
  kRpcNotify = 18,
  kChunkRequest = 32,
  kChunkResponse = 33,
};

// Bits of FrameHeader.flags of chunk frames. remoteData: over queue pairs only; the data is not behind the body. In a request, remoteAddress and remoteKey name the client's memory that the server reads it from or writes it to; in a response, it was written there.
enum class FrameFlag : uint32_t {
  kRemoteData = 1,
};

// Bits of MessagePrefix.flags. probe: the first message each way, without payload, shows that the path works.
enum class MessageFlag : uint16_t {
  kProbe = 1,
};

// Outcome carried in FrameHeader.status. Values below 1000 are Linux errno numbers; 0 is success.
enum class StatusCode : uint32_t {
  kOk = 0,
  kNotPermitted = 1,
  kNoEntry = 2,
  kInterrupted = 4,
  kIoError = 5,
  kBadDescriptor = 9,
  kTryAgain = 11,
  kNoMemory = 12,
  kAccessDenied = 13,
  kExists = 17,
  kCrossDevice = 18,
  kNotDirectory = 20,
  kIsDirectory = 21,
  kInvalid = 22,
  kFileTooBig = 27,
  kNoSpace = 28,
  kReadOnly = 30,
  kTooManyLinks = 31,
  kNameTooLong = 36,
  kNotImplemented = 38,
  kNotEmpty = 39,
  kLoop = 40,
  kNoData = 61,
  kOverflow = 75,
  kNotSupported = 95,
  kConnectionReset = 104,
  kTimedOut = 110,
  kStale = 116,
  kCanceled = 125,
  kStaleMap = 1001,
  kNotMyTarget = 1002,
  kBadRequest = 1003,
  kOverloaded = 1004,
  kShuttingDown = 1005,
  kUnknownOperation = 1006,
  kNotAuthenticated = 1007,
  kBadFrame = 1008,
  kHandshakeRefused = 1009,
  kInternal = 1010,
  kWrongDisk = 1011,
  kNotRegistered = 1012,
};

// Operation of a chunk request, in FrameHeader.operation.
enum class ChunkOperation : uint16_t {
  kRead = 1,
  kWrite = 2,
  kTruncate = 3,
  kStat = 4,
  kSync = 5,
  kRemove = 6,
};

// Kind of a record that native code hands to TypeScript through the event ring.
enum class EventKind : uint16_t {
  kPadding = 0,
  kConnectionAccepted = 1,
  kConnectionOpened = 2,
  kConnectionClosed = 3,
  kFrame = 4,
  kIoDone = 5,
  kChunkDone = 6,
  kRouteNeeded = 7,
  kTargetFault = 8,
  kFuseRequest = 9,
  kFuseClosed = 10,
  kLog = 11,
  kRdmaProbed = 12,
};

// Kind of a record that TypeScript hands to native code through the command buffer.
enum class CommandKind : uint16_t {
  kSendFrame = 1,
  kCloseConnection = 2,
  kFuseReply = 3,
  kFileIo = 4,
  kChunkOperation = 5,
  kFuseFacts = 6,
};

// Operation of a fileIo command.
enum class FileIoOperation : uint16_t {
  kRead = 1,
  kWrite = 2,
  kFlush = 3,
  kSync = 4,
};

// Name operations that native/fuse hands to TypeScript: numbers are those of the kernel's FUSE protocol (uapi linux/fuse.h, enum fuse_opcode), plus settle, which native code makes itself.
enum class FuseOperation : uint16_t {
  kLookup = 1,
  kForget = 2,
  kGetattr = 3,
  kSetattr = 4,
  kReadlink = 5,
  kSymlink = 6,
  kMknod = 8,
  kMkdir = 9,
  kUnlink = 10,
  kRmdir = 11,
  kRename = 12,
  kLink = 13,
  kOpen = 14,
  kStatfs = 17,
  kRelease = 18,
  kFsync = 20,
  kSetxattr = 21,
  kGetxattr = 22,
  kListxattr = 23,
  kRemovexattr = 24,
  kFlush = 25,
  kOpendir = 27,
  kReaddir = 28,
  kReleasedir = 29,
  kFsyncdir = 30,
  kCreate = 35,
  kDestroy = 38,
  kFallocate = 43,
  kReaddirplus = 44,
  kRename2 = 45,
};

// What a fuseReply command carries.
enum class FuseReplyKind : uint16_t {
  kError = 1,
  kEntry = 2,
  kAttributes = 3,
  kOpen = 4,
  kCreate = 5,
  kBytes = 6,
  kStatfs = 7,
  kDirectory = 8,
  kXattrSize = 9,
};

// Bits of FuseFactsCommand.facts. attributes: those of the command are the directory's. noXattrs: the inode has no extended attributes. names: the directory has no other names than those told since `empty`, and the one behind the command if there is one. empty: it has no names but that one. forget: nothing that was told of the inode before holds any more.
enum class FuseFact : uint32_t {
  kAttributes = 1,
  kNoXattrs = 2,
  kNames = 4,
  kEmpty = 8,
  kForget = 16,
};

// Operation of an RdmaRequest and of an RdmaCompletion; the numbers are those of native/verbs/work_request.h.
enum class RdmaOperation : uint8_t {
  kSend = 0,
  kSendWithImmediate = 1,
  kWrite = 2,
  kWriteWithImmediate = 3,
  kRead = 4,
  kCompareAndSwap = 5,
  kFetchAndAdd = 6,
  kReceive = 7,
};

// Bits of RdmaRequest.flags. fence: waits for all earlier READs and atomics of the queue pair. inlineData: the bytes are copied when posted.
enum class RdmaRequestFlag : uint8_t {
  kFence = 1,
  kInlineData = 2,
};

// Bits of RdmaCompletion.flags. immediate: the field immediate holds. receivedWrite: a receive that a WRITE with immediate took; it holds no data.
enum class RdmaCompletionFlag : uint8_t {
  kImmediate = 1,
  kReceivedWrite = 2,
};

// How an RDMA operation ended; the numbers are those of the verbs interface (enum ibv_wc_status).
enum class RdmaStatus : uint8_t {
  kSuccess = 0,
  kLocalLength = 1,
  kLocalQueuePairOperation = 2,
  kLocalEecOperation = 3,
  kLocalProtection = 4,
  kFlushed = 5,
  kMemoryWindowBind = 6,
  kBadResponse = 7,
  kLocalAccess = 8,
  kRemoteInvalidRequest = 9,
  kRemoteAccess = 10,
  kRemoteOperation = 11,
  kRetriesExceeded = 12,
  kReceiverNotReady = 13,
  kLocalRddViolation = 14,
  kRemoteInvalidReadRequest = 15,
  kRemoteAborted = 16,
  kInvalidEecNumber = 17,
  kInvalidEecState = 18,
  kFatal = 19,
  kResponseTimeout = 20,
  kGeneral = 21,
};

// Severity of a log event; the numbers are pino's.
enum class LogLevel : uint16_t {
  kDebug = 20,
  kInfo = 30,
  kWarn = 40,
  kError = 50,
};

// Start of every frame. headerCrc is the CRC32C of the 60 bytes before it.
struct __attribute__((packed)) FrameHeader {
  uint32_t magic{};
  uint8_t version{};
  uint8_t type{};
  uint16_t operation{};
  uint64_t request_id{};
  uint64_t map_version{};
  uint32_t body_length{};
  uint32_t data_length{};
  uint32_t status{};
  uint32_t channel{};
  uint64_t sequence{};
  uint32_t flags{};
  uint64_t reserved{};
  uint32_t header_crc{};
};
static_assert(sizeof(FrameHeader) == 64);
static_assert(offsetof(FrameHeader, magic) == 0);
static_assert(offsetof(FrameHeader, version) == 4);
static_assert(offsetof(FrameHeader, type) == 5);
static_assert(offsetof(FrameHeader, operation) == 6);
static_assert(offsetof(FrameHeader, request_id) == 8);
static_assert(offsetof(FrameHeader, map_version) == 16);
static_assert(offsetof(FrameHeader, body_length) == 24);
static_assert(offsetof(FrameHeader, data_length) == 28);
static_assert(offsetof(FrameHeader, status) == 32);
static_assert(offsetof(FrameHeader, channel) == 36);
static_assert(offsetof(FrameHeader, sequence) == 40);
static_assert(offsetof(FrameHeader, flags) == 48);
static_assert(offsetof(FrameHeader, header_crc) == 60);

// Body of a chunk request. A chunk file is named by (fid, column) on a target; offset and length are bytes inside the chunk file. For truncate, offset is the new size. syncStamp is for sync: of the oldest write to the chunk that the caller does not know to be durable, 0 when it has none. remoteAddress and remoteKey name the client's registered buffer where the frames travel over queue pairs, and are 0 over TCP.
struct __attribute__((packed)) ChunkRequest {
  uint32_t target{};
  uint32_t column{};
  uint64_t fid_sequence{};
  uint32_t fid_object{};
  uint32_t fid_version{};
  uint64_t offset{};
  uint32_t length{};
  uint32_t flags{};
  uint64_t remote_address{};
  uint32_t remote_key{};
  uint32_t group_epoch{};
  uint64_t sync_stamp{};
};
static_assert(sizeof(ChunkRequest) == 64);
static_assert(offsetof(ChunkRequest, target) == 0);
static_assert(offsetof(ChunkRequest, column) == 4);
static_assert(offsetof(ChunkRequest, fid_sequence) == 8);
static_assert(offsetof(ChunkRequest, fid_object) == 16);
static_assert(offsetof(ChunkRequest, fid_version) == 20);
static_assert(offsetof(ChunkRequest, offset) == 24);
static_assert(offsetof(ChunkRequest, length) == 32);
static_assert(offsetof(ChunkRequest, flags) == 36);
static_assert(offsetof(ChunkRequest, remote_address) == 40);
static_assert(offsetof(ChunkRequest, remote_key) == 48);
static_assert(offsetof(ChunkRequest, group_epoch) == 52);
static_assert(offsetof(ChunkRequest, sync_stamp) == 56);

// Body of a chunk response: bytes moved, and the chunk file's size and allocated 512-byte blocks after the operation (stat only; otherwise 0). syncStamp: for write and sync, which failures of syncs the caller need not be told any more (native/chunks/sync_failures.h).
struct __attribute__((packed)) ChunkResponse {
  uint32_t bytes{};
  uint32_t reserved{};
  uint64_t chunk_size{};
  uint64_t chunk_blocks{};
  uint64_t sync_stamp{};
};
static_assert(sizeof(ChunkResponse) == 32);
static_assert(offsetof(ChunkResponse, bytes) == 0);
static_assert(offsetof(ChunkResponse, chunk_size) == 8);
static_assert(offsetof(ChunkResponse, chunk_blocks) == 16);
static_assert(offsetof(ChunkResponse, sync_stamp) == 24);

// Start of every message (SEND) between queue pairs. length payload bytes follow: the next bytes of the stream of frames. credits: receives that the sender has posted again since it last said so; each lets the peer send one message.
struct __attribute__((packed)) MessagePrefix {
  uint32_t length{};
  uint16_t credits{};
  uint16_t flags{};
};
static_assert(sizeof(MessagePrefix) == 8);
static_assert(offsetof(MessagePrefix, length) == 0);
static_assert(offsetof(MessagePrefix, credits) == 4);
static_assert(offsetof(MessagePrefix, flags) == 6);

// What the handshake tells of a queue pair: where it is, how it is connected, and how many messages it takes before credits are given back. gidHigh and gidLow are the GID's bytes in the order of the wire. linkLayer: 1 InfiniBand, 2 Ethernet.
struct __attribute__((packed)) QueuePairOffer {
  uint32_t queue_pair_number{};
  uint32_t packet_sequence_number{};
  uint64_t gid_high{};
  uint64_t gid_low{};
  uint32_t mtu_bytes{};
  uint16_t lid{};
  uint8_t link_layer{};
  uint8_t route_header_required{};
  uint8_t responder_depth{};
  uint8_t initiator_depth{};
  uint16_t messages{};
  uint32_t message_bytes{};
  uint64_t reserved{};
};
static_assert(sizeof(QueuePairOffer) == 48);
static_assert(offsetof(QueuePairOffer, queue_pair_number) == 0);
static_assert(offsetof(QueuePairOffer, packet_sequence_number) == 4);
static_assert(offsetof(QueuePairOffer, gid_high) == 8);
static_assert(offsetof(QueuePairOffer, gid_low) == 16);
static_assert(offsetof(QueuePairOffer, mtu_bytes) == 24);
static_assert(offsetof(QueuePairOffer, lid) == 28);
static_assert(offsetof(QueuePairOffer, link_layer) == 30);
static_assert(offsetof(QueuePairOffer, route_header_required) == 31);
static_assert(offsetof(QueuePairOffer, responder_depth) == 32);
static_assert(offsetof(QueuePairOffer, initiator_depth) == 33);
static_assert(offsetof(QueuePairOffer, messages) == 34);
static_assert(offsetof(QueuePairOffer, message_bytes) == 36);

// Start of every record in the event ring and the command buffer. length counts the whole record including this header and padding to 8 bytes.
struct __attribute__((packed)) RingRecord {
  uint32_t length{};
  uint16_t kind{};
  uint16_t flags{};
};
static_assert(sizeof(RingRecord) == 8);
static_assert(offsetof(RingRecord, length) == 0);
static_assert(offsetof(RingRecord, kind) == 4);
static_assert(offsetof(RingRecord, flags) == 6);

// connectionAccepted, connectionOpened, connectionClosed, rdmaProbed (status 0: the path works); followed by textLength bytes: peer address 'host:port', the reason of a close or of a probe that failed.
struct __attribute__((packed)) ConnectionEvent {
  RingRecord record{};
  uint32_t connection{};
  uint32_t listener{};
  uint32_t status{};
  uint32_t text_length{};
};
static_assert(sizeof(ConnectionEvent) == 24);
static_assert(offsetof(ConnectionEvent, connection) == 8);
static_assert(offsetof(ConnectionEvent, listener) == 12);
static_assert(offsetof(ConnectionEvent, status) == 16);
static_assert(offsetof(ConnectionEvent, text_length) == 20);

// A handshake or RPC frame that arrived; followed by its 64-byte FrameHeader as received when type is a handshake type, then bodyLength body bytes.
struct __attribute__((packed)) FrameEvent {
  RingRecord record{};
  uint32_t connection{};
  uint8_t type{};
  uint8_t version{};
  uint16_t operation{};
  uint64_t request_id{};
  uint64_t map_version{};
  uint32_t status{};
  uint32_t channel{};
  uint64_t sequence{};
  uint32_t flags{};
  uint32_t body_length{};
  uint32_t header_length{};
  uint32_t reserved{};
};
static_assert(sizeof(FrameEvent) == 64);
static_assert(offsetof(FrameEvent, connection) == 8);
static_assert(offsetof(FrameEvent, type) == 12);
static_assert(offsetof(FrameEvent, version) == 13);
static_assert(offsetof(FrameEvent, operation) == 14);
static_assert(offsetof(FrameEvent, request_id) == 16);
static_assert(offsetof(FrameEvent, map_version) == 24);
static_assert(offsetof(FrameEvent, status) == 32);
static_assert(offsetof(FrameEvent, channel) == 36);
static_assert(offsetof(FrameEvent, sequence) == 40);
static_assert(offsetof(FrameEvent, flags) == 48);
static_assert(offsetof(FrameEvent, body_length) == 52);
static_assert(offsetof(FrameEvent, header_length) == 56);

// ioDone: the fileIo command with this tag has ended; bytes were moved.
struct __attribute__((packed)) IoEvent {
  RingRecord record{};
  uint32_t tag{};
  uint32_t status{};
  uint64_t bytes{};
  uint32_t target{};
  uint32_t reserved{};
};
static_assert(sizeof(IoEvent) == 32);
static_assert(offsetof(IoEvent, tag) == 8);
static_assert(offsetof(IoEvent, status) == 12);
static_assert(offsetof(IoEvent, bytes) == 16);
static_assert(offsetof(IoEvent, target) == 24);

// chunkDone: the chunkOperation command with this tag has ended.
struct __attribute__((packed)) ChunkEvent {
  RingRecord record{};
  uint32_t tag{};
  uint32_t status{};
  uint64_t chunk_size{};
  uint64_t chunk_blocks{};
  uint32_t target{};
  uint32_t reserved{};
};
static_assert(sizeof(ChunkEvent) == 40);
static_assert(offsetof(ChunkEvent, tag) == 8);
static_assert(offsetof(ChunkEvent, status) == 12);
static_assert(offsetof(ChunkEvent, chunk_size) == 16);
static_assert(offsetof(ChunkEvent, chunk_blocks) == 24);
static_assert(offsetof(ChunkEvent, target) == 32);

// routeNeeded (requests wait for a connection to this target) and targetFault (a disk operation of this target failed; status is the errno); followed by textLength bytes of detail.
struct __attribute__((packed)) TargetEvent {
  RingRecord record{};
  uint32_t target{};
  uint32_t status{};
  uint32_t text_length{};
  uint32_t reserved{};
};
static_assert(sizeof(TargetEvent) == 24);
static_assert(offsetof(TargetEvent, target) == 8);
static_assert(offsetof(TargetEvent, status) == 12);
static_assert(offsetof(TargetEvent, text_length) == 16);

// log: a message of native code; followed by textLength bytes.
struct __attribute__((packed)) LogEvent {
  RingRecord record{};
  uint16_t level{};
  uint16_t reserved{};
  uint32_t text_length{};
};
static_assert(sizeof(LogEvent) == 16);
static_assert(offsetof(LogEvent, level) == 8);
static_assert(offsetof(LogEvent, text_length) == 12);

// A name request of the kernel. node is the packed FID the request is about. nameLength and secondLength bytes follow (names, link target, or xattr name and value). The meaning of the fields depends on the operation; native/fuse/request.h lists it. unique names the request in its answer; 0: no answer is expected. dataError is the errno of data that could not be written (flush, fsync, release).
struct __attribute__((packed)) FuseRequestEvent {
  RingRecord record{};
  uint32_t session{};
  uint16_t operation{};
  uint16_t data_error{};
  uint64_t unique{};
  uint64_t node{};
  uint32_t uid{};
  uint32_t gid{};
  uint32_t pid{};
  uint32_t mode{};
  uint32_t umask{};
  uint32_t flags{};
  uint32_t valid{};
  uint32_t owner{};
  uint32_t group{};
  uint32_t atime_nanoseconds{};
  int64_t atime{};
  int64_t mtime{};
  uint32_t mtime_nanoseconds{};
  uint32_t device{};
  uint64_t handle{};
  uint64_t offset{};
  uint64_t size{};
  uint64_t new_node{};
  uint32_t name_length{};
  uint32_t second_length{};
};
static_assert(sizeof(FuseRequestEvent) == 136);
static_assert(offsetof(FuseRequestEvent, session) == 8);
static_assert(offsetof(FuseRequestEvent, operation) == 12);
static_assert(offsetof(FuseRequestEvent, data_error) == 14);
static_assert(offsetof(FuseRequestEvent, unique) == 16);
static_assert(offsetof(FuseRequestEvent, node) == 24);
static_assert(offsetof(FuseRequestEvent, uid) == 32);
static_assert(offsetof(FuseRequestEvent, gid) == 36);
static_assert(offsetof(FuseRequestEvent, pid) == 40);
static_assert(offsetof(FuseRequestEvent, mode) == 44);
static_assert(offsetof(FuseRequestEvent, umask) == 48);
static_assert(offsetof(FuseRequestEvent, flags) == 52);
static_assert(offsetof(FuseRequestEvent, valid) == 56);
static_assert(offsetof(FuseRequestEvent, owner) == 60);
static_assert(offsetof(FuseRequestEvent, group) == 64);
static_assert(offsetof(FuseRequestEvent, atime_nanoseconds) == 68);
static_assert(offsetof(FuseRequestEvent, atime) == 72);
static_assert(offsetof(FuseRequestEvent, mtime) == 80);
static_assert(offsetof(FuseRequestEvent, mtime_nanoseconds) == 88);
static_assert(offsetof(FuseRequestEvent, device) == 92);
static_assert(offsetof(FuseRequestEvent, handle) == 96);
static_assert(offsetof(FuseRequestEvent, offset) == 104);
static_assert(offsetof(FuseRequestEvent, size) == 112);
static_assert(offsetof(FuseRequestEvent, new_node) == 120);
static_assert(offsetof(FuseRequestEvent, name_length) == 128);
static_assert(offsetof(FuseRequestEvent, second_length) == 132);

// fuseClosed: the kernel has ended this session (unmounted, or its connection was aborted); status is an errno.
struct __attribute__((packed)) FuseClosedEvent {
  RingRecord record{};
  uint32_t session{};
  uint32_t status{};
};
static_assert(sizeof(FuseClosedEvent) == 16);
static_assert(offsetof(FuseClosedEvent, session) == 8);
static_assert(offsetof(FuseClosedEvent, status) == 12);

// Answer to a FuseRequestEvent. error is 0 or a positive errno. For kind entry, attributes and create the attribute fields hold; for open and create handle and openFlags hold; for bytes, dataLength bytes follow; for directory, dataLength bytes of FuseDirectoryEntry records follow; for statfs the fields size (block size), blocks, handle (blocks free), offset (files), sequence (files free) hold.
struct __attribute__((packed)) FuseReplyCommand {
  RingRecord record{};
  uint32_t session{};
  uint16_t kind{};
  uint16_t reserved{};
  uint64_t unique{};
  uint32_t error{};
  uint32_t mode{};
  uint64_t node{};
  uint64_t size{};
  uint64_t blocks{};
  int64_t atime{};
  int64_t mtime{};
  int64_t ctime{};
  uint32_t atime_nanoseconds{};
  uint32_t mtime_nanoseconds{};
  uint32_t ctime_nanoseconds{};
  uint32_t links{};
  uint32_t uid{};
  uint32_t gid{};
  uint32_t device{};
  uint32_t block_size{};
  uint32_t entry_valid_ms{};
  uint32_t attributes_valid_ms{};
  uint64_t handle{};
  uint64_t offset{};
  uint64_t sequence{};
  uint32_t open_flags{};
  uint32_t data_length{};
  uint64_t reserved2{};
  uint64_t reserved3{};
};
static_assert(sizeof(FuseReplyCommand) == 168);
static_assert(offsetof(FuseReplyCommand, session) == 8);
static_assert(offsetof(FuseReplyCommand, kind) == 12);
static_assert(offsetof(FuseReplyCommand, unique) == 16);
static_assert(offsetof(FuseReplyCommand, error) == 24);
static_assert(offsetof(FuseReplyCommand, mode) == 28);
static_assert(offsetof(FuseReplyCommand, node) == 32);
static_assert(offsetof(FuseReplyCommand, size) == 40);
static_assert(offsetof(FuseReplyCommand, blocks) == 48);
static_assert(offsetof(FuseReplyCommand, atime) == 56);
static_assert(offsetof(FuseReplyCommand, mtime) == 64);
static_assert(offsetof(FuseReplyCommand, ctime) == 72);
static_assert(offsetof(FuseReplyCommand, atime_nanoseconds) == 80);
static_assert(offsetof(FuseReplyCommand, mtime_nanoseconds) == 84);
static_assert(offsetof(FuseReplyCommand, ctime_nanoseconds) == 88);
static_assert(offsetof(FuseReplyCommand, links) == 92);
static_assert(offsetof(FuseReplyCommand, uid) == 96);
static_assert(offsetof(FuseReplyCommand, gid) == 100);
static_assert(offsetof(FuseReplyCommand, device) == 104);
static_assert(offsetof(FuseReplyCommand, block_size) == 108);
static_assert(offsetof(FuseReplyCommand, entry_valid_ms) == 112);
static_assert(offsetof(FuseReplyCommand, attributes_valid_ms) == 116);
static_assert(offsetof(FuseReplyCommand, handle) == 120);
static_assert(offsetof(FuseReplyCommand, offset) == 128);
static_assert(offsetof(FuseReplyCommand, sequence) == 136);
static_assert(offsetof(FuseReplyCommand, open_flags) == 144);
static_assert(offsetof(FuseReplyCommand, data_length) == 148);

// fuseFacts: what native code may answer the kernel by itself about the inode `node`, until CLOCK_BOOTTIME stands at untilMs milliseconds; followed by nameLength bytes: a name that the directory has.
struct __attribute__((packed)) FuseFactsCommand {
  RingRecord record{};
  uint32_t session{};
  uint32_t facts{};
  uint64_t node{};
  uint64_t size{};
  uint64_t blocks{};
  int64_t atime{};
  int64_t mtime{};
  int64_t ctime{};
  uint32_t atime_nanoseconds{};
  uint32_t mtime_nanoseconds{};
  uint32_t ctime_nanoseconds{};
  uint32_t mode{};
  uint32_t links{};
  uint32_t uid{};
  uint32_t gid{};
  uint32_t device{};
  uint32_t block_size{};
  uint32_t name_length{};
  uint64_t until_ms{};
  uint64_t reserved{};
  uint64_t reserved2{};
};
static_assert(sizeof(FuseFactsCommand) == 128);
static_assert(offsetof(FuseFactsCommand, session) == 8);
static_assert(offsetof(FuseFactsCommand, facts) == 12);
static_assert(offsetof(FuseFactsCommand, node) == 16);
static_assert(offsetof(FuseFactsCommand, size) == 24);
static_assert(offsetof(FuseFactsCommand, blocks) == 32);
static_assert(offsetof(FuseFactsCommand, atime) == 40);
static_assert(offsetof(FuseFactsCommand, mtime) == 48);
static_assert(offsetof(FuseFactsCommand, ctime) == 56);
static_assert(offsetof(FuseFactsCommand, atime_nanoseconds) == 64);
static_assert(offsetof(FuseFactsCommand, mtime_nanoseconds) == 68);
static_assert(offsetof(FuseFactsCommand, ctime_nanoseconds) == 72);
static_assert(offsetof(FuseFactsCommand, mode) == 76);
static_assert(offsetof(FuseFactsCommand, links) == 80);
static_assert(offsetof(FuseFactsCommand, uid) == 84);
static_assert(offsetof(FuseFactsCommand, gid) == 88);
static_assert(offsetof(FuseFactsCommand, device) == 92);
static_assert(offsetof(FuseFactsCommand, block_size) == 96);
static_assert(offsetof(FuseFactsCommand, name_length) == 100);
static_assert(offsetof(FuseFactsCommand, until_ms) == 104);

// One entry in a fuseReply of kind directory; followed by nameLength bytes and padding to 8. node 0 marks an entry without attributes (then inode and mode's type bits still hold). cookie is the offset of the entry after this one.
struct __attribute__((packed)) FuseDirectoryEntry {
  uint64_t cookie{};
  uint64_t inode{};
  uint64_t node{};
  uint64_t size{};
  uint64_t blocks{};
  int64_t atime{};
  int64_t mtime{};
  int64_t ctime{};
  uint32_t atime_nanoseconds{};
  uint32_t mtime_nanoseconds{};
  uint32_t ctime_nanoseconds{};
  uint32_t mode{};
  uint32_t links{};
  uint32_t uid{};
  uint32_t gid{};
  uint32_t device{};
  uint32_t entry_valid_ms{};
  uint32_t attributes_valid_ms{};
  uint32_t name_length{};
  uint32_t block_size{};
};
static_assert(sizeof(FuseDirectoryEntry) == 112);
static_assert(offsetof(FuseDirectoryEntry, cookie) == 0);
static_assert(offsetof(FuseDirectoryEntry, inode) == 8);
static_assert(offsetof(FuseDirectoryEntry, node) == 16);
static_assert(offsetof(FuseDirectoryEntry, size) == 24);
static_assert(offsetof(FuseDirectoryEntry, blocks) == 32);
static_assert(offsetof(FuseDirectoryEntry, atime) == 40);
static_assert(offsetof(FuseDirectoryEntry, mtime) == 48);
static_assert(offsetof(FuseDirectoryEntry, ctime) == 56);
static_assert(offsetof(FuseDirectoryEntry, atime_nanoseconds) == 64);
static_assert(offsetof(FuseDirectoryEntry, mtime_nanoseconds) == 68);
static_assert(offsetof(FuseDirectoryEntry, ctime_nanoseconds) == 72);
static_assert(offsetof(FuseDirectoryEntry, mode) == 76);
static_assert(offsetof(FuseDirectoryEntry, links) == 80);
static_assert(offsetof(FuseDirectoryEntry, uid) == 84);
static_assert(offsetof(FuseDirectoryEntry, gid) == 88);
static_assert(offsetof(FuseDirectoryEntry, device) == 92);
static_assert(offsetof(FuseDirectoryEntry, entry_valid_ms) == 96);
static_assert(offsetof(FuseDirectoryEntry, attributes_valid_ms) == 100);
static_assert(offsetof(FuseDirectoryEntry, name_length) == 104);
static_assert(offsetof(FuseDirectoryEntry, block_size) == 108);

// sendFrame: send a handshake or RPC frame on a connection; followed by bodyLength body bytes. Native code fills magic and CRC.
struct __attribute__((packed)) SendFrameCommand {
  RingRecord record{};
  uint32_t connection{};
  uint8_t type{};
  uint8_t version{};
  uint16_t operation{};
  uint64_t request_id{};
  uint64_t map_version{};
  uint32_t status{};
  uint32_t channel{};
  uint64_t sequence{};
  uint32_t flags{};
  uint32_t body_length{};
  uint64_t reserved{};
};
static_assert(sizeof(SendFrameCommand) == 64);
static_assert(offsetof(SendFrameCommand, connection) == 8);
static_assert(offsetof(SendFrameCommand, type) == 12);
static_assert(offsetof(SendFrameCommand, version) == 13);
static_assert(offsetof(SendFrameCommand, operation) == 14);
static_assert(offsetof(SendFrameCommand, request_id) == 16);
static_assert(offsetof(SendFrameCommand, map_version) == 24);
static_assert(offsetof(SendFrameCommand, status) == 32);
static_assert(offsetof(SendFrameCommand, channel) == 36);
static_assert(offsetof(SendFrameCommand, sequence) == 40);
static_assert(offsetof(SendFrameCommand, flags) == 48);
static_assert(offsetof(SendFrameCommand, body_length) == 52);

// closeConnection: send what is queued, then close; followed by textLength bytes of reason for the log.
struct __attribute__((packed)) CloseConnectionCommand {
  RingRecord record{};
  uint32_t connection{};
  uint32_t text_length{};
  uint64_t reserved{};
};
static_assert(sizeof(CloseConnectionCommand) == 24);
static_assert(offsetof(CloseConnectionCommand, connection) == 8);
static_assert(offsetof(CloseConnectionCommand, text_length) == 12);

// fileIo: read or write length bytes at offset of an open file from or into a registered JavaScript buffer (slot, slotOffset); flush and sync use no buffer. file is a FileId, for sync a HandleId (native/stripes/file_table.h). Ends with an ioDone event of the same tag.
struct __attribute__((packed)) FileIoCommand {
  RingRecord record{};
  uint16_t operation{};
  uint16_t reserved{};
  uint32_t tag{};
  uint64_t file{};
  uint32_t slot{};
  uint32_t reserved2{};
  uint64_t offset{};
  uint64_t slot_offset{};
  uint64_t length{};
};
static_assert(sizeof(FileIoCommand) == 56);
static_assert(offsetof(FileIoCommand, operation) == 8);
static_assert(offsetof(FileIoCommand, tag) == 12);
static_assert(offsetof(FileIoCommand, file) == 16);
static_assert(offsetof(FileIoCommand, slot) == 24);
static_assert(offsetof(FileIoCommand, offset) == 32);
static_assert(offsetof(FileIoCommand, slot_offset) == 40);
static_assert(offsetof(FileIoCommand, length) == 48);

// An RDMA operation that JavaScript posts: on the queue pair with the slot queuePair, with length bytes at offset of the arena with the slot arena. remoteAddress and remoteKey name memory of the peer (one-sided operations); compareOrAdd and swap are the operands of atomics. tag and index come back in the RdmaCompletion.
struct __attribute__((packed)) RdmaRequest {
  uint32_t tag{};
  uint32_t index{};
  uint32_t queue_pair{};
  uint8_t operation{};
  uint8_t flags{};
  uint16_t reserved{};
  uint32_t arena{};
  uint32_t remote_key{};
  uint64_t offset{};
  uint32_t length{};
  uint32_t immediate{};
  uint64_t remote_address{};
  uint64_t compare_or_add{};
  uint64_t swap{};
};
static_assert(sizeof(RdmaRequest) == 64);
static_assert(offsetof(RdmaRequest, tag) == 0);
static_assert(offsetof(RdmaRequest, index) == 4);
static_assert(offsetof(RdmaRequest, queue_pair) == 8);
static_assert(offsetof(RdmaRequest, operation) == 12);
static_assert(offsetof(RdmaRequest, flags) == 13);
static_assert(offsetof(RdmaRequest, arena) == 16);
static_assert(offsetof(RdmaRequest, remote_key) == 20);
static_assert(offsetof(RdmaRequest, offset) == 24);
static_assert(offsetof(RdmaRequest, length) == 32);
static_assert(offsetof(RdmaRequest, immediate) == 36);
static_assert(offsetof(RdmaRequest, remote_address) == 40);
static_assert(offsetof(RdmaRequest, compare_or_add) == 48);
static_assert(offsetof(RdmaRequest, swap) == 56);

// The end of an RdmaRequest, or of as many as count says: requests of one tag from index on, none of them a receive, which succeeded one after another. bytes is what a receive got.
struct __attribute__((packed)) RdmaCompletion {
  uint32_t tag{};
  uint32_t index{};
  uint32_t queue_pair{};
  uint8_t operation{};
  uint8_t status{};
  uint8_t flags{};
  uint8_t reserved{};
  uint32_t bytes{};
  uint32_t immediate{};
  uint32_t vendor_error{};
  uint32_t count{};
};
static_assert(sizeof(RdmaCompletion) == 32);
static_assert(offsetof(RdmaCompletion, tag) == 0);
static_assert(offsetof(RdmaCompletion, index) == 4);
static_assert(offsetof(RdmaCompletion, queue_pair) == 8);
static_assert(offsetof(RdmaCompletion, operation) == 12);
static_assert(offsetof(RdmaCompletion, status) == 13);
static_assert(offsetof(RdmaCompletion, flags) == 14);
static_assert(offsetof(RdmaCompletion, bytes) == 16);
static_assert(offsetof(RdmaCompletion, immediate) == 20);
static_assert(offsetof(RdmaCompletion, vendor_error) == 24);
static_assert(offsetof(RdmaCompletion, count) == 28);

// chunkOperation: truncate, stat, sync or remove one chunk. Ends with a chunkDone event of the same tag.
struct __attribute__((packed)) ChunkOperationCommand {
  RingRecord record{};
  uint32_t target{};
  uint16_t operation{};
  uint16_t reserved{};
  uint32_t tag{};
  uint32_t column{};
  uint64_t fid{};
  uint64_t offset{};
  uint32_t deadline_ms{};
  uint32_t reserved2{};
};
static_assert(sizeof(ChunkOperationCommand) == 48);
static_assert(offsetof(ChunkOperationCommand, target) == 8);
static_assert(offsetof(ChunkOperationCommand, operation) == 12);
static_assert(offsetof(ChunkOperationCommand, tag) == 16);
static_assert(offsetof(ChunkOperationCommand, column) == 20);
static_assert(offsetof(ChunkOperationCommand, fid) == 24);
static_assert(offsetof(ChunkOperationCommand, offset) == 32);
static_assert(offsetof(ChunkOperationCommand, deadline_ms) == 40);

}  // namespace ibexfs::wire
