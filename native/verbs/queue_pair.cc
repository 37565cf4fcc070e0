// Life of a queue pair: making, connecting, failing, draining, destroying.
#include "verbs/queue_pair.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

namespace ibexfs::verbs {
namespace {

// One slot more than callers may use, for post_marker.
constexpr uint32_t kMarkerSlots = 1;

// Devices of an unknown limit count as having none.
uint32_t lower(uint32_t value, uint32_t limit) {
  return limit == 0 ? value : std::min(value, limit);
}

void lower_to(QueuePairSettings& settings, const DeviceLimits& limits) {
  settings.send_depth =
      std::max(lower(settings.send_depth, limits.work_requests_max > 1 ? limits.work_requests_max - kMarkerSlots : 0), 1U);
  settings.receive_depth = std::max(lower(settings.receive_depth, limits.work_requests_max), 1U);
  settings.ranges_max = std::clamp(lower(settings.ranges_max, limits.scatter_gather_max), 1U, uint32_t{kRangesMax});
  settings.signal_every = std::max(settings.signal_every, 1U);
  settings.responder_depth = std::min(settings.responder_depth, limits.responder_depth_max);
  settings.initiator_depth = std::min(settings.initiator_depth, limits.initiator_depth_max);
  settings.remote_atomic = settings.remote_atomic && limits.atomics;
}

}  // namespace

QueuePairSettings QueuePairSettings::for_device(const DeviceInfo& device) {
  QueuePairSettings settings;
  if (!device.soft_roce()) return settings;
  // The kernel does the adapter's work with this machine's processors: smaller queues keep its bursts short, a busy
  // machine answers late, and its inline data is bounded lower in older versions.
  settings.send_depth = 128;
  settings.receive_depth = 64;
  settings.inline_bytes = 128;
  settings.timeout = 16;
  return settings;
}

std::string_view describe(QueuePairState state) {
  constexpr std::array<std::string_view, 5> kTexts{"reset", "init", "ready to receive", "ready to send", "error"};
  return kTexts[static_cast<size_t>(state)];
}

bool may_change(QueuePairState from, QueuePairState to) {
  constexpr size_t kStates = 5;
  // Rows: from. Columns: reset, init, ready to receive, ready to send, error.
  constexpr bool kAllowed[kStates][kStates] = {
      {false, true, false, false, true},   // reset
      {false, false, true, false, true},   // init
      {false, false, false, true, true},   // ready to receive
      {false, false, false, false, true},  // ready to send
      {false, false, false, false, false}  // error
  };
  return kAllowed[static_cast<size_t>(from)][static_cast<size_t>(to)];
}

void QueuePair::Ring::resize(uint32_t depth) {
  slots.resize(std::bit_ceil(depth));
  mask = static_cast<uint32_t>(slots.size()) - 1;
}

Result<std::shared_ptr<QueuePair>> QueuePair::create(std::shared_ptr<ProtectionDomain> domain,
                                                     std::shared_ptr<CompletionQueue> send_queue,
                                                     std::shared_ptr<CompletionQueue> receive_queue, const LocalPort& port,
                                                     const QueuePairSettings& settings) {
  // Completions name their queue pair by its place in the queue, which holds on one device only.
  if (&send_queue->device() != &domain->device() || &receive_queue->device() != &domain->device())
    return Status(StatusCode::kInvalid, "a queue pair on " + domain->device().name() +
                                            " needs completion queues of the same opened device as its protection domain");
  const auto sequence_number = random_packet_sequence_number();
  if (!sequence_number.ok()) return sequence_number.status();
  std::shared_ptr<QueuePair> pair(
      new QueuePair(std::move(domain), std::move(send_queue), std::move(receive_queue), port, settings));
  pair->descriptor_.packet_sequence_number = sequence_number.value();
  if (Status status = pair->create_handle(); !status.ok()) return status;
  if (Status status = pair->initialize(); !status.ok()) return status;
  return pair;
}

QueuePair::QueuePair(std::shared_ptr<ProtectionDomain> domain, std::shared_ptr<CompletionQueue> send_queue,
                     std::shared_ptr<CompletionQueue> receive_queue, const LocalPort& port, const QueuePairSettings& settings)
    : domain_(std::move(domain)),
      send_queue_(std::move(send_queue)),
      receive_queue_(std::move(receive_queue)),
      port_(port),
      settings_(settings) {
  lower_to(settings_, domain_->device().limits());
  request_bytes_max_ = lower(settings_.request_bytes_max, port_.port.message_bytes_max);
  descriptor_.link_layer = port_.port.link_layer;
  descriptor_.gid = port_.gid.gid;
  descriptor_.lid = port_.port.lid;
  descriptor_.route_header_required = port_.port.route_header_required;
  descriptor_.mtu_bytes = port_.port.mtu_bytes;
  descriptor_.responder_depth = settings_.responder_depth;
  descriptor_.initiator_depth = settings_.initiator_depth;
  sends_.resize(settings_.send_depth + kMarkerSlots);
  receives_.resize(settings_.receive_depth);
}

Status QueuePair::create_handle() {
  Device& device = domain_->device();
  if (Status status = send_queue_->attach(this, settings_.send_depth + kMarkerSlots, send_id_); !status.ok()) return status;
  send_attached_ = true;
  if (Status status = receive_queue_->attach(this, settings_.receive_depth, receive_id_); !status.ok()) return status;
  receive_attached_ = true;
  receive_id_.receive = true;
  int error = 0;
  // A device that cannot have so much inline data refuses the queue pair instead of giving less.
  for (uint32_t inline_bytes = settings_.inline_bytes; handle_ == nullptr; inline_bytes /= 2) {
    abi::QueuePairInit init{};
    init.send_cq = send_queue_->handle();
    init.recv_cq = receive_queue_->handle();
    init.cap = {settings_.send_depth + kMarkerSlots, settings_.receive_depth, settings_.ranges_max, settings_.ranges_max,
                inline_bytes};
    init.qp_type = abi::kQueuePairReliable;
    errno = 0;
    handle_ = device.verbs().create_qp(domain_->handle(), &init);
    error = errno;
    inline_bytes_max_ = init.cap.max_inline_data;
    if (inline_bytes == 0) break;
  }
  if (handle_ == nullptr) return verb_error("ibv_create_qp", error, subject(), error == ENOMEM ? memory_lock_cure() : "");
  ++device.live().queue_pairs;
  descriptor_.queue_pair_number = handle_->qp_num;
  return {};
}

Status QueuePair::initialize() {
  abi::QueuePairAttributes attributes{};
  attributes.port_num = port_.port.number;
  attributes.qp_access_flags = (settings_.remote_read ? abi::kAccessRemoteRead : 0U) |
                               (settings_.remote_write ? abi::kAccessRemoteWrite : 0U) |
                               (settings_.remote_atomic ? abi::kAccessRemoteAtomic : 0U);
  return modify(QueuePairState::kInit, attributes, abi::kMaskPkeyIndex | abi::kMaskPort | abi::kMaskAccessFlags);
}

Status QueuePair::ready_to_receive(const ConnectionDescriptor& peer) {
  const auto terms = negotiate(descriptor_, peer);
  if (!terms.ok()) return {terms.status().code(), subject() + ": " + terms.status().message()};
  if (!may_change(state_, QueuePairState::kReadyToReceive)) return wrong_state("be connected");
  peer_ = peer;
  terms_ = terms.value();
  abi::QueuePairAttributes attributes{};
  attributes.path_mtu = mtu_number(terms_.mtu_bytes);
  attributes.dest_qp_num = peer.queue_pair_number;
  attributes.rq_psn = peer.packet_sequence_number;
  attributes.max_dest_rd_atomic = terms_.responder_depth;
  attributes.min_rnr_timer = settings_.receiver_not_ready_timer;
  attributes.ah_attr.dlid = peer.lid;
  attributes.ah_attr.sl = settings_.service_level;
  attributes.ah_attr.port_num = port_.port.number;
  attributes.ah_attr.is_global = terms_.route_header ? 1 : 0;
  std::copy(peer.gid.bytes.begin(), peer.gid.bytes.end(), attributes.ah_attr.grh.dgid.raw);
  attributes.ah_attr.grh.sgid_index = static_cast<uint8_t>(port_.gid.index);
  attributes.ah_attr.grh.hop_limit = settings_.hop_limit;
  attributes.ah_attr.grh.traffic_class = settings_.traffic_class;
  return modify(QueuePairState::kReadyToReceive, attributes,
                abi::kMaskAddress | abi::kMaskPathMtu | abi::kMaskDestination | abi::kMaskReceivePsn | abi::kMaskResponderDepth |
                    abi::kMaskMinRnrTimer);
}

Status QueuePair::ready_to_send() {
  abi::QueuePairAttributes attributes{};
  attributes.timeout = settings_.timeout;
  attributes.retry_cnt = settings_.retries;
  attributes.rnr_retry = settings_.receiver_not_ready_retries;
  attributes.sq_psn = descriptor_.packet_sequence_number;
  attributes.max_rd_atomic = terms_.initiator_depth;
  return modify(QueuePairState::kReadyToSend, attributes,
                abi::kMaskTimeout | abi::kMaskRetryCount | abi::kMaskRnrRetry | abi::kMaskSendPsn | abi::kMaskInitiatorDepth);
}

Status QueuePair::connect(const ConnectionDescriptor& peer) {
  if (Status status = ready_to_receive(peer); !status.ok()) return status;
  return ready_to_send();
}

Status QueuePair::modify(QueuePairState to, abi::QueuePairAttributes& attributes, int mask) {
  if (!may_change(state_, to)) return wrong_state("become " + std::string(describe(to)));
  constexpr std::array<int, 5> kNumbers{abi::kStateReset, abi::kStateInit, abi::kStateReadyToReceive, abi::kStateReadyToSend,
                                        abi::kStateError};
  attributes.qp_state = kNumbers[static_cast<size_t>(to)];
  const int error = domain_->device().verbs().modify_qp(handle_, &attributes, mask | abi::kMaskState);
  if (error != 0) {
    const bool addressing = to == QueuePairState::kReadyToReceive;
    return verb_error("ibv_modify_qp", error,
                      subject() + ", " + std::string(describe(state_)) + " to " + std::string(describe(to)),
                      addressing ? "there is no route to the peer from GID " + port_.gid.gid.text() + " (index " +
                                       std::to_string(port_.gid.index) + "), or the GID table changed"
                                 : "");
  }
  state_ = to;
  return {};
}

Status QueuePair::wrong_state(const std::string& wish) const {
  std::string message = subject() + " cannot " + wish + ": it is in state " + std::string(describe(state_));
  if (!failure_.ok()) message += ", because of: " + failure_.message();
  return {state_ == QueuePairState::kError ? StatusCode::kConnectionReset : StatusCode::kInvalid, std::move(message)};
}

void QueuePair::fail(Status reason) {
  if (state_ == QueuePairState::kError || handle_ == nullptr) return;
  failure_ = std::move(reason);
  abi::QueuePairAttributes attributes{};
  const Status status = modify(QueuePairState::kError, attributes, 0);
  // A device that refuses even this is gone; to us the queue pair has failed all the same, and destroying it is the fence.
  state_ = QueuePairState::kError;
  if (status.ok()) post_marker();
}

bool QueuePair::drain(uint32_t limit_ms, std::vector<Completion>& completions) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(limit_ms);
  while (!drained()) {
    const auto sent = send_queue_->poll(completions, SIZE_MAX);
    const auto received = receive_queue_->poll(completions, SIZE_MAX);
    if (!sent.ok() || !received.ok()) return false;
    if (sent.value() + received.value() > 0) continue;
    if (std::chrono::steady_clock::now() >= end) return false;
    // Soft-RoCE flushes in the kernel on this processor: let it.
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return true;
}

QueuePair::~QueuePair() {
  destroy();
}

bool QueuePair::destroy() {
  bool gone = true;
  if (handle_ != nullptr) {
    Device& device = domain_->device();
    if (sends_.outstanding() + receives_.outstanding() > 0) fail({StatusCode::kCanceled, "the queue pair is destroyed"});
    --device.live().queue_pairs;
    gone = device.verbs().destroy_qp(std::exchange(handle_, nullptr)) == 0;
    state_ = QueuePairState::kError;
  }
  const bool send_attached = std::exchange(send_attached_, false);
  const bool receive_attached = std::exchange(receive_attached_, false);
  if (!gone) {
    ++domain_->device().live().leaks;
    leak();
    return false;
  }
  if (send_attached) send_queue_->detach(send_id_, settings_.send_depth + kMarkerSlots, sends_.outstanding());
  if (receive_attached) receive_queue_->detach(receive_id_, settings_.receive_depth, receives_.outstanding());
  return true;
}

// The adapter may go on using the memory of the requests and the completion queues: they must not end before the process.
void QueuePair::leak() {
  struct Remains {
    Ring sends, receives;
    std::shared_ptr<ProtectionDomain> domain;
    std::shared_ptr<CompletionQueue> send_queue, receive_queue;
  };
  static std::mutex mutex;
  static auto* const remains = new std::vector<Remains>;
  send_queue_->attachments_[send_id_.index].queue_pair = nullptr;
  receive_queue_->attachments_[receive_id_.index].queue_pair = nullptr;
  const std::lock_guard lock(mutex);
  remains->push_back({std::move(sends_), std::move(receives_), domain_, send_queue_, receive_queue_});
}

std::string QueuePair::subject() const {
  std::string text = domain_->device().name() + " port " + std::to_string(port_.port.number);
  if (handle_ != nullptr) text += ", queue pair " + std::to_string(handle_->qp_num);
  if (peer_.queue_pair_number != 0) text += ", peer " + peer_.text();
  return text;
}

Status QueuePair::status_of(const Completion& completion) const {
  if (completion.ok()) return {};
  if (completion.status == CompletionStatus::kFlushed && !failure_.ok())
    return {failure_.code(), std::string(describe(completion.operation)) + " flushed, because of: " + failure_.message()};
  return completion_error(describe(completion.operation), completion.status, completion.vendor_error, subject());
}

}  // namespace ibexfs::verbs
