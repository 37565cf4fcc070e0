#include "fuse/worker.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace ibexfs {

namespace {

// Requests read before the frames that they caused leave: more adds delay, not speed.
constexpr int kBatchRequests = 16;
constexpr std::chrono::milliseconds kBufferRecheck{50};

}  // namespace

void FuseWorker::run() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);  // signals are for the threads of Node
  pthread_setname_np(pthread_self(), "ibex-fuse");
  const UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  // Exclusive: a request wakes one thread, not all that sleep.
  epoll_event requests{EPOLLIN | EPOLLEXCLUSIVE, {}};
  epoll_event stop{EPOLLIN, {}};
  if (!epoll || epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd_, &requests) != 0 ||
      epoll_ctl(epoll.get(), EPOLL_CTL_ADD, core_->stop_event.get(), &stop) != 0) {
    log_event(core_->sink, wire::LogLevel::kError, Status::from_errno(errno, "epoll of a FUSE thread").message());
    return;
  }
  while (!core_->stopping) {
    Round round = Round::kMore;
    while (round == Round::kMore && !core_->stopping) round = serve_queue();
    if (round == Round::kEnd || core_->stopping) break;
    epoll_event ready;
    if (epoll_wait(epoll.get(), &ready, 1, -1) < 0 && errno != EINTR) break;
  }
}

FuseWorker::Round FuseWorker::serve_queue() {
  ChunkSendBatch batch;
  batch_ = &batch;
  Round round = Round::kMore;
  for (int served = 0; served < kBatchRequests && round == Round::kMore; ++served) {
    if (!data_) data_ = core_->buffers.allocate(kFuseDataBytesMax);
    const iovec parts[] = {{head_.data(), head_.size()}, {received(), kFuseDataBytesMax}};
    const ssize_t bytes = readv(fd_, parts, 2);
    if (bytes >= 0) {
      dispatch(static_cast<size_t>(bytes));
    } else if (errno == EAGAIN) {
      round = Round::kEmpty;
    } else if (errno != EINTR && errno != ENOENT) {  // ENOENT: given up before we took it
      if (!core_->stopping) core_->closed(errno);
      round = Round::kEnd;
    }
  }
  if (!forgets_.empty()) push_forgets();
  batch.flush();
  batch_ = nullptr;
  return round;
}

Bytes FuseWorker::body() {
  if (received_bytes_ <= kHeadBytes)
    return Bytes{head_}.subspan(sizeof(fuse_in_header), received_bytes_ - sizeof(fuse_in_header));
  // Only what is small comes here: WRITE data is used where it lies.
  if (joined_.empty()) {
    joined_.assign(head_.begin() + sizeof(fuse_in_header), head_.end());
    joined_.insert(joined_.end(), received(), received() + (received_bytes_ - kHeadBytes));
  }
  return joined_;
}

void FuseWorker::dispatch(size_t bytes) {
  core_->requests.fetch_add(1, std::memory_order_relaxed);
  received_bytes_ = bytes;
  joined_.clear();
  fuse_in_header header;
  if (bytes < sizeof(header)) return;  // the device does not do that; there is nobody to answer
  std::memcpy(&header, head_.data(), sizeof(header));
  const RequestOrigin origin{fd_, header.unique};
  if (header.len != bytes) return core_->answer(origin, EIO);
  switch (header.opcode) {
    case FUSE_READ:
      return read_request(origin);
    case FUSE_WRITE:
      return write_request(origin, header);
    case FUSE_LSEEK:
      return seek_request(origin);
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
      return collect_forgets(header);
    case FUSE_DESTROY:
      return core_->answer(origin, 0);
    default:
      return name_request(origin, header);
  }
}

Buffer FuseWorker::allocate(size_t bytes) {
  Buffer buffer = core_->buffers.allocate(bytes);
  if (buffer) return buffer;
  // What holds the pool's blocks may wait for the frames that this thread holds back.
  if (batch_ != nullptr) batch_->flush();
  struct Signal {
    std::mutex mutex;
    std::condition_variable changed;
    bool given_back = false;
  };
  const auto signal = std::make_shared<Signal>();
  while (!core_->stopping) {
    core_->buffers.when_available([signal] {
      const std::lock_guard lock(signal->mutex);
      signal->given_back = true;
      signal->changed.notify_all();
    });
    buffer = core_->buffers.allocate(bytes);
    if (buffer) break;
    std::unique_lock lock(signal->mutex);
    signal->changed.wait_for(lock, kBufferRecheck, [&] { return signal->given_back; });
    signal->given_back = false;
  }
  return buffer;
}

void FuseWorker::name_request(const RequestOrigin& origin, const fuse_in_header& header) {
  NameRequest request;
  const int error = decode_name_request(header, body(), request);
  if (error != 0) return core_->answer(origin, error);
  if (answer_by_facts(origin, header.opcode, request)) return;
  switch (header.opcode) {
    case FUSE_FLUSH:
      if (core_->files.clean(request.event.handle)) return core_->answer(origin, 0);
      return after_data(origin, header.opcode, request);
    case FUSE_FSYNC:
      return after_data(origin, header.opcode, request);
    case FUSE_RELEASE:
      core_->answer(origin, 0);  // nobody waits for what follows
      return after_data({}, header.opcode, request);
    case FUSE_RELEASEDIR:
      core_->answer(origin, 0);
      return hand_over({}, header.opcode, request);
    case FUSE_SETATTR:
      if ((request.event.valid & FATTR_SIZE) != 0) return after_data(origin, header.opcode, request);
      break;
    case FUSE_OPEN:
      if ((request.event.flags & O_TRUNC) != 0) return after_data(origin, header.opcode, request);
      break;
    default:
      break;
  }
  hand_over(origin, header.opcode, request);
}

bool FuseWorker::answer_by_facts(const RequestOrigin& origin, uint32_t opcode, const NameRequest& request) {
  const KnownFacts& facts = core_->facts;
  const uint64_t node = request.event.node;
  const auto now = [] { return KnownFacts::Clock::now(); };
  const std::string_view name(reinterpret_cast<const char*>(request.name.data()), request.name.size());
  switch (opcode) {
    case FUSE_LOOKUP:
      if (!facts.lacks(node, name, now())) return false;
      core_->answer(origin, ENOENT);
      break;
    case FUSE_GETATTR: {
      const std::optional<fuse_attr_out> attributes = facts.attributes(node, now());
      if (!attributes) return false;
      core_->answer_with(origin, *attributes);
      break;
    }
    case FUSE_GETXATTR:
      // TypeScript refuses some of the system's names, whether they are there or not.
      if (name.starts_with("system.") || !facts.has_no_xattrs(node, now())) return false;
      core_->answer(origin, ENODATA);
      break;
    default:
      return false;
  }
  core_->known_answers.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void FuseWorker::hand_over(const RequestOrigin& origin, uint32_t opcode, NameRequest& request) {
  batch_->flush();  // the event ring may be full, and waiting for it must not hold data back
  core_->hand_over(origin, opcode, request);
}

void FuseWorker::after_data(const RequestOrigin& origin, uint32_t opcode, NameRequest& request) {
  const bool by_name = opcode == FUSE_SETATTR || opcode == FUSE_OPEN;
  // A release is heard by nobody, and what is asked of a name is no question after earlier writes.
  const bool waits_only = by_name || opcode == FUSE_RELEASE;
  const FileId file = by_name ? core_->files.find(Fid::from_packed(request.event.node)) : file_of(request.event.handle);
  const HandleId told = waits_only ? file : request.event.handle;
  // These requests have no tails; the event alone goes along.
  const auto proceed = [core = core_, origin, opcode, event = request.event](const FileOutcome& outcome) {
    NameRequest later{event, {}, {}};
    // A closed file has nothing pending; TypeScript will say that its handle is not known.
    const bool failed = outcome.status != StatusCode::kOk && outcome.status != StatusCode::kBadDescriptor;
    later.event.data_error = static_cast<uint16_t>(failed ? errno_of(static_cast<uint32_t>(outcome.status)) : 0);
    core->hand_over_later(origin, opcode, later);
  };
  if (opcode == FUSE_FSYNC) return core_->files.sync(told, proceed);
  if (file == 0 || core_->files.clean(told)) return hand_over(origin, opcode, request);
  core_->files.flush(told, proceed);
}

void FuseWorker::collect_forgets(const fuse_in_header& header) {
  // Nobody is answered; a malformed one can only be dropped.
  (void)decode_forgets(header, body(), forgets_);
  if (forgets_.size() >= 1024) push_forgets();
}

void FuseWorker::push_forgets() {
  constexpr size_t kForgetsInEvent = 1024;
  for (size_t start = 0; start < forgets_.size(); start += kForgetsInEvent) {
    const size_t count = std::min(kForgetsInEvent, forgets_.size() - start);
    NameRequest request;
    request.event.operation = static_cast<uint16_t>(wire::FuseOperation::kForget);
    request.name = {reinterpret_cast<const uint8_t*>(forgets_.data() + start), count * sizeof(fuse_forget_one)};
    request.event.name_length = static_cast<uint32_t>(request.name.size());
    hand_over({}, FUSE_BATCH_FORGET, request);
  }
  forgets_.clear();
}

void FuseWorker::clear_set_id(uint64_t node, const fuse_in_header& header) {
  NameRequest request;
  request.event.operation = static_cast<uint16_t>(wire::FuseOperation::kSetattr);
  request.event.node = node;
  request.event.uid = header.uid;
  request.event.gid = header.gid;
  request.event.pid = header.pid;
  request.event.valid = FATTR_KILL_SUIDGID;
  hand_over({}, FUSE_SETATTR, request);
}

}  // namespace ibexfs
