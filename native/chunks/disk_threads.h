// A few threads for disk work that blocks, shared by the reactors of a process, and the mailbox through
// which finished jobs return to their reactor.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "chunks/disk_engine.h"

namespace ibexfs {

// Finished jobs on their way back to one reactor; one wake-up of the reactor serves a whole batch.
class DiskMailbox : public std::enable_shared_from_this<DiskMailbox> {
 public:
  explicit DiskMailbox(Reactor& reactor) : reactor_(reactor) {}

  // Announces a job that deliver() will bring; any thread.
  void expect() { in_flight_.fetch_add(1, std::memory_order_relaxed); }
  void deliver(DiskJob* job, int64_t result);  // any thread
  size_t in_flight() const { return in_flight_.load(std::memory_order_acquire); }
  bool run();  // reactor: finishes what has arrived; false when nothing had

 private:
  Reactor& reactor_;
  std::atomic<size_t> in_flight_{0};
  std::mutex mutex_;
  DiskJobList arrived_;
  bool posted_ = false;
};

class DiskThreads {
 public:
  explicit DiskThreads(uint32_t threads);
  ~DiskThreads();  // no job may be in flight
  DiskThreads(const DiskThreads&) = delete;
  DiskThreads& operator=(const DiskThreads&) = delete;

  // Any thread. The queue holds no more than the jobs of requests that were admitted, so it needs no bound
  // of its own.
  void submit(DiskJobList jobs, DiskMailbox& mailbox);

 private:
  void work();
  DiskJob* take(std::unique_lock<std::mutex>& lock);
  static int64_t execute(DiskJob& job);
  static bool is_slow(const DiskJob& job) { return job.kind == DiskJob::Kind::kSync || job.slow; }

  std::mutex mutex_;
  std::condition_variable wake_;
  DiskJobList quick_;
  DiskJobList slow_;
  uint32_t idle_ = 0;
  uint32_t slow_running_ = 0;
  uint32_t slow_running_max_ = 1;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace ibexfs
