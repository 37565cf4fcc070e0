#include "runtime/rdma.h"

#include <sys/epoll.h>

#include <future>
#include <utility>

#include "transport/tcp_connection.h"

namespace ibexfs {

Rdma::Rdma(const VerbsOptions& options, std::shared_ptr<BufferPool> pool, ConnectionTable& connections, EventRing& ring,
           Reactor& loop, std::shared_ptr<verbs::Library> library)
    : options_(options),
      pool_(std::move(pool)),
      connections_(connections),
      ring_(ring),
      loop_(loop),
      library_(std::move(library)) {}

// Waits for it. A reactor's round is short, and this happens a few times in a connection's life.
void Rdma::run_on(Reactor& reactor, const std::function<void()>& work) {
  if (&reactor == &loop_) return work();
  std::promise<void> done;
  reactor.post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

Status Rdma::open() {
  if (closed_) return {StatusCode::kShuttingDown, "the process is closing"};
  if (domain_) return {};
  auto domain = VerbsDomain::open(library_, options_, pool_);
  if (!domain.ok()) return domain.status();
  const int fd = domain.value()->device()->event_fd();
  if (Status status = loop_.watch(fd, EPOLLIN, [this](uint32_t) { on_device_events(); }); !status.ok()) return status;
  domain_ = domain.take();
  return {};
}

Status Rdma::check() {
  if (Status status = open(); !status.ok()) return status;
  return domain_->port_for({}).status();
}

void Rdma::on_device_events() {
  for (;;) {
    const auto event = domain_->device()->next_event();
    if (!event.ok()) return lose_device(event.status());
    if (!event.value()) return;
    if (event.value()->kind == verbs::DeviceEventKind::kDeviceFatal)
      return lose_device({StatusCode::kConnectionReset, event.value()->text});
    log_event(ring_, wire::LogLevel::kWarn, "RDMA: " + event.value()->text);
    for (const auto& [reactor, lane] : lanes_) {
      reactor->post([lane = lane, told = *event.value()] { lane->device_event(told); });
    }
  }
}

// What is left of it goes with its last connection; the next open() looks for a device anew.
void Rdma::lose_device(const Status& reason) {
  log_event(ring_, wire::LogLevel::kError, "RDMA: " + reason.message());
  loop_.unwatch(domain_->device()->event_fd());
  std::erase_if(former_lanes_, [](const auto& lane) { return lane.expired(); });
  for (const auto& [reactor, lane] : lanes_) {
    former_lanes_.emplace_back(lane);
    run_on(*reactor, [&, lost = lane] { lost->give_up(reason); });
  }
  lanes_.clear();
  domain_.reset();
}

Result<std::shared_ptr<VerbsLane>> Rdma::lane_for(Reactor& reactor) {
  if (const auto found = lanes_.find(&reactor); found != lanes_.end()) return found->second;
  std::optional<Result<std::shared_ptr<VerbsLane>>> made;
  run_on(reactor, [&] { made.emplace(VerbsLane::create(domain_, reactor, ring_)); });
  if (made->ok()) lanes_[&reactor] = made->value();
  return *made;
}

Result<wire::QueuePairOffer> Rdma::offer(ConnectionId id) {
  if (Status status = open(); !status.ok()) return status;
  const std::shared_ptr<Connection> control = connections_.find(id);
  if (!control || control->as_tcp() == nullptr) return Status(StatusCode::kConnectionReset, "the connection has ended");
  Reactor& reactor = control->as_tcp()->reactor();
  const auto lane = lane_for(reactor);
  if (!lane.ok()) return lane.status();
  std::erase_if(offered_, [](const auto& entry) { return entry.second.connection.expired(); });
  Status status;
  wire::QueuePairOffer offer;
  run_on(reactor, [&] {
    const auto made = VerbsConnection::create(lane.value(), control);
    status = made.status();
    if (!made.ok()) return;
    offer = made.value()->offer();
    offered_[id] = {made.value(), &reactor};
  });
  if (!status.ok()) return status;
  return offer;
}

std::shared_ptr<VerbsConnection> Rdma::offered(ConnectionId id, bool take) {
  const auto found = offered_.find(id);
  if (found == offered_.end()) return nullptr;
  auto connection = found->second.connection.lock();
  if (take) offered_.erase(found);
  return connection;
}

Status Rdma::accept(ConnectionId id, const wire::QueuePairOffer& peer) {
  const auto connection = offered(id, false);
  Status status(StatusCode::kConnectionReset, "the queue pair has ended");
  if (connection) run_on(*offered_[id].reactor, [&] { status = connection->accept(peer); });
  return status;
}

void Rdma::probe(ConnectionId id) {
  const auto tell = [ring = &ring_, id](const Status& status) {
    wire::ConnectionEvent event;
    event.connection = id;
    event.status = static_cast<uint32_t>(status.code());
    event.text_length = static_cast<uint32_t>(status.message().size());
    ring->push_surely(wire::EventKind::kRdmaProbed, event, {as_bytes(status.message())});
  };
  const auto connection = offered(id, false);
  if (!connection) return tell({StatusCode::kConnectionReset, "the queue pair has ended"});
  offered_[id].reactor->post([connection, tell] { connection->probe(tell); });
}

Result<std::string> Rdma::use(ConnectionId id) {
  const auto found = offered_.find(id);
  Reactor* reactor = found == offered_.end() ? nullptr : found->second.reactor;
  const auto connection = offered(id, true);
  if (!connection) return Status(StatusCode::kConnectionReset, "the queue pair has ended");
  Status status;
  std::string path;
  run_on(*reactor, [&] {
    path = connection->path();
    status = connection->use();
    if (status.ok()) connections_.replace(connection);
  });
  if (!status.ok()) return status;
  return path;
}

void Rdma::drop(ConnectionId id, const std::string& reason) {
  const auto found = offered_.find(id);
  Reactor* reactor = found == offered_.end() ? nullptr : found->second.reactor;
  if (const auto connection = offered(id, true))
    reactor->post([connection, reason] { connection->drop(Status(StatusCode::kCanceled, reason)); });
}

void Rdma::close() {
  if (std::exchange(closed_, true)) return;
  if (domain_) loop_.unwatch(domain_->device()->event_fd());
  for (const auto& [reactor, lane] : lanes_) run_on(*reactor, [&, stopped = lane] { stopped->stop(); });
  for (const auto& former : former_lanes_) {
    if (const auto lane = former.lock()) run_on(lane->reactor(), [&] { lane->stop(); });
  }
  offered_.clear();
  lanes_.clear();
  former_lanes_.clear();
}

}  // namespace ibexfs
