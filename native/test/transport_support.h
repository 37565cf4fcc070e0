// Real connections on loopback for tests: handlers made of functions, an observer, a log, and a server and
// a client with reactor threads.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "test/live_counts.h"
#include "test/rdma_needed.h"
#include "test/support.h"
#include "transport/tcp.h"
#include "transport/verbs_connection.h"

namespace ibexfs::test {

using ConnectionPtr = std::shared_ptr<Connection>;

class RecordingSink final : public EventSink {
 public:
  bool push(wire::EventKind kind, void* /*record*/, size_t /*bytes*/, std::initializer_list<Bytes> tails) override {
    const std::lock_guard lock(mutex_);
    if (kind == wire::EventKind::kLog && tails.size() == 1) {
      logs_.emplace_back(reinterpret_cast<const char*>(tails.begin()->data()), tails.begin()->size());
    }
    return true;
  }
  void when_room(std::function<void()> retry) override { retry(); }
  using EventSink::push;
  std::vector<std::string> logs() {
    const std::lock_guard lock(mutex_);
    return logs_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> logs_;
};

class FunctionHandler final : public FrameHandler {
 public:
  // Set before the first connection.
  std::function<DataPlan(const ConnectionPtr&, const wire::FrameHeader&, Bytes)> plan;
  std::function<bool(const ConnectionPtr&, const wire::FrameHeader&, Bytes, std::shared_ptr<void>)> frame;

  DataPlan plan_data(const ConnectionPtr& connection, const wire::FrameHeader& header, Bytes body) override {
    if (plan) return plan(connection, header, body);
    auto bytes = std::make_shared<std::vector<uint8_t>>(header.data_length);
    DataPlan result;
    result.kind = DataPlan::Kind::kInto;
    result.into = bytes->data();
    result.context = bytes;
    return result;
  }
  bool on_frame(const ConnectionPtr& connection, const wire::FrameHeader& header, Bytes body,
                std::shared_ptr<void> context) override {
    const bool taken = !frame || frame(connection, header, body, std::move(context));
    if (taken) ++frames;
    return taken;
  }
  void on_closed(const ConnectionPtr& /*connection*/, const Status& reason) override {
    {
      const std::lock_guard lock(mutex_);
      reasons_.push_back(reason);
    }
    ++closed;
  }
  std::vector<Status> reasons() {
    const std::lock_guard lock(mutex_);
    return reasons_;
  }

  std::atomic<int> frames{0};
  std::atomic<int> closed{0};

 private:
  std::mutex mutex_;
  std::vector<Status> reasons_;
};

class RecordingObserver final : public ConnectionObserver {
 public:
  bool authenticate = true;  // at once, so that any frame may come

  void on_accepted(const ConnectionPtr& connection, uint32_t /*listener*/) override { add(connection, accepted_); }
  void on_connected(const ConnectionPtr& connection) override { add(connection, connected_); }
  std::vector<ConnectionPtr> accepted() { return copy(accepted_); }
  std::vector<ConnectionPtr> connected() { return copy(connected_); }

 private:
  void add(const ConnectionPtr& connection, std::vector<ConnectionPtr>& list) {
    if (authenticate) connection->set_authenticated();
    const std::lock_guard lock(mutex_);
    list.push_back(connection);
  }
  std::vector<ConnectionPtr> copy(const std::vector<ConnectionPtr>& list) {
    const std::lock_guard lock(mutex_);
    return list;
  }
  std::mutex mutex_;
  std::vector<ConnectionPtr> accepted_;
  std::vector<ConnectionPtr> connected_;
};

inline std::unique_ptr<Reactor> make_reactor() {
  auto reactor = Reactor::create();
  REQUIRE(reactor.ok());
  return reactor.take();
}

// Runs `task` on the reactor's thread and waits for its end.
inline void run_on(Reactor& reactor, const std::function<void()>& task) {
  std::atomic<bool> done{false};
  reactor.post([&] {
    task();
    done = true;
    done.notify_one();
  });
  done.wait(false);
}

// What carries the frames of a Loopback. kMessages: queue pairs, with all data in the stream of messages, as where memory
// is not registered; kVerbs: large data by READ and WRITE.
enum class Carrier : uint8_t { kTcp, kMessages, kVerbs };

// One side's device, pool and lane.
struct VerbsSide {
  std::shared_ptr<BufferPool> pool;
  std::shared_ptr<VerbsDomain> domain;
  std::shared_ptr<VerbsLane> lane;
};

// Whether this machine has an RDMA device; says why not, and fails where one is required.
inline bool have_rdma() {
  const auto pool = std::make_shared<BufferPool>(BufferPool::kBlockBytesMax);
  const auto domain = VerbsDomain::open(verbs::Library::system(), {}, pool);
  if (domain.ok()) return true;
  skip_without_rdma(domain.status().message());
  return false;
}

// A listening side and a connecting side, each with a reactor thread. Threads end before handlers do.
class Loopback {
 public:
  explicit Loopback(TransportLimits limits = {}, Carrier carrier = Carrier::kTcp) : limits_(limits), carrier_(carrier) {
    if (carrier != Carrier::kTcp) before_.emplace();
  }
  ~Loopback() {
    if (client_side.lane) run_on(client_thread_->reactor(), [&] { client_side.lane->stop(); });
    if (server_side.lane) run_on(server_thread_->reactor(), [&] { server_side.lane->stop(); });
    if (listener_) run_on(server_thread_->reactor(), [&] { listener_.reset(); });
    server_thread_.reset();
    client_thread_.reset();
    if (!before_) return;
    client_side = {};
    server_side = {};
    CHECK_MESSAGE(LiveCounts() == *before_, "queue pairs and what they need are gone");
  }

  void listen() {
    server_thread_ = std::make_unique<ReactorThread>(make_reactor(), "test server");
    client_thread_ = std::make_unique<ReactorThread>(make_reactor(), "test client");
    run_on(server_thread_->reactor(), [&] {
      ListenerOptions options;
      options.id = 7;
      options.host = "127.0.0.1";
      options.limits = limits_;
      auto made =
          Listener::listen(server_thread_->reactor(), {{&server_thread_->reactor(), &server}}, options, server_observer, sink);
      REQUIRE(made.ok());
      listener_ = made.take();
    });
    if (carrier_ == Carrier::kTcp) return;
    open(client_side, *client_thread_, carrier_ == Carrier::kVerbs);
    open(server_side, *server_thread_, false);
  }

  ConnectionPtr connect() {
    auto made =
        connect_tcp(client_thread_->reactor(), next_connection_id(), "127.0.0.1", port(), client, client_observer, limits_);
    REQUIRE(made.ok());
    return made.take();
  }
  // Connects and waits for both ends; gives the client's and the server's.
  std::pair<ConnectionPtr, ConnectionPtr> connect_both() {
    const size_t before = server_observer.accepted().size();
    const size_t connected_before = client_observer.connected().size();
    ConnectionPtr connection = connect();
    REQUIRE(wait_until(
        [&] { return server_observer.accepted().size() > before && client_observer.connected().size() > connected_before; }));
    if (carrier_ == Carrier::kTcp) return {connection, server_observer.accepted().back()};
    return upgrade(connection, server_observer.accepted().back());
  }

  // What the handshake does: both ends' queue pairs, connected, probed, used.
  std::pair<std::shared_ptr<VerbsConnection>, std::shared_ptr<VerbsConnection>> upgrade(const ConnectionPtr& client_control,
                                                                                        const ConnectionPtr& server_control) {
    const auto client_end = make_end(client_side, client_reactor(), client_control);
    const auto server_end = make_end(server_side, server_reactor(), server_control);
    wire::QueuePairOffer offer;
    run_on(client_reactor(), [&] { offer = client_end->offer(); });
    Status status;
    run_on(server_reactor(), [&] {
      status = server_end->accept(offer);
      offer = server_end->offer();
    });
    REQUIRE_MESSAGE(status.ok(), status.message());
    std::atomic<bool> probed{false};
    run_on(client_reactor(), [&] {
      status = client_end->accept(offer);
      if (status.ok())
        client_end->probe([&](const Status& result) {
          status = result;
          probed = true;
        });
    });
    REQUIRE_MESSAGE(status.ok(), status.message());
    REQUIRE(wait_until([&] { return probed.load(); }));
    run_on(client_reactor(), [&] {
      if (status.ok()) status = client_end->use();
    });
    REQUIRE_MESSAGE(status.ok(), status.message());
    run_on(server_reactor(), [&] { status = server_end->use(); });
    REQUIRE_MESSAGE(status.ok(), status.message());
    client_end->set_authenticated();
    server_end->set_authenticated();
    return {client_end, server_end};
  }

  uint16_t port() const { return listener_->port(); }
  Listener& listener() { return *listener_; }
  Reactor& server_reactor() { return server_thread_->reactor(); }
  Reactor& client_reactor() { return client_thread_->reactor(); }

  FunctionHandler server;
  FunctionHandler client;
  RecordingObserver server_observer;
  RecordingObserver client_observer;
  RecordingSink sink;
  VerbsSide client_side;
  VerbsSide server_side;

 private:
  void open(VerbsSide& side, ReactorThread& thread, bool expose) {
    side.pool = std::make_shared<BufferPool>(64U << 20);
    VerbsOptions options;
    options.expose_pool = expose;
    auto domain = VerbsDomain::open(verbs::Library::system(), options, side.pool);
    REQUIRE_MESSAGE(domain.ok(), domain.status().message());
    side.domain = domain.take();
    run_on(thread.reactor(), [&] {
      auto lane = VerbsLane::create(side.domain, thread.reactor(), sink);
      REQUIRE_MESSAGE(lane.ok(), lane.status().message());
      side.lane = lane.take();
    });
  }
  std::shared_ptr<VerbsConnection> make_end(VerbsSide& side, Reactor& reactor, const ConnectionPtr& control) {
    std::shared_ptr<VerbsConnection> end;
    run_on(reactor, [&] {
      auto made = VerbsConnection::create(side.lane, control);
      REQUIRE_MESSAGE(made.ok(), made.status().message());
      end = made.take();
    });
    return end;
  }

  TransportLimits limits_;
  const Carrier carrier_;
  std::optional<LiveCounts> before_;
  std::unique_ptr<ReactorThread> server_thread_;
  std::unique_ptr<ReactorThread> client_thread_;
  std::unique_ptr<Listener> listener_;
};

inline OutgoingFrame rpc_frame(wire::FrameType type, uint64_t request, size_t body_bytes = 0) {
  OutgoingFrame frame;
  frame.header.type = static_cast<uint8_t>(type);
  frame.header.request_id = request;
  std::vector<uint8_t> body(body_bytes);
  fill_pattern(body, request);
  frame.body = FrameBody::copy_of(body);
  return frame;
}

// A chunk request with data of `data_bytes`, patterned by the request id.
inline OutgoingFrame data_frame(uint64_t request, size_t data_bytes) {
  OutgoingFrame frame;
  frame.header.type = static_cast<uint8_t>(wire::FrameType::kChunkRequest);
  frame.header.request_id = request;
  frame.body = FrameBody::of(wire::ChunkRequest{});
  auto data = std::make_shared<std::vector<uint8_t>>(data_bytes);
  fill_pattern(*data, request);
  frame.data = *data;
  frame.data_owner = data;
  return frame;
}

inline const std::vector<uint8_t>& data_of(const std::shared_ptr<void>& context) {
  return *static_cast<const std::vector<uint8_t>*>(context.get());
}

}  // namespace ibexfs::test
