// Page-aligned buffers out of one arena that is mapped at start and never grows: the bound on memory
// for file bytes of a process. The arena is one range, so that it can be registered with an RDMA
// device once; nothing is mapped, registered or freed on the I/O path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
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

  // A buffer of at least `bytes` (at most kBlockBytesMax), or an empty one when none is free.
  Buffer allocate(size_t bytes);
  // Calls `retry` once, from whichever thread gives a block back next. A caller whose allocate failed
  // registers, then tries once more, so that no wake-up is lost.
  void when_available(std::function<void()> retry);

  uint8_t* arena() const { return arena_; }
  size_t arena_bytes() const { return arena_bytes_; }
  size_t bytes_in_use() const;

 private:
  friend class Buffer;
  void give_back(uint8_t* data, size_t capacity);

  uint8_t* arena_ = nullptr;
  size_t arena_bytes_ = 0;
  mutable std::mutex mutex_;
  size_t bytes_in_use_ = 0;
  std::vector<std::vector<uint32_t>> free_by_order_;
  std::vector<uint8_t> order_of_free_block_;
  std::vector<std::function<void()>> waiters_;
};

}  // namespace ibexfs
