#include "runtime/router.h"

namespace ibexfs {

void ConnectionTable::on_accepted(const std::shared_ptr<Connection>& connection, uint32_t listener) {
  add(connection);
  report(wire::EventKind::kConnectionAccepted, *connection, listener, Status{}, connection->peer_address());
}

void ConnectionTable::on_connected(const std::shared_ptr<Connection>& connection) {
  report(wire::EventKind::kConnectionOpened, *connection, 0, Status{}, connection->peer_address());
}

void ConnectionTable::add(const std::shared_ptr<Connection>& connection) {
  std::unique_lock lock(mutex_);
  connections_.emplace(connection->id(), connection);
}

void ConnectionTable::closed(const std::shared_ptr<Connection>& connection, const Status& reason) {
  {
    std::unique_lock lock(mutex_);
    connections_.erase(connection->id());
  }
  sessions_.closed(*connection);
  report(wire::EventKind::kConnectionClosed, *connection, 0, reason, reason.message());
}

void ConnectionTable::authenticated(ConnectionId id, const std::string& peer) {
  const std::shared_ptr<Connection> connection = find(id);
  if (connection == nullptr) return;
  if (!peer.empty()) {
    sessions_.begin(peer, connection);
    // It may have closed meanwhile, before there was a session to end.
    if (find(id) == nullptr) sessions_.closed(*connection);
  }
  connection->set_authenticated();
}

void ConnectionTable::replace(const std::shared_ptr<Connection>& connection) {
  std::unique_lock lock(mutex_);
  connections_[connection->id()] = connection;
}

std::shared_ptr<Connection> ConnectionTable::find(ConnectionId id) const {
  std::shared_lock lock(mutex_);
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<Connection>> ConnectionTable::all() const {
  std::shared_lock lock(mutex_);
  std::vector<std::shared_ptr<Connection>> connections;
  connections.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) connections.push_back(connection);
  return connections;
}

void ConnectionTable::report(wire::EventKind kind, const Connection& connection, uint32_t listener, const Status& status,
                             std::string_view text) {
  wire::ConnectionEvent event;
  event.connection = connection.id();
  event.listener = listener;
  event.status = static_cast<uint32_t>(status.code());
  const std::string_view shown = text.substr(0, 1024);
  event.text_length = static_cast<uint32_t>(shown.size());
  ring_.push_surely(kind, event, {as_bytes(shown)});
}

DataPlan Router::plan_data(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body) {
  const auto type = static_cast<wire::FrameType>(header.type);
  if (type == wire::FrameType::kChunkResponse) return chunk_responses_.plan_data(connection, header, body);
  FrameHandler* server = chunk_requests_.load();
  if (type == wire::FrameType::kChunkRequest && server != nullptr) return server->plan_data(connection, header, body);
  return {};  // discard; on_frame refuses
}

bool Router::on_frame(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body,
                      std::shared_ptr<void> context) {
  switch (static_cast<wire::FrameType>(header.type)) {
    case wire::FrameType::kChunkResponse:
      return chunk_responses_.on_frame(connection, header, body, std::move(context));
    case wire::FrameType::kChunkRequest:
      if (FrameHandler* server = chunk_requests_.load()) return server->on_frame(connection, header, body, std::move(context));
      refuse_chunk_request(connection, header);
      return true;
    default:
      return to_javascript(connection, header, body);
  }
}

void Router::on_closed(const std::shared_ptr<Connection>& connection, const Status& reason) {
  chunk_responses_.on_closed(connection, reason);
  if (FrameHandler* server = chunk_requests_.load()) server->on_closed(connection, reason);
  connections_.closed(connection, reason);
}

bool Router::to_javascript(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body) {
  wire::FrameEvent event;
  event.connection = connection->id();
  event.type = header.type;
  event.version = header.version;
  event.operation = header.operation;
  event.request_id = header.request_id;
  event.map_version = header.map_version;
  event.status = header.status;
  event.channel = header.channel;
  event.sequence = header.sequence;
  event.flags = header.flags;
  event.body_length = static_cast<uint32_t>(body.size());
  if (ring_.push(wire::EventKind::kFrame, event, {body})) return true;
  ring_.when_room([weak = std::weak_ptr<Connection>(connection)] {
    if (const auto waiting = weak.lock()) waiting->retry_plan();
  });
  return ring_.push(wire::EventKind::kFrame, event, {body});  // once more: room may have come before when_room
}

void Router::refuse_chunk_request(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header) {
  OutgoingFrame answer;
  answer.header.type = static_cast<uint8_t>(wire::FrameType::kChunkResponse);
  answer.header.operation = header.operation;
  answer.header.request_id = header.request_id;
  answer.header.status = static_cast<uint32_t>(StatusCode::kNotMyTarget);
  answer.body = FrameBody::of(wire::ChunkResponse{});
  connection->send(std::move(answer), Flush::kLater);
}

}  // namespace ibexfs
