// The receiving half of a verbs connection: completions, messages into frames, data that is read from the peer.
#include <algorithm>
#include <cstring>
#include <utility>

#include "transport/frame.h"
#include "transport/verbs_connection.h"

namespace ibexfs {

namespace {

constexpr size_t kPrefixBytes = sizeof(wire::MessagePrefix);

// Of the frames with data, what is no request.
bool is_answer(const wire::FrameHeader& header) {
  return header.type != static_cast<uint8_t>(wire::FrameType::kChunkRequest);
}

}  // namespace

void VerbsConnection::complete(verbs::Completion& completion) {
  if (!completion.ok() && state_ < State::kDraining) {
    const Status& failure = queue_pair_->failure();
    break_off(failure.ok() ? queue_pair_->status_of(completion) : failure);
  }
  if (state_ >= State::kDraining) return;
  if (completion.operation == verbs::Operation::kReceive) return take_message(completion);
  const auto number = static_cast<uint32_t>(completion.token);
  switch (kind_of_token(completion.token)) {
    case TokenKind::kMessage:
      free_slots_.push_back(number);
      break;
    case TokenKind::kWrite:
      break;
    case TokenKind::kRead: {
      Pull& pull = pulls_[number];
      --reads_in_flight_;
      if (--pull.in_flight == 0 && pull.posted == pull.into.length) pulls_done_.push_back(number);
      break;
    }
  }
}

bool VerbsConnection::refuse(const Status& reason) {
  break_off({reason.ok() ? StatusCode::kBadFrame : reason.code(), name() + ": " + reason.message()});
  return false;
}

void VerbsConnection::take_message(const verbs::Completion& completion) {
  const auto slot = static_cast<uint32_t>(completion.token);
  wire::MessagePrefix prefix;
  const uint8_t* message = (*slots_)[slot].data;
  if (completion.bytes >= sizeof(prefix)) std::memcpy(&prefix, message, sizeof(prefix));
  constexpr auto kProbe = static_cast<uint16_t>(wire::MessageFlag::kProbe);
  if (completion.bytes < sizeof(prefix) || prefix.length != completion.bytes - sizeof(prefix) || (prefix.flags & ~kProbe) != 0) {
    refuse({StatusCode::kBadFrame, "a message of " + std::to_string(completion.bytes) + " bytes is malformed"});
    return;
  }
  if (!credits_.give(prefix.credits)) {
    refuse({StatusCode::kBadFrame, "the peer gave back more messages than it had got"});
    return;
  }
  if (prefix.credits > 0) progress_at_ = MonotonicClock::now();
  VerbsStatistics& statistics = domain_.statistics();
  statistics.messages_received.fetch_add(1, std::memory_order_relaxed);
  statistics.message_bytes_received.fetch_add(prefix.length, std::memory_order_relaxed);
  if (prefix.length == 0) {
    slots_to_post_.push_back(slot);
  } else {
    inbox_.push_back({slot, kPrefixBytes, kPrefixBytes + prefix.length});
  }
  if (std::exchange(probed_, true)) return;
  if (accepted_) {
    send_probe();
  } else {
    end_probe({});
  }
}

void VerbsConnection::repost_receives() {
  if (slots_to_post_.empty() || !queue_pair_) return;
  std::vector<verbs::ReceiveRequest> requests;
  requests.reserve(slots_to_post_.size());
  for (const uint32_t slot : slots_to_post_) requests.push_back({(*slots_)[slot], slot, slots_});
  if (Status status = queue_pair_->post_receives(requests); !status.ok()) return break_off(status);
  credits_.reposted(static_cast<uint32_t>(slots_to_post_.size()));
  slots_to_post_.clear();
}

bool VerbsConnection::may_read() const {
  return state_ == State::kOpen && authenticated_.load() && pauses_.load() <= 0 && !put_off_ && !held_back_;
}

void VerbsConnection::read_frames() {
  while (handle_frames() && feed_parser()) {
  }
  if (state_ == State::kOpen) parser_.rest();
}

// Gives the parser the next bytes of the stream; false when there are none.
bool VerbsConnection::feed_parser() {
  if (inbox_.empty()) return false;
  ReceivedMessage& message = inbox_.front();
  const uint8_t* bytes = (*slots_)[message.slot].data;
  const FrameParser::Destinations into = parser_.destinations();
  size_t given = 0;
  for (int i = 0; i < into.count && message.at < message.end; ++i) {
    const iovec& part = into.parts[static_cast<size_t>(i)];
    const size_t count = std::min(part.iov_len, message.end - message.at);
    std::memcpy(part.iov_base, bytes + message.at, count);
    message.at += count;
    given += count;
  }
  parser_.received(given);
  if (message.at == message.end) {
    slots_to_post_.push_back(message.slot);
    inbox_.pop_front();
  }
  return true;
}

// Handles what is there. True: wants more bytes.
bool VerbsConnection::handle_frames() {
  for (;;) {
    if (accepted_ && bytes_queued() > limits_.send_queue_pause_bytes) held_back_ = true;
    if (!may_read()) return false;
    parser_.accept_all_types();
    bool go_on = false;
    switch (parser_.next()) {
      case FrameParser::Step::kNeedBytes:
        return true;
      case FrameParser::Step::kPlanData:
        go_on = handle_plan();
        break;
      case FrameParser::Step::kFrame:
        go_on = handle_frame();
        break;
      case FrameParser::Step::kTooEarly:
        break;  // not after accept_all_types
      case FrameParser::Step::kBad:
        go_on = refuse(parser_.error());
        break;
    }
    if (!go_on) return false;
  }
}

bool VerbsConnection::handle_plan() {
  const wire::FrameHeader& header = parser_.header();
  const bool remote = has_remote_data(header);
  // Before the plan: nothing of a wrong answer may be used.
  if (remote && is_answer(header) && !was_asked(header))
    return refuse({StatusCode::kBadFrame, "an answer says that it wrote data that was not asked for"});
  DataPlan plan = handler_.plan_data(self(), header, parser_.body());
  if (state_ != State::kOpen) return false;
  if (plan.kind == DataPlan::Kind::kPause) {
    put_off_ = true;
    return false;
  }
  if (plan.kind == DataPlan::Kind::kClose) return refuse(plan.reason);
  if (remote) return take_remote(header, parser_.body(), std::move(plan));
  plan.kind == DataPlan::Kind::kInto ? parser_.receive_data_into(plan.into) : parser_.discard_data();
  data_context_ = std::move(plan.context);
  return true;
}

// Only what was asked, into what was named for it.
bool VerbsConnection::was_asked(const wire::FrameHeader& answer) {
  const Lock lock(mutex_);
  const auto found = exposures_.find(answer.request_id);
  return found != exposures_.end() && found->second.answer && answer.data_length <= found->second.length;
}

// The data is not in the stream: that of a request is to be fetched, that of an answer was written already.
bool VerbsConnection::take_remote(const wire::FrameHeader& header, Bytes body, DataPlan plan) {
  if (is_answer(header)) return take_written(header, std::move(plan));
  if (plan.kind == DataPlan::Kind::kInto) return begin_pull(header, body, std::move(plan));
  data_context_ = std::move(plan.context);
  parser_.skip_data();
  return true;
}

bool VerbsConnection::begin_pull(const wire::FrameHeader& header, Bytes body, DataPlan plan) {
  Pull pull;
  wire::ChunkRequest request;
  std::memcpy(&request, body.data(), sizeof(request));
  pull.from = {request.remote_address, header.data_length, request.remote_key};
  if (!pull.from.valid()) return refuse({StatusCode::kBadRequest, "a request names memory that cannot be"});
  auto into = domain_.local(plan.into, header.data_length);
  if (!into) {
    // Not the chunk server's, whose memory is the pool's.
    pull.final_into = plan.into;
    pull.bounce = domain_.pool().allocate(header.data_length);
    if (pull.bounce) into = domain_.local(pull.bounce.data(), header.data_length);
    if (!into) return refuse({StatusCode::kNoMemory, "there is no registered memory for a request's data"});
  }
  pull.into = *into;
  pull.header = header;
  std::memcpy(pull.body.data(), body.data(), pull.body.size());
  pull.context = std::move(plan.context);
  while (pulls_.contains(next_pull_)) ++next_pull_;
  domain_.statistics().bytes_read.fetch_add(header.data_length, std::memory_order_relaxed);
  pulls_.emplace(next_pull_, std::move(pull));
  pulls_to_post_.push_back(next_pull_++);
  parser_.skip_data();
  parser_.finish_frame();
  return true;
}

bool VerbsConnection::take_written(const wire::FrameHeader& header, DataPlan plan) {
  Exposure exposure;
  {
    const Lock lock(mutex_);
    exposure = std::move(exposures_[header.request_id]);
    exposures_.erase(header.request_id);
  }
  domain_.statistics().peer_written_bytes.fetch_add(header.data_length, std::memory_order_relaxed);
  if (plan.kind == DataPlan::Kind::kInto) {
    if (exposure.bounce) {
      std::memcpy(plan.into, exposure.bounce.data(), header.data_length);
      domain_.statistics().bytes_bounced.fetch_add(header.data_length, std::memory_order_relaxed);
    } else if (reinterpret_cast<uintptr_t>(plan.into) != exposure.address) {
      return refuse({StatusCode::kInternal, "an answer's data was written elsewhere than it is expected"});
    }
  }
  data_context_ = std::move(plan.context);
  parser_.skip_data();
  return true;
}

bool VerbsConnection::handle_frame() {
  const wire::FrameHeader& header = parser_.header();
  if (!handler_.on_frame(self(), header, parser_.body(), data_context_)) {
    put_off_ = true;
    return false;
  }
  if (header.type == static_cast<uint8_t>(wire::FrameType::kChunkResponse) && !accepted_) {
    Exposure ended;
    const Lock lock(mutex_);
    const auto found = exposures_.find(header.request_id);
    if (found != exposures_.end()) {
      ended = std::move(found->second);
      if (!ended.answer && header.status == 0)
        domain_.statistics().peer_read_bytes.fetch_add(ended.length, std::memory_order_relaxed);
      exposures_.erase(found);
    }
  }
  data_context_.reset();
  if (state_ == State::kOpen) parser_.finish_frame();
  return true;
}

void VerbsConnection::finish_pulls() {
  while (!pulls_done_.empty() && state_ == State::kOpen && pauses_.load() <= 0) {
    const uint32_t number = pulls_done_.front();
    Pull& pull = pulls_[number];
    if (pull.bounce) {
      std::memcpy(pull.final_into, pull.bounce.data(), pull.into.length);
      domain_.statistics().bytes_bounced.fetch_add(pull.into.length, std::memory_order_relaxed);
      pull.bounce.reset();
    }
    if (!handler_.on_frame(self(), pull.header, pull.body, pull.context)) return;
    if (state_ != State::kOpen) return;
    pulls_done_.pop_front();
    pulls_.erase(number);
  }
}

void VerbsConnection::pause() {
  pauses_.fetch_add(1);
}

void VerbsConnection::resume() {
  if (pauses_.fetch_sub(1) == 1) post_touch();
}

void VerbsConnection::retry_plan() {
  retry_requested_ = true;
  post_touch();
}

}  // namespace ibexfs
