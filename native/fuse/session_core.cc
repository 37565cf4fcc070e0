#include "fuse/session_core.h"

#include <sys/uio.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <string>

namespace ibexfs {

FuseSession::Core::Core(FuseMount mounted, const FuseOptions& chosen, FileTable& file_table, BufferPool& pool,
                        EventSink& event_sink)
    : mount(std::move(mounted)),
      options(chosen),
      files(file_table),
      buffers(pool),
      sink(event_sink),
      outbox(std::make_shared<EventOutbox>(event_sink)) {
  devices.emplace_back(mount.fd);
}

void FuseSession::Core::answer(const RequestOrigin& origin, int error, std::span<const iovec> parts) {
  constexpr size_t kPartsMax = 3;
  assert(parts.size() <= kPartsMax);
  fuse_out_header header{sizeof(fuse_out_header), -error, origin.unique};
  std::array<iovec, kPartsMax + 1> vector;
  int count = 0;
  vector[count++] = {&header, sizeof(header)};
  if (error == 0) {
    for (const iovec& part : parts) {
      header.len += static_cast<uint32_t>(part.iov_len);
      vector[count++] = part;
    }
  }
  // The device takes an answer whole or not at all. ENOENT: the request was given up; ENODEV: the mount is gone.
  if (writev(origin.fd, vector.data(), count) >= 0 || errno == ENOENT || errno == ENODEV || errno == EPERM || stopping) return;
  const int refused = errno;
  log_event(
      sink, wire::LogLevel::kError,
      Status::from_errno(refused, "FUSE answer of " + std::to_string(header.len) + " bytes on " + mount.mountpoint).message());
  if (error != 0 || parts.empty()) return;
  header = {sizeof(header), -EIO, origin.unique};
  (void)!writev(origin.fd, vector.data(), 1);
}

bool FuseSession::Core::prepare(const RequestOrigin& origin, uint32_t opcode, NameRequest& request) {
  request.event.session = options.session;
  request.event.unique = 0;
  name_requests.fetch_add(1, std::memory_order_relaxed);
  if (origin.fd < 0) return true;  // no answer is expected
  request.event.unique = pending.add({origin, {opcode, static_cast<uint32_t>(request.event.size)}});
  if (request.event.unique != 0) return true;
  answer(origin, ENOMEM);
  return false;
}

void FuseSession::Core::hand_over(const RequestOrigin& origin, uint32_t opcode, NameRequest& request) {
  if (prepare(origin, opcode, request)) outbox->push_waiting(request);
}

void FuseSession::Core::hand_over_later(const RequestOrigin& origin, uint32_t opcode, NameRequest& request) {
  if (prepare(origin, opcode, request)) outbox->push_or_keep(request);
}

void FuseSession::Core::reply(const wire::FuseReplyCommand& command, Bytes data) {
  if (command.unique == 0) return;
  const auto request = pending.take(command.unique);
  if (!request) {
    log_event(sink, wire::LogLevel::kError, "FUSE answer to request " + std::to_string(command.unique) + ", which is not open");
    return;
  }
  if (command.error != 0) return answer(request->origin, errno_of(command.error));
  std::vector<uint8_t> payload;
  const int refused = encode_reply(request->context, command, data, payload);
  if (refused < 0) {
    log_event(sink, wire::LogLevel::kError,
              "FUSE answer of kind " + std::to_string(command.kind) + " does not fit a request of opcode " +
                  std::to_string(request->context.opcode));
  }
  if (refused != 0) return answer(request->origin, refused < 0 ? EIO : refused);
  const iovec part{payload.data(), payload.size()};
  answer(request->origin, 0, std::span(&part, payload.empty() ? 0 : 1));
}

void FuseSession::Core::closed(int error) {
  if (closed_reported.exchange(true)) return;
  wire::FuseClosedEvent event;
  event.session = options.session;
  event.status = static_cast<uint32_t>(error);
  if (sink.push(wire::EventKind::kFuseClosed, event)) return;
  sink.when_room([weak = weak_from_this()] {
    const auto core = weak.lock();
    if (!core) return;
    core->closed_reported = false;
    core->closed(ENODEV);
  });
}

}  // namespace ibexfs
