// Checks of frame headers.
#include "transport/frame.h"

#include <cstddef>
#include <string>

#include "base/crc32c.h"

namespace ibexfs {
namespace {

using wire::FrameHeader;
using wire::FrameType;

uint32_t crc_of(const FrameHeader& header) {
  return crc32c(0, {reinterpret_cast<const uint8_t*>(&header), offsetof(FrameHeader, header_crc)});
}

Status refuse(const std::string& why) {
  return {StatusCode::kBadFrame, "bad frame: " + why};
}

}  // namespace

FrameBounds bounds_of(uint8_t type) {
  constexpr uint32_t kRequestBytes = sizeof(wire::ChunkRequest);
  constexpr uint32_t kResponseBytes = sizeof(wire::ChunkResponse);
  switch (static_cast<FrameType>(type)) {
    case FrameType::kHello:
      return {true, 0, wire::kHandshakeBodyBytesMax, 0, "hello"};
    case FrameType::kChallenge:
      return {true, 0, wire::kHandshakeBodyBytesMax, 0, "challenge"};
    case FrameType::kProof:
      return {true, 0, wire::kHandshakeBodyBytesMax, 0, "proof"};
    case FrameType::kWelcome:
      return {true, 0, wire::kHandshakeBodyBytesMax, 0, "welcome"};
    case FrameType::kCarrier:
      return {true, 0, wire::kHandshakeBodyBytesMax, 0, "carrier"};
    case FrameType::kRefuse:
      return {true, 0, wire::kHandshakeBodyBytesMax, 0, "refuse"};
    case FrameType::kRpcRequest:
      return {true, 0, wire::kRpcBodyBytesMax, 0, "rpcRequest"};
    case FrameType::kRpcResponse:
      return {true, 0, wire::kRpcBodyBytesMax, 0, "rpcResponse"};
    case FrameType::kRpcNotify:
      return {true, 0, wire::kRpcBodyBytesMax, 0, "rpcNotify"};
    case FrameType::kChunkRequest:
      return {true, kRequestBytes, kRequestBytes, wire::kChunkDataBytesMax, "chunkRequest"};
    case FrameType::kChunkResponse:
      return {true, kResponseBytes, kResponseBytes, wire::kChunkDataBytesMax, "chunkResponse"};
  }
  return {};
}

void seal_header(FrameHeader& header, size_t body_bytes, size_t data_bytes) {
  header.magic = wire::kProtocolMagic;
  if (header.version == 0) header.version = wire::kProtocolVersion;
  header.body_length = static_cast<uint32_t>(body_bytes);
  header.data_length = static_cast<uint32_t>(data_bytes);
  header.reserved = 0;
  header.header_crc = crc_of(header);
}

Status check_header(const FrameHeader& header) {
  // Magic before CRC: it tells a stranger's protocol from damage.
  if (header.magic != wire::kProtocolMagic)
    return refuse("magic " + std::to_string(header.magic) + ", the peer speaks another protocol");
  if (header.header_crc != crc_of(header)) return refuse("CRC of the header does not match");
  if (header.version < wire::kProtocolVersionMin || header.version > wire::kProtocolVersion) {
    return refuse("protocol version " + std::to_string(header.version) + ", this build speaks " +
                  std::to_string(wire::kProtocolVersionMin) + " to " + std::to_string(wire::kProtocolVersion));
  }
  const FrameBounds bounds = bounds_of(header.type);
  if (!bounds.known) return refuse("unknown type " + std::to_string(header.type));
  const std::string name(bounds.name);
  if (header.body_length < bounds.body_bytes_min || header.body_length > bounds.body_bytes_max) {
    return refuse("body of " + std::to_string(header.body_length) + " bytes in " + name + ", allowed are " +
                  std::to_string(bounds.body_bytes_min) + " to " + std::to_string(bounds.body_bytes_max));
  }
  if (header.data_length > bounds.data_bytes_max) {
    return refuse("data of " + std::to_string(header.data_length) + " bytes in " + name + ", allowed are " +
                  std::to_string(bounds.data_bytes_max));
  }
  if (header.reserved != 0) return refuse("reserved field of " + name + " is not zero");
  return {};
}

}  // namespace ibexfs
