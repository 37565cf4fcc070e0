// Hands FuseRequestEvents to the EventSink when it may be full: a FUSE thread waits for room (the kernel's
// queue is the back-pressure), any other thread leaves the event here, and it follows when there is room.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "base/event_sink.h"
#include "fuse/request.h"

namespace ibexfs {

class EventOutbox : public std::enable_shared_from_this<EventOutbox> {
 public:
  explicit EventOutbox(EventSink& sink) : sink_(sink) {}

  // False when stop() was called meanwhile.
  bool push_waiting(NameRequest& request);
  // Never waits. What is left here is bounded by the kernel's open requests.
  void push_or_keep(NameRequest& request);
  void stop();

 private:
  struct Kept {
    wire::FuseRequestEvent event;
    std::vector<uint8_t> name, second;
  };
  bool try_push(NameRequest& request);
  void ask_for_room();
  void on_room();

  EventSink& sink_;
  std::mutex mutex_;
  std::condition_variable room_;
  bool stopped_ = false;
  std::deque<Kept> kept_;
};

}  // namespace ibexfs
