#include "chunks/chunk_request.h"

#include <cstring>

#include "transport/frame.h"

namespace ibexfs {

namespace {

bool is_known(uint16_t operation) {
  return operation >= static_cast<uint16_t>(wire::ChunkOperation::kRead) &&
         operation <= static_cast<uint16_t>(wire::ChunkOperation::kRemove);
}

// What this version does not use must be zero, so that a later one can give it a meaning.
bool unused_are_zero(wire::ChunkOperation operation, const wire::ChunkRequest& request) {
  return request.flags == 0 && request.group_epoch == 0 && request.fid_version == 0 &&
         (request.sync_stamp == 0 || operation == wire::ChunkOperation::kSync);
}

// Memory of the client is named where the header says so, and only for what has data.
bool remote_memory_fits(wire::ChunkOperation operation, const wire::ChunkRequest& request, bool remote) {
  if (!remote) return request.remote_address == 0 && request.remote_key == 0;
  const bool moves_data = operation == wire::ChunkOperation::kRead || operation == wire::ChunkOperation::kWrite;
  return moves_data && request.length > 0 && request.remote_address <= UINT64_MAX - request.length;
}

bool lengths_fit(wire::ChunkOperation operation, const wire::ChunkRequest& request, uint32_t data_length) {
  switch (operation) {
    case wire::ChunkOperation::kRead:
      return data_length == 0 && request.length <= wire::kChunkDataBytesMax;
    case wire::ChunkOperation::kWrite:
      return data_length == request.length && request.length <= wire::kChunkDataBytesMax;
    default:
      return data_length == 0 && request.length == 0;
  }
}

}  // namespace

CheckedRequest check_chunk_request(const wire::FrameHeader& header, Bytes body) {
  CheckedRequest checked;
  wire::ChunkRequest request;
  if (header.type != static_cast<uint8_t>(wire::FrameType::kChunkRequest) || body.size() != sizeof(request)) return checked;
  std::memcpy(&request, body.data(), sizeof(request));
  if (!is_known(header.operation)) {
    checked.verdict = StatusCode::kUnknownOperation;
    return checked;
  }
  checked.operation = static_cast<wire::ChunkOperation>(header.operation);
  if (!unused_are_zero(checked.operation, request) || !lengths_fit(checked.operation, request, header.data_length))
    return checked;
  if (!remote_memory_fits(checked.operation, request, has_remote_data(header))) return checked;
  if (request.column >= kColumnsMax || request.offset >= kChunkBytesMax || request.length > kChunkBytesMax - 1 - request.offset)
    return checked;
  checked.target = request.target;
  checked.name = {{request.fid_sequence, request.fid_object, 0}, request.column};
  checked.offset = request.offset;
  checked.length = request.length;
  checked.sync_stamp = request.sync_stamp;
  checked.remote_address = request.remote_address;
  checked.remote_key = request.remote_key;
  checked.verdict = StatusCode::kOk;
  return checked;
}

}  // namespace ibexfs
