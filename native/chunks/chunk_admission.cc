#include "chunks/chunk_admission.h"

#include <algorithm>

#include "chunks/chunk_server.h"
#include "chunks/chunk_target.h"

namespace ibexfs {

// A limit below one request of the largest size would keep that request out for ever.
ChunkAdmission::ChunkAdmission(const ChunkLimits& limits)
    : requests_per_connection_max_(std::max(limits.requests_per_connection_max, 1U)),
      requests_per_server_max_(std::max(std::min(limits.requests_per_server_max, limits.open_files_max / 2), 1U)),
      bytes_per_connection_max_(std::max<uint64_t>(limits.bytes_per_connection_max, wire::kChunkDataBytesMax)),
      bytes_per_server_max_(std::max<uint64_t>(limits.bytes_per_server_max, wire::kChunkDataBytesMax)) {}

bool ChunkAdmission::fits_connection(const ChunkPeer& peer, uint64_t bytes) const {
  return peer.requests_.load() < requests_per_connection_max_ && peer.bytes_.load() + bytes <= bytes_per_connection_max_;
}

bool ChunkAdmission::take_server_share(uint64_t bytes) {
  const uint32_t requests = requests_.fetch_add(1) + 1;
  const uint64_t total = bytes_.fetch_add(bytes) + bytes;
  if (requests > requests_per_server_max_ || total > bytes_per_server_max_) {
    requests_.fetch_sub(1);
    bytes_.fetch_sub(bytes);
    return false;
  }
  raise(requests_high_water_, requests);
  raise(bytes_high_water_, total);
  return true;
}

bool ChunkAdmission::try_admit(ChunkPeer& peer, uint64_t bytes) {
  // Only the connection's reactor adds to a peer, so checking before adding is no race.
  if (!fits_connection(peer, bytes) || !take_server_share(bytes)) return false;
  peer.requests_.fetch_add(1);
  peer.bytes_.fetch_add(bytes);
  return true;
}

bool ChunkAdmission::admit(const std::shared_ptr<ChunkPeer>& peer, uint64_t bytes) {
  if (try_admit(*peer, bytes)) return true;
  pauses_.fetch_add(1, std::memory_order_relaxed);
  peer->put_off_.store(true);
  if (fits_connection(*peer, bytes)) {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(peer->queued_, true)) {
      waiting_.push_back(peer);
      waiting_count_.store(waiting_.size());
    }
  }
  // Registered first, then tried once more: a release in between is either seen here or wakes the peer.
  if (!try_admit(*peer, bytes)) return false;
  peer->put_off_.store(false);
  return true;
}

void ChunkAdmission::release(ChunkPeer& peer, uint64_t bytes) {
  requests_.fetch_sub(1);
  bytes_.fetch_sub(bytes);
  peer.requests_.fetch_sub(1);
  peer.bytes_.fetch_sub(bytes);
  if (peer.put_off_.exchange(false)) peer.retry();
  if (waiting_count_.load() > 0) wake_waiting();
}

void ChunkAdmission::wake_waiting() {
  // Two for one: a large answer that leaves may make room for several, and who finds none queues again.
  for (int woken = 0; woken < 2;) {
    std::shared_ptr<ChunkPeer> peer;
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.empty()) return;
      peer = waiting_.front().lock();
      waiting_.pop_front();
      waiting_count_.store(waiting_.size());
      if (peer == nullptr) continue;  // its connection has closed
      peer->queued_ = false;
    }
    peer->put_off_.store(false);
    peer->retry();
    woken++;
  }
}

Buffer ChunkAdmission::allocate(BufferPool& pool, const std::shared_ptr<ChunkPeer>& peer, size_t bytes) {
  Buffer buffer = pool.allocate(bytes);
  if (buffer) return buffer;
  pauses_.fetch_add(1, std::memory_order_relaxed);
  pool.when_available([waiting = std::weak_ptr(peer)] {
    if (const std::shared_ptr<ChunkPeer> awaited = waiting.lock()) awaited->retry();
  });
  return pool.allocate(bytes);
}

}  // namespace ibexfs
