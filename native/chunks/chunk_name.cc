#include "chunks/chunk_name.h"

#include <array>
#include <cinttypes>
#include <cstdio>

namespace ibexfs {

namespace {

constexpr uint32_t kNeighbourBits = 11;

}  // namespace

uint16_t chunk_folder(const ChunkName& name) {
  return static_cast<uint16_t>(mix_bits((name.fid.sequence << (32 - kNeighbourBits)) ^ (name.fid.object >> kNeighbourBits)));
}

std::string chunk_folder_path(uint16_t folder) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%02x/%02x", folder >> 8, folder & 0xff);
  return text.data();
}

std::string chunk_path(const ChunkName& name) {
  std::array<char, 64> text{};
  const uint16_t folder = chunk_folder(name);
  std::snprintf(text.data(), text.size(), "%02x/%02x/%" PRIx64 ".%" PRIx32 ".%" PRIu32, folder >> 8, folder & 0xff,
                name.fid.sequence, name.fid.object, name.column);
  return text.data();
}

}  // namespace ibexfs
