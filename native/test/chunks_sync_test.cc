// Syncs of one chunk at a time, on a disk whose flushes last as long as the test says.
#include <sys/syscall.h>

#include <condition_variable>

#include "test/chunks_fixture.h"

using namespace ibexfs;
using namespace ibexfs::test;

namespace {

constexpr uint32_t kTarget = 7;
constexpr size_t kSync = static_cast<size_t>(wire::ChunkOperation::kSync);

// Counts the flushes of this process, and keeps them waiting while it is closed.
class FlushDoor {
 public:
  void close() {
    const std::lock_guard lock(mutex_);
    is_open_ = false;
    flushes_ = 0;
  }
  void open() {
    {
      const std::lock_guard lock(mutex_);
      is_open_ = true;
    }
    opened_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    flushes_++;
    opened_.wait(lock, [this] { return is_open_; });
  }
  int flushes() const {
    const std::lock_guard lock(mutex_);
    return flushes_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable opened_;
  bool is_open_ = true;
  int flushes_ = 0;
};

FlushDoor door;

struct ClosedDoor {
  ClosedDoor() { door.close(); }
  ~ClosedDoor() { door.open(); }
  ClosedDoor(const ClosedDoor&) = delete;
  ClosedDoor& operator=(const ClosedDoor&) = delete;
};

bool has_syncs_in_flight(TestServer& server, uint32_t count) {
  return wait_until([&] { return server.server.statistics().targets[0].operations[kSync].in_flight == count; });
}

}  // namespace

// In front of libc's: what the disk threads call.
extern "C" int fdatasync(int fd) {
  door.pass();
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

TEST_CASE("however many syncs of a chunk wait while one runs, they take one more") {
  ChunkServerOptions options;
  options.engine = DiskEngineKind::kThreads;
  ChunkFolder folder;
  TestServer server(options, 2);
  REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
  constexpr uint32_t kSyncs = 32;
  std::vector<std::unique_ptr<TestClient>> clients;
  for (uint32_t i = 0; i < kSyncs; i++) clients.push_back(std::make_unique<TestClient>(server.port()));
  REQUIRE(clients[0]->write(kTarget, chunk_of(1), 0, pattern(100, 1)) == StatusCode::kOk);
  REQUIRE(clients[0]->sync(kTarget, chunk_of(1)) == StatusCode::kOk);  // its folder is on the disk

  {
    const ClosedDoor closed;
    const wire::ChunkRequest request = TestClient::request(kTarget, chunk_of(1), 0, 0);
    clients[0]->send(wire::ChunkOperation::kSync, request);
    REQUIRE(wait_until([] { return door.flushes() == 1; }));
    for (uint32_t i = 1; i < kSyncs; i++) clients[i]->send(wire::ChunkOperation::kSync, request);
    REQUIRE(has_syncs_in_flight(server, kSyncs));
    CHECK(door.flushes() == 1);
  }
  for (const auto& client : clients) {
    Answer answer;
    REQUIRE(client->receive(&answer));
    CHECK(answer.status == StatusCode::kOk);
  }
  CHECK(door.flushes() == 2);
}

TEST_CASE("a sync whose client has gone still runs for those who share it") {
  ChunkServerOptions options;
  options.engine = DiskEngineKind::kThreads;
  ChunkFolder folder;
  TestServer server(options, 2);
  REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
  TestClient running(server.port());
  auto gone = std::make_unique<TestClient>(server.port());
  TestClient sharing(server.port());
  REQUIRE(running.write(kTarget, chunk_of(1), 0, pattern(100, 1)) == StatusCode::kOk);
  REQUIRE(running.sync(kTarget, chunk_of(1)) == StatusCode::kOk);
  REQUIRE(gone->write(kTarget, chunk_of(1), 0, pattern(100, 2)) == StatusCode::kOk);

  {
    const ClosedDoor closed;
    const wire::ChunkRequest request = TestClient::request(kTarget, chunk_of(1), 0, 0);
    running.send(wire::ChunkOperation::kSync, request);
    REQUIRE(wait_until([] { return door.flushes() == 1; }));
    gone->send(wire::ChunkOperation::kSync, request);
    REQUIRE(has_syncs_in_flight(server, 2));
    sharing.send(wire::ChunkOperation::kSync, request);
    REQUIRE(has_syncs_in_flight(server, 3));
    gone.reset();
    // The server has seen that it went once it serves another connection of its reactor; both have one by then.
    for (int i = 0; i < 2; i++)
      REQUIRE(TestClient(server.port()).write(kTarget, chunk_of(2), 0, pattern(10, 1)) == StatusCode::kOk);
  }
  Answer answer;
  REQUIRE(running.receive(&answer));
  REQUIRE(sharing.receive(&answer));
  CHECK(answer.status == StatusCode::kOk);
  CHECK(door.flushes() == 2);
  CHECK(wait_until([&] { return server.server.statistics().requests_in_flight == 0; }));
}
