// Reads and checks the body of a chunk request. Pure: the bytes are a stranger's, the verdict is all there is.
#pragma once

#include <cstdint>

#include "base/event_sink.h"
#include "base/status.h"
#include "chunks/chunk_name.h"

namespace ibexfs {

// Offsets and ends stay below it: off_t of the file system calls is signed.
inline constexpr uint64_t kChunkBytesMax = uint64_t{1} << 63;
// Columns are the targets of one file; the wire has room for more than any layout.
inline constexpr uint32_t kColumnsMax = 65536;

struct CheckedRequest {
  StatusCode verdict = StatusCode::kBadRequest;  // kOk, kBadRequest or kUnknownOperation
  wire::ChunkOperation operation = wire::ChunkOperation::kRead;
  uint32_t target = 0;
  ChunkName name;
  uint64_t offset = 0;
  uint32_t length = 0;      // of the data of a read or write; 0 otherwise
  uint64_t sync_stamp = 0;  // of a sync
  // Where the client wants the data of a read; key 0: behind the answer.
  uint64_t remote_address = 0;
  uint32_t remote_key = 0;
};

CheckedRequest check_chunk_request(const wire::FrameHeader& header, Bytes body);

}  // namespace ibexfs
