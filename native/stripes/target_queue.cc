#include "stripes/target_queue.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ibexfs {

namespace {

// How long an overloaded target is left alone; doubled while it stays overloaded. Long enough for a few
// requests to end, short enough not to be felt.
constexpr std::chrono::milliseconds kPauseMin{5};
constexpr std::chrono::milliseconds kPauseMax{50};
constexpr uint32_t kSlotsMax = 65'536;  // the slot number has 16 bits in a request id

wire::ChunkOperation operation_of(const wire::FrameHeader& header) {
  return static_cast<wire::ChunkOperation>(header.operation);
}

}  // namespace

StatusCode TargetQueue::submit(PendingCallPointer& call) {
  const std::lock_guard lock(mutex_);
  if (shut_) return StatusCode::kCanceled;
  if (waiting_.size() >= options_.requests_waiting_max) return StatusCode::kOverloaded;
  ++requests_;
  call->submitted = MonotonicClock::now();
  waiting_.push_back(std::move(call));
  return StatusCode::kOk;
}

OutgoingFrame TargetQueue::frame_of(const PendingCall& call, uint64_t request_id) const {
  wire::ChunkRequest request;
  request.target = id_;
  request.column = call.chunk.column;
  request.fid_sequence = call.chunk.fid.sequence;
  request.fid_object = call.chunk.fid.object;
  request.fid_version = call.chunk.fid.version;
  request.offset = call.offset;
  request.length = call.length;
  request.sync_stamp = call.sync_stamp;
  OutgoingFrame frame;
  frame.header.type = static_cast<uint8_t>(wire::FrameType::kChunkRequest);
  frame.header.operation = static_cast<uint16_t>(call.operation);
  frame.header.request_id = request_id;
  frame.header.map_version = map_version_;
  frame.body = FrameBody::of(request);
  if (call.operation == wire::ChunkOperation::kWrite) {
    frame.data = {call.data, call.length};
    frame.data_owner = call.owner;
  } else if (call.operation == wire::ChunkOperation::kRead) {
    frame.answer_into = {call.into, call.length};
    frame.data_owner = call.owner;
  }
  return frame;
}

std::optional<SendableFrame> TargetQueue::next_to_send() {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty() || !route_ || paused_) return std::nullopt;
  if (in_flight_ >= options_.requests_in_flight_max || in_flight_ >= kSlotsMax) return std::nullopt;
  const uint32_t length = waiting_.front()->length;
  // One call always fits, however small the bound is.
  if (in_flight_ > 0 && bytes_in_flight_ + length > options_.bytes_in_flight_max) return std::nullopt;
  if (free_slots_.empty()) {
    if (slots_.size() >= kSlotsMax) return std::nullopt;  // all abandoned: expire() closes what they wait for
    free_slots_.push_back(static_cast<uint16_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint16_t number = free_slots_.back();
  free_slots_.pop_back();
  Slot& slot = slots_[number];
  slot.call = std::move(waiting_.front());
  waiting_.pop_front();
  slot.call->connection = route_;
  slot.call->route_epoch = route_epoch_;
  ++in_flight_;
  bytes_in_flight_ += length;
  const uint64_t request_id = (uint64_t{id_} << 32) | (uint64_t{slot.generation} << 16) | number;
  return SendableFrame{route_, frame_of(*slot.call, request_id)};
}

bool TargetQueue::take_route_request(StatusCode& reason, Fid& first) {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty() || route_ || route_requested_ || shut_) return false;
  route_requested_ = true;
  reason = route_lost_because_;
  first = waiting_.front()->chunk.fid;
  return true;
}

void TargetQueue::put_back_route_request() {
  const std::lock_guard lock(mutex_);
  route_requested_ = false;
}

void TargetQueue::set_route(std::shared_ptr<Connection> connection, uint64_t map_version) {
  const std::lock_guard lock(mutex_);
  route_ = std::move(connection);
  map_version_ = map_version;
  ++route_epoch_;
  route_requested_ = false;
}

void TargetQueue::clear_route() {
  const std::lock_guard lock(mutex_);
  route_.reset();
  route_lost_because_ = StatusCode::kOk;
  ++route_epoch_;
  route_requested_ = false;
}

std::vector<PendingCallPointer> TargetQueue::take_waiting() {
  const std::lock_guard lock(mutex_);
  route_.reset();
  ++route_epoch_;
  route_requested_ = false;
  std::vector<PendingCallPointer> taken(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(waiting_.end()));
  waiting_.clear();
  return taken;
}

// Answers are believed only from the connection that the request was sent over.
PendingCall* TargetQueue::find(const Connection& from, uint64_t request_id, uint16_t& slot) {
  slot = static_cast<uint16_t>(request_id);
  if (slot >= slots_.size()) return nullptr;
  const Slot& found = slots_[slot];
  if (!found.call || found.generation != static_cast<uint16_t>(request_id >> 16) || found.call->connection.get() != &from)
    return nullptr;
  return found.call.get();
}

PendingCallPointer TargetQueue::release(uint16_t number) {
  free_slot(number);
  return take_out(number);
}

void TargetQueue::free_slot(uint16_t number) {
  ++slots_[number].generation;
  slots_[number].abandoned_on.reset();
  free_slots_.push_back(number);
}

bool TargetQueue::ends_abandoned(const Connection& from, uint64_t request_id) {
  const auto number = static_cast<uint16_t>(request_id);
  if (number >= slots_.size()) return false;
  const Slot& slot = slots_[number];
  if (slot.abandoned_on.get() != &from || slot.generation != static_cast<uint16_t>(request_id >> 16)) return false;
  free_slot(number);
  return true;
}

PendingCallPointer TargetQueue::take_out(uint16_t number) {
  Slot& slot = slots_[number];
  --in_flight_;
  bytes_in_flight_ -= slot.call->length;
  slot.call->connection.reset();
  slot.call->receiving = false;
  return std::move(slot.call);
}

DataPlan TargetQueue::plan_data(const Connection& from, const wire::FrameHeader& header, Bytes body) {
  const std::lock_guard lock(mutex_);
  uint16_t slot = 0;
  PendingCall* call = find(from, header.request_id, slot);
  DataPlan plan;
  if (call == nullptr || header.status != 0) return plan;  // discard: a late answer, or bytes behind an error
  const auto refuse = [&](const char* what) {
    plan.kind = DataPlan::Kind::kClose;
    plan.reason = Status(StatusCode::kBadFrame, "target " + std::to_string(id_) + " answered " + what + " for file " +
                                                    std::to_string(call->chunk.fid.packed()));
    return plan;
  };
  if (call->operation != wire::ChunkOperation::kRead || operation_of(header) != call->operation)
    return refuse("with data that was not asked");
  if (body.size() < sizeof(wire::ChunkResponse)) return refuse("with a short body");
  if (header.data_length > call->length) {
    return refuse(
        ("with " + std::to_string(header.data_length) + " bytes where " + std::to_string(call->length) + " were asked").c_str());
  }
  call->receiving = true;
  plan.kind = DataPlan::Kind::kInto;
  plan.into = call->into;
  plan.context = std::const_pointer_cast<void>(call->owner);
  return plan;
}

TargetQueue::Verdict TargetQueue::judge(StatusCode status) {
  switch (status) {
    case StatusCode::kStaleMap:
    case StatusCode::kNotMyTarget:
    case StatusCode::kShuttingDown:
    case StatusCode::kNotRegistered:
      return Verdict::kRetryOnNewRoute;
    case StatusCode::kOverloaded:
      return Verdict::kRetryLater;
    default:
      return Verdict::kFinish;
  }
}

ChunkOutcome TargetQueue::outcome_of(const PendingCall& call, const wire::FrameHeader& header, Bytes body) const {
  ChunkOutcome outcome;
  outcome.target = id_;
  outcome.status = static_cast<StatusCode>(header.status);
  const bool whole = body.size() >= sizeof(wire::ChunkResponse) && operation_of(header) == call.operation;
  wire::ChunkResponse response;
  if (whole) std::memcpy(&response, body.data(), sizeof(response));
  outcome.sync_stamp = response.sync_stamp;
  if (outcome.status != StatusCode::kOk) return outcome;
  if (!whole) {
    outcome.status = StatusCode::kBadFrame;
    return outcome;
  }
  outcome.chunk_size = response.chunk_size;
  outcome.chunk_blocks = response.chunk_blocks;
  outcome.bytes = call.operation == wire::ChunkOperation::kRead ? header.data_length : response.bytes;
  // A write is whole or failed; a server that took a part of it did not keep the protocol.
  if (call.operation == wire::ChunkOperation::kWrite && outcome.bytes != call.length) outcome.status = StatusCode::kIoError;
  return outcome;
}

std::optional<FinishedCall> TargetQueue::take_answered(const Connection& from, const wire::FrameHeader& header, Bytes body) {
  const std::lock_guard lock(mutex_);
  uint16_t slot = 0;
  PendingCall* found = find(from, header.request_id, slot);
  if (found == nullptr) {
    // Late, but the target does work.
    if (ends_abandoned(from, header.request_id) && judge(static_cast<StatusCode>(header.status)) == Verdict::kFinish)
      last_ended_ = MonotonicClock::now();
    return std::nullopt;
  }
  const StatusCode failure = found->failure_when_free;
  const uint64_t epoch = found->route_epoch;
  PendingCallPointer call = release(slot);
  if (failure != StatusCode::kOk) return FinishedCall{std::move(call), {failure, id_}};
  const auto status = static_cast<StatusCode>(header.status);
  const Verdict verdict = judge(status);
  // Refusals do not count: a target that only refuses must not be waited for without end.
  if (verdict == Verdict::kFinish) {
    last_ended_ = MonotonicClock::now();
    pause_length_ = std::chrono::milliseconds{0};
  }
  if (verdict == Verdict::kFinish || shut_) {
    const ChunkOutcome outcome = outcome_of(*call, header, body);
    return FinishedCall{std::move(call), outcome};
  }
  ++retries_;
  waiting_.push_front(std::move(call));
  if (verdict == Verdict::kRetryLater) {
    pause();
  } else if (epoch == route_epoch_) {  // else a newer route is there already
    route_.reset();
    ++route_epoch_;
    route_lost_because_ = status;
    route_requested_ = false;
  }
  return std::nullopt;
}

void TargetQueue::pause() {
  if (paused_) return;
  paused_ = pause_owed_ = true;
  pause_length_ = std::clamp(pause_length_ * 2, kPauseMin, kPauseMax);
}

std::optional<std::chrono::milliseconds> TargetQueue::take_pause() {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(pause_owed_, false)) return std::nullopt;
  return pause_length_;
}

void TargetQueue::resume() {
  const std::lock_guard lock(mutex_);
  paused_ = false;
}

std::vector<FinishedCall> TargetQueue::connection_closed(const Connection& closed) {
  const std::lock_guard lock(mutex_);
  if (route_.get() == &closed) {
    route_.reset();
    ++route_epoch_;
    route_lost_because_ = StatusCode::kConnectionReset;
    route_requested_ = false;
  }
  std::vector<FinishedCall> finished;
  std::vector<PendingCallPointer> again;
  for (size_t number = 0; number < slots_.size(); ++number) {
    if (slots_[number].abandoned_on.get() == &closed) free_slot(static_cast<uint16_t>(number));
    PendingCall* in_flight = slots_[number].call.get();
    if (in_flight == nullptr || in_flight->connection.get() != &closed) continue;
    PendingCallPointer call = release(static_cast<uint16_t>(number));
    if (call->failure_when_free != StatusCode::kOk) {
      const StatusCode failure = call->failure_when_free;
      finished.push_back({std::move(call), {failure, id_}});
    } else if (shut_) {
      finished.push_back({std::move(call), {StatusCode::kCanceled, id_}});
    } else {
      again.push_back(std::move(call));
    }
  }
  retries_ += again.size();
  // The oldest first again.
  std::ranges::sort(again, {}, [](const PendingCallPointer& call) { return call->submitted; });
  waiting_.insert(waiting_.begin(), std::make_move_iterator(again.begin()), std::make_move_iterator(again.end()));
  return finished;
}

void TargetQueue::fail_in_flight(uint16_t number, StatusCode status, Expired& out) {
  PendingCall& call = *slots_[number].call;
  if (call.receiving || (call.length > 0 && call.connection->peer_moves_data())) {
    call.failure_when_free = status;
    out.to_close.push_back(call.connection);
    return;
  }
  slots_[number].abandoned_on = call.connection;
  out.finished.push_back({take_out(number), {status, id_}});
}

TargetQueue::Expired TargetQueue::expire(MonotonicClock::time_point now) {
  const std::lock_guard lock(mutex_);
  Expired expired;
  const auto late = [&](const PendingCall& call) { return std::max(call.submitted, last_ended_) + call.timeout <= now; };
  const bool stuck = !route_ || paused_;  // else what is in flight decides
  const auto first_kept = std::stable_partition(waiting_.begin(), waiting_.end(),
                                                [&](const PendingCallPointer& call) { return stuck && late(*call); });
  for (auto call = waiting_.begin(); call != first_kept; ++call) {
    expired.finished.push_back({std::move(*call), {StatusCode::kIoError, id_}});
  }
  waiting_.erase(waiting_.begin(), first_kept);
  timeouts_ += expired.finished.size();
  for (size_t number = 0; number < slots_.size(); ++number) {
    const PendingCall* call = slots_[number].call.get();
    if (call == nullptr || !late(*call) || call->failure_when_free != StatusCode::kOk) continue;
    fail_in_flight(static_cast<uint16_t>(number), StatusCode::kIoError, expired);
    ++timeouts_;
  }
  // Every slot waits for a late answer: the connection's end frees them.
  if (route_ && free_slots_.empty() && in_flight_ == 0 && slots_.size() >= kSlotsMax) expired.to_close.push_back(route_);
  return expired;
}

TargetQueue::Expired TargetQueue::shut() {
  const std::lock_guard lock(mutex_);
  shut_ = true;
  route_.reset();
  ++route_epoch_;
  Expired all;
  for (PendingCallPointer& call : waiting_) all.finished.push_back({std::move(call), {StatusCode::kCanceled, id_}});
  waiting_.clear();
  for (size_t number = 0; number < slots_.size(); ++number) {
    if (slots_[number].call) fail_in_flight(static_cast<uint16_t>(number), StatusCode::kCanceled, all);
  }
  return all;
}

bool TargetQueue::idle() const {
  const std::lock_guard lock(mutex_);
  return waiting_.empty() && in_flight_ == 0;
}

void TargetQueue::add_to(ChunkClient::Statistics& statistics) const {
  const std::lock_guard lock(mutex_);
  statistics.requests += requests_;
  statistics.retries += retries_;
  statistics.timeouts += timeouts_;
  statistics.in_flight += in_flight_;
  statistics.waiting += waiting_.size();
}

}  // namespace ibexfs
