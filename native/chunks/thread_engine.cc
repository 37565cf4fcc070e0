// The disk engine that works everywhere: every job in a disk thread. Also chooses between the engines.
#include "chunks/disk_threads.h"
#include "chunks/io_uring_engine.h"
#include "transport/reactor.h"

namespace ibexfs {

namespace {

class ThreadEngine final : public DiskEngine {
 public:
  ThreadEngine(Reactor& reactor, DiskThreads& threads)
      : reactor_(reactor), threads_(threads), mailbox_(std::make_shared<DiskMailbox>(reactor)) {}

  void submit(DiskJob* job) override {
    mailbox_->expect();
    if (batch_->empty()) {
      reactor_.at_round_end([this, alive = std::weak_ptr(batch_)] {
        if (!alive.expired()) flush();
      });
    }
    batch_->push(job);
  }

  void wake(DiskJob* job) override {
    mailbox_->expect();
    mailbox_->deliver(job, 0);
  }

  bool poll() override {
    flush();
    return mailbox_->run();
  }

  size_t jobs_in_flight() const override { return mailbox_->in_flight(); }
  const char* name() const override { return "threads"; }

 private:
  void flush() {
    if (!batch_->empty()) threads_.submit(std::exchange(*batch_, {}), *mailbox_);
  }

  Reactor& reactor_;
  DiskThreads& threads_;
  std::shared_ptr<DiskMailbox> mailbox_;
  // Shared only so that a round-end task can tell that the engine is gone.
  std::shared_ptr<DiskJobList> batch_ = std::make_shared<DiskJobList>();
};

}  // namespace

Result<std::unique_ptr<DiskEngine>> DiskEngine::create(DiskEngineKind kind, Reactor& reactor, DiskThreads& threads,
                                                       std::string* note) {
  if (kind != DiskEngineKind::kThreads) {
    auto ring = create_io_uring_engine(reactor, threads);
    if (ring.ok() || kind == DiskEngineKind::kIoUring) return ring;
    if (note != nullptr) *note = ring.status().message();
  }
  return std::unique_ptr<DiskEngine>(std::make_unique<ThreadEngine>(reactor, threads));
}

}  // namespace ibexfs
