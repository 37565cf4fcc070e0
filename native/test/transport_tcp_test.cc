// TCP connections with real sockets and threads: content, order, back-pressure, ends.
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

TEST_CASE("requests from several threads are answered, each once, in order per thread") {
  Loopback net;
  net.server.frame = [](const ConnectionPtr& connection, const wire::FrameHeader& header, Bytes body, std::shared_ptr<void>) {
    OutgoingFrame answer;
    answer.header.type = static_cast<uint8_t>(FrameType::kRpcResponse);
    answer.header.request_id = header.request_id;
    answer.body = FrameBody::copy_of(body);
    connection->send(std::move(answer), Flush::kLater);
    return true;
  };
  std::vector<uint64_t> last(4, 0);
  std::atomic<int> wrong{0};
  net.client.frame = [&](const ConnectionPtr&, const wire::FrameHeader& header, Bytes body, std::shared_ptr<void>) {
    const uint64_t request = header.request_id;
    uint64_t& before = last[request >> 32];
    if ((request & 0xffffffff) != ++before || !has_pattern(body, request)) ++wrong;
    return true;
  };
  net.listen();
  const auto [client, server] = net.connect_both();
  constexpr uint64_t kRequests = 500;
  std::vector<std::thread> threads;
  for (uint64_t id = 0; id < 4; ++id) {
    threads.emplace_back([&, connection = client, id] {
      for (uint64_t i = 1; i <= kRequests; ++i) {
        const uint64_t request = (id << 32) | i;
        connection->send(rpc_frame(FrameType::kRpcRequest, request, i % 7 == 0 ? 40000 : i % 300),
                         i % 2 == 0 ? Flush::kNow : Flush::kLater);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wait_until([&] { return net.client.frames == 4 * static_cast<int>(kRequests); }));
  CHECK(wrong == 0);
  CHECK(wait_until([&] { return client->bytes_queued() == 0 && server->bytes_queued() == 0; }));
  CHECK(client->peer_address() == "127.0.0.1:" + std::to_string(net.port()));
  CHECK(client->id() != server->id());
}

TEST_CASE("large data goes both ways at once, every byte in its place") {
  Loopback net;
  std::atomic<int> wrong{0};
  const auto check = [&](const ConnectionPtr&, const wire::FrameHeader& header, Bytes, std::shared_ptr<void> context) {
    const auto& data = data_of(context);
    if (data.size() != header.data_length || !has_pattern(data, header.request_id)) ++wrong;
    return true;
  };
  net.server.frame = check;
  net.client.frame = check;
  net.listen();
  const auto [client, server] = net.connect_both();
  constexpr int kFrames = 24;
  const auto send_all = [](const ConnectionPtr& connection) {
    for (uint64_t i = 0; i < kFrames; ++i) connection->send(data_frame(i, (1U << 20) + (i % 3) * 4096 + i % 2), Flush::kNow);
  };
  std::thread other([&, connection = server] { send_all(connection); });
  send_all(client);
  other.join();
  CHECK(wait_until([&] { return net.server.frames == kFrames && net.client.frames == kFrames; }));
  CHECK(wrong == 0);
}

TEST_CASE("frames sent before the connection stands arrive after it does") {
  Loopback net;
  net.listen();
  const ConnectionPtr client = net.connect();
  for (uint64_t i = 0; i < 10; ++i) client->send(rpc_frame(FrameType::kHello, i, 100), Flush::kNow);
  CHECK(wait_until([&] { return net.server.frames == 10; }));
}

TEST_CASE("a handler without room for data stops the stream until it asks again; memory stays bounded") {
  Loopback net;
  constexpr int kRoom = 2;
  constexpr int kFrames = 40;
  std::atomic<int> in_use{0};
  std::atomic<int> in_use_most{0};
  std::atomic<int> refusals{0};
  std::atomic<int> wrong{0};
  std::mutex mutex;
  std::vector<std::shared_ptr<void>> arrived;
  net.server.plan = [&](const ConnectionPtr&, const wire::FrameHeader& header, Bytes) {
    DataPlan plan;
    if (in_use == kRoom) {
      ++refusals;
      plan.kind = DataPlan::Kind::kPause;
      return plan;
    }
    in_use_most = std::max(in_use_most.load(), ++in_use);
    auto* bytes = new std::vector<uint8_t>(header.data_length);
    plan.kind = DataPlan::Kind::kInto;
    plan.into = bytes->data();
    plan.context = std::shared_ptr<void>(bytes, [&](void* raw) {
      delete static_cast<std::vector<uint8_t>*>(raw);
      --in_use;
    });
    return plan;
  };
  net.server.frame = [&](const ConnectionPtr&, const wire::FrameHeader& header, Bytes, std::shared_ptr<void> context) {
    if (!has_pattern(data_of(context), header.request_id)) ++wrong;
    const std::lock_guard lock(mutex);
    arrived.push_back(std::move(context));
    return true;
  };
  net.listen();
  const auto [client, server] = net.connect_both();
  for (uint64_t i = 0; i < kFrames; ++i) client->send(data_frame(i, 1U << 20), Flush::kNow);
  int consumed = 0;
  while (consumed < kFrames) {
    REQUIRE(wait_until([&] {
      const std::lock_guard lock(mutex);
      return !arrived.empty();
    }));
    // Once room is short the rest waits at the sender.
    if (consumed == 0) {
      CHECK(wait_until([&] { return refusals > 0; }));
      CHECK(client->bytes_queued() > 0);
    }
    std::vector<std::shared_ptr<void>> taken;
    {
      const std::lock_guard lock(mutex);
      taken.swap(arrived);
    }
    consumed += static_cast<int>(taken.size());
    taken.clear();
    server->retry_plan();
  }
  CHECK(wrong == 0);
  CHECK(in_use_most <= kRoom);
  CHECK(net.server.frames == kFrames);
}

TEST_CASE("a frame that the handler had no room for is offered again, unchanged") {
  Loopback net;
  std::atomic<int> offers{0};
  std::atomic<int> wrong{0};
  net.server.frame = [&](const ConnectionPtr& connection, const wire::FrameHeader& header, Bytes body,
                         std::shared_ptr<void> context) {
    if (!has_pattern(body, header.request_id)) ++wrong;
    if (header.data_length > 0 && !context) ++wrong;
    if (++offers % 3 != 0) {
      // Asking again before having refused must not be lost.
      connection->retry_plan();
      return false;
    }
    return true;
  };
  net.listen();
  const auto [client, server] = net.connect_both();
  for (uint64_t i = 0; i < 50; ++i) client->send(rpc_frame(FrameType::kRpcRequest, i, i * 10), Flush::kLater);
  client->flush();
  CHECK(wait_until([&] { return net.server.frames == 50; }));
  CHECK(offers == 150);
  CHECK(wrong == 0);
}

TEST_CASE("a paused connection takes nothing in until as many resumes came") {
  Loopback net;
  net.listen();
  const auto [client, server] = net.connect_both();
  server->pause();
  server->pause();
  client->send(rpc_frame(FrameType::kRpcRequest, 1, 10), Flush::kNow);
  run_on(net.server_reactor(), [] {});
  server->resume();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(net.server.frames == 0);
  server->resume();
  CHECK(wait_until([&] { return net.server.frames == 1; }));
}

TEST_CASE("data that the handler does not want is dropped, and the stream goes on") {
  Loopback net;
  net.server.plan = [](const ConnectionPtr&, const wire::FrameHeader& header, Bytes) {
    DataPlan plan;
    if (header.request_id % 2 == 0) return plan;  // kDiscard
    auto bytes = std::make_shared<std::vector<uint8_t>>(header.data_length);
    plan.kind = DataPlan::Kind::kInto;
    plan.into = bytes->data();
    plan.context = bytes;
    return plan;
  };
  std::atomic<int> wrong{0};
  net.server.frame = [&](const ConnectionPtr&, const wire::FrameHeader& header, Bytes, std::shared_ptr<void> context) {
    if ((header.request_id % 2 == 0) != (context == nullptr)) ++wrong;
    if (context && !has_pattern(data_of(context), header.request_id)) ++wrong;
    return true;
  };
  net.listen();
  const auto [client, server] = net.connect_both();
  for (uint64_t i = 0; i < 20; ++i) client->send(data_frame(i, 300000), Flush::kNow);
  CHECK(wait_until([&] { return net.server.frames == 20; }));
  CHECK(wrong == 0);
}

TEST_CASE("what was sent before close arrives; both ends learn of it once") {
  Loopback net;
  net.listen();
  const auto [client, server] = net.connect_both();
  for (uint64_t i = 0; i < 8; ++i) server->send(data_frame(i, 1U << 20), Flush::kLater);
  server->close({StatusCode::kShuttingDown, "the server stops"});
  server->close({StatusCode::kInternal, "a second close says nothing"});
  server->send(data_frame(9, 10), Flush::kNow);
  CHECK(wait_until([&] { return net.client.closed == 1 && net.server.closed == 1; }));
  CHECK(net.client.frames == 8);
  CHECK(net.server.reasons()[0].code() == StatusCode::kShuttingDown);
  CHECK(net.client.reasons()[0].message() == "connection to " + client->peer_address() + ": the peer closed it");
  client->send(data_frame(1, 10), Flush::kNow);
  client->close({});
  client->retry_plan();
  client->flush();
  run_on(net.client_reactor(), [] {});
  CHECK(net.client.closed == 1);
  CHECK(client->bytes_queued() == 0);
}

TEST_CASE("closing a connection whose peer takes nothing ends within the linger time") {
  TransportLimits limits;
  limits.close_linger_ms = 50;
  Loopback net(limits);
  net.listen();
  const auto [client, server] = net.connect_both();
  server->pause();
  std::weak_ptr<const void> owner;
  for (uint64_t i = 0; i < 16; ++i) {
    OutgoingFrame frame = data_frame(i, 1U << 20);
    owner = frame.data_owner;
    client->send(std::move(frame), Flush::kNow);
  }
  CHECK(client->bytes_queued() > 0);
  client->close({StatusCode::kCanceled, "enough"});
  CHECK(wait_until([&] { return net.client.closed == 1; }));
  CHECK(wait_until([&] { return owner.expired(); }));
  CHECK(client->bytes_queued() == 0);
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

TEST_CASE("threads that send while the connection closes lose their frames, nothing else") {
  for (int round = 0; round < 10; ++round) {
    Loopback net;
    net.listen();
    const auto [client, server] = net.connect_both();
    std::vector<std::thread> threads;
    for (int id = 0; id < 3; ++id) {
      threads.emplace_back([connection = client] {
        for (uint64_t i = 0; i < 60; ++i) connection->send(data_frame(i, 100000), i % 2 == 0 ? Flush::kNow : Flush::kLater);
      });
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100 * round));
    if (round % 2 == 0) {
      server->close({StatusCode::kShuttingDown, "now"});
    } else {
      client->close({StatusCode::kShuttingDown, "now"});
    }
    for (auto& thread : threads) thread.join();
    CHECK(wait_until([&] { return net.client.closed == 1 && net.server.closed == 1; }));
    CHECK(client->bytes_queued() == 0);
  }
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
