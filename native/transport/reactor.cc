// The epoll loop behind reactor.h.
#include "transport/reactor.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <ctime>
#include <utility>

namespace ibexfs {
namespace {

// Ready descriptors served in a round; the others are reported again in the next.
constexpr int kReadyMax = 256;

timespec to_timespec(std::chrono::nanoseconds duration) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  return {static_cast<time_t>(seconds.count()), static_cast<long>((duration - seconds).count())};
}

}  // namespace

Result<std::unique_ptr<Reactor>> Reactor::create() {
  std::unique_ptr<Reactor> reactor(new Reactor());
  reactor->epoll_fd_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!reactor->epoll_fd_) return Status::from_errno(errno, "epoll_create1");
  reactor->wake_fd_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!reactor->wake_fd_) return Status::from_errno(errno, "eventfd");
  reactor->timer_fd_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!reactor->timer_fd_) return Status::from_errno(errno, "timerfd_create");
  reactor->driving_thread_ = std::this_thread::get_id();

  Reactor* self = reactor.get();
  Status status = self->watch(self->wake_fd_.get(), EPOLLIN, [self](uint32_t) {
    uint64_t count;
    (void)!read(self->wake_fd_.get(), &count, sizeof(count));
    self->run_tasks();
  });
  if (!status.ok()) return status;
  status = self->watch(self->timer_fd_.get(), EPOLLIN, [self](uint32_t) {
    uint64_t count;
    (void)!read(self->timer_fd_.get(), &count, sizeof(count));
    self->run_timers();
  });
  if (!status.ok()) return status;
  return reactor;
}

Reactor::~Reactor() {
  // Letting go of what handlers and tasks hold may post more tasks; all of it goes before any member does.
  removed_watches_.clear();
  timers_.clear();
  round_end_tasks_.clear();
  auto watches = std::move(watches_);
  watches.clear();
  for (;;) {
    std::vector<std::function<void()>> tasks;
    {
      const std::lock_guard lock(tasks_mutex_);
      tasks.swap(tasks_);
    }
    if (tasks.empty()) break;
  }
}

void Reactor::wake() {
  const uint64_t one = 1;
  // It can only fail when the counter is full, and then the reactor is awake.
  (void)!write(wake_fd_.get(), &one, sizeof(one));
}

void Reactor::post(std::function<void()> task) {
  bool first;
  {
    const std::lock_guard lock(tasks_mutex_);
    first = tasks_.empty();
    tasks_.push_back(std::move(task));
  }
  if (first) wake();
}

Status Reactor::watch(int fd, uint32_t epoll_events, ReadyHandler handler) {
  auto watch = std::make_unique<Watch>();
  watch->fd = fd;
  watch->epoll_events = epoll_events;
  watch->handler = std::move(handler);
  epoll_event event{};
  event.events = epoll_events;
  event.data.ptr = watch.get();
  if (epoll_ctl(epoll_fd_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return Status::from_errno(errno, "watch descriptor " + std::to_string(fd));
  }
  watches_[fd] = std::move(watch);
  return {};
}

Status Reactor::change(int fd, uint32_t epoll_events) {
  const auto found = watches_.find(fd);
  if (found == watches_.end()) return {StatusCode::kBadDescriptor, "descriptor " + std::to_string(fd) + " is not watched"};
  if (found->second->epoll_events == epoll_events) return {};
  epoll_event event{};
  event.events = epoll_events;
  event.data.ptr = found->second.get();
  if (epoll_ctl(epoll_fd_.get(), EPOLL_CTL_MOD, fd, &event) != 0) {
    return Status::from_errno(errno, "change watch of descriptor " + std::to_string(fd));
  }
  found->second->epoll_events = epoll_events;
  return {};
}

void Reactor::unwatch(int fd) {
  const auto found = watches_.find(fd);
  if (found == watches_.end()) return;
  epoll_ctl(epoll_fd_.get(), EPOLL_CTL_DEL, fd, nullptr);
  found->second->removed = true;
  // The handler may be the caller, and the ready list of this round may name the watch: it goes at round end.
  removed_watches_.push_back(std::move(found->second));
  watches_.erase(found);
  if (!in_round_) removed_watches_.clear();
}

TimerId Reactor::schedule(std::chrono::milliseconds delay, std::function<void()> task) {
  const TimerId id = ++last_timer_;
  const auto at = MonotonicClock::now() + delay;
  timers_.emplace(std::pair(at, id), std::move(task));
  timer_times_.emplace(id, at);
  arm_timer();
  return id;
}

void Reactor::cancel(TimerId timer) {
  const auto found = timer_times_.find(timer);
  if (found == timer_times_.end()) return;
  timers_.erase({found->second, timer});
  timer_times_.erase(found);
  // The timerfd stays armed: one wake-up for nothing costs less than setting it at each cancel.
}

void Reactor::arm_timer() {
  if (timers_.empty()) return;
  const auto first = timers_.begin()->first.first;
  if (first >= armed_for_) return;
  armed_for_ = first;
  itimerspec when{};
  // An absolute time of 0 would disarm it.
  when.it_value = to_timespec(std::max(first.time_since_epoch(), MonotonicClock::duration(1)));
  timerfd_settime(timer_fd_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void Reactor::run_timers() {
  armed_for_ = MonotonicClock::time_point::max();
  const auto now = MonotonicClock::now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    timer_times_.erase(node.key().second);
    node.mapped()();
  }
  arm_timer();
}

void Reactor::run_tasks() {
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(tasks_mutex_);
    tasks.swap(tasks_);
  }
  // Those that these post wait for the next round, so that descriptors get their turn.
  for (const auto& task : tasks) task();
}

void Reactor::at_round_end(std::function<void()> task) {
  round_end_tasks_.push_back(std::move(task));
  if (!in_round_ && round_end_tasks_.size() == 1) wake();
}

void Reactor::finish_round() {
  while (!round_end_tasks_.empty()) {
    std::vector<std::function<void()>> tasks;
    tasks.swap(round_end_tasks_);
    for (const auto& task : tasks) task();
  }
}

void Reactor::run_once(int timeout_ms) {
  driving_thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  std::array<epoll_event, kReadyMax> ready;
  const int count = epoll_wait(epoll_fd_.get(), ready.data(), kReadyMax, timeout_ms);
  in_round_ = true;
  for (int i = 0; i < count; ++i) {
    auto* watch = static_cast<Watch*>(ready[static_cast<size_t>(i)].data.ptr);
    if (!watch->removed) watch->handler(ready[static_cast<size_t>(i)].events);
  }
  finish_round();
  in_round_ = false;
  // Swapped out first: letting a handler go may end what it holds, and that may unwatch others.
  std::vector<std::unique_ptr<Watch>> removed;
  removed.swap(removed_watches_);
}

bool Reactor::in_driving_thread() const {
  return driving_thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
}

int Reactor::next_timeout_ms() const {
  if (timers_.empty()) return -1;
  const auto left = timers_.begin()->first.first - MonotonicClock::now();
  if (left <= MonotonicClock::duration::zero()) return 0;
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

}  // namespace ibexfs
