// Back-pressure, connections that end in the middle, and a cache of few descriptors under load.
#include <poll.h>

#include "test/chunks_fixture.h"

using namespace ibexfs;
using namespace ibexfs::test;

namespace {

constexpr uint32_t kTarget = 3;

bool has_come_to_rest(TestServer& server) {
  return wait_until([&] {
    const ChunkStatistics statistics = server.server.statistics();
    return server.pool.bytes_in_use() == 0 && statistics.requests_in_flight == 0 && statistics.bytes_in_flight == 0;
  });
}

// Sends until the server takes no more for a while; the number of bytes that went out.
size_t send_until_stuck(int socket, Bytes frame) {
  size_t sent = 0;
  for (;;) {
    pollfd waiting{socket, POLLOUT, 0};
    if (poll(&waiting, 1, 300) <= 0) return sent;
    const ssize_t part =
        ::send(socket, frame.data() + sent % frame.size(), frame.size() - sent % frame.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (part <= 0) return sent;
    sent += static_cast<size_t>(part);
  }
}

}  // namespace

TEST_CASE("a client that never reads its answers stops itself, not the server") {
  with_each_engine([](ChunkServerOptions options) {
    options.limits.requests_per_connection_max = 32;
    options.limits.bytes_per_connection_max = 8U << 20;
    ChunkFolder folder;
    TestServer server(options);
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    TestClient good(server.port());
    const auto data = pattern(1 << 20, 1);
    for (uint64_t i = 0; i < 4; i++) REQUIRE(good.write(kTarget, chunk_of(1), i << 20, data) == StatusCode::kOk);

    wire::FrameHeader header;
    header.map_version = 1;
    for (const uint32_t length : {0U, 4096U, 1U << 20}) {
      CAPTURE(length);
      TestClient greedy(server.port(), 4096);
      header.operation = static_cast<uint16_t>(wire::ChunkOperation::kRead);
      const auto frame = TestClient::frame(header, TestClient::request(kTarget, chunk_of(1), 0, length), {});
      CHECK(send_until_stuck(greedy.socket(), frame) > 0);
      const ChunkStatistics statistics = server.server.statistics();
      CHECK(statistics.requests_in_flight <= 32 + 1);
      CHECK(statistics.bytes_in_flight <= 8U << 20);
      CHECK(good.read(kTarget, chunk_of(1), 0, 1 << 20) == data);
    }
    CHECK(server.server.statistics().pauses > 0);
    CHECK(has_come_to_rest(server));
  });
}

TEST_CASE("writes beyond the limits wait and then all succeed") {
  with_each_engine([](ChunkServerOptions options) {
    options.limits.requests_per_connection_max = 4;
    options.limits.bytes_per_connection_max = 4U << 20;
    options.limits.bytes_per_server_max = 6U << 20;
    ChunkFolder folder;
    // A pool with room for four large requests, so that it runs empty too.
    TestServer server(options, 2, 4U << 20);
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    std::vector<std::thread> clients;
    std::atomic<uint32_t> wrong{0};
    for (uint32_t worker = 0; worker < 4; worker++) {
      clients.emplace_back([&, worker] {
        TestClient client(server.port());
        const auto data = pattern(1 << 20, worker);
        std::thread sender([&] {
          for (uint64_t i = 0; i < 32; i++) {
            client.send(wire::ChunkOperation::kWrite, TestClient::request(kTarget, chunk_of(worker), (i % 8) << 20, 1 << 20),
                        data);
          }
        });
        for (int i = 0; i < 32; i++) {
          Answer answer;
          if (!client.receive(&answer) || answer.status != StatusCode::kOk) wrong++;
        }
        sender.join();
        if (client.read(kTarget, chunk_of(worker), 7 << 20, 1 << 20) != data) wrong++;
      });
    }
    for (std::thread& client : clients) client.join();
    CHECK(wrong == 0);
    const ChunkStatistics statistics = server.server.statistics();
    CHECK(statistics.bytes_in_flight_max <= 6U << 20);
    CHECK(has_come_to_rest(server));
  });
}

TEST_CASE("connections that close in the middle of anything give everything back") {
  with_each_engine([](ChunkServerOptions options) {
    ChunkFolder folder;
    TestServer server(options, 2);
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    std::mt19937_64 random(random_seed("close in flight"));
    const auto data = pattern(1 << 20, 1);
    for (int round = 0; round < 60; round++) {
      TestClient client(server.port());
      for (uint64_t i = 0; i < random() % 12; i++) {
        const ChunkName name = chunk_of(static_cast<uint32_t>(random() % 4));
        const auto length = static_cast<uint32_t>(1 + random() % (1 << 20));
        if (random() % 2 == 0) {
          client.send(wire::ChunkOperation::kWrite, TestClient::request(kTarget, name, random() % (1 << 21), length),
                      Bytes(data).first(length));
        } else {
          client.send(wire::ChunkOperation::kRead, TestClient::request(kTarget, name, random() % (1 << 21), length));
        }
      }
      // And a write whose data never comes whole.
      wire::FrameHeader header;
      header.operation = static_cast<uint16_t>(wire::ChunkOperation::kWrite);
      header.map_version = 1;
      const auto frame = TestClient::frame(header, TestClient::request(kTarget, chunk_of(9), 0, 1 << 20), data);
      client.send_bytes(Bytes(frame).first(random() % frame.size()));
    }
    CHECK(has_come_to_rest(server));
    TestClient after(server.port());
    // The half-sent writes were never begun.
    CHECK(+after.stat(kTarget, chunk_of(9)).chunk_size % (1 << 20) == 0);
    CHECK(after.write(kTarget, chunk_of(1), 0, data) == StatusCode::kOk);
    CHECK(after.read(kTarget, chunk_of(1), 0, 1 << 20) == data);
  });
}

TEST_CASE("a server that stops under load answers or closes, and leaves nothing behind") {
  with_each_engine([](ChunkServerOptions options) {
    ChunkFolder folder;
    const auto data = pattern(1 << 18, 1);
    for (int round = 0; round < 5; round++) {
      auto server = std::make_unique<TestServer>(options, 2);
      REQUIRE(server->server.add_target(kTarget, folder.path(), 1).ok());
      std::vector<std::unique_ptr<TestClient>> clients;
      for (uint32_t i = 0; i < 4; i++) {
        clients.push_back(std::make_unique<TestClient>(server->port()));
        for (uint32_t k = 0; k < 20; k++) {
          // All on one chunk and across each other, so that requests wait at the gate while the server stops.
          clients.back()->send(wire::ChunkOperation::kWrite, TestClient::request(kTarget, chunk_of(1), k * 1000, 1 << 18), data);
          clients.back()->send(wire::ChunkOperation::kSync, TestClient::request(kTarget, chunk_of(1), 0, 0));
        }
      }
      server.reset();
    }
  });
}

TEST_CASE("a server may be stopped on a thread that drives one of its reactors, and outlives them then") {
  with_each_engine([](const ChunkServerOptions& options) {
    FaultSink sink;
    BufferPool pool(4U << 20);
    ChunkServer server(options, sink, pool);
    auto loop = Reactor::create().take();
    REQUIRE(server.attach(*loop).ok());
    auto driven = Reactor::create().take();
    REQUIRE(server.attach(*driven).ok());
    auto thread = std::make_unique<ReactorThread>(std::move(driven), "test");
    run_in(thread->reactor(), [] {});
    server.stop();
    thread.reset();
    loop.reset();
  });
}

TEST_CASE("far more chunks than descriptors, by several connections at once") {
  with_each_engine([](ChunkServerOptions options) {
    options.limits.open_files_max = 16;
    ChunkFolder folder;
    TestServer server(options, 2);
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    std::vector<std::thread> clients;
    std::atomic<uint32_t> wrong{0};
    for (uint32_t worker = 0; worker < 3; worker++) {
      clients.emplace_back([&, worker] {
        TestClient client(server.port());
        std::mt19937_64 random(worker);
        for (uint32_t i = 0; i < 400; i++) {
          const ChunkName name = chunk_of(static_cast<uint32_t>(random() % 100), worker);
          const auto data = pattern(100 + name.fid.object, name.fid.object);
          if (client.write(kTarget, name, 0, data) != StatusCode::kOk) wrong++;
          if (random() % 4 == 0 && client.remove(kTarget, name) != StatusCode::kOk) wrong++;
          const auto found = client.read(kTarget, name, 0, 4096);
          if (!found.empty() && found != data) wrong++;
        }
      });
    }
    for (std::thread& client : clients) client.join();
    CHECK(wrong == 0);
    CHECK(server.server.statistics().open_file_evictions > 100);
    CHECK(server.server.statistics().open_files <= 16 + 2);
  });
}
