// What strangers and slow peers can do: as much as TransportLimits says, and no more.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/transport_support.h"
#include "transport/frame.h"
#include "transport/peer_sessions.h"

using namespace ibexfs;
using namespace ibexfs::test;
using wire::FrameType;

namespace {

UniqueFd raw_connect(uint16_t port) {
  UniqueFd raw(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(raw.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  return raw;
}

// True when the other side has closed, waiting for it.
bool ended(const UniqueFd& raw) {
  timeval limit{20, 0};
  setsockopt(raw.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  char byte;
  const ssize_t got = recv(raw.get(), &byte, 1, 0);
  return got == 0 || (got < 0 && errno == ECONNRESET);
}

void write_header(const UniqueFd& raw, FrameType type, uint32_t body_bytes) {
  wire::FrameHeader header;
  header.type = static_cast<uint8_t>(type);
  seal_header(header, body_bytes, 0);
  REQUIRE(write(raw.get(), &header, sizeof(header)) == sizeof(header));
}

}  // namespace

TEST_CASE("one byte at a time does not hold a place beyond the handshake deadline") {
  TransportLimits limits;
  limits.handshake_deadline_ms = 60;
  Loopback net(limits);
  net.server_observer.authenticate = false;
  net.listen();
  const UniqueFd raw = raw_connect(net.port());
  const auto begin = MonotonicClock::now();
  wire::FrameHeader header;
  header.type = static_cast<uint8_t>(FrameType::kHello);
  seal_header(header, 1024, 0);
  const auto* bytes = reinterpret_cast<const uint8_t*>(&header);
  size_t sent = 0;
  while (net.server.closed == 0 && sent < sizeof(header)) {
    (void)!send(raw.get(), bytes + sent++, 1, MSG_NOSIGNAL);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  CHECK(ended(raw));
  CHECK(MonotonicClock::now() - begin >= std::chrono::milliseconds(55));
  REQUIRE(wait_until([&] { return net.server.closed == 1; }));
  CHECK(net.server.reasons()[0].code() == StatusCode::kTimedOut);
  CHECK(net.server.reasons()[0].message().find("no handshake within 60 ms") != std::string::npos);
  CHECK(wait_until([&] { return net.listener().connections() == 0; }));
}

TEST_CASE("an authenticated connection has no deadline and no longer counts as a stranger's") {
  TransportLimits limits;
  limits.handshake_deadline_ms = 40;
  Loopback net(limits);
  net.listen();
  const auto [client, server] = net.connect_both();
  CHECK(wait_until([&] { return net.listener().unauthenticated() == 0; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  CHECK(net.server.closed == 0);
  CHECK(net.listener().connections() == 1);
}

TEST_CASE("strangers above the limit are refused with one line of log, and places come back") {
  TransportLimits limits;
  limits.unauthenticated_max = 3;
  limits.handshake_deadline_ms = 10000;
  Loopback net(limits);
  net.server_observer.authenticate = false;
  net.listen();
  std::vector<UniqueFd> strangers;
  for (int i = 0; i < 3; ++i) strangers.push_back(raw_connect(net.port()));
  REQUIRE(wait_until([&] { return net.server_observer.accepted().size() == 3; }));
  for (int i = 0; i < 5; ++i) {
    const UniqueFd refused = raw_connect(net.port());
    CHECK(ended(refused));
  }
  CHECK(net.listener().connections() == 3);
  REQUIRE(net.sink.logs().size() == 1);
  CHECK(net.sink.logs()[0].find("3 connections have not finished their handshake") != std::string::npos);
  // One proves who it is, one goes: two places.
  net.server_observer.accepted()[0]->set_authenticated();
  strangers[1].reset();
  CHECK(wait_until([&] { return net.listener().unauthenticated() == 1; }));
  CHECK(net.listener().connections() == 2);
  const UniqueFd late = raw_connect(net.port());
  CHECK(wait_until([&] { return net.server_observer.accepted().size() == 4; }));
}

TEST_CASE("connections above the limit are refused also when all are known") {
  TransportLimits limits;
  limits.connections_max = 2;
  Loopback net(limits);
  net.listen();
  const auto first = net.connect_both();
  const auto second = net.connect_both();
  const UniqueFd third = raw_connect(net.port());
  CHECK(ended(third));
  REQUIRE(net.sink.logs().size() == 1);
  CHECK(net.sink.logs()[0].find("limit of 2 connections") != std::string::npos);
}

TEST_CASE("a stranger's RPC frame, oversized hello or garbage ends its connection alone") {
  Loopback net;
  net.server_observer.authenticate = false;
  net.listen();
  const UniqueFd good = raw_connect(net.port());
  const UniqueFd early = raw_connect(net.port());
  write_header(early, FrameType::kRpcRequest, 1000000);
  CHECK(ended(early));
  const UniqueFd large = raw_connect(net.port());
  write_header(large, FrameType::kHello, 1025);
  CHECK(ended(large));
  const UniqueFd garbage = raw_connect(net.port());
  const std::string text(200, 'x');
  REQUIRE(write(garbage.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  CHECK(ended(garbage));
  REQUIRE(wait_until([&] { return net.server.closed == 3; }));
  const auto reasons = net.server.reasons();
  CHECK(reasons[0].code() == StatusCode::kNotAuthenticated);
  CHECK(reasons[0].message().find("rpcRequest before the handshake was done") != std::string::npos);
  CHECK(reasons[1].message().find("body of 1025 bytes in hello") != std::string::npos);
  CHECK(reasons[2].message().find("magic") != std::string::npos);
  write_header(good, FrameType::kHello, 0);
  CHECK(wait_until([&] { return net.server.frames == 1; }));
}

TEST_CASE("what a server sends right after its welcome waits until the client is content") {
  Loopback net;
  net.client_observer.authenticate = false;
  net.listen();
  const auto [client, server] = net.connect_both();
  server->send(rpc_frame(FrameType::kWelcome, 1, 50), Flush::kLater);
  server->send(rpc_frame(FrameType::kRpcNotify, 2, 50), Flush::kLater);
  server->flush();
  REQUIRE(wait_until([&] { return net.client.frames == 1; }));
  run_on(net.client_reactor(), [] {});
  CHECK(net.client.frames == 1);
  client->set_authenticated();
  CHECK(wait_until([&] { return net.client.frames == 2; }));
  CHECK(net.client.closed == 0);
}

TEST_CASE("a peer that does not read its answers is not served further, and goes on when it reads") {
  TransportLimits limits;
  limits.send_queue_pause_bytes = 4U << 20;
  Loopback net(limits);
  std::atomic<size_t> queued_most{0};
  net.server.frame = [&](const ConnectionPtr& connection, const wire::FrameHeader& header, Bytes, std::shared_ptr<void>) {
    OutgoingFrame answer = data_frame(header.request_id, 1U << 20);
    answer.header.type = static_cast<uint8_t>(FrameType::kChunkResponse);
    answer.body = FrameBody::of(wire::ChunkResponse{});
    connection->send(std::move(answer), Flush::kLater);
    queued_most = std::max(queued_most.load(), connection->bytes_queued());
    return true;
  };
  net.listen();
  const auto client = net.connect_both().first;
  client->pause();
  constexpr int kRequests = 64;
  for (uint64_t i = 0; i < kRequests; ++i) client->send(rpc_frame(FrameType::kRpcRequest, i), Flush::kNow);
  // The most that was queued: right afterwards the socket may take enough for a queue below the mark again.
  CHECK(wait_until([&] { return queued_most > limits.send_queue_pause_bytes; }));
  run_on(net.server_reactor(), [] {});
  CHECK(net.server.frames < kRequests);
  client->resume();
  CHECK(wait_until([&] { return net.client.frames == kRequests; }));
  CHECK(queued_most <= limits.send_queue_pause_bytes + (2U << 20));
}

TEST_CASE("a host that does not answer a connect is given up at the deadline") {
  // With its backlog full, the kernel drops further connects as an unreachable host would.
  const UniqueFd full(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  REQUIRE(bind(full.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(listen(full.get(), 0) == 0);
  getsockname(full.get(), reinterpret_cast<sockaddr*>(&address), &length);
  std::vector<UniqueFd> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    (void)connect(waiting.back().get(), reinterpret_cast<sockaddr*>(&address), length);
  }
  TransportLimits limits;
  limits.connect_deadline_ms = 50;
  Loopback net;
  net.listen();
  auto made = connect_tcp(net.client_reactor(), next_connection_id(), "127.0.0.1", ntohs(address.sin_port), net.client,
                          net.client_observer, limits);
  REQUIRE(made.ok());
  REQUIRE(wait_until([&] { return net.client.closed == 1; }));
  CHECK(net.client.reasons()[0].code() == StatusCode::kTimedOut);
  CHECK(net.client.reasons()[0].message().find("no answer within 50 ms") != std::string::npos);
}

TEST_CASE("a peer that takes nothing for the dead-peer time is given up, with an errno") {
  TransportLimits limits;
  limits.dead_peer_ms = 300;
  Loopback net(limits);
  net.listen();
  const auto [client, server] = net.connect_both();
  server->pause();
  for (uint64_t i = 0; i < 16; ++i) client->send(data_frame(i, 1U << 20), Flush::kNow);
  REQUIRE(wait_until([&] { return net.client.closed == 1; }));
  CHECK(net.client.reasons()[0].code() == StatusCode::kTimedOut);
}

TEST_CASE("a connection whose queue grows past all bounds is closed and names the size") {
  TransportLimits limits;
  limits.send_queue_bytes_max = 16U << 20;
  Loopback net(limits);
  net.listen();
  const auto [client, server] = net.connect_both();
  client->pause();
  for (uint64_t i = 0; i < 40; ++i) server->send(data_frame(i, 1U << 20), Flush::kNow);
  REQUIRE(wait_until([&] { return net.server.closed == 1; }));
  CHECK(net.server.reasons()[0].code() == StatusCode::kOverloaded);
}

TEST_CASE("a peer that stops in the middle of a frame's data gives its memory back; a slow one does not have to") {
  TransportLimits limits;
  limits.dead_peer_ms = 200;
  Loopback net(limits);
  std::weak_ptr<void> held;
  net.server.plan = [&](const ConnectionPtr&, const wire::FrameHeader& header, Bytes) {
    auto bytes = std::make_shared<std::vector<uint8_t>>(header.data_length);
    held = bytes;
    DataPlan plan;
    plan.kind = DataPlan::Kind::kInto;
    plan.into = bytes->data();
    plan.context = bytes;
    return plan;
  };
  net.listen();
  const UniqueFd raw = raw_connect(net.port());
  const auto send_start = [&](uint32_t data_bytes) {
    wire::FrameHeader header;
    header.type = static_cast<uint8_t>(FrameType::kChunkRequest);
    const wire::ChunkRequest body;
    seal_header(header, sizeof(body), data_bytes);
    REQUIRE(write(raw.get(), &header, sizeof(header)) == sizeof(header));
    REQUIRE(write(raw.get(), &body, sizeof(body)) == sizeof(body));
  };
  send_start(10);
  for (int i = 0; i < 10; i++) {  // together longer than the limit
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    REQUIRE(write(raw.get(), "x", 1) == 1);
  }
  REQUIRE(wait_until([&] { return net.server.frames == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(250));  // between frames a peer may be silent
  CHECK(net.server.closed == 0);
  send_start(1000);
  REQUIRE(write(raw.get(), "some of it", 10) == 10);
  CHECK(ended(raw));
  REQUIRE(wait_until([&] { return net.server.closed == 1; }));
  CHECK(net.server.reasons()[0].code() == StatusCode::kTimedOut);
  CHECK(net.server.reasons()[0].message().find("in the middle of a frame's data") != std::string::npos);
  CHECK(held.expired());
  CHECK(net.server.frames == 1);
}

TEST_CASE("a peer's session ends with its next one, and is forgotten when its connection closes") {
  PeerSessions sessions;
  Loopback net;
  net.listen();
  const auto [client, server] = net.connect_both();
  const auto [other_client, other_server] = net.connect_both();
  CHECK(server->session() == nullptr);
  sessions.begin("one", server);
  sessions.begin("other", other_server);
  CHECK_FALSE(server->session()->is_over());

  const auto [again_client, again_server] = net.connect_both();
  sessions.begin("one", again_server);
  CHECK(server->session()->is_over());
  CHECK_FALSE(again_server->session()->is_over());
  CHECK_FALSE(other_server->session()->is_over());
  CHECK(wait_until([&] { return net.server.closed == 1; }));
  CHECK(net.server.reasons()[0].message() == "the peer has connected again");
  sessions.closed(*server);
  CHECK(sessions.size() == 2);
  sessions.closed(*again_server);
  sessions.closed(*other_server);
  CHECK(sessions.size() == 0);
}
