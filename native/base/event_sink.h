// Where native code puts the records that TypeScript reads. The addon implements it by the event ring;
// unit tests by a vector.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string_view>

#include "base/wire.h"

namespace ibexfs {

using Bytes = std::span<const uint8_t>;

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

class EventSink {
 public:
  virtual ~EventSink() = default;

  // Appends one record: `record` is a struct of base/wire.h that starts with a RingRecord (whose kind
  // and length are filled here), `tails` are the bytes that follow it, back to back. All or nothing;
  // false when there is no room. Any thread.
  virtual bool push(wire::EventKind kind, void* record, size_t record_bytes, std::initializer_list<Bytes> tails) = 0;

  // The same for what nobody waits for: whoever reads the records is not woken for it, and sees it with the next
  // that it is woken for, or a few milliseconds later.
  virtual bool push_unhurried(wire::EventKind kind, void* record, size_t record_bytes, std::initializer_list<Bytes> tails) {
    return push(kind, record, record_bytes, tails);
  }

  // Calls `retry` once, on an unspecified thread, when room has been made. A producer whose push failed
  // registers, then pushes once more, so that no wake-up is lost.
  virtual void when_room(std::function<void()> retry) = 0;

  template <typename Record>
  bool push(wire::EventKind kind, Record& record, std::initializer_list<Bytes> tails = {}) {
    return push(kind, &record, sizeof(record), tails);
  }
};

// Pushes a log event; when the sink is full the message goes to standard error instead, never lost.
void log_event(EventSink& sink, wire::LogLevel level, std::string_view message);

}  // namespace ibexfs
