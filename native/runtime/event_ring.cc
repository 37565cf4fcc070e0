#include "runtime/event_ring.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ibexfs {

namespace {

size_t padded(size_t bytes) {
  return (bytes + 7) & ~size_t{7};
}

wire::RingRecord header(wire::EventKind kind, size_t length) {
  return {static_cast<uint32_t>(length), static_cast<uint16_t>(kind), 0};
}

}  // namespace

EventRing::EventRing(size_t capacity_bytes, std::function<void()> wake, std::function<void()> wake_soon)
    : capacity_(capacity_bytes), wake_(std::move(wake)), wake_soon_(std::move(wake_soon)) {
  void* memory = mmap(nullptr, memory_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::fprintf(stderr, "ibexfs: no memory for an event ring of %zu bytes\n", capacity_);
    std::abort();
  }
  memory_ = static_cast<uint8_t*>(memory);
  data_ = memory_ + kControlBytes;
  control_ = new (memory_) Control{};
  control_->sleeps.store(1);
}

EventRing::~EventRing() {
  munmap(memory_, memory_bytes());
}

bool EventRing::append_locked(wire::EventKind kind, const void* record, size_t record_bytes, std::initializer_list<Bytes> tails) {
  size_t bytes = record_bytes;
  for (const Bytes& tail : tails) bytes += tail.size();
  const size_t length = padded(bytes);
  const uint32_t tail = control_->tail.load(std::memory_order_relaxed);
  const uint32_t used = tail - control_->head.load(std::memory_order_acquire);
  const size_t at = tail & (capacity_ - 1);
  const size_t to_end = capacity_ - at;
  const size_t skipped = length > to_end ? to_end : 0;  // records never wrap: the rest of the ring is padded
  if (used + skipped + length > capacity_) return false;
  size_t write = at;
  if (skipped > 0) {
    const wire::RingRecord padding = header(wire::EventKind::kPadding, skipped);
    std::memcpy(data_ + at, &padding, sizeof(padding));
    write = 0;
  }
  const wire::RingRecord start = header(kind, length);
  std::memcpy(data_ + write, record, record_bytes);
  std::memcpy(data_ + write, &start, sizeof(start));
  write += record_bytes;
  for (const Bytes& part : tails) {
    if (!part.empty()) std::memcpy(data_ + write, part.data(), part.size());
    write += part.size();
  }
  control_->tail.store(tail + static_cast<uint32_t>(skipped + length));  // seq_cst: pairs with the look at `sleeps`
  return true;
}

void EventRing::wake_if_asleep() {
  if (control_->sleeps.load() != 0 && control_->sleeps.exchange(0) != 0) wake_();
}

bool EventRing::append(wire::EventKind kind, const void* record, size_t record_bytes, std::initializer_list<Bytes> tails) {
  std::lock_guard lock(mutex_);
  if (kept_.empty() && append_locked(kind, record, record_bytes, tails)) return true;
  control_->wanted.store(1);
  return false;
}

bool EventRing::push(wire::EventKind kind, void* record, size_t record_bytes, std::initializer_list<Bytes> tails) {
  if (!append(kind, record, record_bytes, tails)) return false;
  wake_if_asleep();
  return true;
}

bool EventRing::push_unhurried(wire::EventKind kind, void* record, size_t record_bytes, std::initializer_list<Bytes> tails) {
  if (!append(kind, record, record_bytes, tails)) return false;
  if (control_->sleeps.load() != 0) wake_soon_();
  return true;
}

void EventRing::look_again() {
  if (!empty()) wake_if_asleep();
}

void EventRing::push_or_keep(wire::EventKind kind, void* record, size_t record_bytes, std::initializer_list<Bytes> tails) {
  {
    std::lock_guard lock(mutex_);
    if (!kept_.empty() || !append_locked(kind, record, record_bytes, tails)) {
      std::vector<uint8_t> whole;
      whole.insert(whole.end(), static_cast<uint8_t*>(record), static_cast<uint8_t*>(record) + record_bytes);
      for (const Bytes& tail : tails) whole.insert(whole.end(), tail.begin(), tail.end());
      const wire::RingRecord start = header(kind, padded(whole.size()));
      std::memcpy(whole.data(), &start, sizeof(start));
      kept_.push_back(std::move(whole));
      control_->wanted.store(1);
    }
  }
  wake_if_asleep();
}

void EventRing::when_room(std::function<void()> retry) {
  std::lock_guard lock(mutex_);
  waiters_.push_back(std::move(retry));
  control_->wanted.store(1);
}

void EventRing::room_made() {
  std::vector<std::function<void()>> waiters;
  {
    std::lock_guard lock(mutex_);
    while (!kept_.empty()) {
      wire::RingRecord start;
      std::memcpy(&start, kept_.front().data(), sizeof(start));
      if (!append_locked(static_cast<wire::EventKind>(start.kind), kept_.front().data(), kept_.front().size(), {})) {
        control_->wanted.store(1);
        break;
      }
      kept_.pop_front();
    }
    if (kept_.empty()) waiters.swap(waiters_);
  }
  wake_if_asleep();
  for (const auto& retry : waiters) retry();
}

bool EventRing::empty() const {
  return control_->head.load() == control_->tail.load();
}

}  // namespace ibexfs
