// Queue pairs of the process: the device, opened and registered with at first use; a lane for each reactor; and the
// steps by which JavaScript brings a connection's queue pair up inside its handshake.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/event_ring.h"
#include "runtime/router.h"
#include "transport/verbs_connection.h"
#include "transport/verbs_lane.h"

namespace ibexfs {

// All functions: the JavaScript thread, which drives the loop reactor.
class Rdma {
 public:
  Rdma(const VerbsOptions& options, std::shared_ptr<BufferPool> pool, ConnectionTable& connections, EventRing& ring,
       Reactor& loop, std::shared_ptr<verbs::Library> library = verbs::Library::system());
  // Opens the device and registers the pool, unless that has been done; anew after the device was lost.
  Status open();
  // Whether a queue pair could be made now: the port may be down.
  Status check();

  // The queue pair of a connection that is in its handshake.
  Result<wire::QueuePairOffer> offer(ConnectionId id);
  Status accept(ConnectionId id, const wire::QueuePairOffer& peer);
  // Ends in an rdmaProbed event.
  void probe(ConnectionId id);
  // Frames go over the queue pair from now on. Gives its path, for people.
  Result<std::string> use(ConnectionId id);
  void drop(ConnectionId id, const std::string& reason);

  // Null before the device was opened, and after it was lost.
  VerbsDomain* domain() const { return domain_.get(); }
  // Ends what is left. No connection is made any more.
  void close();

 private:
  Result<std::shared_ptr<VerbsLane>> lane_for(Reactor& reactor);
  std::shared_ptr<VerbsConnection> offered(ConnectionId id, bool take);
  void on_device_events();
  void lose_device(const Status& reason);
  void run_on(Reactor& reactor, const std::function<void()>& work);

  const VerbsOptions options_;
  const std::shared_ptr<BufferPool> pool_;
  ConnectionTable& connections_;
  EventRing& ring_;
  Reactor& loop_;
  const std::shared_ptr<verbs::Library> library_;
  std::shared_ptr<VerbsDomain> domain_;
  std::unordered_map<Reactor*, std::shared_ptr<VerbsLane>> lanes_;
  std::vector<std::weak_ptr<VerbsLane>> former_lanes_;  // of devices that were lost, until their last connection has ended
  struct Offered {
    std::weak_ptr<VerbsConnection> connection;
    Reactor* reactor = nullptr;
  };
  std::unordered_map<ConnectionId, Offered> offered_;  // between offer and use or drop
  bool closed_ = false;
};

}  // namespace ibexfs
