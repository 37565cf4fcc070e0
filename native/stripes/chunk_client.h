// Client side of chunk I/O: sends chunk requests to targets over connections that TypeScript chose, and
// matches the answers. Decides nothing about where a target is: it reports that a route is needed and
// waits, within the timeout of each request, until it is told one.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/event_sink.h"
#include "base/fid.h"
#include "base/status.h"
#include "transport/connection.h"
#include "transport/reactor.h"

namespace ibexfs {

struct ChunkClientOptions {
  // A request fails when its target has done nothing for anybody here for so long, over all retries. Not
  // counted from the request alone: a slow target that works through a long queue is not a dead one. Longer
  // than a daemon's restart, shorter than a user's patience.
  uint32_t io_timeout_ms = 10'000;
  // The same for a sync: a disk may have much to write before its only answer. 0: six times io_timeout_ms.
  uint32_t sync_timeout_ms = 0;
  // In flight per target; enough to keep a fast disk and a long network busy, little enough that one
  // target cannot take the whole buffer pool of a server.
  uint32_t requests_in_flight_max = 256;
  uint64_t bytes_in_flight_max = 16U << 20;
  // Waiting per target for a route or for room in flight; above it requests fail with kOverloaded.
  uint32_t requests_waiting_max = 16'384;
};

// Names one chunk file.
struct ChunkAddress {
  uint32_t target = 0;
  uint32_t column = 0;
  Fid fid;
};

struct ChunkOutcome {
  StatusCode status = StatusCode::kOk;
  uint32_t target = 0;
  uint32_t bytes = 0;         // moved by read or write
  uint64_t chunk_size = 0;    // stat
  uint64_t chunk_blocks = 0;  // stat: allocated 512-byte blocks
  uint64_t sync_stamp = 0;    // write and sync, also one that failed: for the next sync; 0: none came
};

// Runs once, on whichever thread completes the request, without locks held; it may start new requests.
using ChunkDone = std::function<void(const ChunkOutcome&)>;

class ChunkClient {
 public:
  // Timeouts are looked after on `reactor`, which must outlive the client or be stopped before it.
  ChunkClient(ChunkClientOptions options, EventSink& sink, Reactor& reactor);
  // Call close() first, and destroy it after the connections that use handler() have closed.
  ~ChunkClient();
  ChunkClient(const ChunkClient&) = delete;
  ChunkClient& operator=(const ChunkClient&) = delete;

  // Takes chunkResponse frames, and on_closed of every connection that ever was a route.
  FrameHandler& handler();

  // Any thread. Requests to `target` travel over `connection`, an authenticated one, marked with
  // map_version. What waits is sent at once. What is in flight over an earlier connection stays there
  // until it is answered or that connection closes.
  void set_route(uint32_t target, std::shared_ptr<Connection> connection, uint64_t map_version);
  // Any thread. Requests wait from now on; the next one asks for a route.
  void clear_route(uint32_t target);
  // Any thread. Fails what waits for a route to `target`; requests that come later ask for a route again.
  void fail_target(uint32_t target, const Status& status);

  // Any thread. `into` and `data` belong to `owner`, which is kept until neither this client nor a connection
  // touches the memory any more: for `into` until `done` has run, for `data` possibly longer (a failed write
  // may still stand in a connection's queue). A null owner means that the memory outlives all connections.
  // Lengths: 1 to kChunkDataBytesMax.
  // A read ends with the bytes there are: fewer than asked at the end of the chunk file, 0 where there is none.
  void read(const ChunkAddress& chunk, uint64_t offset, std::span<uint8_t> into, std::shared_ptr<void> owner, ChunkDone done);
  void write(const ChunkAddress& chunk, uint64_t offset, Bytes data, std::shared_ptr<const void> owner, ChunkDone done);
  // sync_stamp: what came with the oldest write that is not durable yet, or with the sync that failed last; 0: none.
  void sync(const ChunkAddress& chunk, uint64_t sync_stamp, ChunkDone done);
  // truncate, stat, sync, remove; `size` is the new size for truncate. timeout_ms 0: that of the options.
  void operate(wire::ChunkOperation operation, const ChunkAddress& chunk, uint64_t size, uint32_t timeout_ms, ChunkDone done);

  // Fails everything with kCanceled, what is being received into after its connection has closed (this
  // closes it). Later requests fail at once.
  void close();

  struct Statistics {
    uint64_t requests = 0, retries = 0, timeouts = 0;
    uint64_t in_flight = 0, waiting = 0;
  };
  Statistics statistics() const;

 private:
  friend class ChunkSendBatch;
  struct Core;
  std::shared_ptr<Core> core_;
};

// While it lives, small frames that this thread sends through any ChunkClient are held back and leave
// together at flush() or at its end: one system call for many requests where a queue is deep.
class ChunkSendBatch {
 public:
  ChunkSendBatch();
  ~ChunkSendBatch();
  ChunkSendBatch(const ChunkSendBatch&) = delete;
  ChunkSendBatch& operator=(const ChunkSendBatch&) = delete;
  void flush();

  // Called by ChunkClient: whether a batch is open on this thread; remembers the connection when so.
  static bool hold(const std::shared_ptr<Connection>& connection);

 private:
  ChunkSendBatch* outer_;
  std::vector<std::shared_ptr<Connection>> connections_;
};

}  // namespace ibexfs
