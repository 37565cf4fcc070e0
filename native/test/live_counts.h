// What of RDMA is alive, to see that a test leaves nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "verbs/library.h"

namespace ibexfs::test {

// Counts of live objects are the library's, so of the whole process: a test compares with what was before it.
struct LiveCounts {
  LiveCounts() {
    const verbs::LiveObjects& live = verbs::Library::system()->live();
    counts = {
        live.devices,           live.protection_domains, live.memory_regions, live.registered_bytes, live.completion_channels,
        live.completion_queues, live.queue_pairs,        live.leaks};
  }
  bool operator==(const LiveCounts&) const = default;
  std::vector<uint64_t> counts;
};

}  // namespace ibexfs::test
