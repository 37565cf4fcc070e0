// Binary buddy allocator over one mapping. Free blocks of an order form a doubly linked list whose links
// live beside the arena, not in it: a free block's memory is never touched.
#include "base/buffer_pool.h"

#include <sys/mman.h>

#include <bit>
#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace ibexfs {

Buffer::Buffer(Buffer&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      capacity_(std::exchange(other.capacity_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    reset();
    pool_ = std::exchange(other.pool_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    capacity_ = std::exchange(other.capacity_, 0);
  }
  return *this;
}

Buffer::~Buffer() {
  reset();
}

void Buffer::reset() {
  if (data_ != nullptr) pool_->give_back(std::exchange(data_, nullptr), std::exchange(capacity_, 0));
}

BufferPool::BufferPool(size_t arena_bytes) {
  arena_bytes_ = (arena_bytes + kBlockBytesMax - 1) / kBlockBytesMax * kBlockBytesMax;
  if (arena_bytes_ == 0) arena_bytes_ = kBlockBytesMax;
  // Pages that were never handed out cost nothing: the kernel backs them at first touch.
  void* arena = mmap(nullptr, arena_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (arena == MAP_FAILED) {
    std::fprintf(stderr, "ibexfs: cannot map %zu bytes for file data: lower the buffer limit or the process's memory limit\n",
                 arena_bytes_);
    std::abort();
  }
  arena_ = static_cast<uint8_t*>(arena);
  pages_.resize(arena_bytes_ / kBlockBytesMin);
  first_free_.fill(kNoPage);
  // Linked from the end, so that the lowest addresses are handed out first and a small load touches few pages.
  constexpr uint32_t kPagesMax = kBlockBytesMax / kBlockBytesMin;
  for (auto page = static_cast<uint32_t>(pages_.size()); page > 0; page -= kPagesMax) link_free(page - kPagesMax, kOrders - 1);
}

BufferPool::~BufferPool() {
  assert(bytes_in_use_ == 0 && "a Buffer outlived its pool");
  munmap(arena_, arena_bytes_);
}

Buffer BufferPool::allocate(size_t bytes) {
  if (bytes > kBlockBytesMax) return {};
  const size_t block_bytes = std::bit_ceil(bytes < kBlockBytesMin ? kBlockBytesMin : bytes);
  const auto order = static_cast<size_t>(std::countr_zero(block_bytes / kBlockBytesMin));
  const std::lock_guard lock(mutex_);
  size_t from = order;
  while (from < kOrders && first_free_[from] == kNoPage) ++from;
  if (from == kOrders) return {};
  const uint32_t page = first_free_[from];
  unlink_free(page, from);
  // Halve until it fits; the upper halves become free.
  while (from > order) {
    --from;
    link_free(page + (1U << from), from);
  }
  bytes_in_use_ += block_bytes;
  return {this, arena_ + size_t{page} * kBlockBytesMin, block_bytes};
}

void BufferPool::when_available(std::function<void()> retry) {
  const std::lock_guard lock(mutex_);
  waiters_.push_back(std::move(retry));
}

size_t BufferPool::bytes_in_use() const {
  const std::lock_guard lock(mutex_);
  return bytes_in_use_;
}

void BufferPool::give_back(uint8_t* data, size_t capacity) {
  std::vector<std::function<void()>> waiters;
  {
    const std::lock_guard lock(mutex_);
    auto page = static_cast<uint32_t>(static_cast<size_t>(data - arena_) / kBlockBytesMin);
    auto order = static_cast<size_t>(std::countr_zero(capacity / kBlockBytesMin));
    bytes_in_use_ -= capacity;
    // The arena is a multiple of the largest block, so a buddy of a smaller order is always inside it.
    while (order + 1 < kOrders) {
      const uint32_t buddy = page ^ (1U << order);
      if (pages_[buddy].free_order != order) break;
      unlink_free(buddy, order);
      page &= ~(1U << order);
      ++order;
    }
    link_free(page, order);
    waiters.swap(waiters_);
  }
  // All of them: whoever is woken may no longer need a block, and then nobody else would be told.
  for (const auto& retry : waiters) retry();
}

void BufferPool::link_free(uint32_t page, size_t order) {
  const uint32_t head = first_free_[order];
  pages_[page] = {head, kNoPage, static_cast<uint8_t>(order)};
  if (head != kNoPage) pages_[head].previous = page;
  first_free_[order] = page;
}

void BufferPool::unlink_free(uint32_t page, size_t order) {
  Page& entry = pages_[page];
  assert(entry.free_order == order);
  if (entry.previous == kNoPage) {
    first_free_[order] = entry.next;
  } else {
    pages_[entry.previous].next = entry.next;
  }
  if (entry.next != kNoPage) pages_[entry.next].previous = entry.previous;
  entry = {};
}

}  // namespace ibexfs
