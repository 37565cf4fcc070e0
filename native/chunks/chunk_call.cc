#include "chunks/chunk_call.h"

#include <unistd.h>

#include <cerrno>

namespace ibexfs {

namespace {

const char* operation_name(wire::ChunkOperation operation) {
  switch (operation) {
    case wire::ChunkOperation::kRead:
      return "read";
    case wire::ChunkOperation::kWrite:
      return "write";
    case wire::ChunkOperation::kTruncate:
      return "truncate";
    case wire::ChunkOperation::kStat:
      return "stat";
    case wire::ChunkOperation::kSync:
      return "sync";
    case wire::ChunkOperation::kRemove:
      return "remove";
  }
  return "unknown operation";
}

}  // namespace

ChunkCall::ChunkCall(std::shared_ptr<ChunkCore> core, ChunkHandler& handler, const std::shared_ptr<Connection>& connection,
                     std::shared_ptr<ChunkPeer> peer, const wire::FrameHeader& header, const CheckedRequest& request,
                     std::shared_ptr<ChunkTarget> target)
    : core_(std::move(core)),
      handler_(handler),
      connection_(connection),
      peer_(std::move(peer)),
      request_(request),
      request_id_(header.request_id),
      map_version_(header.map_version),
      operation_(header.operation),
      target_(std::move(target)) {
  ticket_.call = this;
}

ChunkCall::~ChunkCall() {
  // Memory first: who is woken by the release finds it free.
  buffer_.reset();
  pipe_.reset();
  core_->admission.release(*peer_, request_.length);
}

bool ChunkCall::reserve() {
  if (request_.length == 0) return true;
  if (request_.operation == wire::ChunkOperation::kRead && wants_pipe()) pipe_ = core_->pipes.take();
  if (pipe_ != nullptr) return true;
  buffer_ = core_->admission.allocate(core_->pool, peer_, request_.length);
  return static_cast<bool>(buffer_);
}

bool ChunkCall::changes_chunk() const {
  return request_.operation == wire::ChunkOperation::kWrite || request_.operation == wire::ChunkOperation::kTruncate ||
         request_.operation == wire::ChunkOperation::kRemove;
}

bool ChunkCall::take_turn() {
  const bool is_sync = request_.operation == wire::ChunkOperation::kSync;
  if (!is_sync && !changes_chunk()) return true;
  ticket_.begin = request_.offset;
  ticket_.end = request_.offset + request_.length;
  ticket_.mode = request_.operation == wire::ChunkOperation::kWrite ? write_mode() : ChunkGate::Mode::kExclusive;
  // Set before the chunk has it: another reactor may wake it at once.
  self_ = shared_from_this();
  return is_sync ? file_->enter_sync(&ticket_) : file_->enter(&ticket_);
}

void ChunkCall::start() {
  if (!accepted() || handler_.is_stopping()) {
    core_->refused.fetch_add(1, std::memory_order_relaxed);
    target_.reset();
    return answer(accepted() ? StatusCode::kShuttingDown : request_.verdict, 0, {});
  }
  handler_.call_started();
  target_->begin(request_.operation);
  file_ = core_->files.pin(target_->store(), request_.name);
  if (!take_turn()) return;
  const std::shared_ptr<ChunkCall> self = std::move(self_);
  run();
}

void ChunkCall::run() {
  step_ = Step::kDisk;
  // At the gate by now: a later change of the same client waits behind this one, or has ended its session before.
  // A sync that others share runs for them.
  if (peer_->is_closed() && !(request_.operation == wire::ChunkOperation::kSync && ticket_.next != nullptr))
    return complete(-ECANCELED);
  // Before the first byte: what fails from here on may have been this write's.
  if (request_.operation == wire::ChunkOperation::kWrite) sync_stamp_ = target_->sync_failures().stamp();
  switch (request_.operation) {
    case wire::ChunkOperation::kRead:
      return run_read();
    case wire::ChunkOperation::kWrite:
      return run_write();
    case wire::ChunkOperation::kStat:
      return run_stat();
    case wire::ChunkOperation::kSync:
      return run_sync();
    case wire::ChunkOperation::kTruncate:
    case wire::ChunkOperation::kRemove:
      return submit(Kind::kCall);
  }
}

void ChunkCall::submit(DiskJob::Kind what) {
  kind = what;
  self_ = shared_from_this();
  handler_.engine().submit(this);
}

int64_t ChunkCall::call() {
  // It may have waited for a disk thread for long.
  if (changes_chunk() && peer_->is_closed()) return -ECANCELED;
  switch (request_.operation) {
    case wire::ChunkOperation::kRead:
      return read_blocking();
    case wire::ChunkOperation::kWrite:
      return write_blocking();
    case wire::ChunkOperation::kTruncate:
      return truncate_blocking();
    case wire::ChunkOperation::kStat:
      return stat_blocking();
    case wire::ChunkOperation::kSync:
      return sync_blocking();
    case wire::ChunkOperation::kRemove:
      return file_->remove();
  }
  return -EINVAL;
}

void ChunkCall::finish(int64_t result) {
  const std::shared_ptr<ChunkCall> self = std::move(self_);
  if (step_ == Step::kTurn) return run();
  if (step_ == Step::kServed) return answer_sync();
  if (request_.operation == wire::ChunkOperation::kWrite) return finish_write(result);
  if (request_.operation == wire::ChunkOperation::kSync) return finish_sync(result);
  if (request_.operation == wire::ChunkOperation::kRead) return finish_read(result);
  complete(result);
}

void ChunkCall::complete(int64_t result) {
  if (request_.operation == wire::ChunkOperation::kSync) return complete_sync(result);
  if (changes_chunk()) leave_gate();
  if (result < 0) return fail(static_cast<int>(-result));
  const bool moves = request_.operation == wire::ChunkOperation::kRead || request_.operation == wire::ChunkOperation::kWrite;
  answer(StatusCode::kOk, moves ? static_cast<uint32_t>(result) : 0, attributes_);
}

void ChunkCall::leave_gate() {
  ChunkGate::Ticket* next = file_->leave(&ticket_);
  while (next != nullptr) {
    ChunkCall* admitted = static_cast<GateTicket*>(next)->call;
    next = next->next;  // read first: the call may be gone once it is awake
    admitted->handler_.engine().wake(admitted);
  }
}

void ChunkCall::fail(int error_number) {
  // Too large a file is the request's fault, not the disk's; what is canceled has not come to the disk.
  if (error_number != EFBIG && error_number != ECANCELED)
    target_->report_fault(error_number, operation_name(request_.operation), request_.name);
  answer(status_of_errno(error_number), 0, {});
}

void ChunkCall::answer(StatusCode status, uint32_t bytes, const ChunkAttributes& attributes) {
  OutgoingFrame frame;
  frame.header.type = static_cast<uint8_t>(wire::FrameType::kChunkResponse);
  frame.header.operation = operation_;
  frame.header.request_id = request_id_;
  frame.header.map_version = map_version_;
  frame.header.status = static_cast<uint32_t>(status);
  wire::ChunkResponse response;
  response.bytes = bytes;
  response.chunk_size = attributes.size;
  response.chunk_blocks = attributes.blocks;
  response.sync_stamp = sync_stamp_;
  frame.body = FrameBody::of(response);
  if (request_.operation == wire::ChunkOperation::kRead && bytes > 0) {
    if (pipe_ != nullptr) {
      frame.pipe = std::move(pipe_);
    } else {
      frame.data = {buffer_.data(), bytes};
      frame.remote = {request_.remote_address, request_.remote_key};
    }
  } else {
    buffer_.reset();
    pipe_.reset();
  }
  // The pin before the target's count: who waits for a target to be idle finds its files closed.
  descriptors_.reset();
  file_.reset();
  if (target_ != nullptr) {
    target_->end(request_.operation, status != StatusCode::kOk, bytes);
    handler_.call_answered();
    target_.reset();
  }
  // The call stays until the answer has left, and with it its share of the limits.
  frame.data_owner = shared_from_this();
  connection_->send(std::move(frame), Flush::kLater);
}

}  // namespace ibexfs
