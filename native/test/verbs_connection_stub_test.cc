// A verbs connection on a device that does nothing by itself: what a real one does not do on demand. The control connection
// is a real one; the peer's messages are made here.
#include <doctest/doctest.h>

#include <cstring>
#include <map>

#include "test/transport_support.h"
#include "test/verbs_stub.h"
#include "transport/frame.h"

using namespace ibexfs;
using namespace ibexfs::test;
using namespace ibexfs::verbs;
using wire::FrameType;

namespace {

constexpr size_t kReadBytes = 100'000;

// Where the posted receives put their bytes.
struct ReceiveMemory {
  static inline std::map<uint64_t, uint8_t*> by_id;
  static inline int (*original)(abi::QueuePair*, abi::ReceiveRequest*, abi::ReceiveRequest**) = nullptr;
  static int post(abi::QueuePair* pair, abi::ReceiveRequest* first, abi::ReceiveRequest** bad) {
    for (const abi::ReceiveRequest* each = first; each != nullptr; each = each->next)
      by_id[each->wr_id] = reinterpret_cast<uint8_t*>(each->sg_list[0].addr);
    return original(pair, first, bad);
  }
};

wire::QueuePairOffer invented_offer() {
  const ConnectionDescriptor peer = invented_peer();
  wire::QueuePairOffer offer;
  offer.queue_pair_number = peer.queue_pair_number;
  offer.packet_sequence_number = peer.packet_sequence_number;
  std::memcpy(&offer.gid_high, peer.gid.bytes.data(), 8);
  std::memcpy(&offer.gid_low, peer.gid.bytes.data() + 8, 8);
  offer.mtu_bytes = peer.mtu_bytes;
  offer.link_layer = static_cast<uint8_t>(peer.link_layer);
  offer.responder_depth = peer.responder_depth;
  offer.initiator_depth = peer.initiator_depth;
  offer.messages = kReceiveSlots;
  offer.message_bytes = wire::kMessageBytesMax;
  return offer;
}

// The connecting side of a connection, in use.
struct StubEnd {
  StubEnd() {
    net.listen();
    net.client_side.pool = std::make_shared<BufferPool>(16U << 20);
    VerbsOptions options;
    options.expose_pool = true;
    auto domain = VerbsDomain::open(device.library, options, net.client_side.pool);
    REQUIRE_MESSAGE(domain.ok(), domain.status().message());
    net.client_side.domain = domain.take();
    auto& post_recv = net.client_side.domain->device()->context()->ops.post_recv;
    ReceiveMemory::original = post_recv;
    post_recv = ReceiveMemory::post;
    ReceiveMemory::by_id.clear();
    control = net.connect_both().first;
    std::atomic<bool> probed{false};
    on_reactor([&] {
      auto lane = VerbsLane::create(net.client_side.domain, net.client_reactor(), net.sink);
      REQUIRE(lane.ok());
      net.client_side.lane = lane.take();
      auto made = VerbsConnection::create(net.client_side.lane, control);
      REQUIRE_MESSAGE(made.ok(), made.status().message());
      end = made.take();
      number = end->queue_pair_number();
      const Status status = end->accept(invented_offer());
      REQUIRE_MESSAGE(status.ok(), status.message());
      end->probe([&](const Status& result) { probed = result.ok(); });
    });
    execute_sends();
    receive(0, static_cast<uint16_t>(wire::MessageFlag::kProbe));
    REQUIRE(wait_until([&] { return probed.load(); }));
    on_reactor([&] { REQUIRE(end->use().ok()); });
    end->set_authenticated();
  }
  ~StubEnd() {
    net.client_side.domain->device()->context()->ops.post_recv = ReceiveMemory::original;
    end.reset();
    control.reset();
  }

  void on_reactor(const std::function<void()>& task) { run_on(net.client_reactor(), task); }
  size_t sends() {
    size_t count = 0;
    on_reactor([&] { count = device.stub.pair(number).sends.size(); });
    return count;
  }
  void execute_sends() {
    on_reactor([&] { device.stub.execute_sends(number, device.stub.pair(number).sends.size()); });
  }
  // A message of the peer.
  void receive(uint16_t credits, uint16_t flags = 0, Bytes payload = {}, uint32_t claims_more = 0) {
    on_reactor([&] {
      uint8_t* const memory = ReceiveMemory::by_id.at(device.stub.pair(number).receives.front().wr_id);
      wire::MessagePrefix prefix;
      prefix.length = static_cast<uint32_t>(payload.size()) + claims_more;
      prefix.credits = credits;
      prefix.flags = flags;
      std::memcpy(memory, &prefix, sizeof(prefix));
      if (!payload.empty()) std::memcpy(memory + sizeof(prefix), payload.data(), payload.size());
      device.stub.execute_receive(number, static_cast<uint32_t>(sizeof(prefix) + payload.size()));
    });
    on_reactor([] {});
  }
  OutgoingFrame read_request(uint64_t id, const std::shared_ptr<Buffer>& memory) {
    OutgoingFrame frame;
    frame.header.type = static_cast<uint8_t>(FrameType::kChunkRequest);
    frame.header.operation = static_cast<uint16_t>(wire::ChunkOperation::kRead);
    frame.header.request_id = id;
    wire::ChunkRequest body;
    body.length = kReadBytes;
    frame.body = FrameBody::of(body);
    frame.answer_into = {memory->data(), kReadBytes};
    frame.data_owner = memory;
    return frame;
  }

  StubDevice device;
  Loopback net;
  ConnectionPtr control;
  std::shared_ptr<VerbsConnection> end;
  uint32_t number = 0;
};

// An answer that says that its data was written.
std::vector<uint8_t> written_answer(uint64_t request, uint32_t bytes) {
  wire::FrameHeader header{};
  header.type = static_cast<uint8_t>(FrameType::kChunkResponse);
  header.request_id = request;
  header.flags = static_cast<uint32_t>(wire::FrameFlag::kRemoteData);
  seal_header(header, sizeof(wire::ChunkResponse), bytes);
  std::vector<uint8_t> frame(sizeof(header) + sizeof(wire::ChunkResponse));
  std::memcpy(frame.data(), &header, sizeof(header));
  return frame;
}

// Leaves a read request with the peer; gives the memory of its answer, which the connection alone holds.
std::weak_ptr<const void> send_read_request(StubEnd& stub) {
  auto memory = std::make_shared<Buffer>(stub.net.client_side.pool->allocate(kReadBytes));
  stub.end->send(stub.read_request(1, memory), Flush::kNow);
  CHECK(stub.sends() == 1);
  stub.execute_sends();
  return memory;
}

}  // namespace

TEST_CASE("frames wait for credits, and leave when some come back") {
  StubEnd stub;
  // One went with the probe.
  constexpr size_t kMost = kReceiveSlots - kCreditsReserved - 1;
  size_t left = 0;
  for (uint64_t i = 0; i < 60; ++i) {
    stub.end->send(rpc_frame(FrameType::kRpcRequest, i, 100), Flush::kNow);
    left += stub.sends();
    stub.execute_sends();
  }
  CHECK(left == kMost);
  CHECK(stub.end->bytes_queued() == (60 - kMost) * (sizeof(wire::FrameHeader) + 100));
  CHECK(stub.net.client_side.domain->statistics().credit_waits > 0);
  stub.receive(5);
  CHECK(stub.sends() == 1);  // what waited fits one message
  CHECK(wait_until([&] { return stub.end->bytes_queued() == 0; }));
}

TEST_CASE("credits are given back by a message of their own when half are due") {
  StubEnd stub;
  for (uint32_t i = 0; i + 2 < kReceiveSlots / 2; ++i) stub.receive(0);
  CHECK(stub.sends() == 0);
  stub.receive(0);
  CHECK(stub.sends() == 1);
}

TEST_CASE("a request that was given up ends after the drain: until then its memory is the peer's to write") {
  StubEnd stub;
  const std::weak_ptr<const void> kept = send_read_request(stub);
  stub.on_reactor([&] { stub.device.stub.late_flush = true; });
  stub.end->close({StatusCode::kTimedOut, "no answer"});
  REQUIRE(wait_until([&] { return stub.net.server.closed == 1; }));  // the control connection has gone
  stub.on_reactor([] {});
  CHECK(stub.net.client.closed == 0);
  CHECK_FALSE(kept.expired());
  stub.on_reactor([&] { stub.device.stub.flush(stub.number); });
  REQUIRE(wait_until([&] { return stub.net.client.closed == 1; }));
  CHECK(kept.expired());
  CHECK(stub.net.client.reasons()[0].message() == "no answer");
}

TEST_CASE("what the peer may write to outlives a queue pair that the device does not destroy") {
  StubEnd stub;
  const std::weak_ptr<const void> kept = send_read_request(stub);
  stub.on_reactor([&] { stub.device.stub.failures["destroy_qp"] = EIO; });
  stub.device.leaks_expected = 1;
  stub.end->close({StatusCode::kTimedOut, "no answer"});
  REQUIRE(wait_until([&] { return stub.net.client.closed == 1; }));
  CHECK_FALSE(kept.expired());
}

TEST_CASE("an answer is taken only if it says what was asked for") {
  for (const auto& [request, bytes] : {std::pair<uint64_t, uint32_t>{2, kReadBytes}, {1, kReadBytes + 1}}) {
    StubEnd stub;
    const auto memory = std::make_shared<Buffer>(stub.net.client_side.pool->allocate(kReadBytes));
    stub.end->send(stub.read_request(1, memory), Flush::kNow);
    stub.execute_sends();
    stub.receive(1, 0, written_answer(request, bytes));
    REQUIRE(wait_until([&] { return stub.net.client.closed == 1; }));
    CHECK(stub.net.client.frames == 0);
    CHECK(stub.net.client.reasons()[0].message().find("not asked for") != std::string::npos);
  }
}

TEST_CASE("a device that refuses in the middle of a chain ends the connection, and everything is let go") {
  StubEnd stub;
  std::weak_ptr<const void> owner;
  stub.on_reactor([&] { stub.device.stub.sends_until_refusal = 1; });
  for (uint64_t i = 0; i < 4; ++i) {
    OutgoingFrame frame = data_frame(i, 8000);
    owner = frame.data_owner;
    stub.end->send(std::move(frame), Flush::kHeld);
  }
  stub.end->flush();
  REQUIRE(wait_until([&] { return stub.net.client.closed == 1; }));
  CHECK(stub.net.client.reasons()[0].message().find("ibv_post_send") != std::string::npos);
  CHECK(owner.expired());
  CHECK(stub.end->bytes_queued() == 0);
}

TEST_CASE("malformed messages and impossible credits end the connection by name") {
  struct Wrong {
    uint16_t credits;
    uint16_t flags;
    uint32_t claims_more;
    const char* says;
  };
  for (const Wrong& wrong : {Wrong{0, 0, 1, "malformed"}, Wrong{0, 8, 0, "malformed"}, Wrong{100, 0, 0, "gave back more"}}) {
    StubEnd stub;
    stub.receive(wrong.credits, wrong.flags, {}, wrong.claims_more);
    REQUIRE(wait_until([&] { return stub.net.client.closed == 1; }));
    CHECK(stub.net.client.reasons()[0].message().find(wrong.says) != std::string::npos);
  }
}

TEST_CASE("a completion queue that overran ends the connections that use it") {
  StubEnd stub;
  DeviceEvent event;
  event.kind = DeviceEventKind::kCompletionQueueFatal;
  event.text = "another one overran";
  stub.on_reactor([&] { stub.net.client_side.lane->device_event(event); });
  event.text = "its own overran";
  stub.on_reactor([&] {
    event.completion_queue = stub.device.stub.pair(stub.number).raw.send_cq;
    stub.device.stub.late_flush = true;  // nothing completes on it
    stub.net.client_side.lane->device_event(event);
  });
  REQUIRE(wait_until([&] { return stub.net.client.closed == 1; }));
  CHECK(stub.net.client.reasons()[0].message() == "its own overran");
}

TEST_CASE("a device that is lost ends its connections, and the lane takes no more") {
  StubEnd stub;
  stub.on_reactor([&] {
    stub.device.stub.late_flush = true;
    stub.net.client_side.lane->give_up({StatusCode::kConnectionReset, "stub0 was lost"});
  });
  REQUIRE(wait_until([&] { return stub.net.client.closed == 1; }));
  CHECK(stub.net.client.reasons()[0].message() == "stub0 was lost");
  const ConnectionPtr next = stub.net.connect_both().first;
  stub.on_reactor([&] {
    const auto made = VerbsConnection::create(stub.net.client_side.lane, next);
    CHECK(made.status().code() == StatusCode::kConnectionReset);
  });
}

TEST_CASE("an error of the queue pair, or its port, is the reason that is told") {
  {
    StubEnd stub;
    stub.end->send(rpc_frame(FrameType::kRpcRequest, 1, 100), Flush::kNow);
    stub.on_reactor([&] { stub.device.stub.fail_send(stub.number, 12); });
    REQUIRE(wait_until([&] { return stub.net.client.closed == 1; }));
    CHECK(stub.net.client.reasons()[0].message().find("retr") != std::string::npos);
  }
  StubEnd stub;
  DeviceEvent event;
  event.kind = DeviceEventKind::kPortDown;
  // Another port first: that is none of this connection's business.
  for (const uint8_t port : {2, 1}) {
    event.port = port;
    event.text = "stub0 port " + std::to_string(port) + ": down";
    stub.on_reactor([&] { stub.net.client_side.lane->device_event(event); });
  }
  REQUIRE(wait_until([&] { return stub.net.client.closed == 1; }));
  CHECK(stub.net.client.reasons()[0].message() == "stub0 port 1: down");
}
