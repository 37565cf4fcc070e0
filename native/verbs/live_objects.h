// Counts of what exists of a kind, one set per Library: tests check that they return to zero, status reports show
// them. Children keep their parents, so a count that stays above zero names what was not let go.
#pragma once

#include <atomic>
#include <cstdint>

namespace ibexfs::verbs {

struct LiveObjects {
  std::atomic<uint64_t> devices{0};
  std::atomic<uint64_t> protection_domains{0};
  std::atomic<uint64_t> memory_regions{0};
  std::atomic<uint64_t> registered_bytes{0};
  std::atomic<uint64_t> completion_channels{0};
  std::atomic<uint64_t> completion_queues{0};
  std::atomic<uint64_t> queue_pairs{0};
  // Never falls: how often memory was registered. It must not move while files are read and written.
  std::atomic<uint64_t> registrations{0};
  // Never falls: objects that the device refused to destroy. What they point at is leaked with them on purpose.
  std::atomic<uint64_t> leaks{0};
};

}  // namespace ibexfs::verbs
