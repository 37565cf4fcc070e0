// One open file and the operations on it: what is pending, what waits for what, size and time. Internal to
// stripes; slots and their numbers are file_table.cc's.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "stripes/file_table.h"

namespace ibexfs {

class OpenFile;

// One call of FileTable from its start to its end; deletes itself when it has ended.
struct FileOperation {
  enum class Kind { kRead, kWrite, kWriteBehind, kFlush, kSync };

  FileTable::Core* table = nullptr;
  Kind kind = Kind::kRead;
  std::shared_ptr<OpenFile> file;
  uint64_t offset = 0;
  uint64_t length = 0;
  uint8_t* into = nullptr;
  const uint8_t* data = nullptr;
  std::shared_ptr<const void> owner;
  size_t held_bytes = 0;  // write-behind: what it counts for in the bounds
  FileDone done;          // write-behind: empty once accepted

  uint32_t opening = 0;   // whose flush, sync or write-behind it is; 0: nobody's
  uint64_t sequence = 0;  // order of arrival at the file
  uint32_t blockers = 0;  // earlier writes it waits for
  std::atomic<uint32_t> pieces_left{0};
  std::atomic<uint64_t> failure{0};  // of the first piece that failed: target << 32 | status

  bool writes() const { return kind == Kind::kWrite || kind == Kind::kWriteBehind; }
  bool covers_all() const { return kind == Kind::kFlush || kind == Kind::kSync; }
  bool overlaps(const FileOperation& write) const {
    return covers_all() || (offset < write.offset + write.length && write.offset < offset + length);
  }
  void fail(StatusCode status, uint32_t target) {
    uint64_t none = 0;
    failure.compare_exchange_strong(none, (uint64_t{target} << 32) | static_cast<uint32_t>(status));
  }
  FileOutcome outcome() const {
    const uint64_t packed = failure.load();
    return {static_cast<StatusCode>(static_cast<uint32_t>(packed)), static_cast<uint32_t>(packed >> 32),
            packed == 0 ? length : 0};
  }
};

class OpenFile {
 public:
  OpenFile(const Fid& fid, StripeLayout layout, uint64_t size, FileState& state, FileId id);

  const Fid fid;
  const StripeLayout layout;

  // Registers the operation in the order of arrival. True: nothing earlier is in its way, run it now;
  // false: a later retire() returns it.
  bool admit(FileOperation& operation);
  // Ends a write: takes it off the pending ones and returns the operations that waited for it alone.
  std::vector<FileOperation*> retire(FileOperation& write);

  // A read is about to be sent: returns the part of it that lies below the size.
  uint64_t begin_read(uint64_t offset, uint64_t length);
  // A write was accepted by write-behind, or has succeeded.
  void written(uint64_t offset, uint64_t length);
  // A request that changes this column has ended, well or not; before the write retires.
  // `sync_stamp` came with its answer.
  void column_written(uint32_t column, uint64_t sync_stamp);
  struct UnsyncedColumn {
    uint32_t column;
    uint64_t written;     // what a sync that starts now will have covered
    uint64_t sync_stamp;  // to go along with it
  };
  // The columns that a sync has to go to. They stay unsynced until column_synced() says otherwise, so that
  // every sync which starts meanwhile goes to them too.
  std::vector<UnsyncedColumn> unsynced_columns() const;
  void column_synced(const UnsyncedColumn& covered);
  // It failed, and is told: up to `sync_stamp` all is.
  void column_failed(const UnsyncedColumn& covered, uint64_t sync_stamp);

  // Handles on the file, by numbers that start at 1; 0 when there are too many.
  uint32_t open_handle();
  void close_handle(uint32_t opening);

  // Data that was accepted is lost, or may not be on a disk: every handle that is open now is to be told. So is
  // the next one opened, where none has been told by then. True: the first that nobody was told of.
  bool keep_error(const FileOutcome& outcome);
  // What the handle was not told at all.
  FileOutcome untold_error(uint32_t opening) const;
  // Tells the handle what none of its syncs has reported yet. It stays for its other flushes: descriptors that were
  // duplicated share a handle, and the close of one must not use up what the sync of another has to report.
  FileOutcome tell_error(uint32_t opening);
  // The same, and that is that for this handle.
  FileOutcome take_error(uint32_t opening);

  // opening 0: whether anything has failed does not matter.
  bool clean(uint32_t opening) const;
  uint64_t size() const;
  void set_size(uint64_t size);
  // Nothing happens when writes are not settled yet: they know better.
  void adopt_size(uint64_t size);
  void settled(double mtime_microseconds);
  bool take_clear_set_id();
  // The slot belongs to another file from now on.
  void detach();

  // Of the write-behind bounds, guarded by their lock.
  uint64_t behind_bytes = 0;
  uint32_t behind_requests = 0;

 private:
  void publish();  // with mutex_
  void change_all_columns();

  mutable std::mutex mutex_;
  FileState* state_;  // null when detached
  uint64_t size_;
  double mtime_ = 0;
  uint64_t pending_bytes_ = 0;
  uint64_t bytes_read_ = 0;
  uint64_t bytes_written_ = 0;
  uint64_t last_sequence_ = 0;
  std::vector<FileOperation*> pending_writes_;  // bounded by write-behind and by the callers of direct writes
  std::vector<FileOperation*> blocked_;
  struct Column {
    uint64_t written = 0;  // changes that have ended
    uint64_t synced = 0;   // how many of them are durable; written == synced: all
    // Of the oldest write of this opening that is not durable. 0 where there is only what was written before it:
    // whose failure was for who wrote it.
    uint64_t sync_stamp = 0;
  };
  std::vector<Column> columns_;
  // As the kernel's errseq_t: failures are counted, and a handle knows up to which it has been told.
  struct Handle {
    bool open = false;
    uint64_t told = 0;      // by a flush or a sync
    uint64_t reported = 0;  // by a sync
  };
  const Handle* handle(uint32_t opening) const;
  Handle* handle(uint32_t opening) { return const_cast<Handle*>(std::as_const(*this).handle(opening)); }
  std::vector<Handle> handles_;
  std::vector<uint32_t> free_handles_;  // their numbers, last closed last
  uint64_t failures_ = 0;
  uint64_t failures_told_ = 0;  // to anyone
  FileOutcome error_;           // the first of those that nobody was told of, or else the last told
};

}  // namespace ibexfs
