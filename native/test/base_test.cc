// Base library: status, checksum, buffer pool.
#include <doctest/doctest.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/buffer_pool.h"
#include "base/crc32c.h"
#include "base/status.h"
#include "test/support.h"

using namespace ibexfs;
using namespace ibexfs::test;

TEST_CASE("a status from errno keeps the number and names the subject") {
  const Status status = Status::from_errno(ENOENT, "open /a/b");
  CHECK(status.code() == StatusCode::kNoEntry);
  CHECK(status.message() == "open /a/b: No such file or directory (ENOENT)");
  CHECK(Status::from_errno(0, "nothing").code() == StatusCode::kInternal);
}

TEST_CASE("crc32c gives the published check values") {
  CHECK(crc32c(0, as_bytes("123456789")) == 0xe3069283);
  CHECK(crc32c_by_table(0, as_bytes("123456789")) == 0xe3069283);
  CHECK(crc32c(0, as_bytes(std::string(32, '\0'))) == 0x8a9136aa);
  CHECK(crc32c(0, as_bytes(std::string(32, '\xff'))) == 0x62a8ab43);
  CHECK(crc32c(0, {}) == 0);
}

TEST_CASE("crc32c by instruction equals the table for any length and alignment, and continues") {
  std::mt19937_64 random(random_seed("crc32c"));
  std::vector<uint8_t> bytes(300);
  for (int round = 0; round < 500; ++round) {
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    const size_t from = random() % 16;
    const size_t length = random() % (bytes.size() - from);
    const Bytes range(bytes.data() + from, length);
    const uint32_t whole = crc32c_by_table(0, range);
    REQUIRE(crc32c(0, range) == whole);
    const size_t cut = length == 0 ? 0 : random() % length;
    REQUIRE(crc32c(crc32c(0, range.first(cut)), range.subspan(cut)) == whole);
  }
}

TEST_CASE("a pool hands out blocks of the next power of two, and none above its limits") {
  BufferPool pool(1);
  CHECK(pool.arena_bytes() == BufferPool::kBlockBytesMax);
  CHECK_FALSE(pool.allocate(BufferPool::kBlockBytesMax + 1));
  CHECK(pool.allocate(0).capacity() == BufferPool::kBlockBytesMin);
  CHECK(pool.allocate(4097).capacity() == 8192);
  Buffer all = pool.allocate(BufferPool::kBlockBytesMax);
  CHECK(all.capacity() == BufferPool::kBlockBytesMax);
  CHECK_FALSE(pool.allocate(1));
  Buffer moved = std::move(all);
  CHECK_FALSE(all);
  moved.reset();
  CHECK(pool.bytes_in_use() == 0);
  CHECK(pool.allocate(1));
}

TEST_CASE("blocks of a pool never overlap, and all of it comes back together") {
  std::mt19937_64 random(random_seed("buffer pool"));
  BufferPool pool(4 * BufferPool::kBlockBytesMax);
  struct Held {
    Buffer buffer;
    uint8_t mark;
  };
  std::vector<Held> held;
  size_t held_bytes = 0;
  // Marks the first and last byte of each page of a block: overlap with any other would overwrite one.
  const auto mark = [](const Held& entry) {
    for (size_t at = 0; at < entry.buffer.capacity(); at += 4096)
      entry.buffer.data()[at] = entry.buffer.data()[at + 4095] = entry.mark;
  };
  const auto intact = [](const Held& entry) {
    for (size_t at = 0; at < entry.buffer.capacity(); at += 4096) {
      if (entry.buffer.data()[at] != entry.mark || entry.buffer.data()[at + 4095] != entry.mark) return false;
    }
    return true;
  };
  for (int step = 0; step < 4000; ++step) {
    if (held.empty() || random() % 5 < 3) {
      const size_t bytes = 1 + random() % (size_t{4096} << random() % 11);
      Buffer buffer = pool.allocate(bytes);
      if (!buffer) continue;
      REQUIRE(buffer.capacity() >= bytes);
      REQUIRE(reinterpret_cast<uintptr_t>(buffer.data()) % 4096 == 0);
      REQUIRE(static_cast<size_t>(buffer.data() - pool.arena()) % buffer.capacity() == 0);
      held_bytes += buffer.capacity();
      held.push_back({std::move(buffer), static_cast<uint8_t>(random())});
      mark(held.back());
    } else {
      std::swap(held[random() % held.size()], held.back());
      REQUIRE(intact(held.back()));
      held_bytes -= held.back().buffer.capacity();
      held.pop_back();
    }
    REQUIRE(pool.bytes_in_use() == held_bytes);
  }
  held.clear();
  std::vector<Buffer> largest;
  for (int i = 0; i < 4; ++i) {
    largest.push_back(pool.allocate(BufferPool::kBlockBytesMax));
    REQUIRE(largest.back());
  }
}

TEST_CASE("who registered for a block is told when one comes back, once") {
  BufferPool pool(1);
  Buffer all = pool.allocate(BufferPool::kBlockBytesMax);
  int told = 0;
  pool.when_available([&] { ++told; });
  pool.when_available([&] { ++told; });
  CHECK(told == 0);
  all.reset();
  CHECK(told == 2);
  Buffer other = pool.allocate(1);
  other.reset();
  CHECK(told == 2);
}

TEST_CASE("threads that wait for blocks of a small pool all get their turn") {
  BufferPool pool(1);
  constexpr int kThreads = 4;
  constexpr int kRounds = 300;
  std::atomic<int> done{0};
  std::vector<std::thread> threads;
  for (int id = 0; id < kThreads; ++id) {
    threads.emplace_back([&, id] {
      for (int round = 0; round < kRounds; ++round) {
        Buffer buffer = pool.allocate(2U << 20);
        while (!buffer) {
          // Register, then try once more: the documented order, without which this would hang.
          auto woken = std::make_shared<std::atomic<bool>>(false);
          pool.when_available([woken] {
            *woken = true;
            woken->notify_one();
          });
          buffer = pool.allocate(2U << 20);
          if (!buffer) woken->wait(false);
          if (!buffer) buffer = pool.allocate(2U << 20);
        }
        std::memset(buffer.data(), id, 64);
        if (buffer.data()[63] == id) ++done;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(done == kThreads * kRounds);
  CHECK(pool.bytes_in_use() == 0);
}
