// Counters of the chunk server, as a snapshot for metrics.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/wire.h"

namespace ibexfs {

// Index by static_cast<size_t>(wire::ChunkOperation); 0 is unused.
inline constexpr size_t kChunkOperationKinds = 7;

struct ChunkOperationStatistics {
  uint64_t operations = 0;  // answered, errors included
  uint64_t bytes = 0;       // moved by reads and writes
  uint64_t errors = 0;      // answered with a status other than ok
  uint32_t in_flight = 0;
  uint32_t in_flight_max = 0;  // high water since the target was added
};

struct ChunkTargetStatistics {
  uint32_t target = 0;
  std::string path;
  std::array<ChunkOperationStatistics, kChunkOperationKinds> operations;
  uint64_t faults = 0;  // disk operations that failed, also those whose event was rate-limited
};

struct ChunkStatistics {
  std::vector<ChunkTargetStatistics> targets;
  uint64_t refused = 0;  // requests answered badRequest, notMyTarget or staleMap
  uint32_t requests_in_flight = 0;
  uint32_t requests_in_flight_max = 0;
  uint64_t bytes_in_flight = 0;
  uint64_t bytes_in_flight_max = 0;
  uint64_t pauses = 0;  // times that a connection had to wait for room
  uint32_t open_files = 0;
  uint64_t open_file_evictions = 0;
  std::string engine;  // "io_uring" or "threads"
};

}  // namespace ibexfs
