#include "transport/peer_sessions.h"

#include <utility>

namespace ibexfs {

void PeerSessions::begin(const std::string& peer, const std::shared_ptr<Connection>& connection) {
  std::shared_ptr<Connection> earlier;
  {
    const std::lock_guard lock(mutex_);
    connection->join(std::make_shared<PeerSession>(peer));
    earlier = std::exchange(current_[peer], connection);
    if (earlier) earlier->session()->end();
  }
  if (earlier) earlier->close(Status(StatusCode::kConnectionReset, "the peer has connected again"));
}

void PeerSessions::closed(const Connection& connection) {
  const std::lock_guard lock(mutex_);
  const std::shared_ptr<PeerSession>& session = connection.session();
  if (!session) return;
  const auto found = current_.find(session->peer());
  if (found != current_.end() && found->second.get() == &connection) current_.erase(found);
}

size_t PeerSessions::size() const {
  const std::lock_guard lock(mutex_);
  return current_.size();
}

}  // namespace ibexfs
