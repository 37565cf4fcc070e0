// Connecting over TCP.
#include <sys/socket.h>

#include <atomic>
#include <cerrno>

#include "transport/socket.h"
#include "transport/tcp.h"
#include "transport/tcp_connection.h"

namespace ibexfs {

ConnectionId next_connection_id() {
  static std::atomic<ConnectionId> last{0};
  return last.fetch_add(1) + 1;
}

Result<std::shared_ptr<Connection>> connect_tcp(Reactor& reactor, ConnectionId id, const std::string& host, uint16_t port,
                                                FrameHandler& handler, ConnectionObserver& observer,
                                                const TransportLimits& limits) {
  const Result<SocketAddress> address = parse_address(host, port);
  if (!address.ok()) return address.status();
  const std::string peer = to_string(address.value());
  UniqueFd socket(::socket(address.value().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return Status::from_errno(errno, "socket to connect to " + peer);
  Status status = set_stream_options(socket.get(), limits);
  if (!status.ok()) return status;
  set_loopback_options(socket.get(), address.value());
  int error = 0;
  if (connect(socket.get(), address.value().get(), address.value().length) != 0 && errno != EINPROGRESS) error = errno;
  auto connection = std::make_shared<TcpConnection>(id, peer, std::move(socket),
                                                    TcpConnection::Environment{reactor, handler, observer, limits});
  observer.on_created(connection);
  connection->start_connecting(error);
  return std::shared_ptr<Connection>(std::move(connection));
}

}  // namespace ibexfs
