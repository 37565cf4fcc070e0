// Takes the chunk requests of one reactor's connections in: checks, admits, starts.
#pragma once

#include <memory>
#include <unordered_map>

#include "chunks/chunk_request.h"
#include "chunks/disk_engine.h"
#include "transport/connection.h"

namespace ibexfs {

class ChunkCall;
class ChunkPeer;
class ChunkTarget;
struct ChunkCore;

class ChunkHandler final : public FrameHandler {
 public:
  ChunkHandler(ChunkCore& core, std::unique_ptr<DiskEngine> engine) : core_(core), engine_(std::move(engine)) {}

  DataPlan plan_data(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body) override;
  bool on_frame(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body,
                std::shared_ptr<void> context) override;
  void on_closed(const std::shared_ptr<Connection>& connection, const Status& reason) override;

  // Until release_engine; no call is active by then, and none starts after stop.
  DiskEngine& engine() const { return *engine_; }
  // New requests are answered shuttingDown from now on.
  void stop() { stopping_ = true; }
  bool is_stopping() const { return stopping_; }
  // One step of the work in flight, without the reactor; false when none is left.
  bool finish_some();
  void release_engine() { engine_.reset(); }

  // Each call that is served tells when it starts and when it has been answered.
  void call_started() { active_++; }
  void call_answered() { active_--; }

 private:
  const std::shared_ptr<ChunkPeer>& peer_of(const std::shared_ptr<Connection>& connection);
  // A call that has its share of the limits and its memory, or null: the connection is asked again later.
  std::shared_ptr<ChunkCall> admit(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body);

  ChunkCore& core_;  // owns this handler
  std::unique_ptr<DiskEngine> engine_;
  bool stopping_ = false;
  size_t active_ = 0;
  std::unordered_map<ConnectionId, std::shared_ptr<ChunkPeer>> peers_;
};

}  // namespace ibexfs
