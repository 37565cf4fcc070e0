// The event ring: native threads append records, JavaScript reads them in batches straight from the memory.
// One mutex orders producers; the consumer takes no lock. A wake-up is sent only while JavaScript sleeps.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "base/event_sink.h"

namespace ibexfs {

class EventRing : public EventSink {
 public:
  static constexpr size_t kControlBytes = 64;

  // capacity_bytes: a power of two. `wake` is called from producers' threads.
  // `wake_soon`: called for unhurried records; it has to call look_again() a little later.
  EventRing(size_t capacity_bytes, std::function<void()> wake, std::function<void()> wake_soon);
  ~EventRing() override;
  EventRing(const EventRing&) = delete;
  EventRing& operator=(const EventRing&) = delete;

  using EventSink::push;
  bool push(wire::EventKind kind, void* record, size_t record_bytes, std::initializer_list<Bytes> tails) override;
  bool push_unhurried(wire::EventKind kind, void* record, size_t record_bytes, std::initializer_list<Bytes> tails) override;
  void when_room(std::function<void()> retry) override;
  // Wakes JavaScript for records that it was not woken for.
  void look_again();

  // For records that answer a request and so are bounded by what JavaScript asked for: kept aside when the
  // ring is full, in order; while some are, push finds no room either.
  template <typename Record>
  void push_surely(wire::EventKind kind, Record& record, std::initializer_list<Bytes> tails = {}) {
    push_or_keep(kind, &record, sizeof(record), tails);
  }

  // JavaScript has read while somebody waited for room.
  void room_made();
  bool empty() const;

  uint8_t* memory() const { return memory_; }
  size_t memory_bytes() const { return kControlBytes + capacity_; }

 private:
  struct Control {
    std::atomic<uint32_t> head;    // JavaScript has read up to here; byte positions wrap at 2^32
    std::atomic<uint32_t> tail;    // records end here
    std::atomic<uint32_t> sleeps;  // 1: JavaScript wants a wake-up for the next record
    std::atomic<uint32_t> wanted;  // 1: somebody waits for room
  };
  bool append(wire::EventKind kind, const void* record, size_t record_bytes, std::initializer_list<Bytes> tails);
  bool append_locked(wire::EventKind kind, const void* record, size_t record_bytes, std::initializer_list<Bytes> tails);
  void push_or_keep(wire::EventKind kind, void* record, size_t record_bytes, std::initializer_list<Bytes> tails);
  void wake_if_asleep();

  uint8_t* memory_ = nullptr;
  uint8_t* data_ = nullptr;
  Control* control_ = nullptr;
  const size_t capacity_;
  const std::function<void()> wake_;
  const std::function<void()> wake_soon_;
  std::mutex mutex_;
  std::deque<std::vector<uint8_t>> kept_;  // whole records
  std::vector<std::function<void()>> waiters_;
};

}  // namespace ibexfs
