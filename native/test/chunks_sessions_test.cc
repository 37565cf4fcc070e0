// A client that connects again: what its earlier connection still brings must change nothing any more.
#include "test/chunks_fixture.h"

using namespace ibexfs;
using namespace ibexfs::test;

namespace {

constexpr uint32_t kTarget = 6;
constexpr uint32_t kBytes = 256U << 10;

std::vector<uint8_t> write_frame(const ChunkName& name, Bytes data) {
  wire::FrameHeader header;
  header.operation = static_cast<uint16_t>(wire::ChunkOperation::kWrite);
  header.map_version = 1;
  return TestClient::frame(header, TestClient::request(kTarget, name, 0, static_cast<uint32_t>(data.size())), data);
}

bool has_come_to_rest(TestServer& server) {
  return wait_until([&] { return server.server.statistics().requests_in_flight == 0 && server.pool.bytes_in_use() == 0; });
}

}  // namespace

TEST_CASE("a write whose last bytes come after the client has connected again does not happen") {
  with_each_engine([](ChunkServerOptions options) {
    ChunkFolder folder;
    TestServer server(options, 2);
    server.peer = "a client";
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    const auto frame = write_frame(chunk_of(1), pattern(kBytes, 1));
    TestClient before(server.port());
    REQUIRE(before.send_bytes(Bytes(frame).first(frame.size() - 1)));
    REQUIRE(wait_until([&] { return server.server.statistics().requests_in_flight == 1; }));

    TestClient after(server.port());
    REQUIRE(after.write(kTarget, chunk_of(1), 0, pattern(kBytes, 2)) == StatusCode::kOk);
    before.send_bytes(Bytes(frame).last(1));
    Answer answer;
    CHECK_FALSE(before.receive(&answer));
    before.close();
    CHECK(has_come_to_rest(server));
    CHECK(after.read(kTarget, chunk_of(1), 0, kBytes) == pattern(kBytes, 2));
    CHECK(server.server.statistics().targets[0].operations[static_cast<size_t>(wire::ChunkOperation::kWrite)].operations == 1);
  });
}

TEST_CASE("after the first answer to a client that has connected again, nothing old lands") {
  with_each_engine([](ChunkServerOptions options) {
    ChunkFolder folder;
    TestServer server(options, 2);
    server.peer = "a client";
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    const auto old_frame = write_frame(chunk_of(1), pattern(kBytes, 1));
    const auto new_data = pattern(kBytes, 2);
    for (int round = 0; round < 50; round++) {
      TestClient before(server.port());
      REQUIRE(before.write(kTarget, chunk_of(1), 0, pattern(kBytes, 1)) == StatusCode::kOk);  // it has its session
      std::thread sender([&] {
        for (int i = 0; i < 16 && before.send_bytes(old_frame); i++) {
        }
      });
      TestClient after(server.port());
      REQUIRE(after.write(kTarget, chunk_of(1), 0, new_data) == StatusCode::kOk);
      CHECK(after.read(kTarget, chunk_of(1), 0, kBytes) == new_data);
      sender.join();
      before.close();
      REQUIRE(has_come_to_rest(server));
      CHECK(after.read(kTarget, chunk_of(1), 0, kBytes) == new_data);
    }
  });
}

TEST_CASE("clients do not end each other's sessions") {
  ChunkFolder folder;
  TestServer server({}, 2);
  REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
  server.peer = "one";
  TestClient one(server.port());
  REQUIRE(one.write(kTarget, chunk_of(1), 0, pattern(100, 1)) == StatusCode::kOk);
  server.peer = "two";
  TestClient two(server.port());
  REQUIRE(two.write(kTarget, chunk_of(1), 0, pattern(100, 2)) == StatusCode::kOk);
  CHECK(one.write(kTarget, chunk_of(1), 0, pattern(100, 3)) == StatusCode::kOk);
  CHECK(server.sessions.size() == 2);
}

TEST_CASE("a client that closes its half gets no more answers, and leaves nothing behind") {
  with_each_engine([](ChunkServerOptions options) {
    ChunkFolder folder;
    TestServer server(options, 2);
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    TestClient witness(server.port());
    const auto frame = write_frame(chunk_of(1), pattern(kBytes, 1));
    const auto last_frame = write_frame(chunk_of(2), pattern(kBytes, 2));
    const auto writes = [&] {
      return server.server.statistics().targets[0].operations[static_cast<size_t>(wire::ChunkOperation::kWrite)].operations;
    };
    for (const size_t missing : {size_t{1}, last_frame.size() - 10, size_t{0}}) {
      CAPTURE(missing);
      const uint64_t before = writes();
      TestClient client(server.port());
      for (int i = 0; i < 8; i++) REQUIRE(client.send_bytes(frame));
      REQUIRE(client.send_bytes(Bytes(last_frame).first(last_frame.size() - missing)));
      REQUIRE(shutdown(client.socket(), SHUT_WR) == 0);
      Answer answer;
      uint64_t answers = 0;
      while (client.receive(&answer)) answers++;
      CHECK(has_come_to_rest(server));
      const uint64_t begun = writes() - before;
      CHECK(answers <= begun);
      CHECK(begun <= (missing == 0 ? 9 : 8));
      if (missing > 0) CHECK(+witness.stat(kTarget, chunk_of(2)).chunk_size == 0);
      REQUIRE(witness.write(kTarget, chunk_of(1), 0, pattern(100, 2)) == StatusCode::kOk);
    }
  });
}

TEST_CASE("a request id that is still in flight means nothing to the server: each request is answered") {
  with_each_engine([](ChunkServerOptions options) {
    ChunkFolder folder;
    TestServer server(options);
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    TestClient client(server.port());
    const auto frame = write_frame(chunk_of(1), pattern(kBytes, 1));
    for (int i = 0; i < 8; i++) REQUIRE(client.send_bytes(frame));
    for (int i = 0; i < 8; i++) {
      Answer answer;
      REQUIRE(client.receive(&answer));
      CHECK(answer.status == StatusCode::kOk);
      CHECK(answer.request_id == 0);
    }
    CHECK(has_come_to_rest(server));
  });
}
