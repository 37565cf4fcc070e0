// What is allowed to be a frame. All checks of a header are here, before any of its lengths is used.
#pragma once

#include <string_view>

#include "base/event_sink.h"
#include "base/status.h"
#include "base/wire.h"

namespace ibexfs {

constexpr bool is_handshake_frame(uint8_t type) {
  return type >= 1 && type <= 15;
}

// Only chunk frames have the flag.
constexpr bool has_remote_data(const wire::FrameHeader& header) {
  const bool chunk = header.type == static_cast<uint8_t>(wire::FrameType::kChunkRequest) ||
                     header.type == static_cast<uint8_t>(wire::FrameType::kChunkResponse);
  return chunk && (header.flags & static_cast<uint32_t>(wire::FrameFlag::kRemoteData)) != 0;
}

// Fills magic, version (where it is 0), lengths and the CRC.
void seal_header(wire::FrameHeader& header, size_t body_bytes, size_t data_bytes);

// Ok, or kBadFrame with the check that failed and what was found. Nothing of a refused header may be used.
Status check_header(const wire::FrameHeader& header);

// Bounds of the parts of a frame, by its type. known is false for a type that this build does not have.
struct FrameBounds {
  bool known = false;
  uint32_t body_bytes_min = 0;
  uint32_t body_bytes_max = 0;
  uint32_t data_bytes_max = 0;
  std::string_view name;
};
FrameBounds bounds_of(uint8_t type);

}  // namespace ibexfs
