// Life on the event loop: watching, delivering, ending. Posting is in rdma_submission.cc.
#include "addon/rdma_loop.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "addon/rdma_values.h"

namespace ibexfs {

RdmaLoop::RdmaLoop(Napi::Env env, std::shared_ptr<RdmaDeviceState> device, Napi::Function on_completions)
    : env_(env),
      device_(std::move(device)),
      on_completions_(Napi::Persistent(on_completions)),
      requests_(std::make_shared<std::vector<wire::RdmaRequest>>(kRequestsMax)),
      completions_(std::make_shared<std::vector<wire::RdmaCompletion>>(kCompletionsMax)) {
  context_.emplace(env, "ibexfs/rdma");
}

Result<std::shared_ptr<RdmaLoop>> RdmaLoop::create(Napi::Env env, std::shared_ptr<RdmaDeviceState> device, uint32_t entries,
                                                   Napi::Function on_completions) {
  auto channel = verbs::CompletionChannel::create(device->device);
  if (!channel.ok()) return channel.status();
  auto queue = verbs::CompletionQueue::create(channel.value(), entries);
  if (!queue.ok()) return queue.status();
  std::shared_ptr<RdmaLoop> loop(new RdmaLoop(env, std::move(device), on_completions));
  loop->channel_ = channel.take();
  loop->queue_ = queue.take();
  if (!loop->watch()) return Status(StatusCode::kInternal, "the event loop cannot watch the completion channel's descriptor");
  loop->self_ = loop;
  loop->turn();  // arms it
  return loop;
}

bool RdmaLoop::watch() {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env_, &loop) != napi_ok || uv_poll_init(loop, &poll_, channel_->fd()) != 0) return false;
  uv_idle_init(loop, &idle_);
  open_handles_ = 2;
  poll_.data = this;
  idle_.data = this;
  uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* poll, int, int) { static_cast<RdmaLoop*>(poll->data)->turn(); });
  uv_unref(reinterpret_cast<uv_handle_t*>(&poll_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&idle_));
  // An asynchronous one: handles that are still closing when the loop of a worker is taken down kill the process.
  napi_add_async_cleanup_hook(env_, environment_ends, this, &hook_);
  return true;
}

void RdmaLoop::turn() {
  Status broken = channel_->take_events();
  bool asleep = false;
  for (int batch = 0; broken.ok() && batch < kBatchesPerTurn; ++batch) {
    if (given_ == ready_.size()) {
      const auto harvested = queue_->harvest(ready_, kCompletionsMax);
      if (!harvested.ok()) broken = harvested.status();
      asleep = harvested.ok() && harvested.value();
    }
    if (given_ == ready_.size()) break;
    deliver(emit(), {});
    if (closed_) return;
  }
  if (!broken.ok() && !broken_told_) {
    broken_told_ = true;
    go_on(false);
    uv_poll_stop(&poll_);
    deliver(0, broken);
    return;
  }
  go_on(!asleep || given_ < ready_.size());
}

void RdmaLoop::go_on(bool wanted) {
  if (wanted && !broken_told_)
    uv_idle_start(&idle_, [](uv_idle_t* idle) { static_cast<RdmaLoop*>(idle->data)->turn(); });
  else
    uv_idle_stop(&idle_);
}

Result<uint32_t> RdmaLoop::poll(uint32_t limit_us) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point deadline;
  for (uint32_t looks = 0; given_ == ready_.size(); ++looks) {
    const auto polled = queue_->poll(ready_, kCompletionsMax);
    if (!polled.ok()) {
      // The next turn tells everybody else of it.
      go_on(true);
      return polled.status();
    }
    // The clock may cost more than a look.
    if (given_ < ready_.size() || looks % kLooksPerClock != 0) continue;
    if (limit_us == 0) break;
    if (looks == 0) deadline = Clock::now() + std::chrono::microseconds(limit_us);
    if (Clock::now() >= deadline) break;
  }
  const uint32_t count = emit();
  // What did not fit has no event of its own.
  if (given_ < ready_.size()) go_on(true);
  return count;
}

// Moves what fits from ready_ to the records that JavaScript reads.
uint32_t RdmaLoop::emit() {
  uint32_t records = 0;
  for (; given_ < ready_.size() && records < kCompletionsMax; ++given_) record(ready_[given_], records);
  if (given_ == ready_.size()) {
    ready_.clear();  // lets go of what the requests kept
    given_ = 0;
  }
  return records;
}

// Appends a record; what only says that one more request of a batch succeeded is counted in the record before it.
void RdmaLoop::record(const verbs::Completion& completion, uint32_t& records) {
  const auto slot = static_cast<uint32_t>(completion.owner);
  if (Place* place = place_of(slot); place != nullptr) count(*place, -1);
  const auto tag = static_cast<uint32_t>(completion.token);
  const auto succeeded = static_cast<uint8_t>(verbs::CompletionStatus::kSuccess);
  if (records > 0 && completion.status == verbs::CompletionStatus::kSuccess &&
      completion.operation != verbs::Operation::kReceive) {
    wire::RdmaCompletion& before = (*completions_)[records - 1];
    if (before.tag == tag && before.queue_pair == slot && before.status == succeeded) {
      ++before.count;
      return;
    }
  }
  wire::RdmaCompletion& record = (*completions_)[records++];
  record.tag = tag;
  record.index = static_cast<uint32_t>(completion.token >> 32);
  record.queue_pair = slot;
  record.operation = static_cast<uint8_t>(completion.operation);
  record.status = static_cast<uint8_t>(completion.status);
  record.flags =
      static_cast<uint8_t>((completion.has_immediate ? static_cast<uint8_t>(wire::RdmaCompletionFlag::kImmediate) : 0) |
                           (completion.received_write ? static_cast<uint8_t>(wire::RdmaCompletionFlag::kReceivedWrite) : 0));
  record.bytes = completion.bytes;
  record.immediate = completion.immediate;
  record.vendor_error = completion.vendor_error;
  record.count = 1;
}

void RdmaLoop::deliver(uint32_t count, const Status& broken) {
  const Napi::HandleScope scope(env_);
  std::array<napi_value, 2> arguments{Napi::Number::New(env_, count), env_.Undefined()};
  if (!broken.ok()) arguments[1] = rdma_error(env_, broken, {.device = device_name()}).Value();
  // napi_make_callback runs what the completions settled (ticks, promises) before it returns. It fails without an
  // exception when the environment is being stopped.
  napi_value result = nullptr;
  if (napi_make_callback(env_, *context_, env_.Global(), on_completions_.Value(), arguments.size(), arguments.data(), &result) ==
      napi_ok)
    return;
  bool is_pending = false;
  napi_value error = nullptr;
  if (napi_is_exception_pending(env_, &is_pending) != napi_ok || !is_pending) return;
  if (napi_get_and_clear_last_exception(env_, &error) == napi_ok) napi_fatal_exception(env_, error);
}

void RdmaLoop::count(Place& place, int64_t change) {
  const bool idle = on_the_way_ == 0;
  place.on_the_way += static_cast<uint64_t>(change);
  on_the_way_ += static_cast<uint64_t>(change);
  if (idle == (on_the_way_ == 0)) return;
  auto* handle = reinterpret_cast<uv_handle_t*>(&poll_);
  if (on_the_way_ == 0)
    uv_unref(handle);
  else
    uv_ref(handle);
}

Result<uint32_t> RdmaLoop::add(std::shared_ptr<verbs::ProtectionDomain> domain, const verbs::LocalPort& port,
                               verbs::QueuePairSettings settings) {
  const uint32_t index = free_.empty() ? static_cast<uint32_t>(places_.size()) : free_.back();
  if (index > kIndexMask) return Status(StatusCode::kOverloaded, "the completion queue serves too many queue pairs");
  const uint32_t generation = index < places_.size() ? places_[index].generation : 0;
  settings.owner = index | generation << kIndexBits;
  auto pair = verbs::QueuePair::create(std::move(domain), queue_, queue_, port, settings);
  if (!pair.ok()) return pair.status();
  if (free_.empty())
    places_.emplace_back();
  else
    free_.pop_back();
  places_[index].queue_pair = pair.take();
  return index | generation << kIndexBits;
}

RdmaLoop::Place* RdmaLoop::place_of(uint32_t slot) {
  const uint32_t index = slot & kIndexMask;
  if (index >= places_.size() || places_[index].generation != slot >> kIndexBits) return nullptr;
  return places_[index].queue_pair != nullptr ? &places_[index] : nullptr;
}

verbs::QueuePair* RdmaLoop::find(uint32_t slot) const {
  const Place* place = const_cast<RdmaLoop*>(this)->place_of(slot);
  return place == nullptr ? nullptr : place->queue_pair.get();
}

void RdmaLoop::remove(uint32_t slot) {
  Place* place = place_of(slot);
  if (place == nullptr) return;
  place->queue_pair.reset();
  count(*place, -static_cast<int64_t>(place->on_the_way));
  place->generation = (place->generation + 1) & ((1U << (32 - kIndexBits)) - 1);
  free_.push_back(slot & kIndexMask);
}

void RdmaLoop::close() {
  if (closed_) return;
  closed_ = true;
  std::vector<verbs::Completion> flushed;
  // All fail before the first is drained, so that they are flushed at once.
  for (const Place& place : places_) {
    if (place.queue_pair != nullptr) place.queue_pair->fail({StatusCode::kCanceled, "the completion queue was closed"});
  }
  for (Place& place : places_) {
    if (place.queue_pair == nullptr) continue;
    if (!place.queue_pair->drained()) place.queue_pair->drain(kDrainLimitMs, flushed);
    place.queue_pair.reset();
  }
  places_.clear();
  ready_.clear();
  given_ = 0;
  on_completions_.Reset();
  context_.reset();
  if (open_handles_ > 0) {
    uv_close(reinterpret_cast<uv_handle_t*>(&poll_), handle_closed);
    uv_close(reinterpret_cast<uv_handle_t*>(&idle_), handle_closed);
  }
  // The descriptor is watched no more.
  queue_.reset();
  channel_.reset();
  device_.reset();
}

void RdmaLoop::environment_ends(napi_async_cleanup_hook_handle /*hook*/, void* self) {
  static_cast<RdmaLoop*>(self)->close();
}

void RdmaLoop::handle_closed(uv_handle_t* handle) {
  auto* self = static_cast<RdmaLoop*>(handle->data);
  if (--self->open_handles_ > 0) return;
  if (self->hook_ != nullptr) napi_remove_async_cleanup_hook(self->hook_);
  const std::shared_ptr<RdmaLoop> last = std::move(self->self_);
}

}  // namespace ibexfs
