// Connections over TCP: connecting to a peer, and listening for peers. What a connection does once it
// stands is transport/connection.h; who the peer is, is decided by those who handle its handshake frames.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/event_sink.h"
#include "base/status.h"
#include "transport/connection.h"
#include "transport/limits.h"
#include "transport/reactor.h"

namespace ibexfs {

// Any thread: an id that this process has not used yet.
ConnectionId next_connection_id();

// Told about new connections, on the reactor of the connection, before any frame of it is handled.
class ConnectionObserver {
 public:
  virtual ~ConnectionObserver() = default;
  // By connect_tcp, in the thread that called it, before the connection can do anything: on_closed, for one,
  // may run on the reactor before connect_tcp has returned.
  virtual void on_created(const std::shared_ptr<Connection>& /*connection*/) {}
  virtual void on_accepted(const std::shared_ptr<Connection>& connection, uint32_t listener) = 0;
  virtual void on_connected(const std::shared_ptr<Connection>& connection) = 0;
};

// Any thread. Starts connecting; later either observer.on_connected or, with the reason,
// handler.on_closed is called on the reactor, never before observer.on_created has returned. Frames may be sent at once: they
// wait for the connection. `host` is a numeric IPv4 or IPv6 address. The reactor, the handler and the
// observer outlive the connection.
Result<std::shared_ptr<Connection>> connect_tcp(Reactor& reactor, ConnectionId id, const std::string& host, uint16_t port,
                                                FrameHandler& handler, ConnectionObserver& observer,
                                                const TransportLimits& limits = {});

// A reactor that serves accepted connections, and what handles their frames there.
struct ServingReactor {
  Reactor* reactor = nullptr;
  FrameHandler* handler = nullptr;
};

struct ListenerOptions {
  uint32_t id = 0;    // handed to ConnectionObserver::on_accepted
  std::string host;   // numeric
  uint16_t port = 0;  // 0: any free one
  TransportLimits limits;
};

// Accepts on one reactor and spreads the connections over the serving reactors, one after the other.
// Refusals are logged, at most one line a second.
class Listener {
 public:
  // Call on the accepting reactor's driving thread, or before that reactor is driven.
  static Result<std::unique_ptr<Listener>> listen(Reactor& accepting, std::vector<ServingReactor> serving,
                                                  const ListenerOptions& options, ConnectionObserver& observer,
                                                  EventSink& events);
  // Stops accepting; connections stay. On the accepting reactor's driving thread, or when it is driven no more.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  uint16_t port() const;
  uint32_t connections() const;
  uint32_t unauthenticated() const;

 private:
  class Implementation;
  explicit Listener(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace ibexfs
