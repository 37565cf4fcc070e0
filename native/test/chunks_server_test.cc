// The chunk server over loopback connections: what every operation answers, with both engines.
#include <fcntl.h>

#include "chunks/chunk_store.h"
#include "test/chunks_fixture.h"

using namespace ibexfs;
using namespace ibexfs::test;

namespace {

constexpr uint32_t kTarget = 7;

}  // namespace

TEST_CASE("write, read, stat, truncate, sync and remove of a chunk") {
  with_each_engine([](const ChunkServerOptions& options) {
    ChunkFolder folder;
    TestServer server(options);
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    TestClient client(server.port());
    const ChunkName name = chunk_of(1);
    const auto data = pattern(300000, 1);
    CHECK(client.write(kTarget, name, 0, data) == StatusCode::kOk);
    CHECK(client.read(kTarget, name, 0, 300000) == data);
    CHECK(client.sync(kTarget, name) == StatusCode::kOk);
    const wire::ChunkResponse found = client.stat(kTarget, name);
    CHECK(+found.chunk_size == 300000);
    CHECK(found.chunk_blocks * 512 >= 300000);
    CHECK(client.truncate(kTarget, name, 1000) == StatusCode::kOk);
    CHECK(client.read(kTarget, name, 0, 300000).size() == 1000);
    CHECK(client.truncate(kTarget, name, 5000) == StatusCode::kOk);
    const auto extended = client.read(kTarget, name, 0, 8192);
    REQUIRE(extended.size() == 5000);
    CHECK(std::equal(extended.begin(), extended.begin() + 1000, data.begin()));
    CHECK(std::all_of(extended.begin() + 1000, extended.end(), [](uint8_t byte) { return byte == 0; }));
    CHECK(client.remove(kTarget, name) == StatusCode::kOk);
    CHECK(+client.stat(kTarget, name).chunk_size == 0);
    CHECK(client.read(kTarget, name, 0, 10).empty());
    CHECK(client.write(kTarget, name, 0, Bytes(data).first(10)) == StatusCode::kOk);
    CHECK(client.read(kTarget, name, 0, 100).size() == 10);
    CHECK(server.sink.faults().empty());
  });
}

TEST_CASE("a chunk that does not exist reads as empty and takes every operation") {
  with_each_engine([](const ChunkServerOptions& options) {
    ChunkFolder folder;
    TestServer server(options);
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    TestClient client(server.port());
    const ChunkName name = chunk_of(2);
    CHECK(client.read(kTarget, name, 0, 4096).empty());
    CHECK(client.read(kTarget, name, 1 << 20, 1 << 20).empty());
    CHECK(+client.stat(kTarget, name).chunk_blocks == 0);
    CHECK(client.truncate(kTarget, name, 0) == StatusCode::kOk);
    CHECK(client.sync(kTarget, name) == StatusCode::kOk);
    CHECK(client.remove(kTarget, name) == StatusCode::kOk);
    CHECK(client.write(kTarget, name, 0, {}) == StatusCode::kOk);
    CHECK(client.read(kTarget, name, 0, 0).empty());
    CHECK(+client.stat(kTarget, name).chunk_size == 0);
    CHECK(client.truncate(kTarget, name, 777) == StatusCode::kOk);
    CHECK(+client.stat(kTarget, name).chunk_size == 777);
  });
}

TEST_CASE("holes read as zeros, and reads end where the chunk ends") {
  with_each_engine([](const ChunkServerOptions& options) {
    ChunkFolder folder;
    TestServer server(options);
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    TestClient client(server.port());
    const ChunkName name = chunk_of(3);
    constexpr uint64_t kFar = 3U << 20;
    const auto data = pattern(5000, 2);
    CHECK(client.write(kTarget, name, kFar, data) == StatusCode::kOk);
    for (const uint32_t length : {1U, 4096U, 65536U, 1U << 20}) {
      const auto hole = client.read(kTarget, name, 123, length);
      CHECK(hole.size() == length);
      CHECK(std::all_of(hole.begin(), hole.end(), [](uint8_t byte) { return byte == 0; }));
      CHECK(client.read(kTarget, name, kFar, length).size() == std::min<size_t>(length, 5000));
      CHECK(client.read(kTarget, name, kFar + 4999, length).size() == 1);
      CHECK(client.read(kTarget, name, kFar + 5000, length).empty());
    }
    // Half a hole, half the data, one byte short of the end: through pipe and buffer.
    const auto across = client.read(kTarget, name, kFar - (1U << 20) + 4999, 1U << 20);
    REQUIRE(across.size() == 1U << 20);
    CHECK(std::equal(data.begin(), data.begin() + 4999, across.end() - 4999));
    CHECK(client.stat(kTarget, name).chunk_blocks * 512 < kFar);
  });
}

TEST_CASE("any size and alignment of a write lands as it was sent, direct or not") {
  with_each_engine([](ChunkServerOptions options) {
    options.direct_write_bytes_min = 8192;
    ChunkFolder folder;
    TestServer server(options);
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    TestClient client(server.port());
    uint32_t object = 10;
    for (const uint64_t offset : {uint64_t{0}, uint64_t{4096}, uint64_t{1}, uint64_t{511}, uint64_t{4095}, uint64_t{1} << 20}) {
      for (const size_t length : {size_t{1}, size_t{4096}, size_t{8192}, size_t{8193}, size_t{12287}, size_t{1} << 20,
                                  (size_t{1} << 20) + 1, size_t{4} << 20}) {
        CAPTURE(offset);
        CAPTURE(length);
        const ChunkName name = chunk_of(object++);
        const auto data = pattern(length, object);
        REQUIRE(client.write(kTarget, name, offset, data) == StatusCode::kOk);
        CHECK(+client.stat(kTarget, name).chunk_size == offset + length);
        CHECK(client.read(kTarget, name, offset, static_cast<uint32_t>(length)) == data);
        // Over it, in the other manner, and both are seen.
        const auto patch = pattern(100, object + 1);
        REQUIRE(client.write(kTarget, name, offset + length / 2, patch) == StatusCode::kOk);
        const auto seen = client.read(kTarget, name, offset, static_cast<uint32_t>(length));
        CHECK(std::equal(seen.begin(), seen.begin() + static_cast<ptrdiff_t>(length / 2), data.begin()));
        CHECK(client.read(kTarget, name, offset + length / 2, 100) == patch);
        REQUIRE(client.remove(kTarget, name) == StatusCode::kOk);
      }
    }
    CHECK(server.sink.faults().empty());
  });
}

TEST_CASE("a request for a target that is not here, or by an old map, is refused and harms nothing") {
  ChunkFolder folder;
  TestServer server;
  REQUIRE(server.server.add_target(kTarget, folder.path(), 5).ok());
  TestClient client(server.port());
  const ChunkName name = chunk_of(1);
  const auto data = pattern(100000, 1);
  const auto write = TestClient::request(kTarget, name, 0, 100000);
  CHECK(client.call(wire::ChunkOperation::kWrite, write, data, 4).status == StatusCode::kStaleMap);
  CHECK(client.call(wire::ChunkOperation::kWrite, TestClient::request(8, name, 0, 100000), data, 5).status ==
        StatusCode::kNotMyTarget);
  CHECK(+client.call(wire::ChunkOperation::kStat, TestClient::request(kTarget, name, 0, 0), {}, 5).response.chunk_size == 0);
  CHECK(client.call(wire::ChunkOperation::kWrite, write, data, 5).status == StatusCode::kOk);
  CHECK(server.server.set_min_map_version(kTarget, 9).ok());
  CHECK(client.call(wire::ChunkOperation::kRead, TestClient::request(kTarget, name, 0, 10), {}, 8).status ==
        StatusCode::kStaleMap);
  CHECK(client.call(wire::ChunkOperation::kRead, TestClient::request(kTarget, name, 0, 10), {}, 9).status == StatusCode::kOk);
  CHECK(server.server.statistics().refused == 3);
  CHECK_FALSE(server.server.set_min_map_version(99, 1).ok());
}

TEST_CASE("malformed requests are answered and the connection stays usable") {
  ChunkFolder folder;
  TestServer server;
  REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
  TestClient client(server.port());
  const ChunkName name = chunk_of(1);
  const auto data = pattern(1000, 1);
  auto request = TestClient::request(kTarget, name, 0, 999);
  CHECK(client.call(wire::ChunkOperation::kWrite, request, data).status == StatusCode::kBadRequest);
  request = TestClient::request(kTarget, name, ~uint64_t{0}, 1000);
  CHECK(client.call(wire::ChunkOperation::kWrite, request, data).status == StatusCode::kBadRequest);
  request = TestClient::request(kTarget, name, 0, wire::kChunkDataBytesMax + 1);
  CHECK(client.call(wire::ChunkOperation::kRead, request).status == StatusCode::kBadRequest);
  request = TestClient::request(kTarget, name, 0, 10);
  request.remote_key = 1;
  CHECK(client.call(wire::ChunkOperation::kRead, request).status == StatusCode::kBadRequest);
  request = TestClient::request(kTarget, name, 0, 10);
  CHECK(client.call(static_cast<wire::ChunkOperation>(99), request).status == StatusCode::kUnknownOperation);
  CHECK(client.write(kTarget, name, 0, data) == StatusCode::kOk);
  CHECK(client.read(kTarget, name, 0, 1000) == data);
  CHECK(server.server.statistics().targets[0].operations[static_cast<size_t>(wire::ChunkOperation::kWrite)].operations == 1);
}

TEST_CASE("a frame that is no chunk request closes its connection only") {
  ChunkFolder folder;
  TestServer server;
  REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
  TestClient stays(server.port());
  CHECK(stays.write(kTarget, chunk_of(1), 0, pattern(10, 1)) == StatusCode::kOk);
  for (const size_t data_bytes : {size_t{0}, size_t{100}}) {
    TestClient client(server.port());
    wire::FrameHeader header;
    auto bytes = TestClient::frame(header, {}, pattern(data_bytes, 1));
    std::memcpy(&header, bytes.data(), sizeof(header));
    header.type = static_cast<uint8_t>(data_bytes == 0 ? wire::FrameType::kRpcRequest : wire::FrameType::kChunkResponse);
    seal_header(header, data_bytes == 0 ? 64 : 32, data_bytes);
    std::memcpy(bytes.data(), &header, sizeof(header));
    client.send_bytes(bytes);
    Answer answer;
    CHECK_FALSE(client.receive(&answer));
  }
  CHECK(stays.read(kTarget, chunk_of(1), 0, 10).size() == 10);
}

TEST_CASE("removing a target waits, refuses afterwards, and its folder can be served again") {
  ChunkFolder folder;
  TestServer server({}, 2);
  REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
  CHECK(server.server.add_target(kTarget, folder.path(), 1).code() == StatusCode::kExists);
  TestClient client(server.port());
  const auto data = pattern(1 << 20, 1);
  for (uint64_t i = 0; i < 16; i++)
    client.send(wire::ChunkOperation::kWrite, TestClient::request(kTarget, chunk_of(1), i << 20, 1 << 20), data);
  CHECK(server.server.remove_target(kTarget).ok());
  CHECK(server.server.remove_target(kTarget).code() == StatusCode::kNotMyTarget);
  uint32_t written = 0;
  for (uint64_t i = 0; i < 16; i++) {
    Answer answer;
    REQUIRE(client.receive(&answer));
    CHECK((answer.status == StatusCode::kOk || answer.status == StatusCode::kNotMyTarget));
    written += answer.status == StatusCode::kOk ? 1 : 0;
  }
  CHECK(server.server.statistics().open_files == 0);
  REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
  CHECK(client.stat(kTarget, chunk_of(1)).chunk_blocks >= written * 2048);
  CHECK(server.server.usage(kTarget).ok());
  CHECK(server.server.usage(kTarget).value().bytes_total > 0);
  CHECK_FALSE(server.server.usage(99).ok());
}

TEST_CASE("statistics count operations, bytes and errors per target") {
  ChunkFolder folder;
  TestServer server;
  REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
  TestClient client(server.port());
  const auto data = pattern(1000, 1);
  for (uint64_t i = 0; i < 5; i++) CHECK(client.write(kTarget, chunk_of(1), i * 1000, data) == StatusCode::kOk);
  client.read(kTarget, chunk_of(1), 4500, 1000);
  const ChunkStatistics statistics = server.server.statistics();
  REQUIRE(statistics.targets.size() == 1);
  const auto& writes = statistics.targets[0].operations[static_cast<size_t>(wire::ChunkOperation::kWrite)];
  const auto& reads = statistics.targets[0].operations[static_cast<size_t>(wire::ChunkOperation::kRead)];
  CHECK(writes.operations == 5);
  CHECK(writes.bytes == 5000);
  CHECK(writes.errors == 0);
  CHECK(writes.in_flight_max >= 1);
  CHECK(reads.bytes == 500);
  CHECK(statistics.open_files >= 1);
  CHECK((statistics.engine == "io_uring" || statistics.engine == "threads"));
  CHECK(wait_until([&] { return server.server.statistics().requests_in_flight == 0; }));
}
