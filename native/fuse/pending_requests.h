// Name requests that TypeScript has and will answer: which descriptor and which number of the kernel's each
// one has. The tag that TypeScript sees fits a JavaScript integer and is never used twice, so that a second
// answer, or one made up, is told from a real one.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "fuse/reply.h"

namespace ibexfs {

// Where an answer goes: the kernel takes it only from the descriptor that the request was read from.
struct RequestOrigin {
  int fd = -1;
  uint64_t unique = 0;
};

struct PendingRequest {
  RequestOrigin origin;
  ReplyContext context;
};

class PendingRequests {
 public:
  // Returns a tag, not 0; 0 when kOpenMax requests are open.
  uint64_t add(const PendingRequest& request) {
    const std::lock_guard lock(mutex_);
    uint32_t index = static_cast<uint32_t>(slots_.size());
    if (!free_.empty()) {
      index = free_.back();
      free_.pop_back();
    } else if (index == kOpenMax) {
      return 0;
    } else {
      slots_.emplace_back();
    }
    Slot& slot = slots_[index];
    slot.request = request;
    slot.open = true;
    return (uint64_t{++slot.generation} << kIndexBits) | index;
  }
  std::optional<PendingRequest> take(uint64_t tag) {
    const std::lock_guard lock(mutex_);
    const uint64_t index = tag & (kOpenMax - 1);
    if (index >= slots_.size() || !slots_[index].open || slots_[index].generation != tag >> kIndexBits) return std::nullopt;
    slots_[index].open = false;
    free_.push_back(static_cast<uint32_t>(index));
    return slots_[index].request;
  }
  size_t open() const {
    const std::lock_guard lock(mutex_);
    return slots_.size() - free_.size();
  }

 private:
  static constexpr int kIndexBits = 20;
  static constexpr uint32_t kOpenMax = 1U << kIndexBits;  // a process that waits stands behind each: never so many
  struct Slot {
    PendingRequest request;
    uint32_t generation = 0;  // 32 bits: tags stay below 2^52
    bool open = false;
  };
  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
};

}  // namespace ibexfs
