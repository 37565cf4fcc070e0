// One FUSE mount: reads the kernel's requests, answers data requests through a FileTable and hands name
// requests to TypeScript (fuse/request.h says how). Decides nothing about names, attributes or permissions.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "base/buffer_pool.h"
#include "base/event_sink.h"
#include "base/status.h"
#include "fuse/mount.h"
#include "stripes/file_table.h"

namespace ibexfs {

struct FuseOptions {
  uint32_t session = 1;           // carried in every FuseRequestEvent
  uint32_t threads = 2;           // each with its own clone of the descriptor; 1 to 16
  uint32_t read_ahead_kb = 8192;  // eight requests of 1 MiB ahead of a sequential reader; 0: leave as it is
  uint16_t background_max = 64;   // asynchronous requests (read-ahead, direct I/O) that the kernel keeps in flight
  bool write_behind = true;       // false: every write is answered after the targets have it
  // The kernel drops cached pages of a file when it sees another size or mtime. Without it TypeScript must
  // call invalidate_inode for what other clients changed.
  bool invalidate_on_change = true;
};

class FuseSession {
 public:
  // Agrees with the kernel on features (waits up to 5 s for its first request), then starts the threads.
  // Takes over mount.fd, also when it fails. `files` and `buffers` must outlive the session's requests:
  // destroy the session, then close the ChunkClient, then the FileTable.
  static Result<std::unique_ptr<FuseSession>> start(FuseMount mount, const FuseOptions& options, FileTable& files,
                                                    BufferPool& buffers, EventSink& sink);
  ~FuseSession();  // stop(kDetach) when it was not stopped
  FuseSession(const FuseSession&) = delete;
  FuseSession& operator=(const FuseSession&) = delete;

  // Any thread. Answers the FuseRequestEvent with command.unique; `data` are the bytes behind the command.
  // An answer that does not fit the request is EIO to the kernel and a log event.
  void reply(const wire::FuseReplyCommand& command, Bytes data);

  // Any thread. From when it returns on, FUSE threads answer by it.
  void tell(const wire::FuseFactsCommand& command, std::string_view name);

  // Any thread; done in the background, since the kernel may block the caller on locks that only a reply
  // releases. False: too many are waiting, this one is dropped.
  // Drops cached attributes, and cached pages of [offset, offset + length); length 0: to the end; offset < 0: attributes only.
  bool invalidate_inode(uint64_t node, int64_t offset, int64_t length);
  // Drops a cached name (also a cached "does not exist").
  bool invalidate_entry(uint64_t parent, std::string_view name);

  // Unmounts, joins the threads. A second call does nothing. kWhenIdle fails and leaves all running while
  // the mount is in use. Blocks: not on the thread that calls reply().
  Status stop(Unmount how);
  // Reports fuseClosed, unless it has been: one report a session, whether the kernel or stop() ended it.
  void report_closed(int error);

  const FuseMount& mount() const;
  struct Statistics {
    uint64_t requests = 0;            // of the kernel
    uint64_t name_requests = 0;       // handed to TypeScript
    uint64_t known_answers = 0;       // name requests answered by what it told in advance
    uint64_t name_requests_open = 0;  // not answered yet
    uint64_t bytes_read = 0, bytes_written = 0;
  };
  Statistics statistics() const;

  struct Core;  // fuse/session_core.h

 private:
  explicit FuseSession(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
  std::mutex stop_mutex_;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace ibexfs
