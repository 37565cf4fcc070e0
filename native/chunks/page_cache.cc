#include "chunks/page_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

namespace ibexfs {

namespace {

constexpr uint64_t kPageBytes = 4096;
// The largest folio that a page fault makes, where pages are of kPageBytes.
constexpr uint64_t kHugeBytes = 2U << 20;
// madvise(2), since Linux 5.14 (include/uapi/asm-generic/mman-common.h); older headers lack it.
constexpr int kMadvisePopulateRead = 22;
// cachestat(2) and its structures, since Linux 6.5 (include/uapi/linux/mman.h); older headers lack them. The
// number is the same on every architecture.
constexpr long kCachestatNumber = 451;

struct CachestatRange {
  uint64_t offset;
  uint64_t length;
};

struct Cachestat {
  uint64_t cached;
  uint64_t dirty;
  uint64_t writeback;
  uint64_t evicted;
  uint64_t recently_evicted;
};

std::atomic<bool> has_cachestat{true};

// Pages of the range in the cache, those still being read from the disk included.
bool are_pages_present(int fd, uint64_t offset, uint64_t length) {
  CachestatRange range{offset, length};
  Cachestat found{};
  if (syscall(kCachestatNumber, fd, &range, &found, 0) != 0) {
    if (errno == ENOSYS || errno == EPERM) has_cachestat.store(false, std::memory_order_relaxed);
    return false;
  }
  const uint64_t pages = (offset + length - 1) / kPageBytes - offset / kPageBytes + 1;
  return found.cached >= pages;
}

// One page of a mapping that asks for huge pages is touched: the kernel reads the whole huge page that the page
// belongs to as one folio (do_sync_mmap_readahead in mm/filemap.c). Populating instead of touching turns what
// would be a signal, when the file is cut short meanwhile, into an error.
bool fetch_huge_page(int fd, uint64_t offset) {
  const uint64_t start = offset - offset % kHugeBytes;
  void* memory = mmap(nullptr, kHugeBytes, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(start));
  if (memory == MAP_FAILED) return false;
  auto* page = static_cast<uint8_t*>(memory) + (offset - start) / kPageBytes * kPageBytes;
  // MADV_RANDOM: this huge page alone, not the next one too.
  const bool fetched = madvise(memory, kHugeBytes, MADV_HUGEPAGE) == 0 && madvise(memory, kHugeBytes, MADV_RANDOM) == 0 &&
                       madvise(page, kPageBytes, kMadvisePopulateRead) == 0;
  munmap(memory, kHugeBytes);
  return fetched;
}

}  // namespace

void fetch_pages(int fd, uint64_t offset, uint64_t length) {
  static const bool pages_fit = sysconf(_SC_PAGESIZE) == static_cast<long>(kPageBytes);
  struct stat attributes {};
  if (fstat(fd, &attributes) != 0) return;
  const uint64_t end = std::min(offset + length, static_cast<uint64_t>(attributes.st_size));
  for (uint64_t at = offset; pages_fit && at < end; at += kHugeBytes - at % kHugeBytes) {
    if (!fetch_huge_page(fd, at)) break;
  }
  // Whatever is left: of huge pages that were there in part, and all where the kernel makes none of files.
  if (offset < end) readahead(fd, static_cast<off64_t>(offset), end - offset);
}

size_t read_cached(int fd, uint8_t* into, uint64_t offset, size_t length, bool* complete) {
  size_t moved = 0;
  while (moved < length) {
    const iovec part{into + moved, length - moved};
    const ssize_t piece = preadv2(fd, &part, 1, static_cast<off_t>(offset + moved), RWF_NOWAIT);
    if (piece < 0 && errno == EINTR) continue;
    // Not cached, or not possible on this file system: the disk engine's part.
    if (piece < 0) break;
    moved += static_cast<size_t>(piece);
    if (piece == 0) {
      *complete = true;
      return moved;
    }
  }
  *complete = moved == length;
  return moved;
}

namespace {

bool is_byte_cached(int fd, uint64_t offset) {
  uint8_t byte = 0;
  bool complete = false;
  read_cached(fd, &byte, offset, 1, &complete);
  return complete;
}

}  // namespace

bool is_cached(int fd, uint64_t offset, uint64_t length) {
  struct stat attributes {};
  if (fstat(fd, &attributes) != 0) return false;
  const auto size = static_cast<uint64_t>(attributes.st_size);
  if (length == 0 || offset >= size) return true;
  length = std::min(length, size - offset);
  // Counted first: to read a missing byte, even without waiting, makes the kernel fetch its page, a disk access
  // for nothing and a single page in the way of a large folio.
  if (has_cachestat.load(std::memory_order_relaxed) && !are_pages_present(fd, offset, length) &&
      has_cachestat.load(std::memory_order_relaxed))
    return false;
  // The bytes tell what counting does not: whether pages are still on their way from the disk.
  return is_byte_cached(fd, offset) && is_byte_cached(fd, offset + length / 2) && is_byte_cached(fd, offset + length - 1);
}

}  // namespace ibexfs
