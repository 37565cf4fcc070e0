// A target's folder: opens, removes and makes durable the chunk files in it. Every call may block, so disk
// threads make them. Errors are negative errnos; whoever answers the client turns them into a status.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/status.h"
#include "base/unique_fd.h"
#include "chunks/chunk_name.h"

namespace ibexfs {

// Space on the file system that holds a target's folder.
struct TargetUsage {
  uint64_t bytes_total = 0;
  uint64_t bytes_free = 0;       // also those reserved for root
  uint64_t bytes_available = 0;  // to this process
  uint64_t files_total = 0;
  uint64_t files_free = 0;
};

struct ChunkAttributes {
  uint64_t size = 0;
  uint64_t blocks = 0;  // of 512 bytes
};

class ChunkStore {
 public:
  // The folder must exist and be writable; `chunks` is made in it.
  static Result<std::shared_ptr<ChunkStore>> open(const std::string& path);

  const std::string& path() const { return path_; }
  // Differs for every store of the process: tells apart a folder and its successor under the same target id.
  uint64_t serial() const { return serial_; }
  std::string chunk_file_path(const ChunkName& name) const { return path_ + "/chunks/" + chunk_path(name); }

  // A descriptor for reading and writing, or a negative errno: -ENOENT for a chunk that does not exist,
  // -ESTALE when the target's folder itself has gone. `stamp` is what make_entry_durable needs later.
  int open_chunk(const ChunkName& name, bool create, uint32_t* stamp);
  // Descriptor of the same file that bypasses the page cache, or a negative errno.
  int reopen_direct(int fd);
  bool takes_direct() const { return takes_direct_.load(std::memory_order_relaxed); }
  // The file system refused direct I/O (or our alignment): everything goes through the page cache from now on.
  void refuse_direct() { takes_direct_.store(false, std::memory_order_relaxed); }
  int remove_chunk(const ChunkName& name);  // a missing chunk is no error
  int stat_chunk(const ChunkName& name, ChunkAttributes* attributes);
  // Writes the directory entries on the way to a chunk to the disk, unless an earlier call has covered them.
  int make_entry_durable(const ChunkName& name, uint32_t stamp);
  bool is_entry_durable(const ChunkName& name, uint32_t stamp);  // does not block

  // Served no longer: what still uses it keeps nothing open afterwards.
  void retire() { retired_.store(true, std::memory_order_relaxed); }
  bool is_retired() const { return retired_.load(std::memory_order_relaxed); }

  Result<TargetUsage> usage() const;
  // The folder was removed, replaced, or another file system was mounted over it.
  bool has_vanished() const;

 private:
  // Entries are numbered as they are made; all up to `durable` are known to be on the disk.
  struct FolderState {
    uint32_t made = 1;
    uint32_t durable = 0;
    bool path_durable = false;
  };

  explicit ChunkStore(std::string path);
  Status set_up();
  int make_folders(uint16_t folder) const;
  int sync_folder(const char* relative_path) const;

  const std::string path_;
  const uint64_t serial_;
  uint64_t device_ = 0;
  uint64_t inode_ = 0;
  UniqueFd chunks_fd_;
  std::atomic<bool> takes_direct_{true};
  std::atomic<bool> retired_{false};
  std::mutex mutex_;
  std::unordered_map<uint16_t, FolderState> folders_;  // at most 65,536
};

}  // namespace ibexfs
