#include "stripes/chunk_client.h"

#include <algorithm>
#include <string>
#include <utility>

#include "stripes/target_queue.h"

namespace ibexfs {

namespace {

// Writes above this leave at once: gathering them would delay the first more than it saves on the last.
constexpr size_t kHeldBytesMax = 32U << 10;
// Connections remembered as closed, against a route that was set a moment too late.
constexpr size_t kClosedConnectionsMax = 1024;

thread_local ChunkSendBatch* current_batch = nullptr;

const char* name_of(wire::ChunkOperation operation) {
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

void finish(FinishedCall& finished) {
  const ChunkDone done = std::move(finished.call->done);
  finished.call.reset();
  if (done) done(finished.outcome);
}

void finish_all(std::vector<FinishedCall>& finished) {
  for (FinishedCall& each : finished) finish(each);
}

}  // namespace

// Shared with timers and sink callbacks, which may outlive the client.
struct ChunkClient::Core final : FrameHandler, std::enable_shared_from_this<Core> {
  Core(ChunkClientOptions chosen, EventSink& event_sink, Reactor& timer_reactor)
      : options(chosen),
        sink(event_sink),
        reactor(timer_reactor),
        tick(std::clamp<uint32_t>(chosen.io_timeout_ms / 4, 10, 1000)) {}

  const ChunkClientOptions options;
  EventSink& sink;
  Reactor& reactor;
  const std::chrono::milliseconds tick;
  std::atomic<bool> timer_armed{false};
  std::atomic<bool> closed{false};

  mutable std::shared_mutex targets_mutex;
  std::unordered_map<uint32_t, std::shared_ptr<TargetQueue>> targets;  // grows with the targets ever used

  std::mutex closed_mutex;
  std::deque<ConnectionId> closed_connections;

  std::shared_ptr<TargetQueue> find(uint32_t id) const;
  std::shared_ptr<TargetQueue> find_or_add(uint32_t id);
  std::vector<std::shared_ptr<TargetQueue>> all_targets() const;

  void submit(PendingCallPointer call);
  void operate(PendingCallPointer call, uint32_t timeout_ms);
  void pump(TargetQueue& target, const Connection* own_reactor);
  void request_route(TargetQueue& target);
  bool was_closed(ConnectionId id);
  void arm_timer();
  void look_at_timeouts();
  void resume_after(const std::shared_ptr<TargetQueue>& target, std::chrono::milliseconds delay);
  void report(const TargetQueue& target, const TargetQueue::Expired& expired);

  DataPlan plan_data(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body) override;
  bool on_frame(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body,
                std::shared_ptr<void> context) override;
  void on_closed(const std::shared_ptr<Connection>& connection, const Status& reason) override;
};

std::shared_ptr<TargetQueue> ChunkClient::Core::find(uint32_t id) const {
  const std::shared_lock lock(targets_mutex);
  const auto found = targets.find(id);
  return found == targets.end() ? nullptr : found->second;
}

std::shared_ptr<TargetQueue> ChunkClient::Core::find_or_add(uint32_t id) {
  if (auto found = find(id)) return found;
  const std::unique_lock lock(targets_mutex);
  std::shared_ptr<TargetQueue>& target = targets[id];
  if (!target) target = std::make_shared<TargetQueue>(id, options);
  return target;
}

std::vector<std::shared_ptr<TargetQueue>> ChunkClient::Core::all_targets() const {
  const std::shared_lock lock(targets_mutex);
  std::vector<std::shared_ptr<TargetQueue>> all;
  all.reserve(targets.size());
  for (const auto& [id, target] : targets) all.push_back(target);
  return all;
}

void ChunkClient::Core::submit(PendingCallPointer call) {
  const auto target = find_or_add(call->chunk.target);
  StatusCode refused = closed ? StatusCode::kCanceled : StatusCode::kOk;
  if (refused == StatusCode::kOk) refused = target->submit(call);
  if (refused != StatusCode::kOk) {
    FinishedCall finished{std::move(call), {refused, target->id()}};
    finish(finished);
    return;
  }
  if (closed) {  // close() may have missed a target that was added just now
    TargetQueue::Expired all = target->shut();
    finish_all(all.finished);
    return;
  }
  arm_timer();
  pump(*target, nullptr);
}

void ChunkClient::Core::operate(PendingCallPointer call, uint32_t timeout_ms) {
  uint32_t usual_ms = options.io_timeout_ms;
  if (call->operation == wire::ChunkOperation::kSync)
    usual_ms = options.sync_timeout_ms == 0 ? usual_ms * 6 : options.sync_timeout_ms;
  call->timeout = std::chrono::milliseconds(timeout_ms == 0 ? usual_ms : timeout_ms);
  submit(std::move(call));
}

// Sends what has a route and room. `own_reactor`: a connection on whose driving thread this runs; its
// frames wait for the end of the round, when all that the round produced leaves together.
void ChunkClient::Core::pump(TargetQueue& target, const Connection* own_reactor) {
  bool sent = false;
  while (auto next = target.next_to_send()) {
    sent = true;
    Flush flush = Flush::kNow;
    if (next->connection.get() == own_reactor) {
      flush = Flush::kLater;
    } else if (next->frame.data.size() <= kHeldBytesMax && ChunkSendBatch::hold(next->connection)) {
      flush = Flush::kHeld;
    }
    next->connection->send(std::move(next->frame), flush);
  }
  if (!sent) request_route(target);
}

void ChunkClient::Core::request_route(TargetQueue& target) {
  StatusCode reason = StatusCode::kOk;
  Fid first;
  if (!target.take_route_request(reason, first)) return;
  const std::string text = "chunks of file " + first.text() + " wait for a connection to target " + std::to_string(target.id());
  wire::TargetEvent event;
  event.target = target.id();
  event.status = static_cast<uint32_t>(reason);
  event.text_length = static_cast<uint32_t>(text.size());
  if (sink.push(wire::EventKind::kRouteNeeded, event, {as_bytes(text)})) return;
  sink.when_room([weak = weak_from_this(), id = target.id()] {
    const auto core = weak.lock();
    const auto again = core ? core->find(id) : nullptr;
    if (!again) return;
    again->put_back_route_request();
    core->request_route(*again);
  });
  // Room may have been made before when_room was called; asking twice does no harm.
  (void)sink.push(wire::EventKind::kRouteNeeded, event, {as_bytes(text)});
}

bool ChunkClient::Core::was_closed(ConnectionId id) {
  const std::lock_guard lock(closed_mutex);
  return std::ranges::find(closed_connections, id) != closed_connections.end();
}

// The timer runs only while there are requests, so that an idle process is not woken.
void ChunkClient::Core::arm_timer() {
  if (timer_armed.load(std::memory_order_relaxed) || timer_armed.exchange(true)) return;
  reactor.post([weak = weak_from_this()] {
    const auto core = weak.lock();
    if (core)
      core->reactor.schedule(core->tick, [weak] {
        if (const auto again = weak.lock()) again->look_at_timeouts();
      });
  });
}

// An overloaded target gets a short rest.
void ChunkClient::Core::resume_after(const std::shared_ptr<TargetQueue>& target, std::chrono::milliseconds delay) {
  reactor.post([weak = weak_from_this(), target, delay] {
    const auto core = weak.lock();
    if (!core) return;
    core->reactor.schedule(delay, [weak, target] {
      target->resume();
      if (const auto again = weak.lock()) again->pump(*target, nullptr);
    });
  });
}

void ChunkClient::Core::look_at_timeouts() {
  timer_armed = false;
  bool busy = false;
  const auto now = MonotonicClock::now();
  for (const auto& target : all_targets()) {
    TargetQueue::Expired expired = target->expire(now);
    report(*target, expired);
    for (const auto& connection : expired.to_close) {
      connection->close(Status(StatusCode::kTimedOut, "target " + std::to_string(target->id()) + " leaves requests unanswered"));
    }
    finish_all(expired.finished);
    pump(*target, nullptr);
    busy = busy || !target->idle();
  }
  if (busy) arm_timer();
}

// One line for all that one target left unanswered, however much that is.
void ChunkClient::Core::report(const TargetQueue& target, const TargetQueue::Expired& expired) {
  const size_t count = expired.finished.size() + expired.to_close.size();
  if (count == 0) return;
  std::string text = "target " + std::to_string(target.id()) + " did not answer " + std::to_string(count) + " chunk request(s)";
  if (!expired.finished.empty()) {
    text += " within " + std::to_string(expired.finished.front().call->timeout.count()) + " ms";
    const PendingCall& first = *expired.finished.front().call;
    text += ", the first a " + std::string(name_of(first.operation)) + " of file " + first.chunk.fid.text() + ", column " +
            std::to_string(first.chunk.column) + ", offset " + std::to_string(first.offset);
  }
  log_event(sink, wire::LogLevel::kError, text + "; the caller gets EIO. Check the storage daemon of this target.");
}

DataPlan ChunkClient::Core::plan_data(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header,
                                      Bytes body) {
  const auto target = find(target_of_request(header.request_id));
  return target ? target->plan_data(*connection, header, body) : DataPlan{};
}

bool ChunkClient::Core::on_frame(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body,
                                 std::shared_ptr<void>) {
  const auto target = find(target_of_request(header.request_id));
  if (!target) return true;
  std::optional<FinishedCall> finished = target->take_answered(*connection, header, body);
  if (const auto delay = target->take_pause()) resume_after(target, *delay);
  pump(*target, connection.get());
  if (finished) finish(*finished);
  return true;
}

void ChunkClient::Core::on_closed(const std::shared_ptr<Connection>& connection, const Status&) {
  {
    const std::lock_guard lock(closed_mutex);
    closed_connections.push_back(connection->id());
    if (closed_connections.size() > kClosedConnectionsMax) closed_connections.pop_front();
  }
  for (const auto& target : all_targets()) {
    std::vector<FinishedCall> finished = target->connection_closed(*connection);
    finish_all(finished);
    pump(*target, nullptr);
  }
}

ChunkClient::ChunkClient(ChunkClientOptions options, EventSink& sink, Reactor& reactor)
    : core_(std::make_shared<Core>(options, sink, reactor)) {}

ChunkClient::~ChunkClient() {
  close();
}

FrameHandler& ChunkClient::handler() {
  return *core_;
}

void ChunkClient::set_route(uint32_t target, std::shared_ptr<Connection> connection, uint64_t map_version) {
  const auto found = core_->find_or_add(target);
  const std::shared_ptr<Connection> kept = connection;
  found->set_route(std::move(connection), map_version);
  // Looked at after the route was set: a closing that is reported later takes the route away itself.
  if (core_->was_closed(kept->id())) {
    std::vector<FinishedCall> finished = found->connection_closed(*kept);
    finish_all(finished);
  }
  core_->pump(*found, nullptr);
}

void ChunkClient::clear_route(uint32_t target) {
  const auto found = core_->find(target);
  if (!found) return;
  found->clear_route();
  core_->pump(*found, nullptr);
}

void ChunkClient::fail_target(uint32_t target, const Status& status) {
  const auto found = core_->find(target);
  if (!found) return;
  std::vector<PendingCallPointer> failed = found->take_waiting();
  if (!failed.empty()) {
    const PendingCall& first = *failed.front();
    log_event(core_->sink, wire::LogLevel::kError,
              std::to_string(failed.size()) + " chunk request(s) fail, the first a " + name_of(first.operation) + " of file " +
                  first.chunk.fid.text() + ", column " + std::to_string(first.chunk.column) + ", offset " +
                  std::to_string(first.offset) + ": " + status.message());
  }
  for (PendingCallPointer& call : failed) {
    FinishedCall finished{std::move(call), {status.code(), target}};
    finish(finished);
  }
}

void ChunkClient::read(const ChunkAddress& chunk, uint64_t offset, std::span<uint8_t> into, std::shared_ptr<void> owner,
                       ChunkDone done) {
  auto call = std::make_unique<PendingCall>();
  call->operation = wire::ChunkOperation::kRead;
  call->chunk = chunk;
  call->offset = offset;
  call->length = static_cast<uint32_t>(into.size());
  call->into = into.data();
  call->owner = std::move(owner);
  call->done = std::move(done);
  call->timeout = std::chrono::milliseconds(core_->options.io_timeout_ms);
  core_->submit(std::move(call));
}

void ChunkClient::write(const ChunkAddress& chunk, uint64_t offset, Bytes data, std::shared_ptr<const void> owner,
                        ChunkDone done) {
  auto call = std::make_unique<PendingCall>();
  call->operation = wire::ChunkOperation::kWrite;
  call->chunk = chunk;
  call->offset = offset;
  call->length = static_cast<uint32_t>(data.size());
  call->data = data.data();
  call->owner = std::move(owner);
  call->done = std::move(done);
  call->timeout = std::chrono::milliseconds(core_->options.io_timeout_ms);
  core_->submit(std::move(call));
}

void ChunkClient::operate(wire::ChunkOperation operation, const ChunkAddress& chunk, uint64_t size, uint32_t timeout_ms,
                          ChunkDone done) {
  auto call = std::make_unique<PendingCall>();
  call->operation = operation;
  call->chunk = chunk;
  call->offset = size;
  call->done = std::move(done);
  core_->operate(std::move(call), timeout_ms);
}

void ChunkClient::sync(const ChunkAddress& chunk, uint64_t sync_stamp, ChunkDone done) {
  auto call = std::make_unique<PendingCall>();
  call->operation = wire::ChunkOperation::kSync;
  call->chunk = chunk;
  call->sync_stamp = sync_stamp;
  call->done = std::move(done);
  core_->operate(std::move(call), 0);
}

void ChunkClient::close() {
  if (core_->closed.exchange(true)) return;
  for (const auto& target : core_->all_targets()) {
    TargetQueue::Expired all = target->shut();
    for (const auto& connection : all.to_close) connection->close(Status(StatusCode::kCanceled, "the chunk client is closing"));
    finish_all(all.finished);
  }
}

ChunkClient::Statistics ChunkClient::statistics() const {
  Statistics statistics;
  for (const auto& target : core_->all_targets()) target->add_to(statistics);
  return statistics;
}

ChunkSendBatch::ChunkSendBatch() : outer_(current_batch) {
  current_batch = this;
}

ChunkSendBatch::~ChunkSendBatch() {
  flush();
  current_batch = outer_;
}

void ChunkSendBatch::flush() {
  for (const auto& connection : connections_) connection->flush();
  connections_.clear();
}

bool ChunkSendBatch::hold(const std::shared_ptr<Connection>& connection) {
  if (current_batch == nullptr) return false;
  auto& held = current_batch->connections_;
  if (std::ranges::find(held, connection) == held.end()) held.push_back(connection);
  return true;
}

}  // namespace ibexfs
