#include "runtime/core.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <future>

namespace ibexfs {

namespace {

// How long a record that nobody waits for may lie in the ring while JavaScript sleeps.
constexpr long kUnhurriedNs = 5'000'000;

// Runs `work` on a reactor's driving thread and waits for it.
Status run_on(Reactor& reactor, std::function<Status()> work) {
  std::promise<Status> done;
  reactor.post([&] { done.set_value(work()); });
  return done.get_future().get();
}

}  // namespace

Core::Core(const CoreOptions& options, std::function<void()> wake)
    : options_(options),
      ring_(std::make_shared<EventRing>(options.event_ring_bytes, std::move(wake), [this] { look_soon(); })),
      pool_(std::make_shared<BufferPool>(options.buffer_bytes)),
      commands_(new uint8_t[options.command_bytes]),
      connections_(*ring_) {}

Result<std::unique_ptr<Core>> Core::create(const CoreOptions& options, std::function<void()> wake) {
  std::unique_ptr<Core> core(new Core(options, std::move(wake)));
  if (Status status = core->start(); !status.ok()) return status;
  return core;
}

Status Core::start() {
  Result<std::unique_ptr<Reactor>> loop = Reactor::create();
  if (!loop.ok()) return loop.status();
  loop_ = loop.take();
  if (Status status = watch_unhurried(); !status.ok()) return status;
  for (uint32_t i = 0; i < options_.reactor_threads; i++) {
    Result<std::unique_ptr<Reactor>> reactor = Reactor::create();
    if (!reactor.ok()) return reactor.status();
    threads_.push_back(std::make_unique<ReactorThread>(reactor.take(), "ibex-reactor-" + std::to_string(i)));
  }
  Reactor& deadlines = threads_.empty() ? *loop_ : threads_.front()->reactor();
  chunk_client_ = std::make_shared<ChunkClient>(options_.chunk_client, *ring_, deadlines);
  Result<std::unique_ptr<FileTable>> files = FileTable::create(*chunk_client_, *ring_);
  if (!files.ok()) return files.status();
  files_ = files.take();
  for (size_t i = 0; i <= threads_.size(); i++) {
    routers_.push_back(std::make_unique<Router>(*ring_, connections_, chunk_client_->handler()));
  }
  rdma_ = std::make_unique<Rdma>(options_.rdma, pool_, connections_, *ring_, *loop_);
  memories_.emplace(0, RegisteredMemory{pool_->arena(), pool_->arena_bytes(), pool_});
  return {};
}

Status Core::watch_unhurried() {
  unhurried_timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!unhurried_timer_) return Status::from_errno(errno, "timerfd_create");
  return loop_->watch(unhurried_timer_.get(), EPOLLIN, [this](uint32_t) {
    uint64_t count;
    (void)!read(unhurried_timer_.get(), &count, sizeof(count));
    unhurried_timer_runs_ = false;
    ring_->look_again();
  });
}

void Core::look_soon() {
  if (unhurried_timer_runs_.exchange(true)) return;
  const itimerspec when{{}, {0, kUnhurriedNs}};
  timerfd_settime(unhurried_timer_.get(), 0, &when, nullptr);
}

Core::~Core() {
  close();
}

// Order matters: whoever can start work stops before what the work needs.
void Core::close() {
  if (closed_) return;
  closed_ = true;
  for (auto& [id, session] : sessions_) {
    if (session.stopper.joinable()) session.stopper.join();
    session.fuse.reset();
  }
  sessions_.clear();
  listeners_.clear();
  if (chunk_client_) chunk_client_->close();
  for (const auto& connection : connections_.all()) connection->close(Status(StatusCode::kShuttingDown, "process is closing"));
  // Queue pairs are drained, which takes longer than closing a socket.
  const int rounds_max = rdma_ && rdma_->domain() != nullptr ? 128 : 32;
  for (int rounds = 0; loop_ && rounds < rounds_max && !connections_.all().empty(); rounds++)
    loop_->run_once(rounds < 8 ? 0 : 10);
  if (rdma_) rdma_->close();
  if (chunk_server_) chunk_server_->stop();
  threads_.clear();
  chunk_server_.reset();
  files_.reset();
  chunk_client_.reset();
  loop_.reset();
  rdma_.reset();
}

std::vector<Reactor*> Core::reactors() {
  std::vector<Reactor*> all{loop_.get()};
  for (const auto& thread : threads_) all.push_back(&thread->reactor());
  return all;
}

Result<std::pair<uint32_t, uint16_t>> Core::listen(const std::string& host, uint16_t port, bool on_threads) {
  std::vector<ServingReactor> serving;
  if (on_threads) {
    for (size_t i = 0; i < threads_.size(); i++) serving.push_back({&threads_[i]->reactor(), routers_[i + 1].get()});
  }
  if (serving.empty()) serving.push_back({loop_.get(), routers_[0].get()});
  ListenerOptions options;
  options.id = next_listener_++;
  options.host = host;
  options.port = port;
  Result<std::unique_ptr<Listener>> listener = Listener::listen(*loop_, std::move(serving), options, connections_, *ring_);
  if (!listener.ok()) return listener.status();
  const uint16_t bound = listener.value()->port();
  listeners_.push_back(listener.take());
  return std::pair{options.id, bound};
}

Result<ConnectionId> Core::connect(const std::string& host, uint16_t port, int reactor) {
  const size_t index = reactor >= 0 && static_cast<size_t>(reactor) < threads_.size() ? static_cast<size_t>(reactor) + 1 : 0;
  Reactor& driving = index == 0 ? *loop_ : threads_[index - 1]->reactor();
  Result<std::shared_ptr<Connection>> connection =
      connect_tcp(driving, next_connection_id(), host, port, *routers_[index], connections_);
  if (!connection.ok()) return connection.status();
  return connection.value()->id();
}

// All reactors or none: no router sees a server that is not there to stay.
Status Core::serve_chunks() {
  if (chunk_server_) return {};
  auto server = std::make_unique<ChunkServer>(options_.chunk_server, *ring_, *pool_);
  Status status;
  if (threads_.empty()) status = server->attach(*loop_);
  for (size_t i = 0; i < threads_.size() && status.ok(); i++) {
    Reactor& reactor = threads_[i]->reactor();
    status = run_on(reactor, [&] { return server->attach(reactor); });
  }
  if (!status.ok()) {
    server->stop();
    return status;
  }
  if (threads_.empty()) routers_[0]->serve_chunks(&server->handler(*loop_));
  for (size_t i = 0; i < threads_.size(); i++) routers_[i + 1]->serve_chunks(&server->handler(threads_[i]->reactor()));
  chunk_server_ = std::move(server);
  return {};
}

Status Core::add_target(uint32_t id, const std::string& path, uint64_t map_version) {
  if (Status status = serve_chunks(); !status.ok()) return status;
  return chunk_server_->add_target(id, path, map_version);
}

Status Core::set_target_map_version(uint32_t id, uint64_t map_version) {
  if (!chunk_server_) return Status(StatusCode::kNotMyTarget, "target " + std::to_string(id) + " is not served here");
  return chunk_server_->set_min_map_version(id, map_version);
}

Status Core::remove_target(uint32_t id) {
  if (!chunk_server_) return Status(StatusCode::kNotMyTarget, "target " + std::to_string(id) + " is not served here");
  return chunk_server_->remove_target(id, std::chrono::seconds(2));
}

std::shared_ptr<void> Core::shared_file_states() {
  struct Kept {  // destroyed from the last member to the first
    std::shared_ptr<EventRing> ring;
    std::shared_ptr<ChunkClient> client;
    std::shared_ptr<FileTable> files;
  };
  return std::make_shared<Kept>(Kept{ring_, chunk_client_, files_});
}

uint32_t Core::register_memory(RegisteredMemory memory, bool lasting) {
  if (VerbsDomain* domain = lasting ? rdma_->domain() : nullptr) {
    if (auto exposed = domain->expose({memory.data, memory.bytes}, memory.owner)) memory.owner = std::move(exposed);
  }
  while (next_memory_ == 0 || memories_.contains(next_memory_)) next_memory_++;
  memories_.emplace(next_memory_, std::move(memory));
  return next_memory_++;
}

void Core::release_memory(uint32_t slot) {
  if (slot != 0) memories_.erase(slot);
}

Result<uint32_t> Core::mount(const std::string& mountpoint, const MountOptions& mount, FuseOptions options) {
  Result<FuseMount> mounted = mount_fuse(mountpoint, mount);
  if (!mounted.ok()) return mounted.status();
  options.session = next_session_++;
  Result<std::unique_ptr<FuseSession>> session = FuseSession::start(mounted.take(), options, *files_, *pool_, *ring_);
  if (!session.ok()) return session.status();
  sessions_[options.session].fuse = session.take();
  return options.session;
}

void Core::unmount(uint32_t session, Unmount how) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  Session& unmounted = found->second;
  if (unmounted.stopping->exchange(true)) return;
  if (unmounted.stopper.joinable()) unmounted.stopper.join();  // of an attempt that failed
  unmounted.stopper = std::thread([ring = ring_, fuse = unmounted.fuse.get(), stopping = unmounted.stopping, how] {
    const Status status = fuse->stop(how);
    if (status.ok() || how == Unmount::kDetach) {
      fuse->report_closed(static_cast<int>(status.code()));
      return;
    }
    log_event(*ring, wire::LogLevel::kWarn, status.message() + "; it stays mounted");
    stopping->store(false);
  });
}

FuseSession* Core::fuse_session(uint32_t session) {
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? nullptr : found->second.fuse.get();
}

}  // namespace ibexfs
