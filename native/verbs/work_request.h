// Work requests as the callers of a queue pair describe them, and the completions they get back.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>

#include "verbs/error.h"
#include "verbs/range.h"

namespace ibexfs::verbs {

// Ranges of one request. Four do: a header, and bytes that wrap around a ring or lie in two buffers.
inline constexpr size_t kRangesMax = 4;

enum class Operation : uint8_t {
  kSend,
  kSendWithImmediate,
  kWrite,
  kWriteWithImmediate,  // takes a receive of the peer, which learns of the WRITE's arrival by it
  kRead,
  kCompareAndSwap,  // on 8 aligned bytes; the value before goes to the local range
  kFetchAndAdd,
  kReceive,
};
std::string_view describe(Operation operation);

// Up to kRangesMax ranges by value.
class LocalRanges {
 public:
  LocalRanges() = default;
  LocalRanges(LocalRange range) : ranges_{range}, count_(1) {}  // NOLINT: implicit by design
  LocalRanges(std::initializer_list<LocalRange> ranges) {
    for (const LocalRange& range : ranges) add(range);
  }
  void add(LocalRange range) {
    assert(count_ < kRangesMax);
    ranges_[count_++] = range;
  }
  size_t count() const { return count_; }
  const LocalRange* begin() const { return ranges_.data(); }
  const LocalRange* end() const { return ranges_.data() + count_; }
  uint64_t bytes() const {
    uint64_t sum = 0;
    for (const LocalRange& range : *this) sum += range.length;
    return sum;
  }

 private:
  std::array<LocalRange, kRangesMax> ranges_{};
  size_t count_ = 0;
};

struct SendRequest {
  Operation operation = Operation::kSend;
  // Waits for all earlier READs and atomics of the queue pair: for a SEND that tells of what a READ fetched.
  bool fence = false;
  // The bytes are copied when posted, so that they need no registration and may be changed at once; up to
  // QueuePair::inline_bytes_max.
  bool inline_data = false;
  LocalRanges local;
  RemoteRange remote;      // WRITE and READ: at least as long as `local`; atomics: 8 bytes
  uint32_t immediate = 0;  // in host order
  uint64_t compare_or_add = 0;
  uint64_t swap = 0;
  uint64_t token = 0;  // comes back in the Completion
  // Kept until the adapter is done with the request, then handed back in the Completion: whatever owns the memory.
  std::shared_ptr<const void> keep;
};

struct ReceiveRequest {
  LocalRanges local;
  uint64_t token = 0;
  std::shared_ptr<const void> keep;
};

// Every posted request ends in exactly one of these, signalled or not, or in the destruction of its queue pair.
struct Completion {
  uint64_t owner = 0;  // QueuePairSettings::owner
  uint64_t token = 0;
  Operation operation = Operation::kSend;
  CompletionStatus status = CompletionStatus::kSuccess;
  bool has_immediate = false;
  uint32_t immediate = 0;       // in host order
  uint32_t bytes = 0;           // received; of a kReceive for a WRITE with immediate, the bytes written
  bool received_write = false;  // of a kReceive: it was taken by a WRITE with immediate, and holds no data
  uint32_t vendor_error = 0;
  uint32_t queue_pair_number = 0;
  std::shared_ptr<const void> keep;

  bool ok() const { return status == CompletionStatus::kSuccess; }
};

// What we give the adapter to find a request again: which queue pair of the completion queue (index and generation, so
// that what a destroyed queue pair left behind is not taken for a younger one's), which queue, which request.
struct WorkRequestId {
  uint32_t sequence = 0;
  uint16_t index = 0;
  uint16_t generation = 0;  // 15 bits
  bool receive = false;

  static constexpr uint16_t kGenerationMask = 0x7fff;
  uint64_t pack() const {
    return uint64_t{sequence} | uint64_t{index} << 32 | uint64_t{generation} << 48 | uint64_t{receive ? 1U : 0U} << 63;
  }
  static WorkRequestId unpack(uint64_t id) {
    return {static_cast<uint32_t>(id), static_cast<uint16_t>(id >> 32), static_cast<uint16_t>(id >> 48 & kGenerationMask),
            id >> 63 != 0};
  }
};

}  // namespace ibexfs::verbs
