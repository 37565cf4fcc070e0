#include "chunks/io_uring_engine.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "chunks/disk_threads.h"
#include "chunks/io_uring_ring.h"
#include "transport/reactor.h"

namespace ibexfs {

namespace {

// More than a disk works on at once; the rest waits in the overflow queue. The kernel gives twice as many
// completion entries, so completions never overflow.
constexpr uint32_t kRingEntries = 256;

}  // namespace

class IoUringEngine final : public DiskEngine {
 public:
  IoUringEngine(Reactor& reactor, DiskThreads& threads, std::unique_ptr<IoUringRing> ring)
      : reactor_(reactor), threads_(threads), ring_(std::move(ring)), mailbox_(std::make_shared<DiskMailbox>(reactor)) {}

  ~IoUringEngine() override { reactor_.unwatch(ring_->event_fd()); }

  Status watch() {
    return reactor_.watch(ring_->event_fd(), EPOLLIN, [this](uint32_t) { on_event(); });
  }

  void submit(DiskJob* job) override {
    if (job->kind == DiskJob::Kind::kCall || job->in_thread) {
      mailbox_->expect();
      calls_.push(job);
    } else {
      job->moved_ = 0;
      ring_jobs_.fetch_add(1, std::memory_order_relaxed);
      waiting_.push(job);
    }
    flush_at_round_end();
  }

  void wake(DiskJob* job) override {
    mailbox_->expect();
    mailbox_->deliver(job, 0);
  }

  bool poll() override {
    flush();
    const bool called = mailbox_->run();
    return reap() || called;
  }

  size_t jobs_in_flight() const override { return ring_jobs_.load(std::memory_order_relaxed) + mailbox_->in_flight(); }
  const char* name() const override { return "io_uring"; }

 private:
  void flush_at_round_end() {
    if (std::exchange(flush_scheduled_, true)) return;
    reactor_.at_round_end([this, alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) flush();
    });
  }

  void flush() {
    flush_scheduled_ = false;
    if (!calls_.empty()) threads_.submit(std::exchange(calls_, {}), *mailbox_);
    while (!waiting_.empty() && in_ring_ < ring_->entries()) {
      io_uring_sqe* entry = ring_->next_entry();
      if (entry == nullptr) break;
      prepare(*entry, waiting_.pop());
      in_ring_++;
    }
    if (!ring_->has_unsubmitted()) return;
    const int error_number = ring_->submit(false);
    // Out of memory or of completion room for the moment: the entries stay queued and are offered again.
    if (error_number != 0 || ring_->has_unsubmitted()) {
      reactor_.schedule(std::chrono::milliseconds(1), [this, alive = std::weak_ptr(alive_)] {
        if (!alive.expired()) flush();
      });
    }
  }

  static void prepare(io_uring_sqe& entry, DiskJob* job) {
    entry.fd = job->fd;
    entry.user_data = reinterpret_cast<uint64_t>(job);
    if (job->kind == DiskJob::Kind::kSync) {
      entry.opcode = IORING_OP_FSYNC;
      entry.fsync_flags = IORING_FSYNC_DATASYNC;
      return;
    }
    entry.opcode = job->kind == DiskJob::Kind::kRead ? IORING_OP_READ : IORING_OP_WRITE;
    entry.addr = reinterpret_cast<uint64_t>(job->data + job->moved_);
    entry.len = static_cast<uint32_t>(job->length - job->moved_);
    entry.off = job->offset + job->moved_;
  }

  void on_event() {
    uint64_t count = 0;
    // Only rearms the descriptor; how many completed is seen in the ring.
    [[maybe_unused]] const ssize_t got = read(ring_->event_fd(), &count, sizeof(count));
    reap();
    if (!waiting_.empty()) flush_at_round_end();
  }

  bool reap() {
    uint64_t user_data = 0;
    int32_t result = 0;
    bool any = false;
    while (ring_->next_completion(&user_data, &result)) {
      any = true;
      in_ring_--;
      // The kernel carries the job's address as the integer that prepare() gave it.
      complete(reinterpret_cast<DiskJob*>(user_data), result);  // NOLINT(performance-no-int-to-ptr)
    }
    return any;
  }

  void complete(DiskJob* job, int32_t result) {
    const bool moves = job->kind != DiskJob::Kind::kSync;
    const bool again = result == -EAGAIN || result == -EINTR;
    if (result > 0 && moves) job->moved_ += static_cast<size_t>(result);
    if (again || (moves && result > 0 && job->moved_ < job->length && !job->is_direct_read)) {
      waiting_.push(job);
      flush_at_round_end();
      return;
    }
    ring_jobs_.fetch_sub(1, std::memory_order_relaxed);
    if (result < 0) {
      job->finish(result);
    } else if (job->kind == DiskJob::Kind::kWrite && job->moved_ < job->length) {
      job->finish(-EIO);  // a write that moves nothing and gives no reason
    } else {
      job->finish(static_cast<int64_t>(job->moved_));
    }
  }

  Reactor& reactor_;
  DiskThreads& threads_;
  std::unique_ptr<IoUringRing> ring_;
  std::shared_ptr<DiskMailbox> mailbox_;
  DiskJobList waiting_;  // for a place in the ring: the overflow queue
  DiskJobList calls_;    // of this round, for the disk threads
  uint32_t in_ring_ = 0;
  std::atomic<size_t> ring_jobs_{0};
  bool flush_scheduled_ = false;
  // Shared only so that a round-end task can tell that the engine is gone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

Result<std::unique_ptr<DiskEngine>> create_io_uring_engine(Reactor& reactor, DiskThreads& threads) {
  auto ring = IoUringRing::create(kRingEntries);
  if (!ring.ok()) return ring.status();
  auto engine = std::make_unique<IoUringEngine>(reactor, threads, ring.take());
  Status status = engine->watch();
  if (!status.ok()) return status;
  return std::unique_ptr<DiskEngine>(std::move(engine));
}

Status probe_io_uring() {
  return IoUringRing::create(2).status();
}

}  // namespace ibexfs
