// Names of chunk files: which file below a target's folder holds column c of file f.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/fid.h"

namespace ibexfs {

struct ChunkName {
  Fid fid;
  uint32_t column = 0;

  bool operator==(const ChunkName&) const = default;
};

// 16 bits that choose the two folder levels. FIDs are granted in sequence, and neighbours share a folder: so a
// burst of new files meets warm directories, and few folders are made; 65,536 of them at 2,048 objects each.
uint16_t chunk_folder(const ChunkName& name);

// "xx/yy" and "xx/yy/<sequence>.<object>.<column>", all in hexadecimal but the column.
std::string chunk_folder_path(uint16_t folder);
std::string chunk_path(const ChunkName& name);

// Spreads keys that differ in few bits (Stafford's variant 13 of the SplitMix64 finalizer).
inline uint64_t mix_bits(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31);
}

}  // namespace ibexfs
