// Completion channels and queues.
// A thread owns a channel and its queues and never sleeps while completions wait. The discipline is in harvest():
//   poll until empty -> arm -> poll until empty -> sleep on the channel's descriptor
//   awake: take_events() (all of them: with edge-triggered epoll the rest would be lost) -> harvest()
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "verbs/memory.h"
#include "verbs/work_request.h"

namespace ibexfs::verbs {

class CompletionQueue;
class QueuePair;

// One descriptor that tells of events of all its queues.
class CompletionChannel {
 public:
  static Result<std::shared_ptr<CompletionChannel>> create(std::shared_ptr<Device> device);
  ~CompletionChannel();
  CompletionChannel(const CompletionChannel&) = delete;
  CompletionChannel& operator=(const CompletionChannel&) = delete;

  // Non-blocking; for epoll or uv_poll.
  int fd() const { return handle_->fd; }
  // Takes all events that wait and remembers for each queue that it must be armed anew. None is fine: events may be
  // spurious. The thread that owns the queues calls it.
  Status take_events();

  Device& device() const { return *device_; }
  abi::CompletionChannel* handle() const { return handle_; }

 private:
  CompletionChannel(std::shared_ptr<Device> device, abi::CompletionChannel* handle);
  const std::shared_ptr<Device> device_;
  abi::CompletionChannel* const handle_;
};

// A queue can overrun, which loses it with all its queue pairs. So a queue pair reserves an entry for every request it
// may have posted, and is refused where entries are short. One thread at a time.
class CompletionQueue {
 public:
  static Result<std::shared_ptr<CompletionQueue>> create(std::shared_ptr<CompletionChannel> channel, uint32_t entries);
  ~CompletionQueue();
  CompletionQueue(const CompletionQueue&) = delete;
  CompletionQueue& operator=(const CompletionQueue&) = delete;

  // Takes completions off the queue, at most `entries_max` (at least one batch), and appends what they complete to
  // `completions`; a signalled request completes the unsignalled ones before it as well, so these may be more.
  // True: the queue is empty and armed, the caller may sleep on the channel. False: call again, now or after other
  // work. An error means that the queue is broken (overrun): destroy its queue pairs, then the queue.
  Result<bool> harvest(std::vector<Completion>& completions, size_t entries_max);
  // Without arming: for a bounded spin, and for a thread that comes back anyway. Gives the entries taken.
  Result<size_t> poll(std::vector<Completion>& completions, size_t entries_max);

  uint32_t capacity() const { return capacity_; }
  uint32_t reserved() const { return reserved_; }
  // Completions that belonged to no living request: left behind by destroyed queue pairs.
  uint64_t strays() const { return strays_; }

  Device& device() const { return channel_->device(); }
  CompletionChannel& channel() const { return *channel_; }
  abi::CompletionQueue* handle() const { return handle_; }

 private:
  friend class CompletionChannel;
  friend class QueuePair;
  // Events are acknowledged in batches because each acknowledgement takes a mutex in the library.
  static constexpr uint32_t kAcknowledgeBatch = 64;
  // Completions taken per call of the provider; 1.5 KiB of stack.
  static constexpr size_t kPollBatch = 32;

  // Place of a queue pair; index and generation are in the ids of its work requests.
  struct Attachment {
    QueuePair* queue_pair = nullptr;
    uint16_t generation = 0;
  };

  CompletionQueue(std::shared_ptr<CompletionChannel> channel, uint32_t capacity);
  Status attach(QueuePair* queue_pair, uint32_t entries, WorkRequestId& id);
  // After the queue pair was destroyed. `undelivered` of its entries may still be in the queue: they stay reserved
  // until the queue was seen empty.
  void detach(const WorkRequestId& id, uint32_t entries, uint32_t undelivered);
  Status arm();
  void event_taken();
  void break_off(int error);
  void dispatch(const abi::WorkCompletion& entry, std::vector<Completion>& completions);

  const std::shared_ptr<CompletionChannel> channel_;
  abi::CompletionQueue* handle_ = nullptr;  // set once, in create
  const uint32_t capacity_;
  uint32_t reserved_ = 0;
  uint32_t left_behind_ = 0;
  uint64_t strays_ = 0;
  uint32_t unacknowledged_ = 0;
  bool armed_ = false;
  Status broken_;
  std::vector<Attachment> attachments_;
  std::vector<uint16_t> free_attachments_;
};

}  // namespace ibexfs::verbs
