#include "fuse/event_outbox.h"

#include <chrono>
#include <utility>

namespace ibexfs {

namespace {

// A wake-up that gets lost costs this much, no more.
constexpr std::chrono::milliseconds kRecheck{100};

// What no program waits for.
bool is_unhurried(wire::FuseOperation operation) {
  return operation == wire::FuseOperation::kRelease || operation == wire::FuseOperation::kReleasedir ||
         operation == wire::FuseOperation::kForget;
}

}  // namespace

bool EventOutbox::try_push(NameRequest& request) {
  if (is_unhurried(static_cast<wire::FuseOperation>(request.event.operation))) {
    return sink_.push_unhurried(wire::EventKind::kFuseRequest, &request.event, sizeof(request.event),
                                {request.name, request.second});
  }
  return sink_.push(wire::EventKind::kFuseRequest, request.event, {request.name, request.second});
}

void EventOutbox::ask_for_room() {
  sink_.when_room([weak = weak_from_this()] {
    if (const auto outbox = weak.lock()) outbox->on_room();
  });
}

bool EventOutbox::push_waiting(NameRequest& request) {
  if (try_push(request)) return true;
  ask_for_room();
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    lock.unlock();
    if (try_push(request)) return true;
    lock.lock();
    if (room_.wait_for(lock, kRecheck) == std::cv_status::no_timeout) {
      lock.unlock();
      if (try_push(request)) return true;
      ask_for_room();
      lock.lock();
    }
  }
  return false;
}

void EventOutbox::push_or_keep(NameRequest& request) {
  if (try_push(request)) return;
  {
    const std::lock_guard lock(mutex_);
    kept_.push_back({request.event, {request.name.begin(), request.name.end()}, {request.second.begin(), request.second.end()}});
  }
  ask_for_room();
  on_room();  // room made before ask_for_room was called has woken nobody
}

void EventOutbox::on_room() {
  bool more = false;
  {
    const std::lock_guard lock(mutex_);
    while (!kept_.empty() && !stopped_) {
      Kept& first = kept_.front();
      NameRequest request{first.event, first.name, first.second};
      if (!try_push(request)) break;
      kept_.pop_front();
    }
    more = !kept_.empty() && !stopped_;
  }
  room_.notify_all();
  if (more) ask_for_room();
}

void EventOutbox::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    kept_.clear();
  }
  room_.notify_all();
}

}  // namespace ibexfs
