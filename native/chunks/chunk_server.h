// Serves chunk requests: validates, bounds, orders and answers them. It moves bytes between connections and
// the chunk files of its targets; who may ask and where a file lives is decided elsewhere.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/buffer_pool.h"
#include "base/event_sink.h"
#include "base/status.h"
#include "chunks/chunk_statistics.h"
#include "chunks/chunk_store.h"
#include "chunks/disk_engine.h"
#include "transport/connection.h"
#include "transport/reactor.h"

namespace ibexfs {

// Above a limit connections stop reading until earlier answers have left; nothing is refused for it. A request
// counts from its header until its answer was taken by the carrier, so a client that never reads stops itself.
struct ChunkLimits {
  // Enough for a client with 64 small requests in flight per core of a large node; an idle one costs nothing.
  uint32_t requests_per_connection_max = 256;
  // Each may hold an open file, so this stays below the open-file cache (it is lowered to half of it).
  uint32_t requests_per_server_max = 1024;
  // 16 requests of 1 MiB, or 4 of the largest: what a fast link needs to stay busy during a disk operation.
  uint64_t bytes_per_connection_max = 16U << 20;
  // Bounds the process's memory under load together with the pool.
  uint64_t bytes_per_server_max = 96U << 20;
  // Open chunk files; lowered to a quarter of RLIMIT_NOFILE.
  uint32_t open_files_max = 2048;
  // Pipes that carry cached pages from file to socket; each pins up to 1 MiB of page cache. Reads without
  // one go through a pool buffer.
  uint32_t pipes_max = 64;
};

struct ChunkServerOptions {
  DiskEngineKind engine = DiskEngineKind::kAutomatic;
  // Block in open, truncate, unlink and uncached splice; more than the disk's useful parallelism is waste.
  uint32_t disk_threads = 4;
  // Writes at least this large whose offset is page-aligned bypass the page cache; 0: never. From here on a
  // direct write was measured to cost half the CPU time of a cached one (no copy, no fresh pages), and its sync
  // has nothing left to write; at 64 KiB it is the other way about.
  uint32_t direct_write_bytes_min = 256U << 10;
  // Reads at least this large of page-aligned ranges that are not cached bypass the page cache the first time;
  // a second reader within seconds fills it for the others. 0: never. Measured: a third of the CPU time.
  uint32_t direct_read_bytes_min = 256U << 10;
  // Read-ahead, through the page cache, of a chunk that is read sequentially.
  uint32_t read_ahead_bytes = 4U << 20;
  ChunkLimits limits;
};

struct ChunkCore;

class ChunkServer {
 public:
  ChunkServer(const ChunkServerOptions& options, EventSink& events, BufferPool& pool);
  // Detaches the reactors that are still attached: they must exist then, and nothing may drive them any more.
  // `pool` and `events` must live until the connections are gone too.
  ~ChunkServer();
  ChunkServer(const ChunkServer&) = delete;
  ChunkServer& operator=(const ChunkServer&) = delete;

  // Makes a handler and a disk engine for this reactor. Before the reactor is driven, or on its driving thread.
  Status attach(Reactor& reactor);
  // Waits for the disk work in flight and gives the engine back; later requests are answered shuttingDown. On
  // the reactor's driving thread, or when nothing drives it any more.
  void detach(Reactor& reactor);
  // Detaches all reactors, each on its own driving thread (this one may be one of them), and waits for it. To be
  // called before those threads end; afterwards the reactors may go before the server.
  void stop();
  // For the connections of an attached reactor; takes chunkRequest frames only. Lives as long as the server.
  FrameHandler& handler(Reactor& reactor);

  // The functions below: any thread, except that remove_target must not run on an attached reactor's thread.
  // Serves the folder `path` (which must exist and be writable) as target `id`.
  Status add_target(uint32_t id, const std::string& path, uint64_t min_map_version);
  // Requests that acted on an older map are answered staleMap from now on.
  Status set_min_map_version(uint32_t id, uint64_t min_map_version);
  // Refuses new requests at once, then waits for those in flight; timedOut when some are still stuck (the
  // target is gone all the same: its last request frees it).
  Status remove_target(uint32_t id, std::chrono::milliseconds timeout = std::chrono::seconds(30));
  Result<TargetUsage> usage(uint32_t id) const;
  ChunkStatistics statistics() const;

 private:
  std::shared_ptr<ChunkCore> core_;
};

}  // namespace ibexfs
