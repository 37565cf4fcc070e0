// The sending half of a verbs connection: frames into messages, READs and WRITEs in front of them, credits.
#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "transport/frame.h"
#include "transport/verbs_connection.h"

namespace ibexfs {

namespace {

constexpr size_t kPrefixBytes = sizeof(wire::MessagePrefix);
// Places in the send queue that READs leave to messages, which give credits back and carry answers.
constexpr uint32_t kMessageReserve = 24;
// On the way at once: enough to fill a wire, and messages behind them in the send queue do not wait for long.
constexpr uint32_t kReadsMax = 8;

constexpr uint32_t kRemoteData = static_cast<uint32_t>(wire::FrameFlag::kRemoteData);

}  // namespace

// Any thread. Large data of a request: in the pool it is named to the server; elsewhere it goes through a block of the
// pool; where none is free it stays in the stream, as over TCP.
void VerbsConnection::expose(OutgoingFrame& frame, Exposure& exposure) {
  const bool answer = frame.data.empty();
  const uint8_t* memory = answer ? frame.answer_into.data() : frame.data.data();
  const size_t bytes = answer ? frame.answer_into.size() : frame.data.size();
  if (bytes <= wire::kMessageDataBytesMax || frame.body.bytes().size() != sizeof(wire::ChunkRequest)) return;
  auto remote = domain_.remote(memory, bytes);
  if (!remote && domain_.options().expose_pool) {
    exposure.bounce = domain_.pool().allocate(bytes);
    if (!exposure.bounce) return;
    remote = domain_.remote(exposure.bounce.data(), bytes);
    if (remote && !answer) {
      std::memcpy(exposure.bounce.data(), memory, bytes);
      domain_.statistics().bytes_bounced.fetch_add(bytes, std::memory_order_relaxed);
    }
  }
  if (!remote) return exposure.bounce.reset();
  exposure.address = remote->address;
  exposure.length = static_cast<uint32_t>(bytes);
  exposure.answer = answer;
  exposure.owner = frame.data_owner;
  wire::ChunkRequest request;
  std::memcpy(&request, frame.body.bytes().data(), sizeof(request));
  request.remote_address = remote->address;
  request.remote_key = remote->rkey;
  frame.body = FrameBody::of(request);
  frame.header.flags |= kRemoteData;
}

void VerbsConnection::send(OutgoingFrame frame, Flush flush) {
  assert(!frame.pipe);
  Exposure exposure;
  if (frame.header.type == static_cast<uint8_t>(wire::FrameType::kChunkRequest) && !accepted_) expose(frame, exposure);
  if (frame.remote.key != 0 && frame.data.size() > wire::kMessageDataBytesMax &&
      domain_.local(frame.data.data(), frame.data.size()))
    frame.header.flags |= kRemoteData;
  seal_header(frame.header, frame.body.bytes().size(), frame.data.size());
  bool overflow = false;
  {
    const Lock lock(mutex_);
    if (state_ != State::kOpen) return;
    if (exposure.length > 0) exposures_[frame.header.request_id] = std::move(exposure);
    queue_.push(std::move(frame));
    bytes_queued_ = queue_.bytes();
    overflow = queue_.bytes() > limits_.send_queue_bytes_max;
  }
  if (overflow) {
    reactor_.post([me = self()] {
      me->break_off({StatusCode::kOverloaded,
                     me->name() + ": the peer takes nothing, " + std::to_string(me->bytes_queued()) + " bytes wait for it"});
    });
  }
  request_flush(flush);
}

void VerbsConnection::request_flush(Flush flush) {
  if (flush == Flush::kHeld) return;
  if (!reactor_.in_driving_thread()) return post_touch();
  if (settling_) return;
  if (flush == Flush::kNow) return pump();
  touch();
}

void VerbsConnection::flush() {
  request_flush(Flush::kNow);
}

void VerbsConnection::pump() {
  if ((state_ != State::kOpen && state_ != State::kClosing) || !queue_pair_) return;
  SendChain chain;
  chain.room = queue_pair_->send_slots_free();
  pump_reads(chain);
  while (pump_message(chain)) {
  }
  pump_credits(chain);
  post(chain);
  if (held_back_ && bytes_queued() <= limits_.send_queue_pause_bytes / 2) {
    held_back_ = false;
    touch();
  }
}

void VerbsConnection::pump_reads(SendChain& chain) {
  while (!pulls_to_post_.empty() && chain.room > kMessageReserve && reads_in_flight_ < kReadsMax && state_ == State::kOpen) {
    const uint32_t number = pulls_to_post_.front();
    Pull& pull = pulls_[number];
    const size_t bytes = std::min<size_t>(pull.into.length - pull.posted, queue_pair_->request_bytes_max());
    verbs::SendRequest read;
    read.operation = verbs::Operation::kRead;
    read.local = pull.into.subrange(pull.posted, bytes);
    read.remote = pull.from.subrange(pull.posted, bytes);
    read.token = token_of(TokenKind::kRead, number);
    read.keep = pull.context;  // the memory, until the adapter is done with it
    chain.requests.push_back(std::move(read));
    --chain.room;
    pull.posted += bytes;
    ++pull.in_flight;
    ++reads_in_flight_;
    if (pull.posted == pull.into.length) pulls_to_post_.pop_front();
  }
}

// One message, with the WRITEs that belong before it. False: nothing to send, or no room for it now.
bool VerbsConnection::pump_message(SendChain& chain) {
  std::vector<OutgoingFrame> done;  // let go without the lock: that may run anybody's code
  uint32_t slot = 0;
  size_t bytes = 0;
  {
    const Lock lock(mutex_);
    if (queue_.empty() || free_slots_.empty() || chain.room == 0) return false;
    if (credits_.can_send()) {
      const OutgoingFrame* written = queue_.write_first();
      if (written != nullptr && !add_writes(chain, *written)) return false;
      slot = free_slots_.back();
      free_slots_.pop_back();
      bytes = queue_.fill((*slots_)[kReceiveSlots + slot].data + kPrefixBytes, wire::kMessageBytesMax - kPrefixBytes, done);
      bytes_queued_ = queue_.bytes();
    }
  }
  if (bytes == 0) {
    stalled();
    return false;
  }
  add_message(chain, slot, bytes, 0);
  return true;
}

bool VerbsConnection::add_writes(SendChain& chain, const OutgoingFrame& frame) {
  const size_t limit = queue_pair_->request_bytes_max();
  const size_t bytes = frame.data.size();
  const size_t count = (bytes + limit - 1) / limit;
  if (count + 1 > chain.room) return false;
  const auto local = domain_.local(frame.data.data(), bytes);
  const verbs::RemoteRange remote{frame.remote.address, bytes, frame.remote.key};
  for (size_t at = 0; at < bytes; at += limit) {
    const size_t part = std::min(limit, bytes - at);
    verbs::SendRequest write;
    write.operation = verbs::Operation::kWrite;
    write.local = local->subrange(at, part);
    write.remote = remote.subrange(at, part);
    write.token = token_of(TokenKind::kWrite, 0);
    write.keep = frame.data_owner;
    chain.requests.push_back(std::move(write));
  }
  chain.room -= static_cast<uint32_t>(count);
  domain_.statistics().bytes_written.fetch_add(bytes, std::memory_order_relaxed);
  return true;
}

void VerbsConnection::pump_credits(SendChain& chain) {
  if (!credits_.urgent() || !credits_.can_send_credits() || free_slots_.empty() || chain.room == 0) return;
  const uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  add_message(chain, slot, 0, 0);
}

void VerbsConnection::add_message(SendChain& chain, uint32_t slot, size_t payload_bytes, uint16_t flags) {
  const verbs::LocalRange range = (*slots_)[kReceiveSlots + slot];
  wire::MessagePrefix prefix;
  prefix.length = static_cast<uint32_t>(payload_bytes);
  prefix.credits = credits_.take();
  prefix.flags = flags;
  std::memcpy(range.data, &prefix, sizeof(prefix));
  verbs::SendRequest message;
  message.local = range.first(kPrefixBytes + payload_bytes);
  message.inline_data = kPrefixBytes + payload_bytes <= queue_pair_->inline_bytes_max();
  message.token = token_of(TokenKind::kMessage, slot);
  message.keep = slots_;
  chain.requests.push_back(std::move(message));
  --chain.room;
  VerbsStatistics& statistics = domain_.statistics();
  statistics.messages_sent.fetch_add(1, std::memory_order_relaxed);
  statistics.message_bytes_sent.fetch_add(payload_bytes, std::memory_order_relaxed);
}

void VerbsConnection::post(SendChain& chain) {
  if (chain.requests.empty()) return;
  if (Status status = queue_pair_->post(chain.requests); !status.ok()) break_off(status);
}

void VerbsConnection::send_probe() {
  SendChain chain;
  chain.room = queue_pair_->send_slots_free();
  if (free_slots_.empty() || chain.room == 0 || !credits_.can_send_credits()) return;
  const uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  add_message(chain, slot, 0, static_cast<uint16_t>(wire::MessageFlag::kProbe));
  post(chain);
}

// Frames wait for the peer to take earlier ones: normal for a while. One timer serves many such waits.
void VerbsConnection::stalled() {
  domain_.statistics().credit_waits.fetch_add(1, std::memory_order_relaxed);
  if (stall_timer_ != 0) return;
  const std::chrono::milliseconds allowed(limits_.dead_peer_ms);
  progress_at_ = MonotonicClock::now();
  stall_timer_ = reactor_.schedule(allowed, [me = self(), allowed] {
    me->stall_timer_ = 0;
    if (me->bytes_queued() == 0 || me->credits_.can_send()) return;
    if (MonotonicClock::now() - me->progress_at_ < allowed) return me->stalled();
    me->break_off(
        {StatusCode::kTimedOut, me->name() + ": the peer took no message for " + std::to_string(allowed.count()) + " ms"});
  });
}

}  // namespace ibexfs
