// Bounds what is in flight, per connection and per server. Who does not fit is put off and asked again when
// earlier answers have left: back-pressure, never a refusal and never growth.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>

#include "base/buffer_pool.h"
#include "transport/connection.h"
#include "transport/peer_sessions.h"

namespace ibexfs {

struct ChunkLimits;

// What one connection has in flight.
class ChunkPeer {
 public:
  explicit ChunkPeer(const std::shared_ptr<Connection>& connection) : connection_(connection), session_(connection->session()) {}

  // Its connection is gone, or the client has another by now: what it asked for and has not begun must not happen
  // after requests that the same client sends over its next one.
  void close() { closed_.store(true); }
  bool is_closed() const { return closed_.load() || (session_ != nullptr && session_->is_over()); }

  // Asks the connection to offer the frame again that was put off.
  void retry() {
    if (const std::shared_ptr<Connection> connection = connection_.lock()) connection->retry_plan();
  }

 private:
  friend class ChunkAdmission;
  const std::weak_ptr<Connection> connection_;
  const std::shared_ptr<PeerSession> session_;
  std::atomic<uint32_t> requests_{0};
  std::atomic<uint64_t> bytes_{0};
  std::atomic<bool> put_off_{false};
  std::atomic<bool> closed_{false};
  bool queued_ = false;  // in ChunkAdmission::waiting_, guarded by its lock
};

class ChunkAdmission {
 public:
  explicit ChunkAdmission(const ChunkLimits& limits);

  // Reactor of the connection. False: no room; the peer is asked again when there may be some.
  bool admit(const std::shared_ptr<ChunkPeer>& peer, uint64_t bytes);
  void release(ChunkPeer& peer, uint64_t bytes);  // any thread

  // A buffer for an admitted request; an empty one when the pool has none: the peer is asked again when it has.
  Buffer allocate(BufferPool& pool, const std::shared_ptr<ChunkPeer>& peer, size_t bytes);

  uint32_t requests() const { return requests_.load(std::memory_order_relaxed); }
  uint32_t requests_high_water() const { return requests_high_water_.load(std::memory_order_relaxed); }
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  uint64_t bytes_high_water() const { return bytes_high_water_.load(std::memory_order_relaxed); }
  uint64_t pauses() const { return pauses_.load(std::memory_order_relaxed); }

 private:
  bool fits_connection(const ChunkPeer& peer, uint64_t bytes) const;
  bool take_server_share(uint64_t bytes);
  bool try_admit(ChunkPeer& peer, uint64_t bytes);
  void wake_waiting();

  const uint32_t requests_per_connection_max_;
  const uint32_t requests_per_server_max_;
  const uint64_t bytes_per_connection_max_;
  const uint64_t bytes_per_server_max_;
  std::atomic<uint32_t> requests_{0};
  std::atomic<uint32_t> requests_high_water_{0};
  std::atomic<uint64_t> bytes_{0};
  std::atomic<uint64_t> bytes_high_water_{0};
  std::atomic<uint64_t> pauses_{0};
  std::atomic<size_t> waiting_count_{0};
  std::mutex mutex_;
  std::deque<std::weak_ptr<ChunkPeer>> waiting_;  // for room of the server; each peer once
};

}  // namespace ibexfs
