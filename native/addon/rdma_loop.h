// A completion queue with its queue pairs on Node's event loop: requests go from shared memory to the queue pairs in
// chains, completions come back through the queue's channel, watched by uv_poll on the loop that owns it, and JavaScript
// is called once per batch. Belongs to the thread of its environment.
//
// Owns the queue pairs, so that the end of the environment (a worker's, or the process's) can end them in order: error,
// drain, destroy, and only then what their requests kept. Keeps the loop alive exactly while requests are on the way.
#pragma once

#include <napi.h>
#include <uv.h>

#include <memory>
#include <optional>
#include <vector>

#include "addon/rdma_device.h"
#include "base/wire.h"
#include "verbs/queue_pair.h"

namespace ibexfs {

class RdmaLoop {
 public:
  // Requests that JavaScript hands over with one call, completions that it gets with one.
  static constexpr uint32_t kRequestsMax = 1024;
  static constexpr uint32_t kCompletionsMax = 1024;

  // `on_completions(count)` is called with records in completions(); on_completions(0, error): the queue is broken.
  // Lives until close(), and a turn of libuv longer.
  static Result<std::shared_ptr<RdmaLoop>> create(Napi::Env env, std::shared_ptr<RdmaDeviceState> device, uint32_t entries,
                                                  Napi::Function on_completions);
  RdmaLoop(const RdmaLoop&) = delete;
  RdmaLoop& operator=(const RdmaLoop&) = delete;
  ~RdmaLoop() = default;

  // Memory that JavaScript shares; outlives the loop for as long as JavaScript holds it.
  const std::shared_ptr<std::vector<wire::RdmaRequest>>& requests() const { return requests_; }
  const std::shared_ptr<std::vector<wire::RdmaCompletion>>& completions() const { return completions_; }

  // What became of the requests of one queue pair that were not posted.
  struct Refusal {
    uint32_t queue_pair = 0;  // slot
    bool receives = false;    // its receives, or all else
    uint32_t posted = 0;      // how many of them, from the first, were posted all the same and will complete
    Status status;
  };
  // Posts the first `count` requests: those of each queue pair in their order, up to the first that is at fault (its arena
  // was closed); receives before the others, so that an answer to a request finds its receive.
  std::vector<Refusal> submit(uint32_t count);
  // Takes completions without the event loop, those that are there or that come within `limit_us`; how many records
  // completions() holds.
  Result<uint32_t> poll(uint32_t limit_us);

  // The queue pair gets a slot; null when the loop was closed meanwhile.
  Result<uint32_t> add(std::shared_ptr<verbs::ProtectionDomain> domain, const verbs::LocalPort& port,
                       verbs::QueuePairSettings settings);
  // Null when there is none, or no more.
  verbs::QueuePair* find(uint32_t slot) const;
  // Destroys it. Requests that were on the way never complete.
  void remove(uint32_t slot);

  uint32_t capacity() const { return queue_ ? queue_->capacity() : 0; }
  bool closed() const { return closed_; }
  const std::string& device_name() const { return device_->device->name(); }
  // Ends all queue pairs. Nothing is called any more.
  void close();

 private:
  struct Place {
    std::shared_ptr<verbs::QueuePair> queue_pair;
    uint32_t generation = 0;
    uint64_t on_the_way = 0;
    // Of the submission at hand.
    std::vector<verbs::SendRequest> sends;
    std::vector<verbs::ReceiveRequest> receives;
    // Of the first request that cannot be posted; those before it are posted.
    Status send_fault, receive_fault;
  };
  static constexpr uint32_t kIndexBits = 16;
  static constexpr uint32_t kIndexMask = (1U << kIndexBits) - 1;
  // Looks at the queue for each at the clock.
  static constexpr uint32_t kLooksPerClock = 64;
  // Batches that JavaScript gets before other handles of the loop have their turn.
  static constexpr int kBatchesPerTurn = 4;
  // At the end of the environment outcomes interest nobody: what is not flushed by then, destroying ends.
  static constexpr uint32_t kDrainLimitMs = 500;

  RdmaLoop(Napi::Env env, std::shared_ptr<RdmaDeviceState> device, Napi::Function on_completions);
  bool watch();
  void turn();
  void go_on(bool wanted);
  uint32_t emit();
  void record(const verbs::Completion& completion, uint32_t& records);
  void deliver(uint32_t count, const Status& broken);
  void count(Place& place, int64_t change);
  Place* place_of(uint32_t slot);
  void sort_in(const wire::RdmaRequest& request);
  Status translate(const wire::RdmaRequest& request, const verbs::QueuePair& pair, verbs::LocalRange& range,
                   std::shared_ptr<const void>& keep) const;
  void post(uint32_t index, std::vector<Refusal>& refusals);
  static void handle_closed(uv_handle_t* handle);
  static void environment_ends(napi_async_cleanup_hook_handle hook, void* self);

  Napi::Env env_;
  std::shared_ptr<RdmaDeviceState> device_;
  Napi::FunctionReference on_completions_;
  std::optional<Napi::AsyncContext> context_;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  std::shared_ptr<verbs::CompletionChannel> channel_;
  std::shared_ptr<verbs::CompletionQueue> queue_;
  std::vector<Place> places_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> touched_;  // indices of places, of the submission at hand
  std::shared_ptr<std::vector<wire::RdmaRequest>> requests_;
  std::shared_ptr<std::vector<wire::RdmaCompletion>> completions_;
  // Taken from the queue, not yet given to JavaScript: from `given_` on.
  std::vector<verbs::Completion> ready_;
  size_t given_ = 0;
  uint64_t on_the_way_ = 0;
  uv_poll_t poll_{};
  uv_idle_t idle_{};  // runs while the queue was not seen empty, so that the loop does not sleep
  int open_handles_ = 0;
  bool closed_ = false;
  bool broken_told_ = false;
  std::shared_ptr<RdmaLoop> self_;  // while libuv or the environment may call
};

}  // namespace ibexfs
