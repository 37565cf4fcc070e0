// Chunk requests over real connections: routes that come late, get lost or are wrong, deadlines, answers
// that break the protocol, bounds, batches.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>

#include "base/unique_fd.h"
#include "stripes/target_queue.h"
#include "test/stripes_peer.h"
#include "transport/frame.h"

namespace ibexfs::test {

namespace {

constexpr uint32_t kTarget = 5;
const ChunkAddress kChunk{kTarget, 0, {7, 3, 0}};

ChunkOutcome write_chunk(StripeClient& client, uint64_t offset, const std::vector<uint8_t>& data) {
  Awaited<ChunkOutcome> written;
  client.chunks().write(kChunk, offset, data, nullptr, written.callback());
  return written.wait();
}

std::vector<uint8_t> patterned(size_t bytes, uint64_t salt) {
  std::vector<uint8_t> data(bytes);
  fill_pattern(data, salt);
  return data;
}

}  // namespace

TEST_CASE("chunk client: writes, reads, stats, truncates and removes over a real chunk server") {
  Storage storage(kTarget, 1);
  StripeClient client;
  client.route(kTarget, storage.port());
  const auto data = patterned(300'000, 1);
  const ChunkOutcome written = write_chunk(client, 4096, data);
  CHECK(written.status == StatusCode::kOk);
  CHECK(written.bytes == data.size());

  auto memory = std::make_shared<std::vector<uint8_t>>(400'000, 0xee);
  Awaited<ChunkOutcome> read;
  client.chunks().read(kChunk, 4096, *memory, memory, read.callback());
  CHECK(read.wait().bytes == data.size());
  CHECK(std::equal(data.begin(), data.end(), memory->begin()));
  CHECK((*memory)[data.size()] == 0xee);  // bytes that are not there are left alone

  Awaited<ChunkOutcome> stat, truncated, synced, removed, gone;
  client.chunks().operate(wire::ChunkOperation::kStat, kChunk, 0, 0, stat.callback());
  CHECK(stat.wait().chunk_size == 4096 + data.size());
  client.chunks().operate(wire::ChunkOperation::kTruncate, kChunk, 100, 0, truncated.callback());
  CHECK(truncated.wait().status == StatusCode::kOk);
  client.chunks().operate(wire::ChunkOperation::kSync, kChunk, 0, 0, synced.callback());
  CHECK(synced.wait().status == StatusCode::kOk);
  client.chunks().operate(wire::ChunkOperation::kRemove, kChunk, 0, 0, removed.callback());
  CHECK(removed.wait().status == StatusCode::kOk);
  client.chunks().read(kChunk, 0, *memory, memory, gone.callback());
  const ChunkOutcome after = gone.wait();
  CHECK(after.status == StatusCode::kOk);
  CHECK(after.bytes == 0);
}

TEST_CASE("chunk client: requests without a route wait, ask once, and leave with the route") {
  ScriptedPeer peer;
  StripeClient client;
  client.automatic = false;
  client.route(kTarget, peer.port());
  const auto data = patterned(100, 2);
  std::vector<Awaited<ChunkOutcome>> all(20);
  for (size_t i = 0; i < all.size(); ++i) client.chunks().write(kChunk, i * 100, data, nullptr, all[i].callback());
  CHECK(client.sink.routes_needed == 1);
  CHECK(client.chunks().statistics().waiting == 20);
  client.connect(kTarget);
  for (auto& each : all) CHECK(each.wait().status == StatusCode::kOk);
  CHECK(peer.seen().at(0).map_version == 1);
  client.chunks().clear_route(kTarget);
  Awaited<ChunkOutcome> failed;
  client.chunks().write(kChunk, 0, data, nullptr, failed.callback());
  CHECK(client.sink.routes_needed == 2);
  client.chunks().fail_target(kTarget, Status(StatusCode::kNoSpace, "test"));
  CHECK(failed.wait().status == StatusCode::kNoSpace);
}

TEST_CASE("chunk client: what was in flight over a lost connection goes out again over the next one") {
  ScriptedPeer peer;
  StripeClient client;
  client.route(kTarget, peer.port());
  peer.hold();
  const auto data = patterned(50'000, 3);
  std::vector<Awaited<ChunkOutcome>> all(10);
  for (size_t i = 0; i < all.size(); ++i) client.chunks().write(kChunk, i * data.size(), data, nullptr, all[i].callback());
  REQUIRE(wait_until([&] { return peer.held() == 10; }));
  peer.drop_connections();
  REQUIRE(wait_until([&] { return peer.held() == 10; }));  // all came again
  peer.release();
  for (auto& each : all) CHECK(each.wait().status == StatusCode::kOk);
  CHECK(client.chunks().statistics().retries == 10);
  CHECK(peer.chunk(kChunk.fid, 0).size() == 10 * data.size());
}

TEST_CASE("chunk client: an old map makes it ask for a route and try again") {
  ScriptedPeer peer;
  std::atomic<int> refusals{0};
  StatusCode refusal = StatusCode::kStaleMap;
  SUBCASE("staleMap") {
    refusal = StatusCode::kStaleMap;
  }
  SUBCASE("notMyTarget") {
    refusal = StatusCode::kNotMyTarget;
  }
  SUBCASE("shuttingDown") {
    refusal = StatusCode::kShuttingDown;
  }
  peer.judge = [&](const ScriptedPeer::Seen&) -> std::optional<StatusCode> {
    return refusals++ < 3 ? std::optional(refusal) : std::nullopt;
  };
  StripeClient client;
  client.route(kTarget, peer.port());
  CHECK(write_chunk(client, 0, patterned(10, 4)).status == StatusCode::kOk);
  CHECK(client.sink.routes_needed == 4);  // the first, and one for each refusal
}

TEST_CASE("chunk client: no answer within the deadline is EIO with a log that names target and file") {
  ScriptedPeer peer;
  peer.hold();
  StripeClient client({.io_timeout_ms = 100});
  client.route(kTarget, peer.port());
  const auto start = MonotonicClock::now();
  CHECK(write_chunk(client, 0, patterned(10, 5)).status == StatusCode::kIoError);
  CHECK(MonotonicClock::now() - start >= std::chrono::milliseconds(100));
  CHECK(client.sink.logged("target 5 did not answer 1 chunk request(s) within 100 ms"));
  CHECK(client.sink.logged(kChunk.fid.text()));
  // The late answer meets nobody, and the connection still serves.
  peer.release();
  CHECK(write_chunk(client, 0, patterned(10, 5)).status == StatusCode::kOk);
}

TEST_CASE("chunk client: a slow target that goes on answering fails nothing, however long its queue") {
  ScriptedPeer peer;
  peer.hold();
  StripeClient client({.io_timeout_ms = 200, .requests_in_flight_max = 2});
  client.route(kTarget, peer.port());
  const auto data = patterned(100, 20);
  std::vector<Awaited<ChunkOutcome>> all(10);
  for (size_t i = 0; i < all.size(); ++i) client.chunks().write(kChunk, i * 100, data, nullptr, all[i].callback());
  for (size_t i = 0; i < all.size(); ++i) {  // three times the timeout in all
    REQUIRE(wait_until([&] { return peer.held() >= 1; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    peer.release(1);
  }
  for (auto& each : all) CHECK(each.wait().status == StatusCode::kOk);
  CHECK(client.chunks().statistics().timeouts == 0);
}

TEST_CASE("chunk client: a sync has a timeout of its own") {
  ScriptedPeer peer;
  peer.hold();
  StripeClient client({.io_timeout_ms = 50, .sync_timeout_ms = 300});
  client.route(kTarget, peer.port());
  const auto start = MonotonicClock::now();
  Awaited<ChunkOutcome> synced;
  client.chunks().operate(wire::ChunkOperation::kSync, kChunk, 0, 0, synced.callback());
  CHECK(synced.wait().status == StatusCode::kIoError);
  CHECK(MonotonicClock::now() - start >= std::chrono::milliseconds(300));
}

TEST_CASE("chunk client: an overloaded target is asked again soon; one that only refuses fails in the end") {
  ScriptedPeer peer;
  std::atomic<int> refusals{3};
  peer.judge = [&](const ScriptedPeer::Seen&) { return refusals-- > 0 ? std::optional(StatusCode::kOverloaded) : std::nullopt; };
  StripeClient client({.io_timeout_ms = 800});
  client.route(kTarget, peer.port());
  const auto start = MonotonicClock::now();
  CHECK(write_chunk(client, 0, patterned(10, 21)).status == StatusCode::kOk);
  CHECK(MonotonicClock::now() - start < std::chrono::milliseconds(550));  // 5 + 10 + 20 ms
  refusals = 1'000'000;
  const size_t before = peer.seen().size();
  CHECK(write_chunk(client, 0, patterned(10, 21)).status == StatusCode::kIoError);
  CHECK(peer.seen().size() - before < 40);  // backed off
}

TEST_CASE("chunk client: a late answer never meets a later request, and gives its slot back") {
  ScriptedPeer peer;
  peer.hold();
  StripeClient client({.io_timeout_ms = 100});
  client.route(kTarget, peer.port());
  const auto data = patterned(10, 22);
  const auto id_of_slot = [](uint64_t request_id) { return request_id & 0xffff; };
  CHECK(write_chunk(client, 0, data).status == StatusCode::kIoError);
  REQUIRE(wait_until([&] { return peer.held() == 1; }));
  CHECK(write_chunk(client, 0, data).status == StatusCode::kIoError);
  REQUIRE(wait_until([&] { return peer.held() == 2; }));
  CHECK(id_of_slot(peer.seen().at(0).request_id) != id_of_slot(peer.seen().at(1).request_id));
  peer.release();
  CHECK(write_chunk(client, 0, data).status == StatusCode::kOk);
  peer.hold();
  std::vector<Awaited<ChunkOutcome>> all(3);
  for (auto& each : all) client.chunks().write(kChunk, 0, data, nullptr, each.callback());
  REQUIRE(wait_until([&] { return peer.held() == 3; }));
  for (size_t i = 3; i < 6; ++i) CHECK(id_of_slot(peer.seen().at(i).request_id) < 3);
  peer.release();
  for (auto& each : all) (void)each.wait();
}

TEST_CASE("chunk client: a target that nobody connects fails at the deadline too") {
  StripeClient client({.io_timeout_ms = 50});
  client.automatic = false;
  CHECK(write_chunk(client, 0, patterned(10, 6)).status == StatusCode::kIoError);
  CHECK(client.chunks().statistics().waiting == 0);
}

TEST_CASE("chunk client: an answer that stops in the middle fails at the deadline, after the connection has let go") {
  // Announces 64 KiB, sends half of it and nothing more.
  constexpr uint32_t kAnnounced = 64U << 10;
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  REQUIRE(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(listen(listener.get(), 4) == 0);
  REQUIRE(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
  std::atomic<bool> closed_by_client{false};
  std::thread peer([&] {
    const UniqueFd connection(accept(listener.get(), nullptr, nullptr));
    uint8_t request[sizeof(wire::FrameHeader) + sizeof(wire::ChunkRequest)];
    if (recv(connection.get(), request, sizeof(request), MSG_WAITALL) != sizeof(request)) return;
    wire::FrameHeader header;
    std::memcpy(&header, request, sizeof(header));
    wire::FrameHeader answer{};
    answer.type = static_cast<uint8_t>(wire::FrameType::kChunkResponse);
    answer.operation = header.operation;
    answer.request_id = header.request_id;
    seal_header(answer, sizeof(wire::ChunkResponse), kAnnounced);
    std::vector<uint8_t> bytes(sizeof(answer) + sizeof(wire::ChunkResponse) + kAnnounced / 2);
    std::memcpy(bytes.data(), &answer, sizeof(answer));
    (void)!send(connection.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    closed_by_client = recv(connection.get(), request, 1, 0) <= 0;
  });
  {
    StripeClient client({.io_timeout_ms = 150});
    client.route(kTarget, ntohs(address.sin_port));
    auto memory = std::make_shared<std::vector<uint8_t>>(kAnnounced);
    const std::weak_ptr<std::vector<uint8_t>> watched = memory;
    const std::span<uint8_t> into = *memory;
    Awaited<ChunkOutcome> read;
    client.chunks().read(kChunk, 0, into, std::move(memory), read.callback());
    CHECK(read.wait().status == StatusCode::kIoError);
    CHECK(wait_until([&] { return closed_by_client.load(); }));
    CHECK(wait_until([&] { return watched.expired(); }));
    CHECK(client.sink.logged("target 5 did not answer"));
  }
  peer.join();
}

TEST_CASE("chunk client: an answer with more bytes than asked closes the connection") {
  ScriptedPeer peer;
  std::atomic<int> answers{0};
  peer.distort = [&](const ScriptedPeer::Seen& seen, OutgoingFrame& frame) {
    if (seen.operation != wire::ChunkOperation::kRead || answers++ > 0) return;
    auto more = std::make_shared<std::vector<uint8_t>>(5000, 0xcc);
    frame.data = *more;
    frame.data_owner = more;
  };
  StripeClient client;
  client.route(kTarget, peer.port());
  REQUIRE(write_chunk(client, 0, patterned(4096, 8)).status == StatusCode::kOk);
  std::vector<uint8_t> memory(4096 + 5000, 0x11);
  Awaited<ChunkOutcome> read;
  client.chunks().read(kChunk, 0, std::span(memory).first(4096), nullptr, read.callback());
  CHECK(read.wait().status == StatusCode::kOk);  // over the next connection
  CHECK(has_pattern(std::span(memory).first(4096), 8));
  CHECK(memory[4096] == 0x11);
  CHECK(client.observer().connected().size() == 2);
}

TEST_CASE("chunk client: bounds hold what is in flight, the rest waits in order") {
  ScriptedPeer peer;
  peer.hold();
  StripeClient client({.requests_in_flight_max = 4, .bytes_in_flight_max = 1U << 20, .requests_waiting_max = 10});
  client.route(kTarget, peer.port());
  client.connect(kTarget);
  const auto data = patterned(1000, 9);
  std::vector<Awaited<ChunkOutcome>> all(20);
  for (size_t i = 0; i < all.size(); ++i) client.chunks().write(kChunk, i * 1000, data, nullptr, all[i].callback());
  REQUIRE(wait_until([&] { return peer.held() == 4; }));
  CHECK(client.chunks().statistics().in_flight == 4);
  for (size_t i = 14; i < all.size(); ++i) CHECK(all[i].wait().status == StatusCode::kOverloaded);
  peer.release();
  for (size_t i = 0; i < 14; ++i) CHECK(all[i].wait().status == StatusCode::kOk);
  const auto seen = peer.seen();
  for (size_t i = 0; i < seen.size(); ++i) CHECK(seen[i].request.offset == i * 1000);
  // By bytes: two of 600 KiB do not fit 1 MiB.
  peer.hold();
  const auto large = patterned(600'000, 10);
  Awaited<ChunkOutcome> first, second;
  client.chunks().write(kChunk, 0, large, nullptr, first.callback());
  client.chunks().write(kChunk, 0, large, nullptr, second.callback());
  REQUIRE(wait_until([&] { return peer.held() == 1; }));
  CHECK(client.chunks().statistics().in_flight == 1);
  peer.release();
  CHECK(first.wait().status == StatusCode::kOk);
  CHECK(second.wait().status == StatusCode::kOk);
}

TEST_CASE("chunk client: a batch holds small requests back until it ends") {
  ScriptedPeer peer;
  StripeClient client;
  client.route(kTarget, peer.port());
  REQUIRE(write_chunk(client, 0, patterned(10, 11)).status == StatusCode::kOk);
  std::vector<Awaited<ChunkOutcome>> all(8);
  const auto data = patterned(100, 12);
  const size_t before = peer.seen().size();
  {
    ChunkSendBatch batch;
    for (size_t i = 0; i < all.size(); ++i) client.chunks().write(kChunk, i * 100, data, nullptr, all[i].callback());
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK(peer.seen().size() == before);
  }
  for (auto& each : all) CHECK(each.wait().status == StatusCode::kOk);
}

TEST_CASE("chunk client: close fails what is open and what comes later") {
  ScriptedPeer peer;
  peer.hold();
  StripeClient client;
  client.route(kTarget, peer.port());
  const auto data = patterned(10, 13);
  Awaited<ChunkOutcome> open, later;
  client.chunks().write(kChunk, 0, data, nullptr, open.callback());
  client.chunks().close();
  CHECK(open.wait().status == StatusCode::kCanceled);
  client.chunks().write(kChunk, 0, data, nullptr, later.callback());
  CHECK(later.wait().status == StatusCode::kCanceled);
}

TEST_CASE("chunk client: a route over a connection that closed before is no route") {
  ScriptedPeer peer;
  StripeClient client;
  client.route(kTarget, peer.port());
  REQUIRE(write_chunk(client, 0, patterned(10, 14)).status == StatusCode::kOk);
  const ConnectionPtr old = client.observer().connected().at(0);
  old->close(Status(StatusCode::kShuttingDown, "test"));
  REQUIRE(wait_until([&] {
    Awaited<ChunkOutcome> probe;
    const auto data = patterned(10, 14);
    client.chunks().write(kChunk, 0, data, nullptr, probe.callback());
    return probe.wait().status == StatusCode::kOk && client.observer().connected().size() > 1;
  }));
  client.chunks().set_route(kTarget, old, 1);
  CHECK(write_chunk(client, 0, patterned(10, 14)).status == StatusCode::kOk);
}

namespace {

// As a queue pair: the server reads and writes the memory of requests by itself.
class MovingConnection final : public Connection {
 public:
  MovingConnection() : Connection(1, "peer") {}
  void send(OutgoingFrame, Flush) override {}
  void flush() override {}
  size_t bytes_queued() const override { return 0; }
  bool peer_moves_data() const override { return true; }
  void pause() override {}
  void resume() override {}
  void retry_plan() override {}
  void set_authenticated() override {}
  void close(Status) override {}
};

PendingCallPointer call_of(wire::ChunkOperation operation, std::span<uint8_t> memory) {
  auto call = std::make_unique<PendingCall>();
  call->operation = operation;
  call->length = static_cast<uint32_t>(memory.size());
  call->into = memory.data();
  call->timeout = std::chrono::milliseconds(1);
  return call;
}

}  // namespace

TEST_CASE("where the peer moves data, a request that timed out ends when its connection has let go of the memory") {
  TargetQueue queue(7, {});
  const auto connection = std::make_shared<MovingConnection>();
  std::vector<uint8_t> memory(100'000);
  auto read = call_of(wire::ChunkOperation::kRead, memory);
  auto stat = call_of(wire::ChunkOperation::kStat, {});
  REQUIRE(queue.submit(read) == StatusCode::kOk);
  REQUIRE(queue.submit(stat) == StatusCode::kOk);
  queue.set_route(connection, 1);
  const auto sent = queue.next_to_send();
  REQUIRE(sent);
  CHECK(sent->frame.answer_into.data() == memory.data());
  CHECK(sent->frame.answer_into.size() == memory.size());
  REQUIRE(queue.next_to_send());
  const TargetQueue::Expired expired = queue.expire(MonotonicClock::now() + std::chrono::seconds(1));
  REQUIRE(expired.finished.size() == 1);  // has no memory
  CHECK(expired.finished[0].call->operation == wire::ChunkOperation::kStat);
  REQUIRE(expired.to_close.size() == 1);
  CHECK(expired.to_close[0] == connection);
  const std::vector<FinishedCall> closed = queue.connection_closed(*connection);
  REQUIRE(closed.size() == 1);
  CHECK(closed[0].outcome.status == StatusCode::kIoError);
  CHECK(queue.idle());
}

}  // namespace ibexfs::test
