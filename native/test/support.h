// What tests of all parts need: random numbers that can be had again, waiting, patterns.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <span>
#include <thread>

namespace ibexfs::test {

// Printed, and taken back from IBEXFS_SEED.
inline uint64_t random_seed(const char* test) {
  const char* given = std::getenv("IBEXFS_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("%s: seed %llu (IBEXFS_SEED=%llu runs it again)\n", test, static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(seed));
  return seed;
}

// Polls until `done` or the time is over; gives what `done` said last.
template <typename Predicate>
bool wait_until(Predicate done, std::chrono::milliseconds limit = std::chrono::seconds(20)) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return done();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

// Bytes that differ by position and by `salt`, so that misplaced ones are seen.
inline uint8_t pattern_at(uint64_t position, uint64_t salt) {
  return static_cast<uint8_t>((position * 131 + (position >> 8) * 17 + salt * 29) & 0xff);
}
inline void fill_pattern(std::span<uint8_t> bytes, uint64_t salt) {
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = pattern_at(i, salt);
}
inline bool has_pattern(std::span<const uint8_t> bytes, uint64_t salt) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != pattern_at(i, salt)) return false;
  }
  return true;
}

}  // namespace ibexfs::test
