// Life of a TCP connection: start, readiness, deadlines, end.
#include "transport/tcp_connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "transport/socket.h"

namespace ibexfs {

TcpConnection::TcpConnection(ConnectionId id, std::string peer_address, UniqueFd socket, const Environment& environment)
    : Connection(id, std::move(peer_address)),
      reactor_(environment.reactor),
      handler_(&environment.handler),
      observer_(environment.observer),
      limits_(environment.limits),
      socket_(std::move(socket)) {}

// Ends without on_closed only when the reactor went first, and then nothing is left to be told.
TcpConnection::~TcpConnection() = default;

std::string TcpConnection::local_host() const {
  const std::string address = socket_ ? to_string(local_address(socket_.get())) : std::string();
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return {};
  return address.front() == '[' ? address.substr(1, colon - 2) : address.substr(0, colon);
}

void TcpConnection::start_connecting(int connect_error) {
  reactor_.post([me = self(), connect_error] {
    if (me->state_ != State::kConnecting) return;  // close() came first; its task ends the connection
    if (connect_error != 0) {
      me->fail(Status::from_errno(connect_error, "connect to " + me->peer_address_));
      return;
    }
    const uint32_t deadline_ms = me->limits_.connect_deadline_ms;
    me->set_deadline(deadline_ms, {StatusCode::kTimedOut, "connect to " + me->peer_address_ + ": no answer within " +
                                                              std::to_string(deadline_ms) + " ms"});
    me->begin(EPOLLOUT);
  });
}

void TcpConnection::start_accepted(uint32_t listener, Admission::Ticket ticket) {
  ticket_.emplace(std::move(ticket));
  accepted_ = true;
  reactor_.post([me = self(), listener] {
    {
      const Lock lock(me->mutex_);
      me->state_ = State::kOpen;
    }
    me->connected_ = true;
    me->observer_.on_accepted(me, listener);
    const uint32_t deadline_ms = me->limits_.handshake_deadline_ms;
    me->set_deadline(deadline_ms,
                     {StatusCode::kTimedOut, me->name() + ": no handshake within " + std::to_string(deadline_ms) + " ms"});
    me->begin(EPOLLIN);
  });
}

void TcpConnection::begin(uint32_t epoll_events) {
  std::shared_ptr<TcpConnection> watched(this, [me = self()](TcpConnection*) { me->abandon(); });
  const Status status =
      reactor_.watch(socket_.get(), epoll_events, [me = std::move(watched)](uint32_t events) { me->on_ready(events); });
  if (!status.ok()) fail(status);
}

// The reactor has let go of us. When it went while we were open, nobody is left to be told; but what waits here to be
// sent, or to be filled, may hold us (a request holds the connection that it came by), and would for ever.
void TcpConnection::abandon() {
  std::vector<OutgoingFrame> dropped;
  {
    const Lock lock(mutex_);
    if (state_ == State::kClosed) return;
    state_ = State::kClosed;
    queue_.take_all(dropped);
  }
  data_context_.reset();
}

void TcpConnection::on_ready(uint32_t epoll_events) {
  if (state_ == State::kClosed) return;
  if (!connected_) {
    on_connect_done();
    return;
  }
  if ((epoll_events & EPOLLERR) != 0) note_socket_error();
  if ((epoll_events & EPOLLOUT) != 0) {
    Lock lock(mutex_);
    blocked_ = false;
    write_queue(lock);
    lock.unlock();
    update_interest();
  }
  constexpr uint32_t kBroken = EPOLLHUP | EPOLLERR;
  if (state_ == State::kClosed || (epoll_events & (EPOLLIN | kBroken)) == 0) return;
  if (shutdown_sent_) {
    discard_input();
  } else if (state_ == State::kOpen && may_read()) {
    read_frames();
  } else if ((epoll_events & kBroken) != 0) {
    // epoll would go on to report this; what the peer sent before is not worth waiting for room.
    fail(why_ended());
  } else {
    update_interest();
  }
}

// The kernel tells the error of a socket once, to whoever asks first; it must not be a write that drops it.
void TcpConnection::note_socket_error() {
  int error = 0;
  socklen_t length = sizeof(error);
  getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  const Lock lock(mutex_);
  if (write_error_ == 0) write_error_ = error;
}

Status TcpConnection::why_ended() {
  int error;
  {
    const Lock lock(mutex_);
    error = write_error_;
  }
  // EPIPE says no more than that the peer went.
  if (error != 0 && error != EPIPE) return Status::from_errno(error, name());
  return {StatusCode::kConnectionReset,
          name() + (parser_.at_boundary() ? ": the peer closed it" : ": the peer closed it in the middle of a frame")};
}

void TcpConnection::on_connect_done() {
  int error = 0;
  socklen_t length = sizeof(error);
  getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  // On loopback a connect to a port that nobody listens on can, rarely, meet itself.
  if (error == 0 && to_string(local_address(socket_.get())) == peer_address_) error = ECONNREFUSED;
  if (error != 0) {
    fail(Status::from_errno(error, "connect to " + peer_address_));
    return;
  }
  {
    const Lock lock(mutex_);
    if (state_ != State::kConnecting) return;  // closing; its task ends the connection
    state_ = State::kOpen;
  }
  connected_ = true;
  const uint32_t deadline_ms = limits_.handshake_deadline_ms;
  set_deadline(deadline_ms, {StatusCode::kTimedOut, name() + ": no handshake within " + std::to_string(deadline_ms) + " ms"});
  observer_.on_connected(self());
  flush();
  update_interest();
}

void TcpConnection::set_deadline(uint32_t delay_ms, Status reason) {
  reactor_.cancel(deadline_);
  // `this` is alive when it runs: the deadline is cancelled at the end, and the watch owns us until then.
  deadline_ = reactor_.schedule(std::chrono::milliseconds(delay_ms), [this, reason = std::move(reason)] { fail(reason); });
}

void TcpConnection::set_authenticated() {
  if (authenticated_.exchange(true)) return;
  reactor_.post([me = self()] {
    if (me->state_ != State::kOpen) return;
    me->reactor_.cancel(me->deadline_);
    if (me->ticket_) me->ticket_->authenticated();
    if (std::exchange(me->too_early_, false)) me->read_frames();
  });
}

void TcpConnection::close(Status reason) {
  {
    const Lock lock(mutex_);
    if (state_ == State::kClosing || state_ == State::kClosed) return;
    state_ = State::kClosing;
    close_reason_ = std::move(reason);
  }
  reactor_.post([me = self()] { me->begin_closing(); });
}

void TcpConnection::begin_closing() {
  if (state_ == State::kClosed) return;
  if (!connected_) {
    fail(close_reason_);
    return;
  }
  set_deadline(limits_.close_linger_ms, close_reason_);
  flush();
  finish_sending();
}

// Half-closes once all is sent, then waits for the peer to do the same: closing with unread input would reset
// the connection, and the peer could lose what was sent last (the reason of a refusal, for one).
void TcpConnection::finish_sending() {
  if (state_ != State::kClosing || shutdown_sent_) return;
  {
    const Lock lock(mutex_);
    if (!queue_.empty() || writing_) return;
  }
  shutdown_sent_ = true;
  shutdown(socket_.get(), SHUT_WR);
  discard_input();
  update_interest();
}

void TcpConnection::fail(const Status& reason) {
  const auto me = self();
  std::vector<OutgoingFrame> dropped;
  UniqueFd socket;
  {
    const Lock lock(mutex_);
    if (state_ == State::kClosed) return;
    state_ = State::kClosed;
    reactor_.unwatch(socket_.get());
    if (writing_) {
      shutdown(socket_.get(), SHUT_RDWR);  // who writes lets go of the rest
    } else {
      queue_.take_all(dropped);
      bytes_queued_ = 0;
      socket = std::move(socket_);
    }
  }
  reactor_.cancel(deadline_);
  reactor_.cancel(progress_timer_);
  ticket_.reset();
  dropped.clear();
  data_context_.reset();
  socket.reset();
  handler_->on_closed(me, reason);
}

void TcpConnection::update_interest() {
  uint32_t events = 0;
  {
    const Lock lock(mutex_);
    if (state_ == State::kClosed || !connected_) return;
    interest_stale_ = false;
    if (blocked_) events |= EPOLLOUT;
  }
  if (may_read()) events |= EPOLLIN;
  Status status = reactor_.change(socket_.get(), events);
  // Posted, since this also runs inside a send() of the handler, which does not expect on_closed there.
  if (!status.ok()) reactor_.post([me = self(), reason = std::move(status)] { me->fail(reason); });
}

}  // namespace ibexfs
