#include "chunks/page_cache.h"

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

}  // namespace

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

bool is_byte_cached(int fd, uint64_t offset) {
  uint8_t byte = 0;
  bool complete = false;
  read_cached(fd, &byte, offset, 1, &complete);
  return complete;
}

bool is_cached(int fd, uint64_t offset, uint64_t length) {
  struct stat attributes {};
  if (fstat(fd, &attributes) != 0) return false;
  const auto size = static_cast<uint64_t>(attributes.st_size);
  if (length == 0 || offset >= size) return true;
  length = std::min(length, size - offset);
  // The ends tell cheaply that a range is missing or is still on its way from the disk.
  if (!is_byte_cached(fd, offset) || !is_byte_cached(fd, offset + length - 1)) return false;
  if (has_cachestat.load(std::memory_order_relaxed)) return are_pages_present(fd, offset, length);
  return is_byte_cached(fd, offset + length / 2);
}

}  // namespace ibexfs
