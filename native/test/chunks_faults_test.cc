// What a full disk, a size limit and a folder that goes away look like to clients and in the events.
#include <sys/mount.h>
#include <sys/resource.h>

#include <csignal>

#include "test/chunks_fixture.h"

using namespace ibexfs;
using namespace ibexfs::test;

namespace {

constexpr uint32_t kTarget = 4;

// A small file system on a fresh folder; needs the right to mount.
class SmallDisk {
 public:
  explicit SmallDisk(const char* options)
      : mounted_(mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, options) == 0), error_number_(mounted_ ? 0 : errno) {}
  ~SmallDisk() {
    if (mounted_) umount2(folder_.path().c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }
  int error_number() const { return error_number_; }
  const std::string& path() const { return folder_.path(); }

 private:
  ChunkFolder folder_;
  bool mounted_;
  int error_number_;
};

}  // namespace

TEST_CASE("a full disk answers noSpace, names chunk and path once a second, and keeps what was there") {
  with_each_engine([](ChunkServerOptions options) {
    SmallDisk disk("size=4m");
    if (!disk.mounted()) {
      MESSAGE("not run: mounting a small tmpfs needs CAP_SYS_ADMIN: " << strerrordesc_np(disk.error_number()));
      return;
    }
    TestServer server(options);
    REQUIRE(server.server.add_target(kTarget, disk.path(), 1).ok());
    TestClient client(server.port());
    const auto data = pattern(1 << 20, 1);
    REQUIRE(client.write(kTarget, chunk_of(1), 0, data) == StatusCode::kOk);
    uint32_t refused = 0;
    for (uint64_t i = 0; i < 20; i++)
      refused += client.write(kTarget, chunk_of(2), i << 20, data) == StatusCode::kNoSpace ? 1 : 0;
    CHECK(refused >= 16);
    CHECK(client.read(kTarget, chunk_of(1), 0, 1 << 20) == data);
    const auto faults = server.sink.faults();
    REQUIRE(faults.size() >= 1);
    CHECK(faults.size() < refused);
    CHECK(faults[0].target == kTarget);
    CHECK(faults[0].status == ENOSPC);
    CHECK(faults[0].text.find(disk.path() + "/chunks/" + chunk_path(chunk_of(2))) != std::string::npos);
    CHECK(faults[0].text.find("ENOSPC") != std::string::npos);
    CHECK(server.server.statistics().targets[0].faults == refused);
    // Room again: the same chunk takes writes again.
    CHECK(client.remove(kTarget, chunk_of(2)) == StatusCode::kOk);
    CHECK(client.write(kTarget, chunk_of(2), 0, data) == StatusCode::kOk);
  });
}

TEST_CASE("a file size limit answers fileTooBig and kills nobody") {
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  with_each_engine([&](ChunkServerOptions options) {
    ChunkFolder folder;
    TestServer server(options);
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    TestClient client(server.port());
    const rlimit small{1 << 20, before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    const StatusCode within = client.write(kTarget, chunk_of(1), 0, pattern(1 << 20, 1));
    const StatusCode direct = client.write(kTarget, chunk_of(1), 1 << 20, pattern(1 << 20, 1));
    const StatusCode cached = client.write(kTarget, chunk_of(1), 1 << 20, pattern(100, 1));
    const StatusCode cut = client.truncate(kTarget, chunk_of(2), 2 << 20);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK(within == StatusCode::kOk);
    CHECK(direct == StatusCode::kFileTooBig);
    CHECK(cached == StatusCode::kFileTooBig);
    CHECK(cut == StatusCode::kFileTooBig);
    CHECK(+client.stat(kTarget, chunk_of(1)).chunk_size == 1 << 20);
    CHECK(server.sink.faults().empty());
  });
}

TEST_CASE("a chunk that cannot be opened answers ioError and says why") {
  with_each_engine([](ChunkServerOptions options) {
    ChunkFolder folder;
    TestServer server(options);
    REQUIRE(server.server.add_target(kTarget, folder.path(), 1).ok());
    TestClient client(server.port());
    // A folder where the chunk file should be.
    std::filesystem::create_directories(folder.path() + "/chunks/" + chunk_path(chunk_of(1)));
    CHECK(client.write(kTarget, chunk_of(1), 0, pattern(10, 1)) == StatusCode::kIoError);
    CHECK(client.call(wire::ChunkOperation::kRead, TestClient::request(kTarget, chunk_of(1), 0, 10)).status ==
          StatusCode::kIoError);
    CHECK(client.remove(kTarget, chunk_of(1)) == StatusCode::kIoError);
    REQUIRE(server.sink.faults().size() >= 1);
    CHECK(server.sink.faults()[0].text.find("EISDIR") != std::string::npos);
  });
}

TEST_CASE("a target folder that vanished answers ioError, never empty chunks or a false sync") {
  with_each_engine([](ChunkServerOptions options) {
    ChunkFolder folder;
    const std::string path = folder.path() + "/target";
    std::filesystem::create_directory(path);
    TestServer server(options);
    REQUIRE(server.server.add_target(kTarget, path, 1).ok());
    TestClient client(server.port());
    REQUIRE(client.write(kTarget, chunk_of(1), 0, pattern(100, 1)) == StatusCode::kOk);
    REQUIRE(client.sync(kTarget, chunk_of(1)) == StatusCode::kOk);
    std::filesystem::remove_all(path);
    CHECK(client.sync(kTarget, chunk_of(1)) == StatusCode::kIoError);
    CHECK(client.call(wire::ChunkOperation::kRead, TestClient::request(kTarget, chunk_of(2), 0, 10)).status ==
          StatusCode::kIoError);
    CHECK(client.write(kTarget, chunk_of(3), 0, pattern(10, 1)) == StatusCode::kIoError);
    CHECK_FALSE(server.server.usage(kTarget).ok());
    REQUIRE(server.sink.faults().size() >= 1);
    CHECK(server.sink.faults()[0].text.find("vanished") != std::string::npos);
    CHECK(server.sink.faults()[0].status == EIO);
  });
}
