// Sessions of the peers that connect to this process. A peer that connects again has given its earlier connection
// up, whatever this side knows of that yet, and sends again over the new one what was not answered. What the
// earlier one still brings must then not begin any more, or an old change could land on top of a newer one.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "transport/connection.h"

namespace ibexfs {

class PeerSession {
 public:
  explicit PeerSession(std::string peer) : peer_(std::move(peer)) {}
  const std::string& peer() const { return peer_; }

  // True for good once the peer has a later one. Who is about to change something asks after he has taken his
  // place among those who change the same: the later session's requests come behind him, or find him told.
  bool is_over() const { return over_.load(); }
  void end() { over_.store(true); }

 private:
  const std::string peer_;
  std::atomic<bool> over_{false};
};

class PeerSessions {
 public:
  // Any thread, before the connection is authenticated. `peer` is the id that it has proven with the cluster's
  // key. Ends the session that the peer had, and closes its connection.
  void begin(const std::string& peer, const std::shared_ptr<Connection>& connection);
  // The connection has closed.
  void closed(const Connection& connection);
  size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Connection>> current_;  // each until it has closed
};

}  // namespace ibexfs
