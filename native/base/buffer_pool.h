// Page-aligned buffers out of one arena that is mapped at start and never grows: the bound on memory
// for file bytes of a process. The arena is one range, so that it can be registered with an RDMA
// device once; nothing is mapped, registered or freed on the I/O path.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace ibexfs {

class BufferPool;

// Move-only owner of one block; gives it back when destroyed.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  explicit operator bool() const { return data_ != nullptr; }
  uint8_t* data() const { return data_; }
  size_t capacity() const { return capacity_; }
  void reset();

 private:
  friend class BufferPool;
  Buffer(BufferPool* pool, uint8_t* data, size_t capacity) : pool_(pool), data_(data), capacity_(capacity) {}
  BufferPool* pool_ = nullptr;
  uint8_t* data_ = nullptr;
  size_t capacity_ = 0;
};

// Thread-safe binary buddy allocator: blocks are powers of two from kBlockBytesMin to kBlockBytesMax,
// each aligned to the smaller of its size and a page.
class BufferPool {
 public:
  static constexpr size_t kBlockBytesMin = 4096;
  static constexpr size_t kBlockBytesMax = 4U << 20;

  explicit BufferPool(size_t arena_bytes);  // rounded up to a multiple of kBlockBytesMax
  ~BufferPool();                            // every Buffer must have been given back
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // A buffer of at least `bytes`, or an empty one when none is free or `bytes` is above kBlockBytesMax.
  Buffer allocate(size_t bytes);
  // Calls `retry` once, from whichever thread gives a block back next. A caller whose allocate failed
  // registers, then tries once more, so that no wake-up is lost.
  void when_available(std::function<void()> retry);

  uint8_t* arena() const { return arena_; }
  size_t arena_bytes() const { return arena_bytes_; }
  size_t bytes_in_use() const;

 private:
  friend class Buffer;
  // A page is kBlockBytesMin of the arena; a block of order k is 2^k pages and named by its first page.
  static constexpr uint32_t kNoPage = UINT32_MAX;
  static constexpr uint8_t kNotFree = UINT8_MAX;
  static constexpr size_t kOrders = 11;
  static_assert(kBlockBytesMin << (kOrders - 1) == kBlockBytesMax);

  // State of a page; only the first page of a free block has an order and links.
  struct Page {
    uint32_t next = kNoPage;
    uint32_t previous = kNoPage;
    uint8_t free_order = kNotFree;
  };

  void give_back(uint8_t* data, size_t capacity);
  void link_free(uint32_t page, size_t order);
  void unlink_free(uint32_t page, size_t order);

  uint8_t* arena_ = nullptr;
  size_t arena_bytes_ = 0;
  mutable std::mutex mutex_;  // guards everything below
  size_t bytes_in_use_ = 0;
  std::vector<Page> pages_;
  std::array<uint32_t, kOrders> first_free_{};
  std::vector<std::function<void()>> waiters_;
};

}  // namespace ibexfs
