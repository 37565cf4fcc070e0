// Pipes for splice(2).
#include "transport/pipe_pool.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

namespace ibexfs {

struct PipeSlice::Shared {
  mutable std::mutex mutex;
  size_t pipes_max = 0;
  size_t in_use = 0;
  std::vector<Pipe> idle;
};

PipePool::PipePool(size_t pipes_max) : shared_(std::make_shared<PipeSlice::Shared>()) {
  shared_->pipes_max = pipes_max;
  struct sigaction current {};
  if (sigaction(SIGPIPE, nullptr, &current) == 0 && (current.sa_flags & SA_SIGINFO) == 0 && current.sa_handler == SIG_DFL) {
    current.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &current, nullptr);
  }
}

PipePool::~PipePool() = default;

std::shared_ptr<PipeSlice> PipePool::take() {
  PipeSlice::Pipe pipe;
  {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->in_use == shared_->pipes_max) return nullptr;
    ++shared_->in_use;
    if (!shared_->idle.empty()) {
      pipe = std::move(shared_->idle.back());
      shared_->idle.pop_back();
    }
  }
  if (!pipe.read_end) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) == 0) {
      pipe = {UniqueFd(ends[0]), UniqueFd(ends[1])};
      // Above the user's share of pipe memory the kernel refuses, or has made the pipe one page small.
      if (fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(kSliceBytes)) < static_cast<int>(kSliceBytes)) pipe = {};
    }
  }
  if (!pipe.read_end) {
    const std::lock_guard lock(shared_->mutex);
    --shared_->in_use;
    return nullptr;
  }
  return std::shared_ptr<PipeSlice>(new PipeSlice(shared_, std::move(pipe)));
}

size_t PipePool::in_use() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->in_use;
}

PipeSlice::~PipeSlice() {
  const std::lock_guard lock(shared_->mutex);
  --shared_->in_use;
  // One with bytes left (the connection closed on the way) is closed, not emptied.
  if (bytes_ == 0) shared_->idle.push_back(std::move(pipe_));
}

Result<size_t> PipeSlice::fill_from_file(int fd, uint64_t offset, size_t length) {
  auto at = static_cast<off_t>(offset);
  const size_t wanted = std::min(length, PipePool::kSliceBytes);
  size_t filled = 0;
  while (filled < wanted) {
    // Without SPLICE_F_NONBLOCK a full pipe would block for ever; the wait for the disk is not affected by it.
    const ssize_t moved = splice(fd, &at, pipe_.write_end.get(), nullptr, wanted - filled, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (moved > 0) {
      filled += static_cast<size_t>(moved);
      bytes_ += static_cast<size_t>(moved);
    } else if (moved == 0 || errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      return Status::from_errno(errno, "splice " + std::to_string(wanted) + " bytes at " + std::to_string(offset));
    }
  }
  return filled;
}

ssize_t PipeSlice::drain_to_socket(int socket, size_t length, bool more_follows) {
  const unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more_follows ? SPLICE_F_MORE : 0U);
  const ssize_t moved = splice(pipe_.read_end.get(), nullptr, socket, nullptr, std::min(length, bytes_), flags);
  if (moved > 0) bytes_ -= static_cast<size_t>(moved);
  return moved;
}

}  // namespace ibexfs
