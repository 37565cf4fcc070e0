// Open files of this process: byte ranges of a file in, chunk requests out. Keeps size and modification
// time of each open file where JavaScript reads them, orders overlapping I/O, and holds the write-behind
// queue of the mount. Knows nothing of names, handles, permissions or the metadata server.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/event_sink.h"
#include "base/fid.h"
#include "base/status.h"
#include "stripes/chunk_client.h"
#include "stripes/layout.h"

namespace ibexfs {

// Slot number in the low 16 bits, the slot's generation (never 0) above: a closed file's id is refused
// although its slot is used again.
using FileId = uint32_t;
inline constexpr uint32_t slot_of(FileId file) {
  return file & 0xffff;
}

// One opening of a file: its FileId in the low 32 bits, the opening's number (never 0) above, below 2^53 in all, so
// that JavaScript can name it. A FileId alone is a handle of nobody, who is told of no failure but its own. This is
// the FUSE file handle.
using HandleId = uint64_t;
inline constexpr FileId file_of(HandleId handle) {
  return static_cast<FileId>(handle);
}
inline constexpr uint32_t opening_of(HandleId handle) {
  return static_cast<uint32_t>(handle >> 32);
}

// One slot of the memory that JavaScript sees as Float64Array (8 per slot, index slot * 8 + n).
// Native threads write it; JavaScript reads it, and writes clear_set_id_on_write alone.
struct FileState {
  double size;                   // 0: bytes, with every accepted write
  double mtime_microseconds;     // 1: of the last write that is not settled; 0: clean. Every write raises it
  double clear_set_id_on_write;  // 2: 1 when the file has set-id bits that a write must clear (see fuse/request.h)
  double pending_bytes;          // 3: accepted by write-behind and not yet on the targets
  double file_id;                // 4: FileId that owns the slot; 0: free
  double bytes_read;             // 5: since open
  double bytes_written;          // 6: since open
  double unused;
};
static_assert(sizeof(FileState) == 64);

struct FileTableOptions {
  uint32_t capacity = 65'536;                   // open files, at most 65,536
  uint64_t write_behind_bytes_max = 64U << 20;  // accepted and not yet written, all files
  uint64_t write_behind_file_bytes_max = 16U << 20;
  uint32_t write_behind_file_requests_max = 256;  // bounds the search for overlaps
};

struct FileOutcome {
  StatusCode status = StatusCode::kOk;
  uint32_t target = 0;  // that failed first, when status is not ok
  uint64_t bytes = 0;
};

// Most bytes of one read or write (kInvalid above): its pieces are all sent at once, so larger ones are the
// caller's to split.
inline constexpr uint64_t kFileRangeBytesMax = 1U << 30;

// Runs once, on whichever thread completes, without locks held (possibly inside the call that started it).
using FileDone = std::function<void(const FileOutcome&)>;

class FileTable {
 public:
  static Result<std::unique_ptr<FileTable>> create(ChunkClient& client, EventSink& sink, FileTableOptions options = {});
  // After ChunkClient::close(), when no call is in flight any more.
  ~FileTable();
  FileTable(const FileTable&) = delete;
  FileTable& operator=(const FileTable&) = delete;

  // All functions: any thread. An unknown or closed FileId ends with kBadDescriptor.

  // Opens a slot for a file that has none (one slot a FID; the caller counts its openings). kTooManyFiles
  // has no code of its own: a full table is kOverflow.
  Result<FileId> open(const Fid& fid, StripeLayout layout, uint64_t size);
  // Frees the slot. What is in flight goes on to its end; its errors are logged only, so flush first.
  void close(FileId file);
  // One more handle on the file; 0: it is not open, or has too many. close() ends those that are left.
  HandleId open_handle(FileId file);
  void close_handle(HandleId handle);
  // Slot of an open file by FID; 0: not open.
  FileId find(const Fid& fid) const;

  // Reads [offset, offset + into.size()) clipped at the file's size; holes are zeros. Waits for accepted
  // writes that overlap.
  void read(FileId file, uint64_t offset, std::span<uint8_t> into, std::shared_ptr<void> owner, FileDone done);
  // Ends when the targets have answered; raises size and mtime when all did well. Waits for earlier writes that overlap.
  void write(FileId file, uint64_t offset, Bytes data, std::shared_ptr<const void> owner, FileDone done);
  // Ends (`accepted`) as soon as the bounds of write-behind have room for held_bytes (memory that `owner` keeps);
  // a later failure is told every handle once. Size and mtime are raised when accepted. Fails at once while the
  // handle has a failure that it was not told: better than filling up for a flush.
  void write_behind(HandleId handle, uint64_t offset, Bytes data, std::shared_ptr<const void> owner, size_t held_bytes,
                    FileDone accepted);

  // Waits for every write that was started before, by whichever handle; reports the failure of accepted writes or
  // of a sync that no sync of this handle has reported yet. A handle of nobody only waits: before something else
  // changes the chunks (truncation), and at the end of a handle, which nobody hears of.
  void flush(HandleId handle, FileDone done);
  // flush, then makes every column durable that may have changes which are not. What it reports, it has reported for
  // this handle; other handles get to know of it themselves.
  void sync(HandleId handle, FileDone done);

  // Nothing waits, nothing failed that this handle has to be told, size and mtime are settled.
  bool clean(HandleId handle) const;
  // Sets the size after a truncation; the next sync makes the cut durable.
  void set_size(FileId file, uint64_t size);
  // Takes over what the metadata server says, unless the file has writes that it has not heard of.
  void adopt_size(FileId file, uint64_t size);
  // The metadata server has taken this mtime: marks the file clean unless it was written since.
  void settled(FileId file, double mtime_microseconds);
  // kBadDescriptor's test without an operation.
  bool is_open(FileId file) const;
  // Takes clear_set_id_on_write: true once after JavaScript set it.
  bool take_clear_set_id(FileId file);
  Fid fid_of(FileId file) const;
  uint64_t size_of(FileId file) const;

  FileState* states() const;
  size_t states_bytes() const;

  struct Core;  // stripes/file_core.h

 private:
  explicit FileTable(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace ibexfs
