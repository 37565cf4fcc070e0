#include "chunks/chunk_handler.h"

#include <chrono>
#include <thread>

#include "chunks/chunk_call.h"
#include "chunks/chunk_core.h"

namespace ibexfs {

namespace {

Status not_a_chunk_request(const wire::FrameHeader& header) {
  return {StatusCode::kBadFrame, "frame of type " + std::to_string(header.type) + " where only chunk requests are served"};
}

}  // namespace

const std::shared_ptr<ChunkPeer>& ChunkHandler::peer_of(const std::shared_ptr<Connection>& connection) {
  std::shared_ptr<ChunkPeer>& peer = peers_[connection->id()];
  if (peer == nullptr) peer = std::make_shared<ChunkPeer>(connection);
  return peer;
}

std::shared_ptr<ChunkCall> ChunkHandler::admit(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header,
                                               Bytes body) {
  CheckedRequest request = check_chunk_request(header, body);
  std::shared_ptr<ChunkTarget> target;
  if (request.verdict == StatusCode::kOk) {
    target = core_.find_target(request.target);
    if (stopping_) {
      request.verdict = StatusCode::kShuttingDown;
    } else if (target == nullptr) {
      request.verdict = StatusCode::kNotMyTarget;
    } else if (header.map_version < target->min_map_version()) {
      request.verdict = StatusCode::kStaleMap;
    }
  }
  if (request.verdict != StatusCode::kOk) request.length = 0;  // needs no memory; its data, if any, is dropped

  const std::shared_ptr<ChunkPeer>& peer = peer_of(connection);
  if (!core_.admission.admit(peer, request.length)) return nullptr;
  auto call = std::make_shared<ChunkCall>(core_.shared_from_this(), *this, connection, peer, header, request, std::move(target));
  return call->reserve() ? call : nullptr;
}

DataPlan ChunkHandler::plan_data(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body) {
  DataPlan plan;
  if (header.type != static_cast<uint8_t>(wire::FrameType::kChunkRequest)) {
    plan.kind = DataPlan::Kind::kClose;
    plan.reason = not_a_chunk_request(header);
    return plan;
  }
  std::shared_ptr<ChunkCall> call = admit(connection, header, body);
  if (call == nullptr) {
    plan.kind = DataPlan::Kind::kPause;
    return plan;
  }
  plan.kind = call->accepted() ? DataPlan::Kind::kInto : DataPlan::Kind::kDiscard;
  plan.into = call->buffer();
  plan.context = std::move(call);
  return plan;
}

bool ChunkHandler::on_frame(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body,
                            std::shared_ptr<void> context) {
  if (header.type != static_cast<uint8_t>(wire::FrameType::kChunkRequest)) {
    connection->close(not_a_chunk_request(header));
    return true;
  }
  std::shared_ptr<ChunkCall> call = std::static_pointer_cast<ChunkCall>(std::move(context));
  if (call == nullptr) call = admit(connection, header, body);
  if (call == nullptr) return false;
  call->start();
  return true;
}

bool ChunkHandler::finish_some() {
  if (engine_ == nullptr || (active_ == 0 && engine_->jobs_in_flight() == 0)) return false;
  // Only a shutdown comes here, so a short sleep is wait enough.
  if (!engine_->poll()) std::this_thread::sleep_for(std::chrono::microseconds(200));
  return true;
}

void ChunkHandler::on_closed(const std::shared_ptr<Connection>& connection, const Status&) {
  const auto found = peers_.find(connection->id());
  if (found == peers_.end()) return;
  found->second->close();
  peers_.erase(found);
}

}  // namespace ibexfs
