// Asynchronous disk work of one reactor. A job is submitted on the reactor's driving thread and finishes on
// it; in between the kernel (io_uring) or a disk thread works. An engine knows descriptors and bytes, not chunks.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"

namespace ibexfs {

class DiskMailbox;
class DiskThreads;
class Reactor;

// One piece of disk work, a member or base of whoever waits for it. It must stay alive and unchanged from
// submit until finish; the engine does not own it.
class DiskJob {
 public:
  enum class Kind : uint8_t {
    kRead,   // pread: ends early at the end of the file
    kWrite,  // pwrite: continued until all bytes are written or an error says why not
    kSync,   // fdatasync
    kCall,   // call() in a disk thread: whatever may block (open, truncate, unlink, splice)
  };

  virtual ~DiskJob() = default;
  // kCall only. Bytes or 0, or a negative errno.
  virtual int64_t call() { return -ENOSYS; }
  // On the reactor. Bytes moved (0 for sync), what call() returned, or a negative errno. May destroy the job.
  virtual void finish(int64_t result) = 0;

  Kind kind = Kind::kCall;
  // A call that may take a disk's flush time; such calls never occupy all disk threads. kSync is always so.
  bool slow = false;
  // In a disk thread whatever the engine. Writes through the page cache are: most file systems cannot do them
  // without waiting, so io_uring would only hand them to workers of its own, one at a time for each file.
  bool in_thread = false;
  // A read past the page cache: it comes short only at the end of the file, and could not go on from there.
  bool is_direct_read = false;
  int fd = -1;
  uint8_t* data = nullptr;
  size_t length = 0;
  uint64_t offset = 0;

 private:
  friend class DiskJobList;
  friend class DiskMailbox;
  friend class DiskThreads;
  friend class IoUringEngine;
  DiskJob* next_ = nullptr;
  DiskMailbox* mailbox_ = nullptr;  // where a disk thread brings it back
  size_t moved_ = 0;                // bytes that earlier, short pieces have moved
  int64_t result_ = 0;
};

// Intrusive queue of jobs: queueing never allocates, and its length is bounded by the jobs there are.
class DiskJobList {
 public:
  bool empty() const { return first_ == nullptr; }
  size_t size() const { return size_; }
  void push(DiskJob* job) {
    job->next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = job;
    last_ = job;
    size_++;
  }
  DiskJob* pop() {
    DiskJob* job = first_;
    if (job == nullptr) return nullptr;
    first_ = job->next_;
    if (first_ == nullptr) last_ = nullptr;
    size_--;
    return job;
  }

 private:
  DiskJob* first_ = nullptr;
  DiskJob* last_ = nullptr;
  size_t size_ = 0;
};

enum class DiskEngineKind : uint8_t { kAutomatic, kIoUring, kThreads };

class DiskEngine {
 public:
  virtual ~DiskEngine() = default;  // no job may be in flight

  // Driving thread of the reactor. What one round submits goes to the kernel at its end, in one batch.
  virtual void submit(DiskJob* job) = 0;
  // Any thread: finish(0) is called on the reactor soon.
  virtual void wake(DiskJob* job) = 0;
  // Driving thread, or nothing drives the reactor any more: hands over what was submitted, finishes what is
  // done; false when there was nothing to do. For a shutdown that waits for the jobs in flight.
  virtual bool poll() = 0;
  virtual size_t jobs_in_flight() const = 0;
  virtual const char* name() const = 0;

  // kAutomatic takes io_uring where the kernel lets us and threads where not; `note` then says why not.
  // kIoUring fails where io_uring is refused. Call it on the driving thread, or before the reactor is driven.
  static Result<std::unique_ptr<DiskEngine>> create(DiskEngineKind kind, Reactor& reactor, DiskThreads& threads,
                                                    std::string* note);
};

// Why io_uring cannot be used on this machine; ok when it can. For `doctor` and logs.
Status probe_io_uring();

}  // namespace ibexfs
