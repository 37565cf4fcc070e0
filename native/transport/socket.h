// Addresses and options of TCP sockets.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "base/status.h"
#include "transport/limits.h"

namespace ibexfs {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  uint16_t port() const;
  bool is_loopback() const;
};

// `host` is a numeric IPv4 or IPv6 address; names are resolved by those who configure.
Result<SocketAddress> parse_address(const std::string& host, uint16_t port);
// "127.0.0.1:4000", "[::1]:4000"
std::string to_string(const SocketAddress& address);
SocketAddress local_address(int socket);
SocketAddress peer_address(int socket);

// On loopback nothing is lost or queued, so there is nothing for congestion control to decide, and one that paces
// (BBR, where the machine is set to it) spends more on its timer, once per 64 KiB, than the bytes cost. Before
// connect or listen, since a socket that has begun to pace goes on. Other addresses keep what the machine is set to.
void set_loopback_options(int socket, const SocketAddress& address);
// No delay for small frames; a dead peer is noticed within limits.dead_peer_ms, idle or not.
Status set_stream_options(int socket, const TransportLimits& limits);

}  // namespace ibexfs
