// Core without JavaScript: everything native of a process started, used and closed in every order.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/core.h"
#include "runtime/metrics.h"
#include "test/support.h"

using namespace ibexfs;
using namespace ibexfs::test;

namespace {

constexpr size_t kRingBytes = 1U << 16;

CoreOptions small_options(uint32_t threads) {
  CoreOptions options;
  options.reactor_threads = threads;
  options.buffer_bytes = 4U << 20;
  options.event_ring_bytes = kRingBytes;
  options.command_bytes = 1U << 16;
  return options;
}

std::unique_ptr<Core> make_core(CoreOptions options) {
  auto core = Core::create(options, [] {});
  REQUIRE(core.ok());
  return core.take();
}

// Reads away what the core reported; gives how many events of `kind` there were.
size_t take_events(Core& core, wire::EventKind kind) {
  auto* words = reinterpret_cast<uint32_t*>(core.ring().memory());
  size_t count = 0;
  uint32_t head = __atomic_load_n(&words[0], __ATOMIC_SEQ_CST);
  while (head != __atomic_load_n(&words[1], __ATOMIC_SEQ_CST)) {
    wire::RingRecord start;
    std::memcpy(&start, core.ring().memory() + EventRing::kControlBytes + (head & (kRingBytes - 1)), sizeof(start));
    if (static_cast<wire::EventKind>(start.kind) == kind) count++;
    head += start.length;
    __atomic_store_n(&words[0], head, __ATOMIC_SEQ_CST);
  }
  if (__atomic_exchange_n(&words[3], 0U, __ATOMIC_SEQ_CST) != 0) core.ring().room_made();
  return count;
}

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ibexfs-runtime-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

// A port that refuses connections: bound, nobody listens.
class RefusingPort {
 public:
  RefusingPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    socklen_t length = sizeof(address);
    REQUIRE(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
    port = ntohs(address.sin_port);
  }
  uint16_t port = 0;

 private:
  UniqueFd socket_;
};

}  // namespace

TEST_CASE("a record that nobody waits for is seen soon, also when nothing else happens") {
  std::atomic<int> wakes{0};
  auto core = Core::create(small_options(0), [&] { wakes++; }).take();
  wire::LogEvent event;
  REQUIRE(core->ring().push_unhurried(wire::EventKind::kLog, &event, sizeof(event), {}));
  CHECK(wakes == 0);
  CHECK(wait_until([&] {
    core->loop().run_once(10);
    return wakes == 1;
  }));
  CHECK(take_events(*core, wire::EventKind::kLog) == 1);
}

TEST_CASE("core: starts, serves, connects and closes in every order") {
  for (const uint32_t threads : {0U, 2U}) {
    std::array<int, 4> steps = {0, 1, 2, 3};  // listen, serve a target, connect, run
    do {
      // Each order is cut short after every number of steps.
      for (size_t count = 0; count <= steps.size(); count++) {
        CAPTURE(threads);
        CAPTURE(count);
        const Folder folder;
        const RefusingPort refusing;
        CoreOptions options = small_options(threads);
        options.chunk_server.engine = DiskEngineKind::kThreads;
        options.chunk_server.disk_threads = 1;
        const std::unique_ptr<Core> core = make_core(options);
        uint16_t port = refusing.port;
        for (size_t i = 0; i < count; i++) {
          if (steps[i] == 0) {
            const auto listening = core->listen("127.0.0.1", 0, true);
            REQUIRE(listening.ok());
            port = listening.value().second;
          } else if (steps[i] == 1) {
            CHECK(core->add_target(1, folder.path, 1).ok());
          } else if (steps[i] == 2) {
            for (int reactor = -1; reactor < static_cast<int>(threads); reactor++)
              CHECK(core->connect("127.0.0.1", port, reactor).ok());
          } else {
            core->loop().run_once(1);
          }
        }
        core->close();
        core->close();
        if (count < steps.size() && count > 0 && threads == 0) break;  // the shorter ones repeat themselves
      }
    } while (std::next_permutation(steps.begin(), steps.end()));
  }
}

TEST_CASE("core: refused connects leave nothing in the table of connections") {
  const RefusingPort refusing;
  const std::unique_ptr<Core> core = make_core(small_options(1));
  size_t closed = 0;
  constexpr size_t kConnects = 1000;
  for (size_t i = 0; i < kConnects; i++) {
    REQUIRE(core->connect("127.0.0.1", refusing.port, i % 4 == 0 ? -1 : 0).ok());
    if (i % 20 == 0) core->loop().run_once(0);
    closed += take_events(*core, wire::EventKind::kConnectionClosed);
  }
  CHECK(wait_until([&] {
    core->loop().run_once(0);
    closed += take_events(*core, wire::EventKind::kConnectionClosed);
    return closed == kConnects;
  }));
  CHECK(core->connections().all().empty());
  CHECK(closed == kConnects);
}

TEST_CASE("core: a chunk server that cannot be attached to all reactors is none, and can be tried again") {
  const Folder folder;
  const std::unique_ptr<Core> core = make_core(small_options(2));
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  // Room for the descriptors of one ring, not of two.
  const UniqueFd probe(dup(0));
  bool failed = false;
  for (rlim_t room = 0; room < 8; room++) {
    const rlimit small{static_cast<rlim_t>(probe.get()) + room, before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &small) == 0);
    const Status status = core->add_target(1, folder.path, 1);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
    if (status.ok()) break;
    failed = true;
    core->loop().run_once(0);
  }
  CHECK(failed);
  if (core->chunk_server() == nullptr || core->chunk_server()->statistics().targets.empty())
    CHECK(core->add_target(1, folder.path, 1).ok());
  CHECK(core->chunk_server()->statistics().targets.size() == 1);
}
