// What the handlers of one chunk server share. Requests keep it alive until their answers have left.
#pragma once

#include <atomic>
#include <memory>
#include <shared_mutex>
#include <string>
#include <unordered_map>

#include "chunks/chunk_admission.h"
#include "chunks/chunk_files.h"
#include "chunks/chunk_handler.h"
#include "chunks/chunk_server.h"
#include "chunks/chunk_target.h"
#include "chunks/disk_threads.h"
#include "transport/pipe_pool.h"

namespace ibexfs {

struct ChunkCore : std::enable_shared_from_this<ChunkCore> {
  ChunkCore(const ChunkServerOptions& server_options, EventSink& sink, BufferPool& buffer_pool)
      : options(server_options),
        events(sink),
        pool(buffer_pool),
        pipes(options.limits.pipes_max),
        files(options.limits.open_files_max),
        admission(options.limits),
        threads(std::make_unique<DiskThreads>(options.disk_threads)) {}

  std::shared_ptr<ChunkTarget> find_target(uint32_t id) const {
    const std::shared_lock lock(targets_mutex);
    const auto found = targets.find(id);
    return found == targets.end() ? nullptr : found->second;
  }

  const ChunkServerOptions options;
  EventSink& events;
  BufferPool& pool;
  PipePool pipes;
  ChunkFiles files;
  ChunkAdmission admission;
  std::unique_ptr<DiskThreads> threads;
  std::atomic<uint64_t> refused{0};

  mutable std::shared_mutex targets_mutex;
  std::unordered_map<uint32_t, std::shared_ptr<ChunkTarget>> targets;

  mutable std::shared_mutex handlers_mutex;
  std::unordered_map<Reactor*, std::unique_ptr<ChunkHandler>> handlers;
  std::string engine_name;
};

}  // namespace ibexfs
