// TCP connections with real sockets: making them, refusals, ends that only TCP has. The rest: verbs_carriers_test.cc.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "test/transport_support.h"
#include "transport/socket.h"

using namespace ibexfs;
using namespace ibexfs::test;
using wire::FrameType;

TEST_CASE("frames sent before the connection stands arrive after it does") {
  Loopback net;
  net.listen();
  const ConnectionPtr client = net.connect();
  for (uint64_t i = 0; i < 10; ++i) client->send(rpc_frame(FrameType::kHello, i, 100), Flush::kNow);
  CHECK(wait_until([&] { return net.server.frames == 10; }));
}

TEST_CASE("a peer that vanishes in the middle of a frame is told apart from one that closed") {
  Loopback net;
  net.listen();
  const UniqueFd raw(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(net.port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(raw.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  const char half[] = "IBX1 but not more";
  REQUIRE(write(raw.get(), half, sizeof(half)) == sizeof(half));
  shutdown(raw.get(), SHUT_RDWR);
  CHECK(wait_until([&] { return net.server.closed == 1; }));
  CHECK(net.server.reasons()[0].code() == StatusCode::kConnectionReset);
  CHECK(net.server.reasons()[0].message().find("in the middle of a frame") != std::string::npos);
}

TEST_CASE("connecting to a port that nobody listens on is refused by name") {
  Loopback net;
  net.listen();
  const uint16_t port = [] {
    const UniqueFd probe(socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    REQUIRE(bind(probe.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &length);
    return ntohs(address.sin_port);
  }();
  auto made = connect_tcp(net.client_reactor(), next_connection_id(), "127.0.0.1", port, net.client, net.client_observer);
  REQUIRE(made.ok());
  made.value()->send(rpc_frame(FrameType::kHello, 1), Flush::kNow);
  CHECK(wait_until([&] { return net.client.closed == 1; }));
  CHECK(net.client.reasons()[0].message() ==
        "connect to 127.0.0.1:" + std::to_string(port) + ": Connection refused (ECONNREFUSED)");
  CHECK(net.client_observer.connected().empty());
  const auto named = connect_tcp(net.client_reactor(), next_connection_id(), "localhost", port, net.client, net.client_observer);
  CHECK(named.status().code() == StatusCode::kInvalid);
}

TEST_CASE("a port in use is named") {
  Loopback net;
  net.listen();
  const auto reactor = make_reactor();
  ListenerOptions options;
  options.host = "127.0.0.1";
  options.port = net.port();
  const auto made = Listener::listen(*reactor, {{reactor.get(), &net.server}}, options, net.server_observer, net.sink);
  REQUIRE_FALSE(made.ok());
  CHECK(made.status().message() == "listen on 127.0.0.1:" + std::to_string(net.port()) + ": Address already in use (EADDRINUSE)");
}

TEST_CASE("connections spread over the serving reactors in turn") {
  RecordingSink sink;
  RecordingObserver observer;
  FunctionHandler handlers[2];
  {
    ReactorThread first(make_reactor(), "first");
    ReactorThread second(make_reactor(), "second");
    FunctionHandler client_handler;
    RecordingObserver client_observer;
    const auto accepting = make_reactor();
    ListenerOptions options;
    options.host = "::1";
    auto made = Listener::listen(*accepting, {{&first.reactor(), &handlers[0]}, {&second.reactor(), &handlers[1]}}, options,
                                 observer, sink);
    if (!made.ok()) {
      options.host = "127.0.0.1";  // a machine without IPv6
      made = Listener::listen(*accepting, {{&first.reactor(), &handlers[0]}, {&second.reactor(), &handlers[1]}}, options,
                              observer, sink);
    }
    REQUIRE(made.ok());
    ReactorThread clients(make_reactor(), "clients");
    for (int i = 0; i < 6; ++i) {
      auto connection = connect_tcp(clients.reactor(), next_connection_id(), options.host, made.value()->port(), client_handler,
                                    client_observer);
      REQUIRE(connection.ok());
      connection.value()->send(rpc_frame(FrameType::kHello, 1), Flush::kNow);
    }
    CHECK(wait_until([&] {
      accepting->run_once(1);
      return handlers[0].frames == 3 && handlers[1].frames == 3;
    }));
  }
}

namespace {

std::string congestion_control(int socket) {
  char name[16] = {};
  socklen_t length = sizeof(name);
  return getsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, name, &length) == 0 ? name : "";
}

uint16_t port_in(const SocketAddress& address) {
  return address.length > 0 ? address.port() : 0;
}

}  // namespace

TEST_CASE("on loopback no congestion control paces, at either end") {
  Loopback net;
  net.listen();
  net.connect_both();
  std::vector<std::string> found;
  for (int fd = 3; fd < 1024; ++fd) {
    const bool ours = port_in(local_address(fd)) == net.port() || port_in(peer_address(fd)) == net.port();
    if (ours) found.push_back(congestion_control(fd));
  }
  CHECK(found == std::vector<std::string>{"reno", "reno", "reno"});  // listener, and both ends of the connection
}

TEST_CASE("addresses beyond loopback keep the machine's congestion control") {
  for (const char* host : {"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"}) {
    const auto address = parse_address(host, 1);
    REQUIRE(address.ok());
    CHECK_FALSE(address.value().is_loopback());
    const UniqueFd socket(::socket(address.value().family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(socket);
    const std::string before = congestion_control(socket.get());
    set_loopback_options(socket.get(), address.value());
    CHECK(congestion_control(socket.get()) == before);
  }
  for (const char* host : {"127.0.0.1", "127.8.9.10", "::1"}) CHECK(parse_address(host, 1).value().is_loopback());
}
