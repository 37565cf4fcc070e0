// An epoll loop: descriptors, timers and posted tasks. A Reactor does not own a thread: a ReactorThread
// drives it, or the addon lets Node's own event loop drive it (its epoll descriptor is pollable), so that
// RPC traffic of a daemon without bulk data needs no thread hop.
// It outlives every connection that it serves: after its end a Connection may only be let go.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"

namespace ibexfs {

using MonotonicClock = std::chrono::steady_clock;
using TimerId = uint64_t;

// What the connections of a reactor moved over TCP.
struct SocketBytes {
  std::atomic<uint64_t> sent{0};
  std::atomic<uint64_t> received{0};
};

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

  // Runs what at_round_end collected. run_once does it; a driver that produced work outside of a round (the
  // addon after a batch of commands) calls it so that the work does not wait for the next round.
  void finish_round();

  // One round: waits at most timeout_ms (0: not at all, -1: until something happens), runs what is ready.
  // The thread that calls it is the driving thread.
  void run_once(int timeout_ms);
  // Before the first round: true for the thread that created the reactor.
  bool in_driving_thread() const;
  // Milliseconds until the next timer, or -1.
  int next_timeout_ms() const;
  // Any thread.
  SocketBytes& socket_bytes() { return socket_bytes_; }
  // The epoll descriptor; readable when run_once(0) has descriptors, timers or tasks to serve.
  int fd() const { return epoll_fd_.get(); }

 private:
  struct Watch {
    int fd = -1;
    uint32_t epoll_events = 0;
    bool removed = false;  // unwatched during a round whose ready list may still name it
    ReadyHandler handler;
  };

  Reactor() = default;
  void wake();
  void run_tasks();
  void run_timers();
  void arm_timer();

  UniqueFd epoll_fd_;
  UniqueFd wake_fd_;
  UniqueFd timer_fd_;
  std::atomic<std::thread::id> driving_thread_;
  SocketBytes socket_bytes_;

  std::mutex tasks_mutex_;
  std::vector<std::function<void()>> tasks_;  // guarded by tasks_mutex_

  // Of the driving thread.
  bool in_round_ = false;
  std::unordered_map<int, std::unique_ptr<Watch>> watches_;
  std::vector<std::unique_ptr<Watch>> removed_watches_;
  std::vector<std::function<void()>> round_end_tasks_;
  std::map<std::pair<MonotonicClock::time_point, TimerId>, std::function<void()>> timers_;
  std::unordered_map<TimerId, MonotonicClock::time_point> timer_times_;
  MonotonicClock::time_point armed_for_ = MonotonicClock::time_point::max();
  TimerId last_timer_ = 0;
};

// Drives a Reactor from a thread of its own until destroyed.
class ReactorThread {
 public:
  // `name` is what tools show for the thread; its first 15 bytes are used.
  ReactorThread(std::unique_ptr<Reactor> reactor, const std::string& name);
  ~ReactorThread();
  ReactorThread(const ReactorThread&) = delete;
  ReactorThread& operator=(const ReactorThread&) = delete;
  Reactor& reactor() { return *reactor_; }

 private:
  std::unique_ptr<Reactor> reactor_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace ibexfs
