// What every carrier does: content, order, back-pressure, ends. With real sockets, queue pairs and threads.
#include <doctest/doctest.h>

#include <thread>

#include "test/transport_support.h"

using namespace ibexfs;
using namespace ibexfs::test;
using wire::FrameType;

namespace {

// Requests from several threads are answered, each once, in order per thread.
void several_threads(Carrier carrier) {
  Loopback net({}, carrier);
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

// Large data goes both ways at once, every byte in its place.
void large_data_both_ways(Carrier carrier) {
  Loopback net({}, carrier);
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

// A handler without room for data stops the stream until it asks again; memory stays bounded.
void no_room_for_data(Carrier carrier) {
  Loopback net({}, carrier);
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

// A frame that the handler had no room for is offered again, unchanged.
void no_room_for_a_frame(Carrier carrier) {
  Loopback net({}, carrier);
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

// A paused connection takes nothing in until as many resumes came.
void pauses(Carrier carrier) {
  Loopback net({}, carrier);
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

// Data that the handler does not want is dropped, and the stream goes on.
void unwanted_data(Carrier carrier) {
  Loopback net({}, carrier);
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

// What was sent before close arrives; both ends learn of it once.
void close_after_sending(Carrier carrier) {
  TransportLimits limits;
  limits.close_linger_ms = 20'000;  // an emulated processor sends slowly
  Loopback net(limits, carrier);
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

// Closing a connection whose peer takes nothing ends within the linger time.
void close_of_the_deaf(Carrier carrier) {
  TransportLimits limits;
  limits.close_linger_ms = 50;
  Loopback net(limits, carrier);
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

// Threads that send while the connection closes lose their frames, nothing else.
void sending_while_closing(Carrier carrier) {
  for (int round = 0; round < 10; ++round) {
    Loopback net({}, carrier);
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

}  // namespace

TEST_CASE("tcp: requests from several threads are answered, each once, in order per thread") {
  several_threads(Carrier::kTcp);
}

TEST_CASE("tcp: large data goes both ways at once, every byte in its place") {
  large_data_both_ways(Carrier::kTcp);
}

TEST_CASE("tcp: a handler without room for data stops the stream until it asks again; memory stays bounded") {
  no_room_for_data(Carrier::kTcp);
}

TEST_CASE("tcp: a frame that the handler had no room for is offered again, unchanged") {
  no_room_for_a_frame(Carrier::kTcp);
}

TEST_CASE("tcp: a paused connection takes nothing in until as many resumes came") {
  pauses(Carrier::kTcp);
}

TEST_CASE("tcp: data that the handler does not want is dropped, and the stream goes on") {
  unwanted_data(Carrier::kTcp);
}

TEST_CASE("tcp: what was sent before close arrives; both ends learn of it once") {
  close_after_sending(Carrier::kTcp);
}

TEST_CASE("tcp: closing a connection whose peer takes nothing ends within the linger time") {
  close_of_the_deaf(Carrier::kTcp);
}

TEST_CASE("tcp: threads that send while the connection closes lose their frames, nothing else") {
  sending_while_closing(Carrier::kTcp);
}

TEST_CASE("verbs, messages: requests from several threads are answered, each once, in order per thread") {
  if (have_rdma()) several_threads(Carrier::kMessages);
}

TEST_CASE("verbs, messages: large data goes both ways at once, every byte in its place") {
  if (have_rdma()) large_data_both_ways(Carrier::kMessages);
}

TEST_CASE("verbs, messages: a handler without room for data stops the stream until it asks again; memory stays bounded") {
  if (have_rdma()) no_room_for_data(Carrier::kMessages);
}

TEST_CASE("verbs, messages: a frame that the handler had no room for is offered again, unchanged") {
  if (have_rdma()) no_room_for_a_frame(Carrier::kMessages);
}

TEST_CASE("verbs, messages: a paused connection takes nothing in until as many resumes came") {
  if (have_rdma()) pauses(Carrier::kMessages);
}

TEST_CASE("verbs, messages: data that the handler does not want is dropped, and the stream goes on") {
  if (have_rdma()) unwanted_data(Carrier::kMessages);
}

TEST_CASE("verbs, messages: what was sent before close arrives; both ends learn of it once") {
  if (have_rdma()) close_after_sending(Carrier::kMessages);
}

TEST_CASE("verbs, messages: closing a connection whose peer takes nothing ends within the linger time") {
  if (have_rdma()) close_of_the_deaf(Carrier::kMessages);
}

TEST_CASE("verbs, messages: threads that send while the connection closes lose their frames, nothing else") {
  if (have_rdma()) sending_while_closing(Carrier::kMessages);
}

TEST_CASE("verbs: requests from several threads are answered, each once, in order per thread") {
  if (have_rdma()) several_threads(Carrier::kVerbs);
}

TEST_CASE("verbs: large data goes both ways at once, every byte in its place") {
  if (have_rdma()) large_data_both_ways(Carrier::kVerbs);
}

TEST_CASE("verbs: a frame that the handler had no room for is offered again, unchanged") {
  if (have_rdma()) no_room_for_a_frame(Carrier::kVerbs);
}

TEST_CASE("verbs: a paused connection takes nothing in until as many resumes came") {
  if (have_rdma()) pauses(Carrier::kVerbs);
}

TEST_CASE("verbs: data that the handler does not want is dropped, and the stream goes on") {
  if (have_rdma()) unwanted_data(Carrier::kVerbs);
}

TEST_CASE("verbs: what was sent before close arrives; both ends learn of it once") {
  if (have_rdma()) close_after_sending(Carrier::kVerbs);
}

TEST_CASE("verbs: threads that send while the connection closes lose their frames, nothing else") {
  if (have_rdma()) sending_while_closing(Carrier::kVerbs);
}
