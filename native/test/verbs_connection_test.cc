// What only queue pairs do: data by READ and WRITE, memory that outlives every access of the peer, ends and their causes.
// On a real device.
#include <doctest/doctest.h>

#include <cstring>

#include "test/transport_support.h"

using namespace ibexfs;
using namespace ibexfs::test;
using wire::FrameType;

namespace {

OutgoingFrame read_request(uint64_t request, std::span<uint8_t> into) {
  OutgoingFrame frame;
  frame.header.type = static_cast<uint8_t>(FrameType::kChunkRequest);
  frame.header.operation = static_cast<uint16_t>(wire::ChunkOperation::kRead);
  frame.header.request_id = request;
  wire::ChunkRequest body;
  body.length = static_cast<uint32_t>(into.size());
  frame.body = FrameBody::of(body);
  frame.answer_into = into;
  return frame;
}

OutgoingFrame answer_to(const wire::FrameHeader& header, Bytes body, Bytes data, std::shared_ptr<const void> owner) {
  wire::ChunkRequest request;
  std::memcpy(&request, body.data(), sizeof(request));
  OutgoingFrame answer;
  answer.header.type = static_cast<uint8_t>(FrameType::kChunkResponse);
  answer.header.request_id = header.request_id;
  answer.body = FrameBody::of(wire::ChunkResponse{});
  answer.data = data;
  answer.data_owner = std::move(owner);
  answer.remote = {request.remote_address, request.remote_key};
  return answer;
}

// Answers every request with as many patterned bytes as it asks for, from the server's pool.
void serve_reads(Loopback& net) {
  net.server.frame = [&net](const ConnectionPtr& connection, const wire::FrameHeader& header, Bytes body, std::shared_ptr<void>) {
    wire::ChunkRequest request;
    std::memcpy(&request, body.data(), sizeof(request));
    auto buffer = std::make_shared<Buffer>(net.server_side.pool->allocate(request.length));
    if (!*buffer) return false;
    fill_pattern({buffer->data(), request.length}, header.request_id);
    connection->send(answer_to(header, body, {buffer->data(), request.length}, buffer), Flush::kLater);
    return true;
  };
}

// The client's handler gives the answers of these requests their memory.
void expect_answers(Loopback& net, std::unordered_map<uint64_t, std::span<uint8_t>>& into) {
  net.client.plan = [&into](const ConnectionPtr&, const wire::FrameHeader& header, Bytes) {
    DataPlan plan;
    plan.kind = DataPlan::Kind::kInto;
    plan.into = into.at(header.request_id).data();
    return plan;
  };
}

}  // namespace

TEST_CASE("verbs: answers are written into the memory of the pool, or by way of it") {
  if (!have_rdma()) return;
  Loopback net({}, Carrier::kVerbs);
  serve_reads(net);
  std::unordered_map<uint64_t, std::span<uint8_t>> into;
  expect_answers(net, into);
  net.listen();
  const auto [client, server] = net.connect_both();
  constexpr size_t kSizes[] = {1, 8192, 8193, 100'000, 1U << 20, (2U << 20) + 4096, 4U << 20};
  std::vector<Buffer> pooled;
  std::vector<std::vector<uint8_t>> own;
  uint64_t request = 0;
  for (const size_t bytes : kSizes) {
    pooled.push_back(net.client_side.pool->allocate(bytes));
    into[++request] = {pooled.back().data(), bytes};
    own.emplace_back(bytes);
    into[++request] = own.back();
  }
  const uint64_t registrations = net.client_side.domain->device()->live().registrations;
  for (uint64_t i = 1; i <= request; ++i) client->send(read_request(i, into[i]), Flush::kLater);
  client->flush();
  REQUIRE(wait_until([&] { return net.client.frames == static_cast<int>(request); }));
  for (uint64_t i = 1; i <= request; ++i) CHECK(has_pattern(into[i], i));
  CHECK(net.server_side.domain->statistics().bytes_written > 2 * (4U << 20));
  CHECK(net.client_side.domain->device()->live().registrations == registrations);
  pooled.clear();
  CHECK(wait_until([&] { return net.client_side.pool->bytes_in_use() == 0 && net.server_side.pool->bytes_in_use() == 0; }));
}

TEST_CASE("verbs: memory that was made known to the device is written directly, and let go with its last holder") {
  if (!have_rdma()) return;
  Loopback net({}, Carrier::kVerbs);
  serve_reads(net);
  std::unordered_map<uint64_t, std::span<uint8_t>> into;
  expect_answers(net, into);
  net.listen();
  const auto [client, server] = net.connect_both();
  VerbsDomain& domain = *net.client_side.domain;
  const uint64_t regions = domain.device()->live().memory_regions;
  auto memory = std::make_shared<std::vector<uint8_t>>(3U << 20);
  const std::weak_ptr<void> kept = memory;
  into[1] = std::span(*memory).subspan(4000, 1U << 20);
  into[2] = std::span(*memory).subspan(2U << 20);
  const std::span<uint8_t> bytes(*memory);
  std::shared_ptr<void> exposed = domain.expose(bytes, std::move(memory));
  REQUIRE(exposed);
  CHECK(domain.device()->live().memory_regions == regions + 1);
  for (uint64_t i = 1; i <= 2; ++i) {
    OutgoingFrame request = read_request(i, into[i]);
    request.data_owner = exposed;
    client->send(std::move(request), Flush::kNow);
  }
  REQUIRE(wait_until([&] { return net.client.frames == 2; }));
  CHECK(has_pattern(into[1], 1));
  CHECK(has_pattern(into[2], 2));
  CHECK(domain.statistics().bytes_bounced == 0);
  exposed.reset();
  CHECK(wait_until([&] { return kept.expired(); }));
  CHECK(domain.device()->live().memory_regions == regions);
}

TEST_CASE("verbs: requests' data is read by the server, and small frames overtake it") {
  if (!have_rdma()) return;
  Loopback net({}, Carrier::kVerbs);
  std::atomic<int> wrong{0};
  net.server.frame = [&](const ConnectionPtr&, const wire::FrameHeader& header, Bytes, std::shared_ptr<void> context) {
    if (header.data_length > 0 && !has_pattern(data_of(context), header.request_id)) ++wrong;
    return true;
  };
  net.listen();
  const auto [client, server] = net.connect_both();
  for (uint64_t i = 0; i < 40; ++i) {
    client->send(data_frame(i, i % 2 == 0 ? (1U << 20) + i : 100 + i), Flush::kLater);
    client->send(rpc_frame(FrameType::kRpcRequest, i, 10), Flush::kNow);
  }
  CHECK(wait_until([&] { return net.server.frames == 80; }));
  CHECK(wrong == 0);
  CHECK(net.server_side.domain->statistics().bytes_read > 20U << 20);
  CHECK(wait_until([&] { return net.server_side.pool->bytes_in_use() == 0; }));
}

TEST_CASE("verbs: memory that a request named stays until the queue pair has drained, and then on_closed comes") {
  if (!have_rdma()) return;
  Loopback net({}, Carrier::kVerbs);
  net.listen();  // nobody answers
  const auto [client, server] = net.connect_both();
  auto memory = std::make_shared<Buffer>(net.client_side.pool->allocate(1U << 20));
  const std::weak_ptr<const void> kept = memory;
  OutgoingFrame request = read_request(1, {memory->data(), 1U << 20});
  request.data_owner = memory;
  memory.reset();
  client->send(std::move(request), Flush::kNow);
  REQUIRE(wait_until([&] { return net.server.frames == 1; }));
  CHECK_FALSE(kept.expired());
  CHECK(client->peer_moves_data());
  CHECK_FALSE(server->peer_moves_data());
  client->close({StatusCode::kTimedOut, "no answer"});
  REQUIRE(wait_until([&] { return net.client.closed == 1 && net.server.closed == 1; }));
  CHECK(wait_until([&] { return kept.expired(); }));
  CHECK(net.client.reasons()[0].code() == StatusCode::kTimedOut);
}

TEST_CASE("verbs: the end of the control connection is the end of the queue pair, after what came before it") {
  if (!have_rdma()) return;
  Loopback net({}, Carrier::kVerbs);
  net.listen();
  const auto control = net.connect();
  REQUIRE(wait_until([&] { return net.server_observer.accepted().size() == 1 && net.client_observer.connected().size() == 1; }));
  const auto [client, server] = net.upgrade(control, net.server_observer.accepted()[0]);
  for (uint64_t i = 0; i < 10; ++i) client->send(rpc_frame(FrameType::kRpcRequest, i, 1000), Flush::kNow);
  REQUIRE(wait_until([&] { return net.server.frames == 10; }));
  net.server_observer.accepted()[0]->close({StatusCode::kShuttingDown, "gone"});
  CHECK(wait_until([&] { return net.client.closed == 1 && net.server.closed == 1; }));
  CHECK(net.client.reasons()[0].code() == StatusCode::kConnectionReset);
}

TEST_CASE("verbs: a wrong key ends the connection on both sides, each with its cause") {
  if (!have_rdma()) return;
  Loopback net({}, Carrier::kVerbs);
  net.server.frame = [&net](const ConnectionPtr& connection, const wire::FrameHeader& header, Bytes body, std::shared_ptr<void>) {
    auto buffer = std::make_shared<Buffer>(net.server_side.pool->allocate(100'000));
    OutgoingFrame answer = answer_to(header, body, {buffer->data(), 100'000}, buffer);
    answer.remote.key ^= 0x55;
    connection->send(std::move(answer), Flush::kNow);
    return true;
  };
  net.listen();
  const auto [client, server] = net.connect_both();
  Buffer memory = net.client_side.pool->allocate(100'000);
  client->send(read_request(1, {memory.data(), 100'000}), Flush::kNow);
  REQUIRE(wait_until([&] { return net.client.closed == 1 && net.server.closed == 1; }));
  CHECK(net.client.frames == 0);
  CHECK(net.server.reasons()[0].message().find("remote access error") != std::string::npos);
  CHECK(wait_until([&] { return net.server_side.pool->bytes_in_use() == 0; }));
}

TEST_CASE("verbs: an offer that is given up leaves the TCP connection as it was") {
  if (!have_rdma()) return;
  Loopback net({}, Carrier::kVerbs);
  net.listen();
  const auto control = net.connect();
  REQUIRE(wait_until([&] { return net.server_observer.accepted().size() == 1 && net.client_observer.connected().size() == 1; }));
  const verbs::LiveObjects& live = net.client_side.domain->device()->live();
  const uint64_t before = live.queue_pairs;
  run_on(net.client_reactor(), [&] {
    auto made = VerbsConnection::create(net.client_side.lane, control);
    REQUIRE_MESSAGE(made.ok(), made.status().message());
    CHECK(live.queue_pairs == before + 1);
    made.value()->drop({StatusCode::kCanceled, "not wanted"});
  });
  CHECK(wait_until([&] { return live.queue_pairs == before; }));
  control->send(rpc_frame(FrameType::kRpcRequest, 1, 100), Flush::kNow);
  CHECK(wait_until([&] { return net.server.frames == 1; }));
  CHECK(net.client.closed == 0);
}
