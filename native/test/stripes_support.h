// A storage side and a client side for tests of stripes and fuse: real chunk servers behind real TCP
// connections, targets in temporary folders that vanish with them.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "chunks/chunk_server.h"
#include "stripes/chunk_client.h"
#include "stripes/file_table.h"
#include "test/support.h"
#include "test/transport_support.h"

namespace ibexfs::test {

// A folder that vanishes with this object, and also, with what is mounted on it, when the process dies
// before: a failed REQUIRE ends it at once, and a mount without its process would stay behind.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ibexfs-test-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    const UniqueFd read_end(ends[0]);
    alive_ = UniqueFd(ends[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, read_end.get(), STDIN_FILENO);
    char shell[] = "sh", option[] = "-c";
    char script[] = "read -r word; [ \"$word\" = done ] && exit; umount -l \"$0\" 2>/dev/null; rm -rf \"$0\"";
    char* arguments[] = {shell, option, script, path_.data(), nullptr};
    REQUIRE(posix_spawn(&guard_, "/bin/sh", &actions, nullptr, arguments, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
    (void)!write(alive_.get(), "done\n", 5);
    alive_.reset();
    waitpid(guard_, nullptr, 0);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  UniqueFd alive_;  // the guard sees it close
  pid_t guard_ = -1;
};

// One storage process in small: targets first_target .. first_target + targets - 1.
class Storage {
 public:
  Storage(uint32_t first_target, uint32_t targets) {
    thread_ = std::make_unique<ReactorThread>(make_reactor(), "test storage");
    server_ = std::make_unique<ChunkServer>(ChunkServerOptions{}, sink, pool_);
    run_on(thread_->reactor(), [&] { REQUIRE(server_->attach(thread_->reactor()).ok()); });
    for (uint32_t target = first_target; target < first_target + targets; ++target) {
      const std::string path = folder_.path() + "/" + std::to_string(target);
      std::filesystem::create_directory(path);
      REQUIRE(server_->add_target(target, path, 0).ok());
    }
    open(0);
  }
  ~Storage() {
    shut();
    server_->stop();
    thread_.reset();
    server_.reset();
  }
  // Closes the listener and all connections; open() listens again on the same port.
  void shut() {
    run_on(thread_->reactor(), [&] { listener_.reset(); });
    for (const auto& connection : observer_.accepted()) connection->close(Status(StatusCode::kShuttingDown, "test"));
  }
  void open(uint16_t port) {
    run_on(thread_->reactor(), [&] {
      ListenerOptions options;
      options.host = "127.0.0.1";
      options.port = port;
      auto made = Listener::listen(thread_->reactor(), {{&thread_->reactor(), &server_->handler(thread_->reactor())}}, options,
                                   observer_, sink);
      REQUIRE(made.ok());
      listener_ = made.take();
      port_ = listener_->port();
    });
  }
  uint16_t port() const { return port_; }
  ChunkServer& server() { return *server_; }
  const std::string& path() const { return folder_.path(); }
  RecordingSink sink;

 private:
  TemporaryFolder folder_;
  BufferPool pool_{64U << 20};
  RecordingObserver observer_;
  std::unique_ptr<ReactorThread> thread_;
  std::unique_ptr<ChunkServer> server_;
  std::unique_ptr<Listener> listener_;
  uint16_t port_ = 0;
};

// What TypeScript does for chunk I/O: keeps the routes. Counts what it was told.
class RoutingSink final : public EventSink {
 public:
  bool push(wire::EventKind kind, void* record, size_t bytes, std::initializer_list<Bytes> tails) override {
    auto* start = static_cast<wire::RingRecord*>(record);
    start->kind = static_cast<uint16_t>(kind);
    start->length = static_cast<uint32_t>(bytes);
    if (kind == wire::EventKind::kRouteNeeded) {
      const auto target = static_cast<wire::TargetEvent*>(record)->target;
      ++routes_needed;
      if (on_route_needed) on_route_needed(target);
    } else if (kind == wire::EventKind::kLog && tails.size() == 1) {
      const std::lock_guard lock(mutex_);
      logs_.emplace_back(reinterpret_cast<const char*>(tails.begin()->data()), tails.begin()->size());
    } else if (on_other) {
      return on_other(kind, record, tails);
    }
    return true;
  }
  void when_room(std::function<void()> retry) override {
    if (on_when_room) return on_when_room(std::move(retry));
    retry();
  }
  using EventSink::push;
  bool logged(const std::string& part) {
    const std::lock_guard lock(mutex_);
    for (const auto& log : logs_) {
      if (log.find(part) != std::string::npos) return true;
    }
    return false;
  }

  // Set before use.
  std::function<void(uint32_t)> on_route_needed;
  std::function<bool(wire::EventKind, void*, std::initializer_list<Bytes>)> on_other;
  std::function<void(std::function<void()>)> on_when_room;
  std::atomic<int> routes_needed{0};

 private:
  std::mutex mutex_;
  std::vector<std::string> logs_;
};

// One client process in small. route() says where a target is; requests for a route are answered by a new
// connection there, unless `automatic` is false.
class StripeClient {
 public:
  explicit StripeClient(ChunkClientOptions options = {}) {
    thread_ = std::make_unique<ReactorThread>(make_reactor(), "test client");
    reactor_ = &thread_->reactor();
    client_ = std::make_unique<ChunkClient>(options, sink, *reactor_);
    sink.on_route_needed = [this](uint32_t target) {
      reactor_->post([this, target] {
        if (automatic) connect(target);
      });
    };
  }
  ~StripeClient() {
    end_calls();
    for (const auto& connection : observer_.connected()) connection->close(Status(StatusCode::kShuttingDown, "test"));
    thread_.reset();
    client_.reset();
  }
  // Ends all calls and waits until nothing is at work on one: some work on a call goes on after its caller was told.
  void end_calls() {
    automatic = false;
    client_->close();
    std::promise<void> idle;
    reactor_->post([&] { idle.set_value(); });
    idle.get_future().wait();
  }
  void route(uint32_t target, uint16_t port) {
    const std::lock_guard lock(mutex_);
    ports_[target] = port;
  }
  void route(uint32_t first_target, uint32_t targets, uint16_t port) {
    for (uint32_t target = first_target; target < first_target + targets; ++target) route(target, port);
  }
  void connect(uint32_t target) {
    uint16_t port = 0;
    {
      const std::lock_guard lock(mutex_);
      if (!ports_.contains(target)) return;
      port = ports_[target];
    }
    auto made = connect_tcp(*reactor_, next_connection_id(), "127.0.0.1", port, client_->handler(), observer_, TransportLimits{});
    REQUIRE(made.ok());
    client_->set_route(target, made.value(), 1);
  }
  ChunkClient& chunks() { return *client_; }
  Reactor& reactor() { return *reactor_; }
  RecordingObserver& observer() { return observer_; }

  RoutingSink sink;
  std::atomic<bool> automatic{true};

 private:
  std::mutex mutex_;
  std::map<uint32_t, uint16_t> ports_;
  RecordingObserver observer_;
  std::unique_ptr<ReactorThread> thread_;
  Reactor* reactor_ = nullptr;
  std::unique_ptr<ChunkClient> client_;
};

// A word of FileTable::states() as JavaScript sees it: whole, while native threads write it.
inline double state_word(double& word) {
  return std::atomic_ref<double>(word).load(std::memory_order_relaxed);
}

// Waits for the end of one asynchronous call.
template <typename Outcome>
class Awaited {
 public:
  std::function<void(const Outcome&)> callback() {
    return [state = state_](const Outcome& outcome) {
      state->outcome = outcome;
      state->done = true;
    };
  }
  bool done() const { return state_->done; }
  Outcome wait() {
    REQUIRE(wait_until([this] { return state_->done.load(); }));
    return state_->outcome;
  }

 private:
  struct State {
    Outcome outcome;
    std::atomic<bool> done{false};
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace ibexfs::test
