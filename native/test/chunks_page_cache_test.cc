// What is said of the page cache and what is brought there, on a real file system.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "chunks/page_cache.h"
#include "test/chunks_fixture.h"

using namespace ibexfs;
using namespace ibexfs::test;

namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kMiB = 1U << 20;

// A file whose pages are not cached, as far as the file system drops them (tmpfs does not).
UniqueFd cold_file(const ChunkFolder& folder, size_t bytes) {
  UniqueFd fd(open((folder.path() + "/file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(fd);
  const std::vector<uint8_t> content(bytes, 7);
  REQUIRE(pwrite(fd.get(), content.data(), bytes, 0) == static_cast<ssize_t>(bytes));
  REQUIRE(fsync(fd.get()) == 0);
  REQUIRE(posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
  return fd;
}

// How many pages are cached, by mincore(2), which brings none.
int64_t cached_pages(int fd, size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  REQUIRE(memory != MAP_FAILED);
  std::vector<unsigned char> found((bytes + kPageBytes - 1) / kPageBytes);
  REQUIRE(mincore(memory, bytes, found.data()) == 0);
  munmap(memory, bytes);
  return std::ranges::count_if(found, [](unsigned char page) { return (page & 1) != 0; });
}

bool has_cachestat(int fd) {
  uint64_t range[2] = {0, 1};
  uint64_t found[5];
  constexpr long kCachestatNumber = 451;
  return syscall(kCachestatNumber, fd, range, found, 0) == 0;
}

}  // namespace

TEST_CASE("to ask whether a range is cached brings none of it") {
  const ChunkFolder folder;
  const UniqueFd fd = cold_file(folder, 4 * kMiB);
  const int64_t before = cached_pages(fd.get(), 4 * kMiB);
  if (before > 0) {
    MESSAGE("skipped: this file system does not drop pages");
    return;
  }
  CHECK_FALSE(is_cached(fd.get(), 0, kMiB));
  CHECK_FALSE(is_cached(fd.get(), kMiB, 1));
  const int64_t after = cached_pages(fd.get(), 4 * kMiB);
  // Without cachestat(2), before Linux 6.5, single bytes are asked for, and the kernel fetches their pages.
  if (has_cachestat(fd.get())) CHECK(after == 0);
}

TEST_CASE("pages that are fetched are cached, up to the end of the file") {
  const ChunkFolder folder;
  constexpr size_t kBytes = 5 * kMiB + 123;
  const UniqueFd fd = cold_file(folder, kBytes);
  fetch_pages(fd.get(), 3 * kMiB + 17, kMiB);
  CHECK(is_cached(fd.get(), 3 * kMiB + 17, kMiB));
  fetch_pages(fd.get(), 0, 1);
  CHECK(is_cached(fd.get(), 0, 1));
  fetch_pages(fd.get(), 0, 64 * kMiB);
  CHECK(is_cached(fd.get(), 0, kBytes));
  CHECK(cached_pages(fd.get(), kBytes) == kBytes / kPageBytes + 1);
  fetch_pages(fd.get(), 64 * kMiB, kMiB);
  fetch_pages(fd.get(), 0, 0);
  CHECK(is_cached(fd.get(), 64 * kMiB, kMiB));  // nothing to wait for behind the end
}

TEST_CASE("pages are fetched also around some that are cached already") {
  const ChunkFolder folder;
  const UniqueFd fd = cold_file(folder, 4 * kMiB);
  uint8_t byte = 0;
  for (const size_t at : {size_t{0}, kMiB + 5, 3 * kMiB}) REQUIRE(pread(fd.get(), &byte, 1, static_cast<off_t>(at)) == 1);
  fetch_pages(fd.get(), 0, 4 * kMiB);
  CHECK(wait_until([&] { return is_cached(fd.get(), 0, 4 * kMiB); }));  // the rest comes by read-ahead
}

TEST_CASE("a file that is cut short while its pages are fetched does no harm") {
  const ChunkFolder folder;
  const UniqueFd fd = cold_file(folder, 8 * kMiB);
  std::atomic<bool> stop{false};
  std::thread cutter([&] {
    for (int i = 0; !stop; ++i) (void)!ftruncate(fd.get(), i % 2 == 0 ? 100 : static_cast<off_t>(8 * kMiB));
  });
  for (int i = 0; i < 200; ++i) fetch_pages(fd.get(), 0, 8 * kMiB);
  stop = true;
  cutter.join();
  CHECK(ftruncate(fd.get(), static_cast<off_t>(kMiB)) == 0);
  fetch_pages(fd.get(), 0, kMiB);
  CHECK(is_cached(fd.get(), 0, kMiB));
}
