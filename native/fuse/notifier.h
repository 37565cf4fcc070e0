// Tells the kernel to forget cached names, attributes and pages. On a thread of its own: the kernel takes
// locks for it that are held by operations which wait for an answer of ours.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace ibexfs {

class FuseNotifier {
 public:
  FuseNotifier() = default;
  ~FuseNotifier() { stop(); }
  FuseNotifier(const FuseNotifier&) = delete;
  FuseNotifier& operator=(const FuseNotifier&) = delete;

  // `fd` of a started session. False: kWaitingMax are waiting already, or stopped.
  bool post(int fd, int32_t code, const void* record, size_t record_bytes, const void* tail, size_t tail_bytes);
  // What waits is dropped; returns when the kernel has let go of the thread.
  void stop();

 private:
  static constexpr size_t kWaitingMax = 65'536;
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false;
  int fd_ = -1;
  std::deque<std::vector<uint8_t>> waiting_;
  std::thread thread_;  // started by the first notification
};

}  // namespace ibexfs
