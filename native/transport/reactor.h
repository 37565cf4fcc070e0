// An epoll loop: descriptors, timers and posted tasks. A Reactor does not own a thread: a ReactorThread
// drives it, or the addon lets Node's own event loop drive it (its epoll descriptor is pollable), so that
// RPC traffic of a daemon without bulk data needs no thread hop.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <queue>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/status.h"

namespace ibexfs {

using MonotonicClock = std::chrono::steady_clock;
using TimerId = uint64_t;

class Reactor {
 public:
  static Result<std::unique_ptr<Reactor>> create();
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // Any thread: runs `task` in the next round of the driving thread.
  void post(std::function<void()> task);

  // The functions below belong to the driving thread.
  using ReadyHandler = std::function<void(uint32_t epoll_events)>;
  Status watch(int fd, uint32_t epoll_events, ReadyHandler handler);
  Status change(int fd, uint32_t epoll_events);
  void unwatch(int fd);
  TimerId schedule(std::chrono::milliseconds delay, std::function<void()> task);
  void cancel(TimerId timer);
  // Runs `task` at the end of the current round, after every ready descriptor was served: connections
  // use it to send what a whole round produced with one system call.
  void at_round_end(std::function<void()> task);

  // One round: waits at most timeout_ms (0: not at all, -1: until something happens), runs what is ready.
  void run_once(int timeout_ms);
  bool in_driving_thread() const;
  // Milliseconds until the next timer, or -1.
  int next_timeout_ms() const;
  // The epoll descriptor; readable when run_once(0) has descriptors or tasks to serve (timers are served
  // through a timerfd, so they show here too).
  int fd() const { return epoll_fd_; }

 private:
  Reactor() = default;
  int epoll_fd_ = -1;
  // The implementation adds what it needs.
};

// Drives a Reactor from a thread of its own until destroyed.
class ReactorThread {
 public:
  ReactorThread(std::unique_ptr<Reactor> reactor, const std::string& name);
  ~ReactorThread();
  Reactor& reactor() { return *reactor_; }

 private:
  std::unique_ptr<Reactor> reactor_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace ibexfs
