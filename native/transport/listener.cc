// Accepting over TCP.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cassert>
#include <cerrno>
#include <utility>

#include "transport/admission.h"
#include "transport/socket.h"
#include "transport/tcp.h"
#include "transport/tcp_connection.h"

namespace ibexfs {
namespace {

constexpr int kBacklog = 1024;
// Accepted in one round at most, so that a storm of connects leaves time for those that stand.
constexpr int kAcceptsMax = 64;
// Pause after accept failed for want of descriptors or memory: the connection stays in the backlog, and
// epoll would report it without end.
constexpr std::chrono::milliseconds kShortagePause{100};
constexpr std::chrono::seconds kLogInterval{1};

}  // namespace

class Listener::Implementation {
 public:
  Implementation(Reactor& accepting, std::vector<ServingReactor> serving, const ListenerOptions& options,
                 ConnectionObserver& observer, EventSink& events, UniqueFd socket)
      : reactor_(accepting),
        serving_(std::move(serving)),
        options_(options),
        observer_(observer),
        events_(events),
        socket_(std::move(socket)),
        admission_(std::make_shared<Admission>(options.limits)),
        address_(to_string(local_address(socket_.get()))) {}

  ~Implementation() {
    reactor_.unwatch(socket_.get());
    reactor_.cancel(shortage_timer_);
    reactor_.cancel(log_timer_);
  }

  Status start() {
    return reactor_.watch(socket_.get(), EPOLLIN, [this](uint32_t) { accept_all(); });
  }

  uint16_t port() const { return local_address(socket_.get()).port(); }
  const Admission& admission() const { return *admission_; }

 private:
  void accept_all() {
    for (int accepts = 0; accepts < kAcceptsMax; ++accepts) {
      UniqueFd socket(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (socket) {
        admit(std::move(socket));
      } else if (errno == EAGAIN) {
        return;
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        rest_for_shortage(errno);
        return;
      }
      // Others concern the one connection that was to be accepted, which is gone.
    }
  }

  void admit(UniqueFd socket) {
    const SocketAddress peer = peer_address(socket.get());
    if (peer.length == 0) return;  // reset meanwhile
    std::optional<Admission::Ticket> ticket = admission_->admit();
    if (!ticket) {
      log_refusal(to_string(peer));
      return;
    }
    const Status status = set_stream_options(socket.get(), options_.limits);
    if (!status.ok()) {
      log_event(events_, wire::LogLevel::kWarn, "connection from " + to_string(peer) + ": " + status.message());
      return;
    }
    const ServingReactor& serving = serving_[next_serving_++ % serving_.size()];
    auto connection = std::make_shared<TcpConnection>(
        next_connection_id(), to_string(peer), std::move(socket),
        TcpConnection::Environment{*serving.reactor, *serving.handler, observer_, options_.limits});
    connection->start_accepted(options_.id, std::move(*ticket));
  }

  // One line at once, then at most one a second with the number of the others.
  void log_refusal(const std::string& peer) {
    if (log_timer_ != 0) {
      ++refused_unlogged_;
      return;
    }
    const bool strangers = admission_->unauthenticated() >= options_.limits.unauthenticated_max;
    log_event(
        events_, wire::LogLevel::kWarn,
        "listener " + address_ + " refused a connection from " + peer + ": " +
            (strangers ? std::to_string(options_.limits.unauthenticated_max) + " connections have not finished their handshake"
                       : "the limit of " + std::to_string(options_.limits.connections_max) + " connections is reached"));
    log_timer_ = reactor_.schedule(kLogInterval, [this] {
      log_timer_ = 0;
      const uint64_t refused = std::exchange(refused_unlogged_, 0);
      if (refused == 0) return;
      log_event(events_, wire::LogLevel::kWarn,
                "listener " + address_ + " refused " + std::to_string(refused) + " more connections in the last second");
    });
  }

  void rest_for_shortage(int error) {
    log_event(events_, wire::LogLevel::kError, Status::from_errno(error, "listener " + address_ + " cannot accept").message());
    // Failing leaves the watch as it is: then epoll reports it again at once, which is slow but right.
    (void)reactor_.change(socket_.get(), 0).ok();
    shortage_timer_ = reactor_.schedule(kShortagePause, [this] { (void)reactor_.change(socket_.get(), EPOLLIN).ok(); });
  }

  Reactor& reactor_;
  const std::vector<ServingReactor> serving_;
  const ListenerOptions options_;
  ConnectionObserver& observer_;
  EventSink& events_;
  const UniqueFd socket_;
  const std::shared_ptr<Admission> admission_;  // outlives us in the tickets of connections
  const std::string address_;
  size_t next_serving_ = 0;
  TimerId shortage_timer_ = 0;
  TimerId log_timer_ = 0;  // 0: none is running
  uint64_t refused_unlogged_ = 0;
};

Result<std::unique_ptr<Listener>> Listener::listen(Reactor& accepting, std::vector<ServingReactor> serving,
                                                   const ListenerOptions& options, ConnectionObserver& observer,
                                                   EventSink& events) {
  assert(!serving.empty());
  const Result<SocketAddress> address = parse_address(options.host, options.port);
  if (!address.ok()) return address.status();
  const std::string what = "listen on " + to_string(address.value());
  UniqueFd socket(::socket(address.value().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return Status::from_errno(errno, what);
  // A daemon that starts again gets its port back while connections of its last life are in TIME_WAIT.
  const int yes = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  set_loopback_options(socket.get(), address.value());  // what is accepted inherits them
  if (bind(socket.get(), address.value().get(), address.value().length) != 0 || ::listen(socket.get(), kBacklog) != 0) {
    return Status::from_errno(errno, what);
  }
  auto implementation =
      std::make_unique<Implementation>(accepting, std::move(serving), options, observer, events, std::move(socket));
  Status status = implementation->start();
  if (!status.ok()) return status;
  return std::unique_ptr<Listener>(new Listener(std::move(implementation)));
}

Listener::Listener(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}
Listener::~Listener() = default;
uint16_t Listener::port() const {
  return implementation_->port();
}
uint32_t Listener::connections() const {
  return implementation_->admission().connections();
}
uint32_t Listener::unauthenticated() const {
  return implementation_->admission().unauthenticated();
}

}  // namespace ibexfs
