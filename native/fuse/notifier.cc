#include "fuse/notifier.h"

#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstring>
#include <utility>

namespace ibexfs {

bool FuseNotifier::post(int fd, int32_t code, const void* record, size_t record_bytes, const void* tail, size_t tail_bytes) {
  fuse_out_header header{};
  header.len = static_cast<uint32_t>(sizeof(header) + record_bytes + tail_bytes);
  header.error = code;
  std::vector<uint8_t> message(header.len);
  std::memcpy(message.data(), &header, sizeof(header));
  std::memcpy(message.data() + sizeof(header), record, record_bytes);
  if (tail_bytes > 0) std::memcpy(message.data() + sizeof(header) + record_bytes, tail, tail_bytes);
  {
    const std::lock_guard lock(mutex_);
    if (stopped_ || waiting_.size() >= kWaitingMax) return false;
    waiting_.push_back(std::move(message));
    fd_ = fd;
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  }
  wake_.notify_one();
  return true;
}

void FuseNotifier::run() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  pthread_setname_np(pthread_self(), "ibex-notify");
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopped_ || !waiting_.empty(); });
    if (stopped_) return;
    const std::vector<uint8_t> message = std::move(waiting_.front());
    waiting_.pop_front();
    const int fd = fd_;
    lock.unlock();
    // ENOENT: the kernel does not know the inode or name, so there is nothing to forget.
    (void)!write(fd, message.data(), message.size());
    lock.lock();
  }
}

void FuseNotifier::stop() {
  std::thread thread;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    waiting_.clear();
    thread.swap(thread_);
  }
  wake_.notify_all();
  if (thread.joinable()) thread.join();
}

}  // namespace ibexfs
