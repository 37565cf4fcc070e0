// A real mount: the kernel's side of every data path, with names answered by TestNamespace and data kept by
// real chunk servers.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "base/unique_fd.h"
#include "fuse/mount_table.h"
#include "test/fuse_namespace.h"

namespace ibexfs::test {

namespace {

// Says what is missing; with CI=true that is a failure.
bool can_mount() {
  const char* missing = nullptr;
  if (geteuid() != 0) missing = "not root";
  if (access("/dev/fuse", R_OK | W_OK) != 0) missing = "/dev/fuse is missing or not accessible";
  if (missing == nullptr) return true;
  const char* ci = std::getenv("CI");
  MESSAGE("FUSE mounts are not tested: ", std::string(missing));
  if (ci != nullptr && std::strcmp(ci, "true") == 0) FAIL_CHECK("CI must be able to mount");
  return false;
}

struct Mounted {
  explicit Mounted(FuseOptions options = {}, ChunkClientOptions chunk_options = {}) : storage(1, 4), client(chunk_options) {
    client.route(1, 4, storage.port());
    auto table = FileTable::create(client.chunks(), client.sink);
    REQUIRE(table.ok());
    files = table.take();
    names = std::make_unique<TestNamespace>(client.sink, *files, client.chunks());
    auto mount = mount_fuse(folder.path(), {});
    REQUIRE_MESSAGE(mount.ok(), mount.status().message());
    auto started = FuseSession::start(mount.take(), options, *files, buffers, client.sink);
    REQUIRE_MESSAGE(started.ok(), started.status().message());
    session = started.take();
    names->serve(*session);
  }
  ~Mounted() {
    CHECK(session->stop(Unmount::kDetach).ok());
    names->stop();
    client.end_calls();
    session.reset();
    CHECK(wait_until([&] { return buffers.bytes_in_use() == 0; }));
  }
  std::string path(const std::string& name) const { return folder.path() + "/" + name; }
  int seen(wire::FuseOperation operation) { return names->seen()[static_cast<uint16_t>(operation)]; }

  TemporaryFolder folder;
  Storage storage;
  BufferPool buffers{64U << 20};
  StripeClient client;
  std::unique_ptr<FileTable> files;
  std::unique_ptr<TestNamespace> names;
  std::unique_ptr<FuseSession> session;
};

UniqueFd open_file(const std::string& path, int flags) {
  UniqueFd file(open(path.c_str(), flags | O_CLOEXEC, 0644));
  REQUIRE_MESSAGE(file.get() >= 0, std::strerror(errno));
  return file;
}

// Forgets cached pages, so that reading goes to the targets.
void drop_cache(const UniqueFd& file) {
  REQUIRE(fsync(file.get()) == 0);
  REQUIRE(posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
}

std::vector<uint8_t> read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_all(const UniqueFd& file, const std::vector<uint8_t>& data, size_t step) {
  for (size_t at = 0; at < data.size(); at += step) {
    const size_t bytes = std::min(step, data.size() - at);
    REQUIRE(pwrite(file.get(), data.data() + at, bytes, static_cast<off_t>(at)) == static_cast<ssize_t>(bytes));
  }
}

struct AlignedMemory {
  explicit AlignedMemory(size_t bytes) : data(static_cast<uint8_t*>(std::aligned_alloc(4096, bytes))), size(bytes) {}
  ~AlignedMemory() { std::free(data); }
  AlignedMemory(const AlignedMemory&) = delete;
  AlignedMemory& operator=(const AlignedMemory&) = delete;
  std::span<uint8_t> span() const { return {data, size}; }
  uint8_t* data;
  size_t size;
};

}  // namespace

TEST_CASE("mount: the mount table says fuse.ibexfs, and mount points are checked") {
  if (!can_mount()) return;
  Mounted mounted;
  const auto entry = find_mount(mounted.folder.path());
  REQUIRE(entry.has_value());
  CHECK(entry->type == "fuse.ibexfs");
  CHECK(entry->source == "ibexfs");
  std::ifstream read_ahead("/sys/class/bdi/" + entry->device + "/read_ahead_kb");
  int kilobytes = 0;
  read_ahead >> kilobytes;
  CHECK(kilobytes == 8192);
  CHECK(mount_fuse("/nowhere/at/all", {}).status().message().find("does not exist") != std::string::npos);
  CHECK(mount_fuse("/etc/passwd", {}).status().message().find("not a folder") != std::string::npos);
  CHECK(mount_fuse("/etc", {}).status().message().find("not empty") != std::string::npos);
}

TEST_CASE("mount: what is written is read back, in cache and from the targets") {
  if (!can_mount()) return;
  Mounted mounted;
  const std::string path = mounted.path("file");
  std::vector<uint8_t> data(5'000'001);
  fill_pattern(data, 1);
  for (const size_t step : {size_t{3000}, size_t{65536}, size_t{100'000}, size_t{1} << 20, size_t{5} << 20}) {
    CAPTURE(step);
    {
      const UniqueFd file = open_file(path, O_RDWR | O_CREAT | O_TRUNC);
      write_all(file, data, step);
      struct stat status;
      REQUIRE(fstat(file.get(), &status) == 0);
      CHECK(status.st_size == static_cast<off_t>(data.size()));
    }
    CHECK(mounted.names->settled_size("file") == data.size());  // close has settled it
    CHECK(read_all(path) == data);
    drop_cache(open_file(path, O_RDONLY));
    CHECK(read_all(path) == data);
  }
}

TEST_CASE("mount: direct I/O of many threads keeps every block") {
  if (!can_mount()) return;
  Mounted mounted;
  uint32_t flags = 0;
  SUBCASE("one writer at a time") {
    flags = 0;
  }
  SUBCASE("parallel direct writes") {
    flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
  }
  mounted.names->open_flags = flags;
  const std::string path = mounted.path("file");
  constexpr size_t kBlock = 4096;
  constexpr size_t kBlocks = 512;
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  { const UniqueFd file = open_file(path, O_RDWR | O_CREAT); }
  for (size_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      const UniqueFd file(open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
      const AlignedMemory memory(kBlock);
      for (size_t block = thread; block < kBlocks; block += 4) {
        fill_pattern(memory.span(), block);
        if (pwrite(file.get(), memory.data, kBlock, static_cast<off_t>(block * kBlock)) != kBlock) ++failures;
      }
      for (size_t block = thread; block < kBlocks; block += 4) {
        if (pread(file.get(), memory.data, kBlock, static_cast<off_t>(block * kBlock)) != kBlock) ++failures;
        if (!has_pattern(memory.span(), block)) ++failures;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(failures == 0);
  CHECK(std::filesystem::file_size(path) == kBlock * kBlocks);
}

TEST_CASE("mount: random writes, reads, truncations and appends equal a file on the local disk") {
  if (!can_mount()) return;
  Mounted mounted;
  const TemporaryFolder local;
  std::mt19937_64 random(random_seed("mount"));
  const UniqueFd ours = open_file(mounted.path("file"), O_RDWR | O_CREAT);
  const UniqueFd theirs = open_file(local.path() + "/file", O_RDWR | O_CREAT);
  std::vector<uint8_t> data(300'000), first(300'000), second(300'000);
  for (int round = 0; round < 300; ++round) {
    const off_t offset = static_cast<off_t>(random() % 2'000'000);
    const size_t bytes = 1 + random() % (random() % 5 == 0 ? data.size() : 5000);
    switch (random() % 8) {
      case 0: {
        const off_t size = static_cast<off_t>(random() % 2'000'000);
        REQUIRE(ftruncate(ours.get(), size) == 0);
        REQUIRE(ftruncate(theirs.get(), size) == 0);
        break;
      }
      case 1:
        drop_cache(ours);
        break;
      case 2:
      case 3:
      case 4:
        fill_pattern(std::span(data).first(bytes), random());
        REQUIRE(pwrite(ours.get(), data.data(), bytes, offset) == static_cast<ssize_t>(bytes));
        REQUIRE(pwrite(theirs.get(), data.data(), bytes, offset) == static_cast<ssize_t>(bytes));
        break;
      default: {
        const ssize_t expected = pread(theirs.get(), second.data(), bytes, offset);
        REQUIRE(pread(ours.get(), first.data(), bytes, offset) == expected);
        REQUIRE(std::equal(first.begin(), first.begin() + expected, second.begin()));
      }
    }
    struct stat one, other;
    REQUIRE(fstat(ours.get(), &one) == 0);
    REQUIRE(fstat(theirs.get(), &other) == 0);
    REQUIRE(one.st_size == other.st_size);
  }
  CHECK(read_all(mounted.path("file")) == read_all(local.path() + "/file"));
}

TEST_CASE("mount: appends from several descriptors and processes' threads do not overwrite each other") {
  if (!can_mount()) return;
  Mounted mounted;
  const std::string path = mounted.path("log");
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
      const std::string line(99, static_cast<char>('a' + thread));
      for (int i = 0; i < 200; ++i) (void)!write(file.get(), (line + "\n").data(), 100);
    });
  }
  for (auto& thread : threads) thread.join();
  const auto data = read_all(path);
  REQUIRE(data.size() == 4 * 200 * 100);
  bool whole = true;
  for (size_t line = 0; line < data.size(); line += 100) {
    for (size_t i = 0; i < 99; ++i) whole = whole && data[line + i] == data[line];
    whole = whole && data[line + 99] == '\n';
  }
  CHECK(whole);
}

TEST_CASE("mount: mapped memory is written back and read") {
  if (!can_mount()) return;
  Mounted mounted;
  const std::string path = mounted.path("file");
  constexpr size_t kBytes = 1U << 20;
  {
    const UniqueFd file = open_file(path, O_RDWR | O_CREAT);
    REQUIRE(ftruncate(file.get(), kBytes) == 0);
    void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    REQUIRE(memory != MAP_FAILED);
    fill_pattern({static_cast<uint8_t*>(memory), kBytes}, 3);
    REQUIRE(msync(memory, kBytes, MS_SYNC) == 0);
    static_cast<uint8_t*>(memory)[kBytes / 2] ^= 0xff;
    munmap(memory, kBytes);
  }
  drop_cache(open_file(path, O_RDWR));
  auto data = read_all(path);
  REQUIRE(data.size() == kBytes);
  data[kBytes / 2] ^= 0xff;
  CHECK(has_pattern(data, 3));
}

TEST_CASE("mount: flush of a clean file does not leave native code, release closes the slot") {
  if (!can_mount()) return;
  Mounted mounted;
  { const UniqueFd file = open_file(mounted.path("file"), O_WRONLY | O_CREAT); }
  CHECK(mounted.seen(wire::FuseOperation::kFlush) == 0);
  { const UniqueFd file = open_file(mounted.path("file"), O_RDONLY); }
  CHECK(mounted.seen(wire::FuseOperation::kFlush) == 0);
  {
    const UniqueFd file = open_file(mounted.path("file"), O_WRONLY);
    REQUIRE(write(file.get(), "x", 1) == 1);
  }
  CHECK(mounted.seen(wire::FuseOperation::kFlush) == 1);
  CHECK(wait_until([&] { return mounted.seen(wire::FuseOperation::kRelease) == 3; }));
  CHECK(wait_until([&] { return state_word(mounted.files->states()[0].file_id) == 0; }));
}

TEST_CASE("mount: names, links, times, xattrs, folders") {
  if (!can_mount()) return;
  Mounted mounted;
  namespace fs = std::filesystem;
  const std::string root = mounted.folder.path();
  REQUIRE(mkdir((root + "/d").c_str(), 0755) == 0);
  CHECK(mkdir((root + "/d").c_str(), 0755) == -1);
  { const UniqueFd file = open_file(root + "/d/a", O_WRONLY | O_CREAT); }
  REQUIRE(link((root + "/d/a").c_str(), (root + "/d/b").c_str()) == 0);
  CHECK(fs::hard_link_count(root + "/d/a") == 2);
  REQUIRE(symlink("d/a", (root + "/link").c_str()) == 0);
  CHECK(fs::read_symlink(root + "/link") == "d/a");
  REQUIRE(rename((root + "/d/b").c_str(), (root + "/c").c_str()) == 0);
  CHECK(!fs::exists(root + "/d/b"));
  CHECK(rmdir((root + "/d").c_str()) == -1);
  CHECK(errno == ENOTEMPTY);
  const timespec times[2] = {{5, 6}, {1'000'000'000, 123'456'789}};
  REQUIRE(utimensat(AT_FDCWD, (root + "/c").c_str(), times, 0) == 0);
  struct stat status;
  REQUIRE(stat((root + "/c").c_str(), &status) == 0);
  CHECK(status.st_mtim.tv_sec == 1'000'000'000);
  CHECK(status.st_mtim.tv_nsec == 123'456'789);
  REQUIRE(setxattr((root + "/c").c_str(), "user.k", "value", 5, 0) == 0);
  char value[16];
  CHECK(getxattr((root + "/c").c_str(), "user.k", value, sizeof(value)) == 5);
  CHECK(getxattr((root + "/c").c_str(), "user.k", nullptr, 0) == 5);
  CHECK(getxattr((root + "/c").c_str(), "user.k", value, 2) == -1);
  CHECK(errno == ERANGE);
  CHECK(listxattr((root + "/c").c_str(), value, sizeof(value)) == 7);
  struct statvfs usage;
  REQUIRE(statvfs(root.c_str(), &usage) == 0);
  CHECK(usage.f_blocks == 1000);
  CHECK(usage.f_bavail == 900);
  CHECK(usage.f_files == 77);
  std::set<std::string> expected;
  for (int i = 0; i < 3000; ++i) {
    const std::string name = "entry-" + std::to_string(i);
    REQUIRE(mknod((root + "/d/" + name).c_str(), S_IFREG | 0644, 0) == 0);
    expected.insert(name);
  }
  expected.insert("a");
  std::set<std::string> found;
  for (const auto& entry : fs::directory_iterator(root + "/d")) found.insert(entry.path().filename().string());
  CHECK(found == expected);
  CHECK(fs::remove_all(root + "/d") == 3002);
}

TEST_CASE("mount: seeking for data and holes, allocation, lengths") {
  if (!can_mount()) return;
  Mounted mounted;
  const UniqueFd file = open_file(mounted.path("file"), O_RDWR | O_CREAT);
  REQUIRE(pwrite(file.get(), "x", 1, 9999) == 1);
  CHECK(lseek(file.get(), 5, SEEK_DATA) == 5);
  CHECK(lseek(file.get(), 5, SEEK_HOLE) == 10'000);
  CHECK(lseek(file.get(), 10'000, SEEK_DATA) == -1);
  CHECK(errno == ENXIO);
  // Room cannot be reserved, so nothing says that it was; the library writes zeros instead.
  for (const int mode : {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE}) {
    CHECK(fallocate(file.get(), mode, 0, 20'000) == -1);
    CHECK(errno == EOPNOTSUPP);
  }
  CHECK(std::filesystem::file_size(mounted.path("file")) == 10'000);
  CHECK(posix_fallocate(file.get(), 0, 20'000) == 0);
  CHECK(std::filesystem::file_size(mounted.path("file")) == 20'000);
  // The kernel copies by itself when told that we cannot.
  const UniqueFd copy = open_file(mounted.path("copy"), O_RDWR | O_CREAT);
  off_t from = 0;
  CHECK(copy_file_range(file.get(), &from, copy.get(), nullptr, 20'000, 0) == 20'000);
}

TEST_CASE("mount: a write to a file with set-id bits has them cleared") {
  if (!can_mount()) return;
  Mounted mounted;
  const std::string path = mounted.path("program");
  { const UniqueFd file = open_file(path, O_WRONLY | O_CREAT); }
  REQUIRE(chmod(path.c_str(), 04755) == 0);
  const auto bits = [&] {
    struct stat status;
    return stat(path.c_str(), &status) == 0 ? status.st_mode & S_ISUID : 0;
  };
  const UniqueFd file = open_file(path, O_WRONLY);
  REQUIRE(write(file.get(), "x", 1) == 1);
  CHECK(bits() != 0);  // root keeps them
  setfsuid(65534);     // of this thread alone; drops CAP_FSETID with it
  const ssize_t written = write(file.get(), "x", 1);
  setfsuid(0);
  REQUIRE(written == 1);
  CHECK(wait_until([&] { return bits() == 0; }));
}

TEST_CASE("mount: a full event ring delays requests and loses none") {
  if (!can_mount()) return;
  Mounted mounted;
  for (int i = 0; i < 50; ++i) {
    mounted.names->refuse_pushes = i % 4;
    const UniqueFd file = open_file(mounted.path("file-" + std::to_string(i)), O_WRONLY | O_CREAT);
    mounted.names->refuse_pushes = i % 3;
    REQUIRE(write(file.get(), "x", 1) == 1);
    REQUIRE(fsync(file.get()) == 0);
  }
  CHECK(mounted.seen(wire::FuseOperation::kFsync) == 50);
}

TEST_CASE("mount: storage that goes away and returns is waited for") {
  if (!can_mount()) return;
  Mounted mounted;
  const std::string path = mounted.path("file");
  std::vector<uint8_t> data(3U << 20);
  fill_pattern(data, 9);
  const UniqueFd file = open_file(path, O_RDWR | O_CREAT);
  write_all(file, data, 1U << 20);
  const uint16_t port = mounted.storage.port();
  mounted.storage.shut();
  mounted.storage.open(port);
  write_all(file, data, 1U << 20);
  drop_cache(file);
  CHECK(read_all(path) == data);
}

TEST_CASE("mount: storage that stays away is EIO after the deadline, on write, fsync, close and read") {
  if (!can_mount()) return;
  Mounted mounted({}, {.io_timeout_ms = 300});
  const std::string path = mounted.path("file");
  std::vector<uint8_t> data(100'000);
  UniqueFd file = open_file(path, O_RDWR | O_CREAT);
  write_all(file, data, data.size());
  drop_cache(file);
  mounted.client.automatic = false;
  mounted.storage.shut();
  uint8_t byte = 0;
  CHECK(pread(file.get(), &byte, 1, 0) == -1);
  CHECK(errno == EIO);
  CHECK(pwrite(file.get(), data.data(), 10, 0) == 10);  // accepted ...
  CHECK(fsync(file.get()) == -1);                       // ... and reported
  CHECK(errno == EIO);
  CHECK(pwrite(file.get(), data.data(), 10, 0) == 10);
  CHECK(close(file.release()) == -1);
  CHECK(errno == EIO);
  CHECK(mounted.names->last_data_error == EIO);
  CHECK(mounted.client.sink.logged("did not answer"));
  CHECK(mounted.client.sink.logged("of file"));
}

TEST_CASE("mount: data that could not be written is told once to every descriptor that was open, and to no later one") {
  if (!can_mount()) return;
  Mounted mounted({}, {.io_timeout_ms = 300});
  const std::string path = mounted.path("file");
  const UniqueFd writer = open_file(path, O_RDWR | O_CREAT);
  const UniqueFd other = open_file(path, O_RDWR);
  const UniqueFd copy(dup(writer.get()));
  const uint16_t port = mounted.storage.port();
  mounted.client.automatic = false;
  mounted.storage.shut();
  std::vector<uint8_t> data(10);
  CHECK(pwrite(writer.get(), data.data(), data.size(), 0) == 10);
  const auto failed = [](int result) { return result == -1 && errno == EIO; };
  CHECK(failed(fsync(other.get())));
  mounted.storage.open(port);
  mounted.client.automatic = true;
  for (uint32_t target = 1; target <= 4; ++target) mounted.client.chunks().clear_route(target);  // asked for again
  CHECK(fsync(other.get()) == 0);
  const UniqueFd later = open_file(path, O_RDWR);
  CHECK(fsync(later.get()) == 0);
  CHECK(failed(close(dup(writer.get()))));  // nobody looks, and nothing is used up by it
  CHECK(failed(fsync(writer.get())));
  CHECK(fsync(copy.get()) == 0);  // one open file description
  CHECK(fsync(writer.get()) == 0);
}

TEST_CASE("mount: notifications drop what the kernel keeps") {
  if (!can_mount()) return;
  Mounted mounted;
  { const UniqueFd file = open_file(mounted.path("file"), O_WRONLY | O_CREAT); }
  struct stat status;
  REQUIRE(stat(mounted.path("file").c_str(), &status) == 0);
  const int before = mounted.seen(wire::FuseOperation::kLookup);
  REQUIRE(stat(mounted.path("file").c_str(), &status) == 0);
  CHECK(mounted.seen(wire::FuseOperation::kLookup) == before);
  CHECK(mounted.session->invalidate_entry(FUSE_ROOT_ID, "file"));
  CHECK(mounted.session->invalidate_inode(status.st_ino, 0, 0));
  CHECK(!mounted.session->invalidate_entry(FUSE_ROOT_ID, ""));
  CHECK(wait_until(
      [&] { return stat(mounted.path("file").c_str(), &status) == 0 && mounted.seen(wire::FuseOperation::kLookup) > before; }));
}

TEST_CASE("mount: stop waits for idleness or cuts off, and the end is reported") {
  if (!can_mount()) return;
  Mounted mounted;
  UniqueFd file = open_file(mounted.path("file"), O_WRONLY | O_CREAT);
  const Status refused = mounted.session->stop(Unmount::kWhenIdle);
  CHECK(refused.code() == StatusCode::kTryAgain);
  CHECK(write(file.get(), "x", 1) == 1);  // still serving
  SUBCASE("idle") {
    file.reset();
    CHECK(wait_until([&] { return mounted.session->stop(Unmount::kWhenIdle).ok(); }));
  }
  SUBCASE("cut off") {
    CHECK(mounted.session->stop(Unmount::kDetach).ok());
    CHECK(write(file.get(), "x", 1) == -1);
  }
  CHECK(!find_mount(mounted.folder.path()).has_value());
  CHECK(mounted.session->stop(Unmount::kDetach).ok());
}

TEST_CASE("mount: unmounted by somebody else, the session reports its end") {
  if (!can_mount()) return;
  Mounted mounted;
  REQUIRE(unmount_fuse(mounted.session->mount(), Unmount::kWhenIdle).ok());
  CHECK(wait_until([&] { return mounted.names->closed.load(); }));
}

TEST_CASE("mount: unmounting leaves alone what somebody mounted over it or in its place") {
  if (!can_mount()) return;
  Mounted mounted;
  const FuseMount ours = mounted.session->mount();
  CHECK(!ours.device.empty());
  SUBCASE("over it") {}
  SUBCASE("in its place") {
    REQUIRE(unmount_fuse(ours, Unmount::kWhenIdle).ok());
  }
  REQUIRE(mount("none", mounted.folder.path().c_str(), "tmpfs", 0, "size=64k") == 0);
  CHECK(unmount_fuse(ours, Unmount::kDetach).ok());
  const auto standing = find_mount(mounted.folder.path());
  REQUIRE(standing.has_value());
  CHECK(standing->type == "tmpfs");
  CHECK(umount2(mounted.folder.path().c_str(), 0) == 0);
}

TEST_CASE("mount: with every buffer taken, names are answered and writes accepted; reads wait for a buffer") {
  if (!can_mount()) return;
  Mounted mounted;
  const std::string path = mounted.path("file");
  std::vector<uint8_t> data(1U << 20);
  fill_pattern(data, 12);
  const UniqueFd file = open_file(path, O_RDWR | O_CREAT);
  write_all(file, data, data.size());
  drop_cache(file);
  std::vector<Buffer> taken;
  for (size_t bytes = BufferPool::kBlockBytesMax; bytes >= BufferPool::kBlockBytesMin; bytes /= 2) {
    while (Buffer buffer = mounted.buffers.allocate(bytes)) taken.push_back(std::move(buffer));
  }
  std::vector<uint8_t> found(data.size());
  std::atomic<int> done{0};
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 4; ++reader) {  // more than there are FUSE threads
    readers.emplace_back([&, reader] {
      uint8_t byte = 0;
      const off_t at = reader * 200'000;
      if (pread(file.get(), &byte, 1, at) == 1 && byte == pattern_at(static_cast<uint64_t>(at), 12)) ++done;
    });
  }
  struct stat status;
  CHECK(stat(mounted.path("missing").c_str(), &status) == -1);
  CHECK(mkdir(mounted.path("folder").c_str(), 0755) == 0);
  CHECK(done == 0);
  const UniqueFd other = open_file(mounted.path("other"), O_RDWR | O_CREAT);
  write_all(other, data, 100'000);
  CHECK(write(other.get(), "x", 1) == 1);
  CHECK(fsync(other.get()) == 0);
  taken.clear();
  for (auto& reader : readers) reader.join();
  CHECK(done == 4);
}

TEST_CASE("mount: without root it goes through fusermount3") {
  if (!can_mount()) return;
  struct stat device;
  const bool helper = std::system("command -v fusermount3 > /dev/null") == 0;
  if (!helper || stat("/dev/fuse", &device) != 0 || (device.st_mode & 06) != 06) {
    MESSAGE("mounting without root is not tested: ",
            std::string(helper ? "/dev/fuse is not open to all users" : "fusermount3 (package fuse3) is missing"));
    return;
  }
  constexpr uid_t kNobody = 65534;
  Storage storage(1, 4);
  StripeClient client;
  client.route(1, 4, storage.port());
  auto table = FileTable::create(client.chunks(), client.sink);
  REQUIRE(table.ok());
  const std::unique_ptr<FileTable> files = table.take();
  BufferPool buffers(64U << 20);
  TestNamespace names(client.sink, *files, client.chunks(), kNobody);
  const TemporaryFolder folder;
  REQUIRE(chown(folder.path().c_str(), kNobody, kNobody) == 0);
  std::string refusal, problem;
  bool same = false;
  std::thread user([&] {
    // The system calls themselves change this thread alone, and the threads and processes that it starts.
    if (syscall(SYS_setresgid, kNobody, kNobody, kNobody) != 0 || syscall(SYS_setresuid, kNobody, kNobody, kNobody) != 0) return;
    refusal = mount_fuse("/root", {}).status().message();
    auto mount = mount_fuse(folder.path(), {.allow_other = false});
    if (!mount.ok()) {
      problem = mount.status().message();
      return;
    }
    auto started = FuseSession::start(mount.take(), {}, *files, buffers, client.sink);
    if (!started.ok()) {
      problem = started.status().message();
      return;
    }
    names.serve(*started.value());
    std::vector<uint8_t> data(3'000'000);
    fill_pattern(data, 5);
    {
      std::ofstream out(folder.path() + "/file", std::ios::binary);
      out.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
    }
    same = read_all(folder.path() + "/file") == data;
    const Status stopped = started.value()->stop(Unmount::kWhenIdle);
    if (!stopped.ok()) problem = stopped.message();
    (void)started.value()->stop(Unmount::kDetach);
    names.stop();
  });
  user.join();
  CHECK(problem == "");
  CHECK(same);
  CHECK(refusal != "");
  CHECK(!find_mount(folder.path()).has_value());
  client.end_calls();
}

TEST_CASE("mount: without write-behind a write is answered after the targets have it") {
  if (!can_mount()) return;
  Mounted mounted({.write_behind = false});
  const UniqueFd file = open_file(mounted.path("file"), O_WRONLY | O_CREAT);
  std::vector<uint8_t> data(500'000, 7);
  write_all(file, data, data.size());
  CHECK(mounted.client.chunks().statistics().in_flight == 0);
  CHECK(mounted.client.chunks().statistics().requests >= 8);
}

}  // namespace ibexfs::test
