// Thousands of pipelined requests, and random ones against a model in memory.
#include <deque>
#include <map>
#include <unordered_map>

#include "test/chunks_fixture.h"

using namespace ibexfs;
using namespace ibexfs::test;

namespace {

constexpr uint32_t kTarget = 1;

// What the chunks should hold, and what each pipelined request should answer.
class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed) {}

  struct Expected {
    wire::ChunkOperation operation;
    std::vector<uint8_t> data;
    uint64_t size = 0;
  };

  // Makes up one request on one of `chunks` chunks, sends it, and returns what must come back, by its id.
  std::pair<uint64_t, Expected> step(TestClient& client, uint32_t first_chunk, uint32_t chunks) {
    const ChunkName name = chunk_of(first_chunk + static_cast<uint32_t>(random_() % chunks));
    std::vector<uint8_t>& held = held_[name.fid.object];
    Expected expected{wire::ChunkOperation::kRead, {}, 0};
    const uint64_t offset = random_() % 4 == 0 ? (random_() % 64) * 4096 : random_() % 400000;
    const auto length = static_cast<uint32_t>(random_() % 3 == 0 ? (1 + random_() % 64) * 4096 : random_() % 150000);
    wire::ChunkRequest request = TestClient::request(kTarget, name, offset, length);
    std::vector<uint8_t> data;
    const uint64_t dice = random_() % 100;
    if (dice < 45) {
      expected.operation = wire::ChunkOperation::kWrite;
      data = pattern(length, random_());
      if (length > 0) held.resize(std::max<size_t>(held.size(), offset + length));
      std::copy(data.begin(), data.end(), held.begin() + (length > 0 ? static_cast<ptrdiff_t>(offset) : 0));
    } else if (dice < 85) {
      if (offset < held.size()) {
        const size_t end = std::min<size_t>(held.size(), offset + length);
        expected.data.assign(held.begin() + static_cast<ptrdiff_t>(offset), held.begin() + static_cast<ptrdiff_t>(end));
      }
    } else {
      request.length = 0;
      if (dice < 90) {
        expected.operation = wire::ChunkOperation::kTruncate;
        held.resize(offset);
      } else if (dice < 95) {
        expected.operation = wire::ChunkOperation::kStat;
        expected.size = held.size();
      } else if (dice < 98) {
        expected.operation = wire::ChunkOperation::kSync;
      } else {
        expected.operation = wire::ChunkOperation::kRemove;
        held.clear();
      }
    }
    const uint64_t id = client.send(expected.operation, request, data);
    return {id, std::move(expected)};
  }

  static bool matches(const Answer& answer, const Expected& expected) {
    return answer.status == StatusCode::kOk && answer.operation == static_cast<uint16_t>(expected.operation) &&
           (expected.operation != wire::ChunkOperation::kRead || answer.data == expected.data) &&
           (expected.operation != wire::ChunkOperation::kStat || answer.response.chunk_size == expected.size);
  }

 private:
  std::mt19937_64 random_;
  std::map<uint32_t, std::vector<uint8_t>> held_;
};

}  // namespace

TEST_CASE("random operations, each waited for, give what a model in memory gives") {
  with_each_engine([](ChunkServerOptions options) {
    options.direct_write_bytes_min = 32768;
    options.direct_read_bytes_min = 4096;
    options.limits.open_files_max = 8;
    ChunkFolder folder;
    TestServer server(options, 2);
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    Model model(random_seed("chunk model"));
    // Two connections on two reactors, one waiting for the other, so that nothing depends on one's order.
    TestClient clients[2] = {TestClient(server.port()), TestClient(server.port())};
    for (int i = 0; i < 3000; i++) {
      TestClient& client = clients[i % 2];
      const auto [id, expected] = model.step(client, 0, 6);
      Answer answer;
      REQUIRE(client.receive(&answer));
      REQUIRE(answer.request_id == id);
      CAPTURE(i);
      REQUIRE(Model::matches(answer, expected));
    }
    CHECK(server.sink.faults().empty());
  });
}

TEST_CASE("thousands of pipelined writes and reads are each answered once, with the right bytes") {
  with_each_engine([](ChunkServerOptions options) {
    ChunkFolder folder;
    TestServer server(options, 2);
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    TestClient client(server.port());
    constexpr uint32_t kRequests = 4000;
    constexpr uint32_t kBytes = 4096;
    std::unordered_map<uint64_t, uint32_t> open;
    const auto pipeline = [&](wire::ChunkOperation operation, auto check) {
      uint32_t answered = 0;
      const auto take = [&] {
        Answer answer;
        REQUIRE(client.receive(&answer));
        REQUIRE(answer.status == StatusCode::kOk);
        const auto found = open.find(answer.request_id);
        REQUIRE(found != open.end());
        check(found->second, answer);
        open.erase(found);
        answered++;
      };
      for (uint32_t i = 0; i < kRequests; i++) {
        // Spread over 50 chunks; the columns of one file are different files.
        const auto request =
            TestClient::request(kTarget, chunk_of(i % 10, i / 10 % 5), (i / 50) * uint64_t{kBytes} + i % 50, kBytes);
        const auto data = operation == wire::ChunkOperation::kWrite ? pattern(kBytes, i) : std::vector<uint8_t>();
        open[client.send(operation, request, data)] = i;
        if (open.size() >= 128) take();
      }
      while (!open.empty()) take();
      CHECK(answered == kRequests);
    };
    pipeline(wire::ChunkOperation::kWrite, [](uint32_t, const Answer& answer) { REQUIRE(+answer.response.bytes == 4096); });
    uint32_t wrong = 0;
    pipeline(wire::ChunkOperation::kRead,
             [&](uint32_t i, const Answer& answer) { wrong += answer.data == pattern(kBytes, i) ? 0 : 1; });
    CHECK(wrong == 0);
  });
}

TEST_CASE("overlapping writes in flight each land whole, whatever their order") {
  with_each_engine([](ChunkServerOptions options) {
    options.direct_write_bytes_min = 65536;
    ChunkFolder folder;
    TestServer server(options, 2);
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    // Aligned (direct), with a tail (both ways) and unaligned (cached).
    for (const auto& [offset, length] : {std::pair{0U, 1U << 20}, std::pair{4096U, (1U << 20) - 7}, std::pair{100U, 300000U}}) {
      std::vector<std::unique_ptr<TestClient>> clients;
      for (uint32_t i = 0; i < 4; i++) clients.push_back(std::make_unique<TestClient>(server.port()));
      for (uint32_t round = 0; round < 8; round++) {
        for (uint32_t i = 0; i < 4; i++) {
          const std::vector<uint8_t> data(length, static_cast<uint8_t>(1 + round * 4 + i));
          clients[i]->send(wire::ChunkOperation::kWrite, TestClient::request(kTarget, chunk_of(1), offset, length), data);
        }
        Answer answer;
        for (auto& client : clients) {
          REQUIRE(client->receive(&answer));
          CHECK(answer.status == StatusCode::kOk);
        }
        const auto found = clients[0]->read(kTarget, chunk_of(1), offset, length);
        REQUIRE(found.size() == length);
        CHECK(std::count(found.begin(), found.end(), found[0]) == static_cast<ptrdiff_t>(length));
        CHECK(found[0] > round * 4);
      }
    }
  });
}
