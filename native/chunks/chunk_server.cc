#include "chunks/chunk_server.h"

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <future>
#include <utility>
#include <vector>

#include "chunks/chunk_core.h"

namespace ibexfs {

namespace {

// Of RLIMIT_NOFILE, for chunk files; the rest is for connections, pipes and the databases of Node.
constexpr rlim_t kDescriptorShare = 4;

ChunkServerOptions fitted(ChunkServerOptions options) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    options.limits.open_files_max =
        static_cast<uint32_t>(std::min<rlim_t>(options.limits.open_files_max, limit.rlim_cur / kDescriptorShare));
  }
  options.limits.open_files_max = std::max(options.limits.open_files_max, 4U);
  return options;
}

// A write above RLIMIT_FSIZE is to be answered EFBIG, not to kill the daemon.
void survive_file_size_limit() {
  struct sigaction current {};
  if (sigaction(SIGXFSZ, nullptr, &current) != 0 || current.sa_handler != SIG_DFL) return;
  current.sa_handler = SIG_IGN;
  sigaction(SIGXFSZ, &current, nullptr);
}

}  // namespace

ChunkServer::ChunkServer(const ChunkServerOptions& options, EventSink& events, BufferPool& pool)
    : core_(std::make_shared<ChunkCore>(fitted(options), events, pool)) {
  survive_file_size_limit();
}

ChunkServer::~ChunkServer() {
  for (const auto& [reactor, chunk_handler] : core_->handlers) chunk_handler->stop();
  // A request of one reactor may wait at a chunk's gate for one of another, so they go on in turn until all are done.
  for (bool busy = true; busy;) {
    busy = false;
    for (const auto& [reactor, chunk_handler] : core_->handlers) busy = chunk_handler->finish_some() || busy;
  }
  for (const auto& [reactor, chunk_handler] : core_->handlers) chunk_handler->release_engine();
  core_->threads.reset();
}

void ChunkServer::detach(Reactor& reactor) {
  ChunkHandler* chunk_handler = nullptr;
  {
    const std::shared_lock lock(core_->handlers_mutex);
    chunk_handler = core_->handlers.at(&reactor).get();
  }
  chunk_handler->stop();
  while (chunk_handler->finish_some()) {
  }
  chunk_handler->release_engine();
}

void ChunkServer::stop() {
  std::vector<std::future<void>> detached;
  Reactor* own = nullptr;  // driven by this thread: a post to it would wait for ever
  {
    const std::shared_lock lock(core_->handlers_mutex);
    for (const auto& entry : core_->handlers) {
      Reactor* reactor = entry.first;
      if (reactor->in_driving_thread()) {
        own = reactor;
        continue;
      }
      auto done = std::make_shared<std::promise<void>>();
      detached.push_back(done->get_future());
      reactor->post([this, reactor, done] {
        detach(*reactor);
        done->set_value();
      });
    }
  }
  if (own != nullptr) detach(*own);
  for (const std::future<void>& done : detached) done.wait();
}

Status ChunkServer::attach(Reactor& reactor) {
  std::string note;
  auto engine = DiskEngine::create(core_->options.engine, reactor, *core_->threads, &note);
  if (!engine.ok()) return engine.status();
  if (!note.empty()) log_event(core_->events, wire::LogLevel::kWarn, "chunk I/O uses threads: " + note);
  const char* engine_name = engine.value()->name();
  auto chunk_handler = std::make_unique<ChunkHandler>(*core_, engine.take());
  const std::unique_lock lock(core_->handlers_mutex);
  core_->engine_name = engine_name;
  core_->handlers[&reactor] = std::move(chunk_handler);
  return {};
}

FrameHandler& ChunkServer::handler(Reactor& reactor) {
  const std::shared_lock lock(core_->handlers_mutex);
  return *core_->handlers.at(&reactor);
}

Status ChunkServer::add_target(uint32_t id, const std::string& path, uint64_t min_map_version) {
  auto store = ChunkStore::open(path);
  if (!store.ok()) return store.status();
  auto target = std::make_shared<ChunkTarget>(id, store.take(), min_map_version, core_->events);
  const std::unique_lock lock(core_->targets_mutex);
  if (!core_->targets.emplace(id, std::move(target)).second) {
    return {StatusCode::kExists, "target " + std::to_string(id) + " is served already; remove it first"};
  }
  return {};
}

Status ChunkServer::set_min_map_version(uint32_t id, uint64_t min_map_version) {
  const std::shared_ptr<ChunkTarget> target = core_->find_target(id);
  if (target == nullptr) return {StatusCode::kNotMyTarget, "target " + std::to_string(id) + " is not served here"};
  target->set_min_map_version(min_map_version);
  return {};
}

Status ChunkServer::remove_target(uint32_t id, std::chrono::milliseconds timeout) {
  std::shared_ptr<ChunkTarget> target;
  {
    const std::unique_lock lock(core_->targets_mutex);
    const auto found = core_->targets.find(id);
    if (found == core_->targets.end()) return {StatusCode::kNotMyTarget, "target " + std::to_string(id) + " is not served here"};
    target = std::move(found->second);
    core_->targets.erase(found);
  }
  const bool idle = target->wait_until_idle(timeout);
  core_->files.forget(*target->store());
  if (idle) return {};
  return {StatusCode::kTimedOut,
          "target " + std::to_string(id) + " (" + target->store()->path() + ") still has requests on its disk"};
}

Result<TargetUsage> ChunkServer::usage(uint32_t id) const {
  const std::shared_ptr<ChunkTarget> target = core_->find_target(id);
  if (target == nullptr) return Status(StatusCode::kNotMyTarget, "target " + std::to_string(id) + " is not served here");
  return target->store()->usage();
}

ChunkStatistics ChunkServer::statistics() const {
  ChunkStatistics statistics;
  {
    const std::shared_lock lock(core_->targets_mutex);
    for (const auto& [id, target] : core_->targets) statistics.targets.push_back(target->statistics());
  }
  std::sort(statistics.targets.begin(), statistics.targets.end(),
            [](const auto& a, const auto& b) { return a.target < b.target; });
  statistics.refused = core_->refused.load(std::memory_order_relaxed);
  statistics.requests_in_flight = core_->admission.requests();
  statistics.requests_in_flight_max = core_->admission.requests_high_water();
  statistics.bytes_in_flight = core_->admission.bytes();
  statistics.bytes_in_flight_max = core_->admission.bytes_high_water();
  statistics.pauses = core_->admission.pauses();
  statistics.open_files = core_->files.descriptors_open();
  statistics.open_file_evictions = core_->files.evictions();
  const std::shared_lock lock(core_->handlers_mutex);
  statistics.engine = core_->engine_name;
  return statistics;
}

}  // namespace ibexfs
