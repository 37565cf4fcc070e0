// Log events of native code.
#include "base/event_sink.h"

#include <cstdio>

namespace ibexfs {

void log_event(EventSink& sink, wire::LogLevel level, std::string_view message) {
  // One line of log has no use for more, and the length must fit the record.
  constexpr size_t kMessageBytesMax = 4096;
  message = message.substr(0, kMessageBytesMax);
  wire::LogEvent event;
  event.level = static_cast<uint16_t>(level);
  event.text_length = static_cast<uint32_t>(message.size());
  if (!sink.push(wire::EventKind::kLog, event, {as_bytes(message)})) {
    std::fprintf(stderr, "ibexfs: %.*s\n", static_cast<int>(message.size()), message.data());
  }
}

}  // namespace ibexfs
