// Asks the kernel what of a file is in the page cache, without waiting for the disk.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ibexfs {

// True when reading the range (as far as the file goes) will not wait for the disk. Where the kernel cannot
// tell exactly (before Linux 6.5) three samples decide; a wrong answer costs time, not correctness.
bool is_cached(int fd, uint64_t offset, uint64_t length);

// True when the byte is cached or lies beyond the end of the file.
bool is_byte_cached(int fd, uint64_t offset);

// Reads what is cached: a whole range, or all up to the end of the file, sets *complete. Bytes read.
size_t read_cached(int fd, uint8_t* into, uint64_t offset, size_t length, bool* complete);

}  // namespace ibexfs
