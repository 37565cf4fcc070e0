// The receiving half of a TCP connection; all of it on the reactor's driving thread.
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "transport/frame.h"
#include "transport/tcp_connection.h"

namespace ibexfs {
namespace {

// What one readiness event reads at most, so that one busy peer does not keep the others waiting.
constexpr size_t kReadBytesMax = 2U << 20;
constexpr int kReadsMax = 32;

}  // namespace

bool TcpConnection::may_read() const {
  if (state_ == State::kClosing) return shutdown_sent_;
  return state_ == State::kOpen && pauses_.load() <= 0 && !put_off_ && !too_early_ && !reading_held_back_;
}

// Invariant: when it returns, everything that was read ahead has been handled, or handling was stopped by
// something that will call it again (resume, retry_plan, set_authenticated, a shorter send queue).
void TcpConnection::read_frames() {
  size_t left_bytes = kReadBytesMax;
  for (int reads = 0; handle_frames() && reads < kReadsMax && left_bytes > 0; ++reads) {
    const FrameParser::Destinations into = parser_.destinations();
    ssize_t got;
    do {
      got = readv(socket_.get(), into.parts.data(), into.count);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) break;
    if (got < 0) {
      fail(Status::from_errno(errno, name()));
      return;
    }
    if (got == 0) {
      fail(why_ended());
      return;
    }
    const auto bytes = static_cast<size_t>(got);
    parser_.received(bytes);
    reactor_.socket_bytes().received.fetch_add(bytes, std::memory_order_relaxed);
    if (receiving_data_) received_at_ = MonotonicClock::now();
    left_bytes -= std::min(left_bytes, bytes);
    if (bytes < into.bytes) {
      // The socket is empty; asking it again would cost a system call to learn that.
      handle_frames();
      break;
    }
  }
  if (state_ == State::kClosed) return;
  parser_.rest();
  update_interest();
}

// Handles what is there. True: wants more bytes.
bool TcpConnection::handle_frames() {
  for (;;) {
    if (state_ != State::kOpen || hold_back() || !may_read()) return false;
    if (authenticated_.load()) parser_.accept_all_types();
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
        go_on = handle_too_early();
        break;
      case FrameParser::Step::kBad:
        fail({parser_.error().code(), name() + ": " + parser_.error().message()});
        break;
    }
    if (!go_on) return false;
  }
}

bool TcpConnection::handle_plan() {
  DataPlan plan = handler_->plan_data(self(), parser_.header(), parser_.body());
  if (state_ == State::kClosed) return false;
  if (plan.kind == DataPlan::Kind::kPause) {
    put_off_ = true;
    return false;
  }
  if (plan.kind == DataPlan::Kind::kClose) {
    fail({plan.reason.ok() ? StatusCode::kBadRequest : plan.reason.code(), name() + ": " + plan.reason.message()});
    return false;
  }
  plan.kind == DataPlan::Kind::kInto ? parser_.receive_data_into(plan.into) : parser_.discard_data();
  data_context_ = std::move(plan.context);
  receiving_data_ = true;
  received_at_ = MonotonicClock::now();
  if (progress_timer_ == 0) watch_progress(std::chrono::milliseconds(limits_.dead_peer_ms));
  return true;
}

// One timer serves many frames: it looks when the last bytes came and waits for what is left of the time.
void TcpConnection::watch_progress(std::chrono::milliseconds delay) {
  progress_timer_ = reactor_.schedule(delay, [this] {
    progress_timer_ = 0;
    if (!receiving_data_) return;
    const std::chrono::milliseconds allowed(limits_.dead_peer_ms);
    const auto now = MonotonicClock::now();
    if (!may_read()) received_at_ = now;  // it is we who take nothing in
    const auto silent = std::chrono::duration_cast<std::chrono::milliseconds>(now - received_at_);
    if (silent < allowed) return watch_progress(allowed - silent);
    fail({StatusCode::kTimedOut, name() + ": the peer stopped in the middle of a frame's data, nothing came for " +
                                     std::to_string(allowed.count()) + " ms"});
  });
}

bool TcpConnection::handle_frame() {
  receiving_data_ = false;
  if (!handler_->on_frame(self(), parser_.header(), parser_.body(), data_context_)) {
    put_off_ = true;
    return false;
  }
  data_context_.reset();
  parser_.finish_frame();
  return true;
}

bool TcpConnection::handle_too_early() {
  // A server may send right after its last handshake frame, before we have told that we are content with it;
  // a client has no such reason.
  if (!accepted_) {
    too_early_ = !authenticated_.load();
    return !too_early_;
  }
  fail({StatusCode::kNotAuthenticated,
        name() + ": " + std::string(bounds_of(parser_.header().type).name) + " before the handshake was done"});
  return false;
}

// Of an accepted connection: nothing more is taken in while too many answers wait to be read by the peer.
bool TcpConnection::hold_back() {
  if (!accepted_ || bytes_queued() <= limits_.send_queue_pause_bytes) return false;
  const Lock lock(mutex_);
  reading_held_back_ = queue_.bytes() > limits_.send_queue_pause_bytes;
  return reading_held_back_;
}

void TcpConnection::pause() {
  pauses_.fetch_add(1);
}

void TcpConnection::resume() {
  if (pauses_.fetch_sub(1) == 1) post_continue();
}

void TcpConnection::retry_plan() {
  retry_requested_ = true;
  post_continue();
}

// One task in the reactor's queue at a time, however often it is asked for.
void TcpConnection::post_continue() {
  if (continue_posted_.exchange(true)) return;
  reactor_.post([me = self()] {
    me->continue_posted_ = false;
    if (me->retry_requested_.exchange(false)) me->put_off_ = false;
    if (me->state_ == State::kOpen && me->connected_) me->read_frames();
  });
}

void TcpConnection::discard_input() {
  std::array<uint8_t, 16384> scratch;
  for (int reads = 0; reads < kReadsMax; ++reads) {
    const ssize_t got = recv(socket_.get(), scratch.data(), scratch.size(), MSG_DONTWAIT);
    if (got > 0) continue;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    fail(close_reason_);
    return;
  }
}

}  // namespace ibexfs
