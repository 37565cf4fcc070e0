// Everything native of one process, put together: reactors, connections, chunk server and client, open files,
// FUSE sessions, and the memory that JavaScript shares. Knows no JavaScript; addon/runtime.cc does.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/buffer_pool.h"
#include "base/unique_fd.h"
#include "chunks/chunk_server.h"
#include "fuse/session.h"
#include "runtime/event_ring.h"
#include "runtime/rdma.h"
#include "runtime/router.h"
#include "stripes/chunk_client.h"
#include "stripes/file_table.h"
#include "transport/reactor.h"
#include "transport/tcp.h"

namespace ibexfs {

struct CoreOptions {
  uint32_t reactor_threads = 0;
  size_t buffer_bytes = 0;
  size_t event_ring_bytes = 0;
  size_t command_bytes = 0;
  ChunkClientOptions chunk_client;
  ChunkServerOptions chunk_server;
  VerbsOptions rdma;
};

// Memory that JavaScript registered for file I/O; `owner` keeps it alive while I/O runs.
struct RegisteredMemory {
  uint8_t* data = nullptr;
  size_t bytes = 0;
  std::shared_ptr<void> owner;
};

class Core {
 public:
  // wake: called from any thread when JavaScript sleeps and there is a record.
  static Result<std::unique_ptr<Core>> create(const CoreOptions& options, std::function<void()> wake);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // All functions: the JavaScript thread, which drives the loop reactor.
  Reactor& loop() { return *loop_; }
  EventRing& ring() { return *ring_; }
  const std::shared_ptr<BufferPool>& pool() { return pool_; }
  FileTable& files() { return *files_; }
  ChunkClient& chunk_client() { return *chunk_client_; }
  ConnectionTable& connections() { return connections_; }
  Rdma& rdma() { return *rdma_; }
  uint8_t* commands() { return commands_.get(); }
  size_t command_bytes() const { return options_.command_bytes; }
  // Owners for memory that JavaScript may look at after close().
  std::shared_ptr<EventRing> shared_ring() { return ring_; }
  std::shared_ptr<uint8_t[]> shared_commands() { return commands_; }
  std::shared_ptr<void> shared_file_states();

  Result<std::pair<uint32_t, uint16_t>> listen(const std::string& host, uint16_t port, bool on_threads);
  // reactor: -1 the loop, else a thread's index.
  Result<ConnectionId> connect(const std::string& host, uint16_t port, int reactor);
  Status add_target(uint32_t id, const std::string& path, uint64_t map_version);
  Status set_target_map_version(uint32_t id, uint64_t map_version);
  Status remove_target(uint32_t id);
  const ChunkServer* chunk_server() const { return chunk_server_.get(); }
  // The loop's first.
  std::vector<Reactor*> reactors();

  // lasting: for long; then RDMA devices get to know it too, which takes a while.
  uint32_t register_memory(RegisteredMemory memory, bool lasting);
  void release_memory(uint32_t slot);

  Result<uint32_t> mount(const std::string& mountpoint, const MountOptions& mount, FuseOptions options);
  // In the background; ends in a fuseClosed event, or, kWhenIdle of a mount in use, in a log event.
  void unmount(uint32_t session, Unmount how);
  FuseSession* fuse_session(uint32_t session);

  // Executes the records in commands()[0, bytes); what is malformed is a fault of this process and logged.
  void execute(size_t bytes);

  void close();

 private:
  Core(const CoreOptions& options, std::function<void()> wake);
  Status start();
  Status watch_unhurried();
  void look_soon();
  Status serve_chunks();
  void send_frame(const uint8_t* record, Bytes tail);
  void close_connection(const uint8_t* record, Bytes tail);
  void fuse_reply(const uint8_t* record, Bytes tail);
  void fuse_facts(const uint8_t* record, Bytes tail);
  void file_io(const uint8_t* record);
  void chunk_operation(const uint8_t* record);
  void touch(const std::shared_ptr<Connection>& connection);

  const CoreOptions options_;
  std::shared_ptr<EventRing> ring_;
  UniqueFd unhurried_timer_;  // of the loop; fires a little after an unhurried record
  std::atomic<bool> unhurried_timer_runs_{false};
  std::shared_ptr<BufferPool> pool_;
  std::shared_ptr<uint8_t[]> commands_;
  ConnectionTable connections_;
  std::unique_ptr<Reactor> loop_;
  std::shared_ptr<ChunkClient> chunk_client_;
  std::shared_ptr<FileTable> files_;
  std::unique_ptr<ChunkServer> chunk_server_;
  std::unique_ptr<Rdma> rdma_;
  std::vector<std::unique_ptr<Router>> routers_;  // 0: the loop's, then one a thread
  std::vector<std::unique_ptr<ReactorThread>> threads_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unordered_map<uint32_t, RegisteredMemory> memories_;
  struct Session {
    std::unique_ptr<FuseSession> fuse;
    std::thread stopper;
    std::shared_ptr<std::atomic<bool>> stopping = std::make_shared<std::atomic<bool>>(false);  // or stopped
  };
  std::map<uint32_t, Session> sessions_;
  std::vector<std::shared_ptr<Connection>> touched_;  // by the commands being executed
  uint32_t next_memory_ = 1;
  uint32_t next_listener_ = 1;
  uint32_t next_session_ = 1;
  bool closed_ = false;
};

}  // namespace ibexfs
