// What FileTable is made of: the slots, and the flow of an operation from admission over its pieces to its
// end. Internal to stripes.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "stripes/file_table.h"
#include "stripes/open_file.h"
#include "stripes/write_behind.h"

namespace ibexfs {

// Numbers of open files, and which file each one is.
class FileSlots {
 public:
  explicit FileSlots(uint32_t capacity) : capacity_(capacity) {}
  ~FileSlots();

  // A free slot's id; 0 when all are in use. `make` makes the file of that id.
  template <typename Make>
  FileId add(uint64_t packed_fid, Make&& make, bool& exists) {
    const std::lock_guard lock(mutex_);
    exists = by_fid_.contains(packed_fid);
    if (exists) return 0;
    const FileId id = reserve();
    if (id != 0) put(id, packed_fid, make(id));
    return id;
  }
  std::shared_ptr<OpenFile> remove(FileId id);
  std::shared_ptr<OpenFile> get(FileId id) const;
  FileId find(uint64_t packed_fid) const;

 private:
  static constexpr uint32_t kPageSlots = 256;
  static constexpr uint32_t kPages = 65'536 / kPageSlots;
  static constexpr uint32_t kLocks = 64;
  struct Slot {
    std::shared_ptr<OpenFile> file;
    uint16_t generation = 0;
  };
  struct Page {
    std::array<Slot, kPageSlots> slots;
  };

  FileId reserve();
  void put(FileId id, uint64_t packed_fid, std::shared_ptr<OpenFile> file);
  Slot* slot(uint32_t number) const;
  std::mutex& lock_of(uint32_t number) const { return slot_locks_[number % kLocks]; }

  const uint32_t capacity_;
  mutable std::mutex mutex_;  // of by_fid_, free_, unused_from_; taken before a slot's lock
  std::unordered_map<uint64_t, FileId> by_fid_;
  std::vector<uint16_t> free_;
  uint32_t unused_from_ = 0;
  mutable std::array<std::mutex, kLocks> slot_locks_;
  std::array<std::atomic<Page*>, kPages> pages_{};  // made when first needed
};

struct FileTable::Core {
  Core(ChunkClient& chunk_client, EventSink& event_sink, const FileTableOptions& chosen)
      : client(chunk_client), sink(event_sink), options(chosen), bounds(chosen), slots(chosen.capacity) {}
  ~Core();

  // Takes the operation over: it ends by its `done`.
  void start(FileOperation* operation);
  void start_behind(FileOperation* operation);

  ChunkClient& client;
  EventSink& sink;
  const FileTableOptions options;
  WriteBehindBounds bounds;
  FileSlots slots;
  FileState* states = nullptr;
  size_t states_bytes = 0;

 private:
  void accept(FileOperation* operation);
  void run(FileOperation* operation);
  void run_read(FileOperation* operation);
  void run_write(FileOperation* operation);
  void run_sync(FileOperation* operation);
  // The last piece ends the operation.
  void piece_done(FileOperation* operation);
  void end_write(FileOperation* operation);
  void report(const FileOperation& operation, const FileOutcome& outcome);
  static void end(FileOperation* operation, const FileOutcome& outcome);
};

}  // namespace ibexfs
