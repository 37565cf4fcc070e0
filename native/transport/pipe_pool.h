// Pipes that carry page-cache pages from a file to a socket without a copy. Bounded: the kernel accounts
// pipe memory per user, and a pool that is empty makes the caller read into a buffer instead.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"

namespace ibexfs {

class PipePool;

// One pipe and the bytes in it. Used by one thread at a time: who fills it hands it to a connection.
class PipeSlice {
 public:
  ~PipeSlice();
  PipeSlice(const PipeSlice&) = delete;
  PipeSlice& operator=(const PipeSlice&) = delete;

  // Splices up to `length` bytes of the file in; waits for the disk where they are not cached. Gives the bytes
  // that are now in the pipe: fewer at the end of the file, and where the range is not page-aligned and
  // longer than PipePool::kSliceBytes less a page (a pipe holds a number of pages, however full).
  Result<size_t> fill_from_file(int fd, uint64_t offset, size_t length);
  size_t bytes() const { return bytes_; }

  // One splice of up to `length` bytes into a non-blocking socket; -1 with errno as splice(2) has it.
  ssize_t drain_to_socket(int socket, size_t length, bool more_follows);

 private:
  friend class PipePool;
  struct Pipe {
    UniqueFd read_end;
    UniqueFd write_end;
  };
  struct Shared;
  PipeSlice(std::shared_ptr<Shared> shared, Pipe pipe) : shared_(std::move(shared)), pipe_(std::move(pipe)) {}

  std::shared_ptr<Shared> shared_;
  Pipe pipe_;
  size_t bytes_ = 0;
};

// Thread-safe. Slices may outlive the pool.
class PipePool {
 public:
  static constexpr size_t kSliceBytes = 1U << 20;

  // splice(2) to a closed socket raises SIGPIPE and has no flag against it, so the signal is ignored from
  // here on unless the process handles it itself (Node ignores it too).
  explicit PipePool(size_t pipes_max);
  ~PipePool();

  // An empty slice of room for kSliceBytes, or nullptr when all pipes are in use or the kernel grants none.
  std::shared_ptr<PipeSlice> take();
  size_t in_use() const;

 private:
  std::shared_ptr<PipeSlice::Shared> shared_;
};

}  // namespace ibexfs
