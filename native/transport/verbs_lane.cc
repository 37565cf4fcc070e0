// Completions: woken by the channel, polled until empty, armed, delivered.
#include "transport/verbs_lane.h"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "transport/verbs_connection.h"

namespace ibexfs {

namespace {

// Of one completion queue; about forty queue pairs share one.
constexpr uint32_t kQueueEntries = 4096;
// Taken before other descriptors of the reactor get their turn.
constexpr size_t kHarvestMax = 256;

}  // namespace

Result<std::shared_ptr<VerbsLane>> VerbsLane::create(std::shared_ptr<VerbsDomain> domain, Reactor& reactor, EventSink& events) {
  std::shared_ptr<VerbsLane> lane(new VerbsLane(std::move(domain), reactor, events));
  auto channel = verbs::CompletionChannel::create(lane->domain_->device());
  if (!channel.ok()) return channel.status();
  lane->channel_ = channel.take();
  if (Status status = reactor.watch(lane->channel_->fd(), EPOLLIN, [raw = lane.get()](uint32_t) { raw->on_ready(); });
      !status.ok())
    return status;
  return lane;
}

void VerbsLane::stop() {
  if (std::exchange(stopped_, true)) return;
  if (!given_up_) reactor_.unwatch(channel_->fd());
  touched_.clear();
  std::vector<std::shared_ptr<VerbsConnection>> left;
  for (const auto& [id, served] : connections_) left.push_back(served.connection);
  for (const auto& connection : left) connection->abandon({StatusCode::kShuttingDown, "the process is closing"});
}

void VerbsLane::give_up(const Status& reason) {
  if (stopped_ || std::exchange(given_up_, true)) return;
  reactor_.unwatch(channel_->fd());
  lose(nullptr, reason);
}

Result<std::shared_ptr<verbs::CompletionQueue>> VerbsLane::queue_for(uint32_t entries) {
  for (const auto& queue : queues_) {
    if (queue->capacity() - queue->reserved() >= entries) return queue;
  }
  auto queue = verbs::CompletionQueue::create(channel_, kQueueEntries);
  if (!queue.ok()) return queue.status();
  queues_.push_back(queue.value());
  // Armed, so that its first completion wakes the reactor.
  continue_later();
  return queue;
}

Result<std::shared_ptr<verbs::QueuePair>> VerbsLane::add(const std::shared_ptr<VerbsConnection>& owner,
                                                         const std::string& local_host,
                                                         const verbs::QueuePairSettings& settings) {
  if (stopped_) return Status(StatusCode::kShuttingDown, "the process is closing");
  if (given_up_) return Status(StatusCode::kConnectionReset, domain_->device()->name() + " was lost");
  const auto port = domain_->port_for(local_host);
  if (!port.ok()) return port.status();
  const auto queue = queue_for(settings.send_depth + settings.receive_depth + 1);
  if (!queue.ok()) return queue.status();
  auto pair = verbs::QueuePair::create(domain_->protection_domain(), queue.value(), queue.value(), port.value(), settings);
  if (pair.ok()) connections_[settings.owner] = {owner, queue.value().get()};
  return pair;
}

void VerbsLane::remove(const VerbsConnection& owner) {
  connections_.erase(owner.id());
}

void VerbsLane::touch(const std::shared_ptr<VerbsConnection>& owner) {
  if (stopped_ || std::exchange(owner->touched_, true)) return;
  touched_.push_back(owner);
  if (std::exchange(settle_scheduled_, true)) return;
  reactor_.at_round_end([weak = weak_from_this()] {
    if (const auto lane = weak.lock()) lane->settle_touched();
  });
}

void VerbsLane::settle_touched() {
  settle_scheduled_ = false;
  std::vector<std::shared_ptr<VerbsConnection>> touched;
  touched.swap(touched_);
  for (const auto& connection : touched) {
    connection->touched_ = false;
    connection->settle();
  }
}

void VerbsLane::on_ready() {
  const Status status = channel_->take_events();
  if (!status.ok()) log_event(events_, wire::LogLevel::kError, status.message());
  harvest();
}

void VerbsLane::harvest() {
  bool more = false;
  for (size_t i = 0; i < queues_.size() && !stopped_;) {
    const std::shared_ptr<verbs::CompletionQueue> queue = queues_[i];
    completions_.clear();
    const Result<bool> empty = queue->harvest(completions_, kHarvestMax);
    for (verbs::Completion& completion : completions_) {
      const auto found = connections_.find(completion.owner);
      if (found == connections_.end()) continue;
      found->second.connection->complete(completion);
      touch(found->second.connection);
    }
    completions_.clear();
    if (!empty.ok()) {
      queues_.erase(queues_.begin() + static_cast<std::ptrdiff_t>(i));
      lose(queue.get(), empty.status());
      continue;
    }
    more = more || !empty.value();
    ++i;
  }
  if (more) continue_later();
}

void VerbsLane::continue_later() {
  if (std::exchange(continue_scheduled_, true)) return;
  reactor_.post([weak = weak_from_this()] {
    const auto lane = weak.lock();
    if (!lane) return;
    lane->continue_scheduled_ = false;
    if (!lane->stopped_) lane->harvest();
  });
}

// Nothing will complete on it any more. Null: on none.
void VerbsLane::lose(const verbs::CompletionQueue* queue, const Status& status) {
  log_event(events_, wire::LogLevel::kError, status.message());
  std::vector<std::shared_ptr<VerbsConnection>> lost;
  for (const auto& [id, served] : connections_) {
    if (queue == nullptr || served.queue == queue) lost.push_back(served.connection);
  }
  for (const auto& connection : lost) connection->lose(status);
}

void VerbsLane::device_event(const verbs::DeviceEvent& event) {
  if (stopped_) return;
  using Kind = verbs::DeviceEventKind;
  if (event.kind == Kind::kCompletionQueueFatal) {
    const auto lost = std::ranges::find_if(queues_, [&](const auto& queue) { return queue->handle() == event.completion_queue; });
    if (lost == queues_.end()) return;
    const std::shared_ptr<verbs::CompletionQueue> queue = *lost;
    queues_.erase(lost);
    lose(queue.get(), {StatusCode::kConnectionReset, event.text});
    return;
  }
  const bool own_port_down = event.kind == Kind::kPortDown && event.port == domain_->options().port;
  if (!own_port_down && event.kind != Kind::kQueuePairFatal) return;
  std::vector<std::shared_ptr<VerbsConnection>> concerned;
  for (const auto& [id, served] : connections_) {
    if (own_port_down || served.connection->queue_pair_number() == event.queue_pair_number)
      concerned.push_back(served.connection);
  }
  for (const auto& connection : concerned) connection->break_off({StatusCode::kConnectionReset, event.text});
}

}  // namespace ibexfs
