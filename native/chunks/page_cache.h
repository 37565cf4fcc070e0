// What of a file is in the page cache, asked without waiting for the disk, and bringing it there.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ibexfs {

// True when reading the range (as far as the file goes) will not wait for the disk. Where the kernel cannot
// tell exactly (before Linux 6.5) three samples decide; a wrong answer costs time, not correctness.
bool is_cached(int fd, uint64_t offset, uint64_t length);

// Reads what is cached: a whole range, or all up to the end of the file, sets *complete. Bytes read.
size_t read_cached(int fd, uint8_t* into, uint64_t offset, size_t length, bool* complete);

// Brings the range (as far as the file goes) into the page cache, in folios as large as the kernel gives: sending
// from those costs half of what single pages cost, which is all that readahead(2) makes. Waits for the disk.
// It is a hint: what fails here fails again, and is reported, when the bytes are read.
void fetch_pages(int fd, uint64_t offset, uint64_t length);

}  // namespace ibexfs
