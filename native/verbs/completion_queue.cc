// Events, polling, and finding the queue pair of a completion.
#include "verbs/completion_queue.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "verbs/queue_pair.h"

namespace ibexfs::verbs {

Result<std::shared_ptr<CompletionChannel>> CompletionChannel::create(std::shared_ptr<Device> device) {
  errno = 0;
  abi::CompletionChannel* handle = device->verbs().create_comp_channel(device->context());
  if (handle == nullptr) return verb_error("ibv_create_comp_channel", errno, device->name());
  std::shared_ptr<CompletionChannel> channel(new CompletionChannel(std::move(device), handle));
  const int flags = fcntl(handle->fd, F_GETFL);
  if (flags < 0 || fcntl(handle->fd, F_SETFL, flags | O_NONBLOCK) != 0)
    return Status::from_errno(errno, "fcntl of a completion channel of " + channel->device().name());
  return channel;
}

CompletionChannel::CompletionChannel(std::shared_ptr<Device> device, abi::CompletionChannel* handle)
    : device_(std::move(device)), handle_(handle) {
  ++device_->live().completion_channels;
}

CompletionChannel::~CompletionChannel() {
  if (device_->verbs().destroy_comp_channel(handle_) != 0) ++device_->live().leaks;
  --device_->live().completion_channels;
}

Status CompletionChannel::take_events() {
  while (true) {
    abi::CompletionQueue* queue = nullptr;
    void* context = nullptr;
    errno = 0;
    if (device_->verbs().get_cq_event(handle_, &queue, &context) != 0) {
      if (errno == EAGAIN) return {};
      if (errno == EINTR) continue;
      return verb_error("ibv_get_cq_event", errno, device_->name());
    }
    static_cast<CompletionQueue*>(context)->event_taken();
  }
}

Result<std::shared_ptr<CompletionQueue>> CompletionQueue::create(std::shared_ptr<CompletionChannel> channel, uint32_t entries) {
  Device& device = channel->device();
  const uint32_t capacity = std::min(entries, device.limits().completion_entries_max);
  if (capacity == 0) return Status(StatusCode::kInvalid, "a completion queue on " + device.name() + " needs entries");
  std::shared_ptr<CompletionQueue> queue(new CompletionQueue(std::move(channel), capacity));
  errno = 0;
  queue->handle_ =
      device.verbs().create_cq(device.context(), static_cast<int>(capacity), queue.get(), queue->channel_->handle(), 0);
  if (queue->handle_ == nullptr) {
    const int error = errno;
    return verb_error("ibv_create_cq", error, device.name() + ", " + std::to_string(capacity) + " entries",
                      error == ENOMEM ? memory_lock_cure() : "");
  }
  ++device.live().completion_queues;
  return queue;
}

CompletionQueue::CompletionQueue(std::shared_ptr<CompletionChannel> channel, uint32_t capacity)
    : channel_(std::move(channel)), capacity_(capacity) {}

CompletionQueue::~CompletionQueue() {
  if (handle_ == nullptr) return;
  const VerbsTable& verbs = device().verbs();
  // The library waits in destroy until every event that was taken is acknowledged, for ever. Events that were not taken
  // the kernel drops.
  if (unacknowledged_ > 0) verbs.ack_cq_events(handle_, unacknowledged_);
  if (verbs.destroy_cq(handle_) != 0) ++device().live().leaks;
  --device().live().completion_queues;
}

void CompletionQueue::event_taken() {
  armed_ = false;
  if (++unacknowledged_ < kAcknowledgeBatch) return;
  device().verbs().ack_cq_events(handle_, unacknowledged_);
  unacknowledged_ = 0;
}

Status CompletionQueue::arm() {
  if (const int error = handle_->context->ops.req_notify_cq(handle_, 0); error != 0)
    return verb_error("ibv_req_notify_cq", error, device().name());
  armed_ = true;
  return {};
}

Result<bool> CompletionQueue::harvest(std::vector<Completion>& completions, size_t entries_max) {
  size_t taken = 0;
  while (true) {
    const auto polled = poll(completions, kPollBatch);
    if (!polled.ok()) return polled.status();
    taken += polled.value();
    if (polled.value() > 0) {
      if (taken >= entries_max) return false;
      continue;
    }
    if (armed_) return true;
    // What came between the empty poll and the arming raises no event, so look once more.
    if (Status status = arm(); !status.ok()) return status;
  }
}

Result<size_t> CompletionQueue::poll(std::vector<Completion>& completions, size_t entries_max) {
  if (!broken_.ok()) return broken_;
  size_t taken = 0;
  std::array<abi::WorkCompletion, kPollBatch> batch;
  while (taken < entries_max) {
    const size_t want = std::min(entries_max - taken, batch.size());
    const int count = handle_->context->ops.poll_cq(handle_, static_cast<int>(want), batch.data());
    if (count < 0) {
      break_off(count);
      return broken_;
    }
    // All of a batch, also behind one that failed.
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) dispatch(batch[i], completions);
    taken += static_cast<size_t>(count);
    if (count == 0) {
      // Nothing is left of queue pairs that were destroyed before: their entries are free.
      reserved_ -= left_behind_;
      left_behind_ = 0;
    }
    if (static_cast<size_t>(count) < want) break;
  }
  return taken;
}

void CompletionQueue::break_off(int error) {
  broken_ = verb_error("ibv_poll_cq", error, device().name(), "the completion queue is lost with its queue pairs");
  for (const Attachment& attachment : attachments_) {
    if (attachment.queue_pair != nullptr) attachment.queue_pair->fail(broken_);
  }
}

void CompletionQueue::dispatch(const abi::WorkCompletion& entry, std::vector<Completion>& completions) {
  const WorkRequestId id = WorkRequestId::unpack(entry.wr_id);
  const bool known = id.index < attachments_.size() && attachments_[id.index].queue_pair != nullptr &&
                     attachments_[id.index].generation == id.generation;
  if (!known || !attachments_[id.index].queue_pair->complete(id, entry, completions)) ++strays_;
}

Status CompletionQueue::attach(QueuePair* queue_pair, uint32_t entries, WorkRequestId& id) {
  if (!broken_.ok()) return broken_;
  if (entries > capacity_ - reserved_)
    return {StatusCode::kOverloaded, "a completion queue on " + device().name() + " has " +
                                         std::to_string(capacity_ - reserved_) + " of " + std::to_string(capacity_) +
                                         " entries free, a queue pair needs " + std::to_string(entries) +
                                         ": use another completion queue, or a larger one"};
  if (free_attachments_.empty()) {
    if (attachments_.size() > UINT16_MAX)
      return {StatusCode::kOverloaded, "a completion queue on " + device().name() + " serves too many queue pairs"};
    free_attachments_.push_back(static_cast<uint16_t>(attachments_.size()));
    attachments_.emplace_back();
  }
  id.index = free_attachments_.back();
  free_attachments_.pop_back();
  Attachment& attachment = attachments_[id.index];
  attachment.queue_pair = queue_pair;
  id.generation = attachment.generation;
  reserved_ += entries;
  return {};
}

void CompletionQueue::detach(const WorkRequestId& id, uint32_t entries, uint32_t undelivered) {
  Attachment& attachment = attachments_[id.index];
  attachment.queue_pair = nullptr;
  attachment.generation = static_cast<uint16_t>((attachment.generation + 1) & WorkRequestId::kGenerationMask);
  free_attachments_.push_back(id.index);
  reserved_ -= entries - undelivered;
  left_behind_ += undelivered;
}

}  // namespace ibexfs::verbs
