// One io_uring instance through the kernel's own interface (linux/io_uring.h): set-up, mapping, submission
// and completion queues. Knows nothing of jobs. Not thread-safe.
#pragma once

#include <linux/io_uring.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/status.h"
#include "base/unique_fd.h"

namespace ibexfs {

class IoUringRing {
 public:
  // Refused with the reason where the kernel lacks io_uring or an operation that we need, or forbids it.
  static Result<std::unique_ptr<IoUringRing>> create(uint32_t entries);
  ~IoUringRing();
  IoUringRing(const IoUringRing&) = delete;
  IoUringRing& operator=(const IoUringRing&) = delete;

  uint32_t entries() const { return entries_; }
  // A cleared submission entry, or null when the queue is full. It is submitted by the next submit().
  io_uring_sqe* next_entry();
  // Hands over what was queued and, with wait, waits for at least one completion. 0 or an errno; entries that
  // the kernel did not take stay queued for the next call.
  int submit(bool wait);
  bool has_unsubmitted() const { return queued_ > 0; }
  // Takes the oldest completion; false when there is none.
  bool next_completion(uint64_t* user_data, int32_t* result);

  // Becomes readable when a completion arrives.
  int event_fd() const { return event_fd_.get(); }

 private:
  IoUringRing() = default;
  Status set_up(uint32_t entries);
  Status map_queues(const io_uring_params& parameters);
  Status probe_operations();

  UniqueFd ring_fd_;
  UniqueFd event_fd_;
  void* rings_ = nullptr;
  size_t rings_bytes_ = 0;
  io_uring_sqe* submission_entries_ = nullptr;
  size_t submission_entries_bytes_ = 0;
  uint32_t entries_ = 0;
  uint32_t queued_ = 0;  // entries filled and not yet taken by the kernel
  uint32_t* submission_head_ = nullptr;
  uint32_t* submission_tail_ = nullptr;
  uint32_t submission_mask_ = 0;
  uint32_t* completion_head_ = nullptr;
  uint32_t* completion_tail_ = nullptr;
  uint32_t completion_mask_ = 0;
  io_uring_cqe* completions_ = nullptr;
};

}  // namespace ibexfs
