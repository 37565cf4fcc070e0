// One target that is served: its folder, its counters, what is in flight on it, and the reports of its faults.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/event_sink.h"
#include "chunks/chunk_statistics.h"
#include "chunks/chunk_store.h"
#include "chunks/sync_failures.h"

namespace ibexfs {

// The status that a client is answered for an errno of a disk operation.
StatusCode status_of_errno(int error_number);

class ChunkTarget {
 public:
  ChunkTarget(uint32_t id, std::shared_ptr<ChunkStore> store, uint64_t min_map_version, EventSink& events)
      : id_(id), store_(std::move(store)), events_(events), min_map_version_(min_map_version) {}

  uint32_t id() const { return id_; }
  const std::shared_ptr<ChunkStore>& store() const { return store_; }
  uint64_t min_map_version() const { return min_map_version_.load(std::memory_order_relaxed); }
  void set_min_map_version(uint64_t version) { min_map_version_.store(version, std::memory_order_relaxed); }

  // Each request on this target calls begin once and end once, on any thread.
  void begin(wire::ChunkOperation operation);
  void end(wire::ChunkOperation operation, bool failed, uint64_t bytes);
  // False when requests are still in flight after the time.
  bool wait_until_idle(std::chrono::milliseconds timeout);

  // A disk operation failed: tells TypeScript which chunk, where and why, at most once a second.
  void report_fault(int error_number, const char* operation, const ChunkName& name);

  SyncFailures& sync_failures() { return sync_failures_; }

  ChunkTargetStatistics statistics() const;

 private:
  struct Counters {
    std::atomic<uint64_t> operations{0};
    std::atomic<uint64_t> bytes{0};
    std::atomic<uint64_t> errors{0};
    std::atomic<uint32_t> in_flight{0};
    std::atomic<uint32_t> in_flight_max{0};
  };

  const uint32_t id_;
  const std::shared_ptr<ChunkStore> store_;
  EventSink& events_;
  std::atomic<uint64_t> min_map_version_;
  std::array<Counters, kChunkOperationKinds> counters_;
  std::atomic<uint32_t> in_flight_{0};
  std::atomic<bool> awaited_{false};
  std::mutex idle_mutex_;
  std::condition_variable idle_;
  SyncFailures sync_failures_;
  std::atomic<uint64_t> faults_{0};
  std::mutex fault_mutex_;
  std::chrono::steady_clock::time_point next_report_{};
  uint64_t unreported_ = 0;
};

// Raises `high_water` to `value`.
template <typename Number>
void raise(std::atomic<Number>& high_water, Number value) {
  Number seen = high_water.load(std::memory_order_relaxed);
  while (seen < value && !high_water.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

}  // namespace ibexfs
