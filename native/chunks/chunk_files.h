// The chunks that requests work on, and their open descriptors: an LRU cache bounded in descriptors. There is
// at most one ChunkFile per chunk at a time, so its locks and its gate order everything that happens to it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "chunks/chunk_gate.h"
#include "chunks/chunk_name.h"
#include "chunks/chunk_store.h"
#include "chunks/sync_turns.h"

namespace ibexfs {

class ChunkFiles;

// Descriptors of one open chunk file; closed when the last request that uses them has ended.
struct ChunkDescriptors {
  ChunkDescriptors(UniqueFd cached_fd, UniqueFd direct_fd, uint32_t entry_stamp, std::atomic<uint32_t>& count)
      : cached(std::move(cached_fd)), direct(std::move(direct_fd)), stamp(entry_stamp), open_count(count) {
    open_count.fetch_add(descriptors(), std::memory_order_relaxed);
  }
  ~ChunkDescriptors() { open_count.fetch_sub(descriptors(), std::memory_order_relaxed); }
  ChunkDescriptors(const ChunkDescriptors&) = delete;
  ChunkDescriptors& operator=(const ChunkDescriptors&) = delete;
  uint32_t descriptors() const { return direct ? 2 : 1; }

  const UniqueFd cached;
  const UniqueFd direct;  // none where the file system has no direct I/O or no large write has come yet
  const uint32_t stamp;   // for ChunkStore::make_entry_durable
  std::atomic<uint32_t>& open_count;
};

// What to fetch into the page cache beyond a read; length 0: nothing now.
struct ReadAhead {
  uint64_t offset = 0;
  uint64_t length = 0;
  bool is_sequential = false;  // the read is one of a sequential reader
};

class ChunkFile {
 public:
  ChunkFile(std::shared_ptr<ChunkStore> store, const ChunkName& name) : store_(std::move(store)), name_(name) {}

  ChunkStore& store() const { return *store_; }
  const ChunkName& name() const { return name_; }

  // Any thread, never blocks for long: null when the chunk is not open.
  std::shared_ptr<ChunkDescriptors> descriptors() const;

  // Disk threads only. 0, or a negative errno (-ENOENT: there is no such chunk).
  int open(bool create, bool want_direct, ChunkFiles& files, std::shared_ptr<ChunkDescriptors>* descriptors);
  int remove();
  // The open file has no name any more, and it was not remove() that took it.
  bool was_unlinked_behind(const std::shared_ptr<ChunkDescriptors>& descriptors);

  // The order of changes (ChunkGate) and, apart from it, of syncs (SyncTurns).
  bool enter(ChunkGate::Ticket* ticket);
  ChunkGate::Ticket* leave(ChunkGate::Ticket* ticket);
  bool enter_sync(SyncTurns::Ticket* ticket);
  SyncTurns::Ticket* leave_sync();

  // Whether nobody has read this range past the page cache lately; from now on somebody has. Ranges that are
  // read again soon are shared by several readers and worth a place in the page cache.
  bool is_first_read(uint64_t offset, uint64_t length, std::chrono::steady_clock::time_point now);

  // Notes a read and says what to fetch ahead so that a sequential reader finds the disk busy.
  ReadAhead note_read(uint64_t offset, uint64_t length, uint64_t window);

 private:
  friend class ChunkFiles;

  const std::shared_ptr<ChunkStore> store_;
  const ChunkName name_;
  // Held across open and unlink: between them no descriptor of a removed file can become the chunk's.
  std::mutex open_mutex_;
  mutable std::mutex mutex_;  // guards the members below; never held across a system call
  std::shared_ptr<ChunkDescriptors> descriptors_;
  ChunkGate changes_;
  SyncTurns syncs_;
  uint64_t read_expected_ = 0;
  uint64_t read_ahead_end_ = 0;
  uint32_t read_streak_ = 0;
  std::vector<bool> blocks_read_;  // by is_first_read; empty until the first
  std::chrono::steady_clock::time_point blocks_read_at_{};
  // Guarded by the lock of ChunkFiles.
  uint32_t pins_ = 0;
  std::list<ChunkFile*>::iterator idle_position_;
};

// Keeps a ChunkFile in the cache while it is held.
class ChunkPin {
 public:
  ChunkPin() = default;
  ChunkPin(ChunkPin&& other) noexcept : files_(other.files_), file_(std::exchange(other.file_, nullptr)) {}
  ChunkPin& operator=(ChunkPin&& other) noexcept;
  ~ChunkPin() { reset(); }
  void reset();
  explicit operator bool() const { return file_ != nullptr; }
  ChunkFile* operator->() const { return file_; }
  ChunkFile& operator*() const { return *file_; }
  ChunkPin clone() const;  // another pin of the same chunk

 private:
  friend class ChunkFiles;
  ChunkPin(ChunkFiles* files, ChunkFile* file) : files_(files), file_(file) {}
  ChunkFiles* files_ = nullptr;
  ChunkFile* file_ = nullptr;
};

class ChunkFiles {
 public:
  explicit ChunkFiles(uint32_t descriptors_max) : descriptors_max_(descriptors_max) {}

  ChunkPin pin(const std::shared_ptr<ChunkStore>& store, const ChunkName& name);
  // Closes what is idle, up to `count` chunks (for a process that ran out of descriptors).
  void evict(size_t count);
  // Retires a store: closes its idle chunks now and the others when their last pin goes.
  void forget(ChunkStore& store);

  uint32_t descriptors_open() const { return descriptors_open_.load(std::memory_order_relaxed); }
  uint64_t evictions() const { return evictions_.load(std::memory_order_relaxed); }
  size_t size() const;

 private:
  friend class ChunkFile;
  friend class ChunkPin;
  struct Key {
    uint64_t store_serial;
    ChunkName name;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const {
      return mix_bits(key.name.fid.sequence ^
                      mix_bits((uint64_t{key.name.fid.object} << 32) | (key.name.column << 16) | key.store_serial));
    }
  };

  void add_pin(ChunkFile* file);
  void remove_pin(ChunkFile* file);
  std::unique_ptr<ChunkFile> take_idle(std::list<ChunkFile*>::iterator position);

  const uint32_t descriptors_max_;
  std::atomic<uint32_t> descriptors_open_{0};
  std::atomic<uint64_t> evictions_{0};
  mutable std::mutex mutex_;
  std::unordered_map<Key, std::unique_ptr<ChunkFile>, KeyHash> files_;
  std::list<ChunkFile*> idle_;  // least recently used first
};

}  // namespace ibexfs
