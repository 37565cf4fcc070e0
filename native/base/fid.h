// File identifier. JavaScript and the kernel see it packed in one integer below 2^53:
// sequence * 2^20 + object (version 0); on the wire and in chunk names it is spelled out.
#pragma once

#include <compare>
#include <cstdint>
#include <cstdio>
#include <string>

#include "base/wire.h"

namespace ibexfs {

struct Fid {
  uint64_t sequence = 0;
  uint32_t object = 0;
  uint32_t version = 0;

  static Fid from_packed(uint64_t packed) {
    return {packed >> wire::kFidObjectBits, static_cast<uint32_t>(packed & ((1U << wire::kFidObjectBits) - 1)), 0};
  }
  uint64_t packed() const { return (sequence << wire::kFidObjectBits) | object; }
  auto operator<=>(const Fid&) const = default;

  // The form people read and tables show: [0x401:0x2a:0x0].
  std::string text() const {
    char buffer[48];
    std::snprintf(buffer, sizeof(buffer), "[0x%llx:0x%x:0x%x]", static_cast<unsigned long long>(sequence), object, version);
    return buffer;
  }
};

}  // namespace ibexfs
