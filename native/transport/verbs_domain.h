// What the queue pairs of one process share: the device and its port, the protection domain, the buffer pool's
// registration (made once, here), and the memory of messages.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "base/buffer_pool.h"
#include "base/status.h"
#include "base/wire.h"
#include "verbs/memory.h"

namespace ibexfs {

struct VerbsOptions {
  std::string device;  // empty: the first with a usable port
  uint8_t port = 1;
  std::optional<uint32_t> gid_index;  // instead of the one that matches the TCP connection
  // This process is a client: servers may read and write its buffer pool. Servers never let anybody.
  bool expose_pool = false;
};

// Counters of all connections, never reset.
struct VerbsStatistics {
  std::atomic<uint64_t> messages_sent{0};
  std::atomic<uint64_t> messages_received{0};
  std::atomic<uint64_t> message_bytes_sent{0};
  std::atomic<uint64_t> message_bytes_received{0};
  std::atomic<uint64_t> bytes_read{0};          // RDMA READ, by this process
  std::atomic<uint64_t> bytes_written{0};       // RDMA WRITE, by this process
  std::atomic<uint64_t> peer_read_bytes{0};     // of this process's memory, by RDMA READ of the peer
  std::atomic<uint64_t> peer_written_bytes{0};  // to this process's memory, by RDMA WRITE of the peer
  std::atomic<uint64_t> bytes_bounced{0};       // copied between memory that is not registered and the pool
  std::atomic<uint64_t> credit_waits{0};        // how often frames had to wait for the peer to take earlier ones
  std::atomic<uint64_t> failures{0};            // connections that ended by an error of their queue pair
};

// Slots for messages, all of one size, given back as a set. Freed when neither owner nor adapter needs them.
class MessageSlots;

// Thread-safe.
class VerbsDomain : public std::enable_shared_from_this<VerbsDomain> {
 public:
  // Opens the device and registers the pool, or says why that cannot be.
  static Result<std::shared_ptr<VerbsDomain>> open(const std::shared_ptr<verbs::Library>& library, const VerbsOptions& options,
                                                   std::shared_ptr<BufferPool> pool);

  const VerbsOptions& options() const { return options_; }
  const std::shared_ptr<verbs::Device>& device() const { return device_; }
  const std::shared_ptr<verbs::ProtectionDomain>& protection_domain() const { return protection_domain_; }
  BufferPool& pool() const { return *pool_; }
  VerbsStatistics& statistics() { return statistics_; }

  // The port now, with the GID to use for a TCP connection whose address on this side is `local_host`.
  Result<verbs::LocalPort> port_for(const std::string& local_host) const;

  // The bytes as the adapter needs them; nothing when they are not inside of the pool (or span two registrations).
  std::optional<verbs::LocalRange> local(const uint8_t* data, size_t bytes) const;
  // As a peer needs them; nothing also when the pool is not exposed.
  std::optional<verbs::RemoteRange> remote(const uint8_t* data, size_t bytes) const;

  // Exposes memory besides the pool for as long as what it gives is held; `owner` keeps the memory and is kept by it.
  // Null where the device does not take it (it is then moved by way of the pool), or where nothing is exposed.
  std::shared_ptr<void> expose(std::span<uint8_t> memory, std::shared_ptr<void> owner);

  Result<std::shared_ptr<MessageSlots>> take_slots(size_t count);

 private:
  friend class MessageSlots;
  VerbsDomain(VerbsOptions options, std::shared_ptr<BufferPool> pool) : options_(std::move(options)), pool_(std::move(pool)) {}
  Status open_device(const std::shared_ptr<verbs::Library>& library);
  Status grow_slots();

  const VerbsOptions options_;
  const std::shared_ptr<BufferPool> pool_;  // outlives its registration
  std::shared_ptr<verbs::Device> device_;
  std::shared_ptr<verbs::ProtectionDomain> protection_domain_;
  std::shared_ptr<verbs::RegisteredMemory> pool_memory_;
  VerbsStatistics statistics_;

  mutable std::shared_mutex exposed_mutex_;
  std::map<const uint8_t*, const verbs::RegisteredMemory*> exposed_;  // by their ends

  std::mutex slots_mutex_;
  std::vector<std::shared_ptr<verbs::RegisteredArena>> slot_arenas_;
  std::vector<verbs::LocalRange> free_slots_;
};

class MessageSlots {
 public:
  MessageSlots(std::shared_ptr<VerbsDomain> domain, std::vector<verbs::LocalRange> slots)
      : domain_(std::move(domain)), slots_(std::move(slots)) {}
  ~MessageSlots();
  MessageSlots(const MessageSlots&) = delete;
  MessageSlots& operator=(const MessageSlots&) = delete;

  size_t count() const { return slots_.size(); }
  const verbs::LocalRange& operator[](size_t index) const { return slots_[index]; }

 private:
  const std::shared_ptr<VerbsDomain> domain_;
  std::vector<verbs::LocalRange> slots_;
};

}  // namespace ibexfs
