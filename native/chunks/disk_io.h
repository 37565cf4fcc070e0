// Blocking positional reads and writes that continue after short ones. For disk threads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ibexfs {

// Bytes read: fewer than asked only at the end of the file. Or a negative errno.
int64_t read_fully(int fd, uint8_t* into, size_t length, uint64_t offset);
// One read, tried again only when a signal interrupted it: what a direct descriptor gives is short only at the
// end of the file, and its rest would not be aligned.
int64_t read_once(int fd, uint8_t* into, size_t length, uint64_t offset);
// `length`, or a negative errno.
int64_t write_fully(int fd, const uint8_t* from, size_t length, uint64_t offset);

}  // namespace ibexfs
