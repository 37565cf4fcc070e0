// Addresses and options of TCP sockets.
#include "transport/socket.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace ibexfs {

uint16_t SocketAddress::port() const {
  in_port_t port = 0;
  if (family() == AF_INET) port = reinterpret_cast<const sockaddr_in*>(&storage)->sin_port;
  if (family() == AF_INET6) port = reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port;
  return ntohs(port);
}

bool SocketAddress::is_loopback() const {
  if (family() == AF_INET) return ntohl(reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
  return family() == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr);
}

Result<SocketAddress> parse_address(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  // getaddrinfo rather than inet_pton: it knows scopes (fe80::1%eth0).
  const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0)
    return Status(StatusCode::kInvalid,
                  "address '" + host + "': " + gai_strerror(error) + ", expected a numeric IPv4 or IPv6 address");
  SocketAddress address;
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  address.length = found->ai_addrlen;
  freeaddrinfo(found);
  return address;
}

std::string to_string(const SocketAddress& address) {
  std::array<char, NI_MAXHOST> host;
  if (getnameinfo(address.get(), address.length, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) != 0)
    return "unknown address";
  const std::string port = std::to_string(address.port());
  return address.family() == AF_INET6 ? "[" + std::string(host.data()) + "]:" + port : std::string(host.data()) + ":" + port;
}

SocketAddress local_address(int socket) {
  SocketAddress address;
  address.length = sizeof(address.storage);
  if (getsockname(socket, address.get(), &address.length) != 0) address.length = 0;
  return address;
}

SocketAddress peer_address(int socket) {
  SocketAddress address;
  address.length = sizeof(address.storage);
  if (getpeername(socket, address.get(), &address.length) != 0) address.length = 0;
  return address;
}

void set_loopback_options(int socket, const SocketAddress& address) {
  // The one that every kernel has and everybody may choose. Where it is refused all the same, only speed is lost.
  constexpr std::string_view kUnpaced = "reno";
  if (address.is_loopback()) setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, kUnpaced.data(), kUnpaced.size());
}

Status set_stream_options(int socket, const TransportLimits& limits) {
  // Keep-alive probes notice a dead peer while nothing is to be sent, the user timeout while something is.
  const int third_seconds = std::max(1, static_cast<int>(limits.dead_peer_ms / 3000));
  const struct {
    int level;
    int option;
    int value;
    const char* name;
  } options[] = {
      {IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY"},
      {SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE"},
      {IPPROTO_TCP, TCP_KEEPIDLE, third_seconds, "TCP_KEEPIDLE"},
      {IPPROTO_TCP, TCP_KEEPINTVL, third_seconds, "TCP_KEEPINTVL"},
      {IPPROTO_TCP, TCP_KEEPCNT, 2, "TCP_KEEPCNT"},
      {IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(limits.dead_peer_ms), "TCP_USER_TIMEOUT"},
  };
  for (const auto& option : options) {
    if (setsockopt(socket, option.level, option.option, &option.value, sizeof(option.value)) != 0) {
      return Status::from_errno(errno, std::string("set socket option ") + option.name);
    }
  }
  return {};
}

}  // namespace ibexfs
