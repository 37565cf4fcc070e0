// Life of a verbs connection: made, connected, probed, used, drained.
#include "transport/verbs_connection.h"

#include <cassert>
#include <cstring>
#include <utility>

namespace ibexfs {

namespace {

// Longer than a working path ever takes, short enough for a user who waits for a mount on one that does not work.
constexpr std::chrono::milliseconds kProbeTime{1000};
// Soft-RoCE is late with what it flushes on a busy machine. After that destroying the queue pair is the fence.
constexpr std::chrono::milliseconds kDrainTime{5000};
// Room for messages, and for the READs and WRITEs of some large requests; more wait in our queues.
constexpr uint32_t kSendDepth = 64;
constexpr uint32_t kMessagesMin = 2 * kCreditsReserved;
constexpr uint32_t kMessagesMax = 4096;

verbs::QueuePairSettings settings_for(VerbsDomain& domain, bool accepted, uint64_t owner) {
  verbs::QueuePairSettings settings = verbs::QueuePairSettings::for_device(domain.device()->info());
  settings.send_depth = kSendDepth;
  settings.receive_depth = kReceiveSlots;
  // Only the side that connected is read and written, by the side that serves it.
  settings.remote_read = settings.remote_write = domain.options().expose_pool && !accepted;
  settings.owner = owner;
  return settings;
}

uint64_t half_of(const verbs::Gid& gid, size_t half) {
  uint64_t bytes;
  std::memcpy(&bytes, gid.bytes.data() + half * sizeof(bytes), sizeof(bytes));
  return bytes;
}

verbs::ConnectionDescriptor descriptor_of(const wire::QueuePairOffer& offer) {
  verbs::ConnectionDescriptor descriptor;
  descriptor.queue_pair_number = offer.queue_pair_number;
  descriptor.packet_sequence_number = offer.packet_sequence_number;
  descriptor.link_layer = static_cast<verbs::LinkLayer>(offer.link_layer);
  std::memcpy(descriptor.gid.bytes.data(), &offer.gid_high, sizeof(offer.gid_high));
  std::memcpy(descriptor.gid.bytes.data() + sizeof(offer.gid_high), &offer.gid_low, sizeof(offer.gid_low));
  descriptor.lid = offer.lid;
  descriptor.route_header_required = offer.route_header_required != 0;
  descriptor.mtu_bytes = offer.mtu_bytes;
  descriptor.responder_depth = offer.responder_depth;
  descriptor.initiator_depth = offer.initiator_depth;
  return descriptor;
}

}  // namespace

VerbsConnection::VerbsConnection(std::shared_ptr<VerbsLane> lane, const std::shared_ptr<Connection>& control)
    : Connection(control->id(), control->peer_address()),
      lane_(std::move(lane)),
      domain_(lane_->domain()),
      reactor_(lane_->reactor()),
      control_(control),
      tcp_(*control->as_tcp()),
      handler_(tcp_.handler()),
      limits_(tcp_.limits()),
      accepted_(tcp_.accepted()) {
  parser_.accept_remote_data();
}

VerbsConnection::~VerbsConnection() = default;

Result<std::shared_ptr<VerbsConnection>> VerbsConnection::create(const std::shared_ptr<VerbsLane>& lane,
                                                                 const std::shared_ptr<Connection>& control) {
  TcpConnection& tcp = *control->as_tcp();
  if (!tcp.open()) return Status(StatusCode::kConnectionReset, "connection to " + control->peer_address() + " has ended");
  std::shared_ptr<VerbsConnection> connection(new VerbsConnection(lane, control));
  auto slots = lane->domain().take_slots(kReceiveSlots + kSendSlots);
  if (!slots.ok()) return slots.status();
  connection->slots_ = slots.take();
  const auto settings = settings_for(lane->domain(), connection->accepted_, connection->id());
  auto pair = lane->add(connection, tcp.local_host(), settings);
  if (!pair.ok()) return pair.status();
  connection->queue_pair_ = pair.take();
  connection->number_ = connection->queue_pair_->number();
  tcp.hand_over(*connection);
  if (Status status = connection->post_first_receives(); !status.ok()) {
    connection->drop(status);
    return status;
  }
  return connection;
}

Status VerbsConnection::post_first_receives() {
  for (uint32_t slot = 0; slot < kSendSlots; ++slot) free_slots_.push_back(slot);
  for (uint32_t slot = 0; slot < kReceiveSlots; ++slot) slots_to_post_.push_back(slot);
  repost_receives();
  if (state_ != State::kOffered) return reason_;
  // The peer learns of these from the offer.
  credits_ = {};
  return {};
}

wire::QueuePairOffer VerbsConnection::offer() const {
  const verbs::ConnectionDescriptor& descriptor = queue_pair_->descriptor();
  wire::QueuePairOffer offer;
  offer.queue_pair_number = descriptor.queue_pair_number;
  offer.packet_sequence_number = descriptor.packet_sequence_number;
  offer.gid_high = half_of(descriptor.gid, 0);
  offer.gid_low = half_of(descriptor.gid, 1);
  offer.mtu_bytes = descriptor.mtu_bytes;
  offer.lid = descriptor.lid;
  offer.link_layer = static_cast<uint8_t>(descriptor.link_layer);
  offer.route_header_required = descriptor.route_header_required ? 1 : 0;
  offer.responder_depth = descriptor.responder_depth;
  offer.initiator_depth = descriptor.initiator_depth;
  offer.messages = static_cast<uint16_t>(kReceiveSlots);
  offer.message_bytes = wire::kMessageBytesMax;
  return offer;
}

Status VerbsConnection::accept(const wire::QueuePairOffer& peer) {
  if (state_ != State::kOffered) return reason_;
  if (peer.messages < kMessagesMin || peer.messages > kMessagesMax || peer.message_bytes != wire::kMessageBytesMax)
    return {StatusCode::kBadRequest, "the peer takes " + std::to_string(peer.messages) + " messages of " +
                                         std::to_string(peer.message_bytes) + " bytes, expected are " +
                                         std::to_string(kMessagesMin) + " to " + std::to_string(kMessagesMax) + " of " +
                                         std::to_string(wire::kMessageBytesMax)};
  if (Status status = queue_pair_->connect(descriptor_of(peer)); !status.ok()) return status;
  credits_.start(peer.messages);
  const Lock lock(mutex_);
  state_ = State::kConnected;
  return {};
}

void VerbsConnection::probe(std::function<void(const Status&)> done) {
  if (state_ != State::kConnected) return done(reason_);
  probe_done_ = std::move(done);
  deadline_ = reactor_.schedule(kProbeTime, [me = self()] {
    me->end_probe({StatusCode::kTimedOut, "nothing came back over " + me->path() + " within " +
                                              std::to_string(kProbeTime.count()) +
                                              " ms: the network between the adapters does not carry RDMA"});
  });
  send_probe();
}

void VerbsConnection::end_probe(const Status& status) {
  if (!probe_done_) return;
  reactor_.cancel(deadline_);
  const auto done = std::exchange(probe_done_, nullptr);
  done(status);
}

Status VerbsConnection::use() {
  if (state_ != State::kConnected) return reason_.ok() ? Status(StatusCode::kInvalid, name() + " is not connected") : reason_;
  used_ = true;
  {
    const Lock lock(mutex_);
    state_ = State::kOpen;
  }
  touch();
  return {};
}

void VerbsConnection::drop(const Status& reason) {
  if (!used_) break_off(reason);
}

std::string VerbsConnection::path() const {
  return queue_pair_ == nullptr ? std::string("a closed queue pair")
                                : queue_pair_->subject() + ", MTU " + std::to_string(queue_pair_->terms().mtu_bytes);
}

void VerbsConnection::set_authenticated() {
  if (authenticated_.exchange(true)) return;
  control_->set_authenticated();
  post_touch();
}

void VerbsConnection::close(Status reason) {
  {
    const Lock lock(mutex_);
    if (state_ != State::kOpen) return;
    state_ = State::kClosing;
    close_reason_ = std::move(reason);
  }
  reactor_.post([me = self()] { me->begin_closing(); });
}

void VerbsConnection::begin_closing() {
  if (state_ != State::kClosing) return;
  deadline_ = reactor_.schedule(std::chrono::milliseconds(limits_.close_linger_ms), [me = self()] {
    if (me->state_ == State::kClosing) me->break_off(me->close_reason_);
  });
  settle();
}

// All is sent, and the peer's adapter has said that it has it.
void VerbsConnection::finish_closing() {
  if (state_ != State::kClosing || free_slots_.size() < kSendSlots) return;
  {
    const Lock lock(mutex_);
    if (!queue_.empty()) return;
  }
  break_off(close_reason_);
}

void VerbsConnection::break_off(const Status& reason) {
  if (state_ == State::kDraining || state_ == State::kClosed) return;
  const bool failed = used_ && state_ == State::kOpen && !control_closed_;
  {
    const Lock lock(mutex_);
    state_ = State::kDraining;
    queue_.take_all(dropped_);
    bytes_queued_ = 0;
  }
  reason_ = reason.ok() ? Status(StatusCode::kConnectionReset, name() + " ended") : reason;
  if (failed) domain_.statistics().failures.fetch_add(1, std::memory_order_relaxed);
  end_probe(reason_);
  reactor_.cancel(deadline_);
  reactor_.cancel(std::exchange(stall_timer_, 0));
  if (used_) {
    if (!control_closed_) control_->close(reason_);
  } else if (!std::exchange(control_closed_, true)) {
    tcp_.hand_over(handler_);
  }
  if (queue_pair_) queue_pair_->fail(reason_);
  deadline_ = reactor_.schedule(kDrainTime, [me = self()] { me->drain_timed_out(); });
  touch();
}

void VerbsConnection::drain_timed_out() {
  if (state_ != State::kDraining || !queue_pair_) return;
  log_event(lane_->events(), wire::LogLevel::kWarn,
            name() + ": " + queue_pair_->subject() + " did not drain within " + std::to_string(kDrainTime.count()) +
                " ms and is destroyed");
  lose(reason_);
}

void VerbsConnection::lose(const Status& reason) {
  break_off(reason);
  end_queue_pair();
  touch();
}

void VerbsConnection::abandon(const Status& reason) {
  break_off(reason);
  end_queue_pair();
  if (!std::exchange(control_closed_, true)) tcp_.hand_over(handler_);
  try_to_finish();
}

void VerbsConnection::end_queue_pair() {
  if (queue_pair_ && !queue_pair_->destroy()) leaked_ = true;
  queue_pair_.reset();
}

// The adapter may go on writing to what the peer was told of, and to what was to be read: it must not end before the process.
void VerbsConnection::leak(std::unordered_map<uint64_t, Exposure> exposures) {
  struct Remains {
    std::unordered_map<uint64_t, Exposure> exposures;
    std::unordered_map<uint32_t, Pull> pulls;
    std::shared_ptr<MessageSlots> slots;  // with the domain, and so the pool
  };
  static std::mutex mutex;
  static auto* const remains = new std::vector<Remains>;
  const Lock lock(mutex);
  remains->push_back({std::move(exposures), std::move(pulls_), std::move(slots_)});
}

void VerbsConnection::try_to_finish() {
  if (state_ != State::kDraining || !control_closed_ || (queue_pair_ && !queue_pair_->drained())) return;
  const auto me = self();
  std::unordered_map<uint64_t, Exposure> exposures;
  {
    const Lock lock(mutex_);
    state_ = State::kClosed;
    exposures.swap(exposures_);
  }
  reactor_.cancel(deadline_);
  lane_->remove(*this);
  end_queue_pair();
  if (leaked_) leak(std::move(exposures));
  slots_.reset();
  inbox_.clear();
  dropped_.clear();
  pulls_.clear();
  data_context_.reset();
  exposures.clear();
  if (used_) handler_.on_closed(me, reason_);
}

void VerbsConnection::settle() {
  if (state_ == State::kClosed) return;
  settling_ = true;
  if (retry_requested_.exchange(false)) put_off_ = false;
  if (state_ == State::kOpen) {
    finish_pulls();
    read_frames();
  }
  if (state_ < State::kDraining) {
    repost_receives();
    pump();
  }
  settling_ = false;
  dropped_.clear();
  finish_closing();
  try_to_finish();
}

void VerbsConnection::post_touch() {
  if (touch_posted_.exchange(true)) return;
  reactor_.post([me = self()] {
    me->touch_posted_ = false;
    me->settle();
  });
}

// Of the control connection: until it is used, what comes there is the handshake's.
DataPlan VerbsConnection::plan_data(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body) {
  if (!used_) return handler_.plan_data(connection, header, body);
  DataPlan plan;
  plan.kind = DataPlan::Kind::kClose;
  plan.reason = Status(StatusCode::kBadFrame, "a frame on the control connection of a queue pair");
  return plan;
}

bool VerbsConnection::on_frame(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body,
                               std::shared_ptr<void> context) {
  if (!used_) return handler_.on_frame(connection, header, body, std::move(context));
  break_off({StatusCode::kBadFrame, name() + ": a frame on the control connection of a queue pair"});
  return true;
}

void VerbsConnection::on_closed(const std::shared_ptr<Connection>& connection, const Status& reason) {
  const auto me = self();
  control_closed_ = true;
  if (!used_) {
    break_off(reason);
    handler_.on_closed(connection, reason);
    return;
  }
  if (state_ == State::kOpen) {
    // What the peer sent before it went is here, if perhaps not seen yet.
    lane_->harvest();
    settle();
  }
  break_off(reason);
  touch();
}

}  // namespace ibexfs
