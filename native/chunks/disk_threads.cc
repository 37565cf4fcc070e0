#include "chunks/disk_threads.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "chunks/disk_io.h"
#include "transport/reactor.h"

namespace ibexfs {

void DiskMailbox::deliver(DiskJob* job, int64_t result) {
  // The reactor is told under the lock, and the mailbox kept alive across it: a shutdown may destroy
  // both as soon as the last job has arrived.
  const std::shared_ptr<DiskMailbox> self = shared_from_this();
  std::lock_guard lock(mutex_);
  job->result_ = result;
  arrived_.push(job);
  if (!std::exchange(posted_, true)) reactor_.post([self] { self->run(); });
}

bool DiskMailbox::run() {
  DiskJobList jobs;
  {
    std::lock_guard lock(mutex_);
    std::swap(jobs, arrived_);
    posted_ = false;
  }
  const bool any = !jobs.empty();
  while (DiskJob* job = jobs.pop()) {
    in_flight_.fetch_sub(1, std::memory_order_release);
    job->finish(job->result_);
  }
  return any;
}

DiskThreads::DiskThreads(uint32_t threads) {
  threads = std::max(threads, 2U);
  // Half of the threads stay free of flushes, so that a slow disk flush never stops reads and opens.
  slow_running_max_ = threads / 2;
  // Signals are for the main thread: Node handles them there.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  threads_.reserve(threads);
  for (uint32_t i = 0; i < threads; i++) {
    threads_.emplace_back([this] { work(); });
    pthread_setname_np(threads_.back().native_handle(), "ibex-disk");
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

DiskThreads::~DiskThreads() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void DiskThreads::submit(DiskJobList jobs, DiskMailbox& mailbox) {
  size_t wakes = 0;
  {
    std::lock_guard lock(mutex_);
    wakes = std::min<size_t>(jobs.size(), idle_);
    while (DiskJob* job = jobs.pop()) {
      job->mailbox_ = &mailbox;
      (is_slow(*job) ? slow_ : quick_).push(job);
    }
  }
  for (; wakes > 0; wakes--) wake_.notify_one();
}

DiskJob* DiskThreads::take(std::unique_lock<std::mutex>& lock) {
  for (;;) {
    if (!slow_.empty() && slow_running_ < slow_running_max_) {
      slow_running_++;
      return slow_.pop();
    }
    if (DiskJob* job = quick_.pop()) return job;
    if (stop_) return nullptr;
    idle_++;
    wake_.wait(lock);
    idle_--;
  }
}

void DiskThreads::work() {
  std::unique_lock lock(mutex_);
  while (DiskJob* job = take(lock)) {
    lock.unlock();
    const bool slow = is_slow(*job);  // read before delivery: the job may be gone after it
    DiskMailbox* mailbox = job->mailbox_;
    mailbox->deliver(job, execute(*job));
    lock.lock();
    if (slow) slow_running_--;
  }
}

int64_t DiskThreads::execute(DiskJob& job) {
  if (job.kind == DiskJob::Kind::kCall) return job.call();
  if (job.kind == DiskJob::Kind::kSync) return fdatasync(job.fd) == 0 ? 0 : -errno;
  if (job.is_direct_read) return read_once(job.fd, job.data, job.length, job.offset);
  if (job.kind == DiskJob::Kind::kRead) return read_fully(job.fd, job.data, job.length, job.offset);
  return write_fully(job.fd, job.data, job.length, job.offset);
}

}  // namespace ibexfs
