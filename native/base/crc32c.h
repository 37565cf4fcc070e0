// CRC32C (Castagnoli), the checksum of frame headers.
#pragma once

#include <cstdint>

#include "base/event_sink.h"

namespace ibexfs {

// Seed 0 starts; a result as seed continues: crc32c(crc32c(0, a), b) is the checksum of a followed by b.
// Uses the CPU's instruction where there is one.
uint32_t crc32c(uint32_t seed, Bytes bytes);

// Always the table: what crc32c is compared with in tests.
uint32_t crc32c_by_table(uint32_t seed, Bytes bytes);

}  // namespace ibexfs
