// Sends each frame of a connection where it belongs: handshake and RPC frames to the event ring, chunk
// requests to the chunk server, chunk responses to the chunk client. Also keeps the table of connections
// that JavaScript names by number.
#pragma once

#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "chunks/chunk_server.h"
#include "runtime/event_ring.h"
#include "stripes/chunk_client.h"
#include "transport/connection.h"
#include "transport/peer_sessions.h"
#include "transport/tcp.h"

namespace ibexfs {

class ConnectionTable : public ConnectionObserver {
 public:
  explicit ConnectionTable(EventRing& ring) : ring_(ring) {}

  void on_created(const std::shared_ptr<Connection>& connection) override { add(connection); }
  void on_accepted(const std::shared_ptr<Connection>& connection, uint32_t listener) override;
  void on_connected(const std::shared_ptr<Connection>& connection) override;
  void closed(const std::shared_ptr<Connection>& connection, const Status& reason);
  // The handshake is done. `peer`: the id of who has connected here; empty where it does not matter that there
  // is only one connection of it.
  void authenticated(ConnectionId id, const std::string& peer);
  // It goes on over another carrier, under the same id.
  void replace(const std::shared_ptr<Connection>& connection);
  std::shared_ptr<Connection> find(ConnectionId id) const;
  std::vector<std::shared_ptr<Connection>> all() const;

 private:
  void add(const std::shared_ptr<Connection>& connection);
  void report(wire::EventKind kind, const Connection& connection, uint32_t listener, const Status& status, std::string_view text);

  EventRing& ring_;
  PeerSessions sessions_;
  mutable std::shared_mutex mutex_;
  std::unordered_map<ConnectionId, std::shared_ptr<Connection>> connections_;
};

class Router : public FrameHandler {
 public:
  // chunk_requests may be null until a target is served; set it on the reactor's driving thread.
  Router(EventRing& ring, ConnectionTable& connections, FrameHandler& chunk_responses)
      : ring_(ring), connections_(connections), chunk_responses_(chunk_responses) {}

  void serve_chunks(FrameHandler* chunk_requests) { chunk_requests_.store(chunk_requests); }

  DataPlan plan_data(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body) override;
  bool on_frame(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body,
                std::shared_ptr<void> context) override;
  void on_closed(const std::shared_ptr<Connection>& connection, const Status& reason) override;

 private:
  bool to_javascript(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body);
  void refuse_chunk_request(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header);

  EventRing& ring_;
  ConnectionTable& connections_;
  FrameHandler& chunk_responses_;
  std::atomic<FrameHandler*> chunk_requests_{nullptr};
};

}  // namespace ibexfs
