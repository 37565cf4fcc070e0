#include "chunks/disk_io.h"

#include <unistd.h>

#include <cerrno>

namespace ibexfs {

int64_t read_fully(int fd, uint8_t* into, size_t length, uint64_t offset) {
  size_t moved = 0;
  while (moved < length) {
    const ssize_t piece = pread(fd, into + moved, length - moved, static_cast<off_t>(offset + moved));
    if (piece < 0 && errno == EINTR) continue;
    if (piece < 0) return -errno;
    if (piece == 0) break;
    moved += static_cast<size_t>(piece);
  }
  return static_cast<int64_t>(moved);
}

int64_t read_once(int fd, uint8_t* into, size_t length, uint64_t offset) {
  for (;;) {
    const ssize_t moved = pread(fd, into, length, static_cast<off_t>(offset));
    if (moved >= 0 || errno != EINTR) return moved >= 0 ? moved : -errno;
  }
}

int64_t write_fully(int fd, const uint8_t* from, size_t length, uint64_t offset) {
  size_t moved = 0;
  while (moved < length) {
    const ssize_t piece = pwrite(fd, from + moved, length - moved, static_cast<off_t>(offset + moved));
    if (piece < 0 && errno == EINTR) continue;
    if (piece < 0) return -errno;
    if (piece == 0) return -EIO;  // nothing moved and no reason given
    moved += static_cast<size_t>(piece);
  }
  return static_cast<int64_t>(moved);
}

}  // namespace ibexfs
