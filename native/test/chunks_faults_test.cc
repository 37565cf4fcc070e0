// What a full disk, a size limit and a folder that goes away look like to clients and in the events.
#include <spawn.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

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

bool run(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  int status = 1;
  if (posix_spawnp(&child, arguments[0], nullptr, nullptr, arguments.data(), environ) != 0) return false;
  return waitpid(child, &status, 0) == child && status == 0;
}

// A file system on a disk that turns out to be smaller than it says, as thin volumes do: writing back fails long
// after the write was accepted. Needs the right to mount and loop devices.
class ThinDisk {
 public:
  ThinDisk() : room_("size=6m") {
    const std::string image = room_.path() + "/image";
    made_ = room_.mounted() && run({"truncate", "-s", "64M", image}) &&
            run({"mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=1", image}) &&
            run({"mount", "-o", "loop", image, folder_.path()});
  }
  ~ThinDisk() {
    if (made_) run({"umount", "-d", folder_.path()});
  }
  ThinDisk(const ThinDisk&) = delete;
  ThinDisk& operator=(const ThinDisk&) = delete;
  bool made() const { return made_; }
  const std::string& path() const { return folder_.path(); }
  bool grow() const { return mount("tmpfs", room_.path().c_str(), "tmpfs", MS_REMOUNT, "size=80m") == 0; }

 private:
  SmallDisk room_;
  ChunkFolder folder_;
  bool made_ = false;
};

struct Written {
  StatusCode status = StatusCode::kOk;
  uint64_t sync_stamp = 0;  // of the first
};

Written write_small(TestClient& client, const ChunkName& name, uint64_t from, uint64_t bytes) {
  const auto data = pattern(64 << 10, from + 1);
  Written written;
  for (uint64_t offset = from; offset < from + bytes; offset += data.size()) {
    const Answer answer = client.call(wire::ChunkOperation::kWrite,
                                      TestClient::request(kTarget, name, offset, static_cast<uint32_t>(data.size())), data);
    if (answer.status != StatusCode::kOk) written.status = answer.status;
    if (written.sync_stamp == 0) written.sync_stamp = answer.response.sync_stamp;
  }
  return written;
}

Answer sync_since(TestClient& client, const ChunkName& name, uint64_t stamp) {
  wire::ChunkRequest request = TestClient::request(kTarget, name, 0, 0);
  request.sync_stamp = stamp;
  return client.call(wire::ChunkOperation::kSync, request);
}

}  // namespace

TEST_CASE("data that the disk lost is told everybody who may have written it, not only who syncs first") {
  with_each_engine([](ChunkServerOptions options) {
    ThinDisk disk;
    if (!disk.made()) {
      MESSAGE("not run: a disk that fails needs CAP_SYS_ADMIN, a loop device and mkfs.ext4");
      return;
    }
    options.limits.open_files_max = 4;
    TestServer server(options);
    REQUIRE(server.server.add_target(kTarget, disk.path(), 1).ok());
    TestClient one(server.port());
    TestClient two(server.port());
    TestClient later(server.port());
    const Written ones = write_small(one, chunk_of(1), 0, 8 << 20);
    const Written twos = write_small(two, chunk_of(1), 8 << 20, 8 << 20);
    REQUIRE(ones.status == StatusCode::kOk);
    REQUIRE(twos.status == StatusCode::kOk);
    CHECK(ones.sync_stamp != 0);

    const Answer lost = sync_since(one, chunk_of(1), ones.sync_stamp);
    CHECK(lost.status == StatusCode::kNoSpace);  // as the disk says it
    REQUIRE(disk.grow());
    // The kernel is content, and has given the pages up.
    Answer again = sync_since(one, chunk_of(1), lost.response.sync_stamp);
    CHECK(again.status == StatusCode::kOk);
    const Written laters = write_small(later, chunk_of(1), 0, 64 << 10);
    // Its descriptor makes room for others, and is opened anew.
    for (uint32_t object = 2; object < 10; object++)
      REQUIRE(later.write(kTarget, chunk_of(object), 0, pattern(10, 1)) == StatusCode::kOk);
    CHECK(server.server.statistics().open_file_evictions > 0);
    const Answer told = sync_since(two, chunk_of(1), twos.sync_stamp);
    CHECK(told.status == StatusCode::kIoError);
    CHECK(sync_since(two, chunk_of(1), told.response.sync_stamp).status == StatusCode::kOk);
    CHECK(sync_since(later, chunk_of(1), laters.sync_stamp).status == StatusCode::kOk);
    CHECK(server.server.statistics().targets[0].faults == 1);
  });
}

TEST_CASE("of many syncs at a time that meet a failure, all of those who wrote before are told") {
  with_each_engine([](const ChunkServerOptions& options) {
    ThinDisk disk;
    if (!disk.made()) {
      MESSAGE("not run: a disk that fails needs CAP_SYS_ADMIN, a loop device and mkfs.ext4");
      return;
    }
    TestServer server(options, 2);
    REQUIRE(server.server.add_target(kTarget, disk.path(), 1).ok());
    TestClient writer(server.port());
    const Written written = write_small(writer, chunk_of(1), 0, 12 << 20);
    REQUIRE(written.status == StatusCode::kOk);
    constexpr int kSyncs = 8;
    std::vector<std::unique_ptr<TestClient>> clients;
    for (int i = 0; i < kSyncs; i++) clients.push_back(std::make_unique<TestClient>(server.port()));
    wire::ChunkRequest request = TestClient::request(kTarget, chunk_of(1), 0, 0);
    request.sync_stamp = written.sync_stamp;
    for (const auto& client : clients) client->send(wire::ChunkOperation::kSync, request);
    for (const auto& client : clients) {
      Answer answer;
      REQUIRE(client->receive(&answer));
      const bool told = answer.status == StatusCode::kNoSpace || answer.status == StatusCode::kIoError;
      CHECK(told);
    }
  });
}

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
