#include "fuse/session.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "fuse/negotiate.h"
#include "fuse/session_core.h"
#include "fuse/worker.h"

namespace ibexfs {

namespace {

constexpr int kInitTimeoutMs = 5000;

// Answers the kernel's first request.
Status agree(FuseSession::Core& core) {
  const int fd = core.devices.front().get();
  // The device takes no read that could not hold the largest WRITE, even when it has only a small request.
  std::vector<uint8_t> request(kFuseDataBytesMax + 4096);
  while (true) {
    pollfd readable{fd, POLLIN, 0};
    const int ready = poll(&readable, 1, kInitTimeoutMs);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return Status(StatusCode::kTimedOut, "FUSE: the kernel sent no INIT for " + core.mount.mountpoint);
    const ssize_t bytes = read(fd, request.data(), request.size());
    if (bytes < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT)) continue;
    if (bytes < 0) return Status::from_errno(errno, "read FUSE INIT of " + core.mount.mountpoint);
    fuse_in_header header;
    if (static_cast<size_t>(bytes) < sizeof(header)) return Status(StatusCode::kBadRequest, "FUSE: a truncated request");
    std::memcpy(&header, request.data(), sizeof(header));
    const RequestOrigin origin{fd, header.unique};
    if (header.opcode != FUSE_INIT) {
      core.answer(origin, EIO);
      continue;
    }
    const auto answer =
        negotiate(Bytes{request}.subspan(sizeof(header), static_cast<size_t>(bytes) - sizeof(header)), core.options);
    if (!answer.ok()) {
      core.answer(origin, EPROTO);
      return answer.status();
    }
    core.answer_with(origin, answer.value());
    if (answer.value().max_write != 0) return {};
  }
}

Status open_devices(FuseSession::Core& core) {
  const uint32_t threads = std::clamp<uint32_t>(core.options.threads, 1, 16);
  for (uint32_t thread = 1; thread < threads; ++thread) {
    // A clone has a queue of its own for what is being answered, so that threads do not meet on one lock.
    UniqueFd clone(open("/dev/fuse", O_RDWR | O_CLOEXEC));
    uint32_t original = static_cast<uint32_t>(core.devices.front().get());
    if (!clone || ioctl(clone.get(), FUSE_DEV_IOC_CLONE, &original) != 0) {
      clone.reset(fcntl(core.devices.front().get(), F_DUPFD_CLOEXEC, 0));  // works, slower
      if (!clone) return Status::from_errno(errno, "duplicate the descriptor of /dev/fuse");
    }
    core.devices.push_back(std::move(clone));
  }
  for (const UniqueFd& device : core.devices) {
    if (fcntl(device.get(), F_SETFL, O_NONBLOCK) != 0) return Status::from_errno(errno, "make /dev/fuse non-blocking");
  }
  core.stop_event = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  return core.stop_event ? Status() : Status::from_errno(errno, "eventfd");
}

}  // namespace

Result<std::unique_ptr<FuseSession>> FuseSession::start(FuseMount mount, const FuseOptions& options, FileTable& files,
                                                        BufferPool& buffers, EventSink& sink) {
  std::unique_ptr<FuseSession> session(new FuseSession(std::make_shared<Core>(std::move(mount), options, files, buffers, sink)));
  Core& core = *session->core_;
  Status status = open_devices(core);
  if (status.ok()) status = agree(core);
  if (!status.ok()) return status;  // the session's end unmounts
  if (options.read_ahead_kb > 0 && geteuid() == 0) {
    const Status raised = set_read_ahead(core.mount, options.read_ahead_kb);
    if (!raised.ok()) log_event(sink, wire::LogLevel::kWarn, raised.message() + "; sequential reading will be slower");
  }
  for (const UniqueFd& device : core.devices) {
    session->threads_.emplace_back([shared = session->core_, fd = device.get()] { FuseWorker(shared, fd).run(); });
  }
  return session;
}

FuseSession::FuseSession(std::shared_ptr<Core> core) : core_(std::move(core)) {}

FuseSession::~FuseSession() {
  (void)stop(Unmount::kDetach);
}

Status FuseSession::stop(Unmount how) {
  const std::lock_guard lock(stop_mutex_);
  if (stopped_) return {};
  Status unmounted = unmount_fuse(core_->mount, how);
  if (!unmounted.ok() && how == Unmount::kWhenIdle) return unmounted;
  stopped_ = true;
  core_->stopping = true;
  core_->outbox->stop();
  if (core_->stop_event) {
    const uint64_t one = 1;
    (void)!write(core_->stop_event.get(), &one, sizeof(one));  // never taken out: it wakes every thread
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  core_->notifier.stop();
  return unmounted;
}

void FuseSession::report_closed(int error) {
  core_->closed(error);
}

void FuseSession::reply(const wire::FuseReplyCommand& command, Bytes data) {
  core_->reply(command, data);
}

void FuseSession::tell(const wire::FuseFactsCommand& command, std::string_view name) {
  core_->facts.tell(command, name);
}

bool FuseSession::invalidate_inode(uint64_t node, int64_t offset, int64_t length) {
  const fuse_notify_inval_inode_out record{node, offset, length};
  return core_->notifier.post(core_->devices.front().get(), FUSE_NOTIFY_INVAL_INODE, &record, sizeof(record), nullptr, 0);
}

bool FuseSession::invalidate_entry(uint64_t parent, std::string_view name) {
  if (name.empty() || name.size() > wire::kNameBytesMax) return false;
  const fuse_notify_inval_entry_out record{parent, static_cast<uint32_t>(name.size()), 0};
  const std::string terminated(name);
  return core_->notifier.post(core_->devices.front().get(), FUSE_NOTIFY_INVAL_ENTRY, &record, sizeof(record), terminated.c_str(),
                              terminated.size() + 1);
}

const FuseMount& FuseSession::mount() const {
  return core_->mount;
}

FuseSession::Statistics FuseSession::statistics() const {
  Statistics statistics;
  statistics.requests = core_->requests;
  statistics.name_requests = core_->name_requests;
  statistics.known_answers = core_->known_answers;
  statistics.name_requests_open = core_->pending.open();
  statistics.bytes_read = core_->bytes_read;
  statistics.bytes_written = core_->bytes_written;
  return statistics;
}

}  // namespace ibexfs
