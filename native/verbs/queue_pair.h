// A reliable connection (RC) between two queue pairs. Made in INIT, connected with the peer's descriptor, used, and
// ended: fail() -> its requests come back flushed -> drained() -> destructor -> what the requests kept is let go.
// Belongs to the thread of its completion queues.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "verbs/completion_queue.h"
#include "verbs/connection_descriptor.h"
#include "verbs/memory.h"
#include "verbs/work_request.h"

namespace ibexfs::verbs {

// The defaults are for adapters; for_device() knows the differences of soft-RoCE. All that a device limits is lowered to
// its limit when the queue pair is made.
struct QueuePairSettings {
  // Requests that may be on the way; more is back-pressure (kTryAgain).
  uint32_t send_depth = 256;
  uint32_t receive_depth = 128;
  uint32_t ranges_max = kRangesMax;
  // Asked for; what the device gives is QueuePair::inline_bytes_max. 220 fits four of mlx5's 64-byte blocks.
  uint32_t inline_bytes = 220;
  // In a chain each 16th request reports its end, and always the last: fewer reports cost less, more give back the slots
  // of the send queue earlier.
  uint32_t signal_every = 16;
  // Bytes of one request: bounds how long it holds the wire (and, with soft-RoCE, a processor in the kernel). What is
  // larger is split by the caller.
  uint32_t request_bytes_max = 1U << 20;
  // An unacknowledged packet is sent again after 4.096 us * 2^timeout (14: 67 ms), `retries` times.
  uint8_t timeout = 14;
  uint8_t retries = 7;
  // A receiver without a posted receive is a fault of our credits, not a state to wait in for ever (7 would). 12: the
  // receiver asks for a pause of 0.64 ms.
  uint8_t receiver_not_ready_retries = 6;
  uint8_t receiver_not_ready_timer = 12;
  // READs and atomics at once, each way.
  uint8_t responder_depth = 16;
  uint8_t initiator_depth = 16;
  // Routers between RoCE v2 peers; 0 and 1 would not leave the subnet.
  uint8_t hop_limit = 64;
  uint8_t traffic_class = 0;
  uint8_t service_level = 0;
  // What the peer may do to our memory at all, whatever keys it knows.
  bool remote_read = false;
  bool remote_write = false;
  bool remote_atomic = false;
  // Comes back in each Completion.
  uint64_t owner = 0;

  static QueuePairSettings for_device(const DeviceInfo& device);
};

enum class QueuePairState : uint8_t { kReset, kInit, kReadyToReceive, kReadyToSend, kError };
std::string_view describe(QueuePairState state);
// The life of a queue pair: forward one step at a time, or to kError from anywhere; never back.
bool may_change(QueuePairState from, QueuePairState to);

class QueuePair {
 public:
  // Sends and receives may complete on one queue or on two. The queue pair is in kInit: receives can be posted.
  static Result<std::shared_ptr<QueuePair>> create(std::shared_ptr<ProtectionDomain> domain,
                                                   std::shared_ptr<CompletionQueue> send_queue,
                                                   std::shared_ptr<CompletionQueue> receive_queue, const LocalPort& port,
                                                   const QueuePairSettings& settings);
  // May run with requests on the way: destroying is a fence, after it the adapter touches nothing, and then what the
  // requests kept is let go. But then their outcome is unknown, which is why callers drain first.
  ~QueuePair();
  // What the destructor does, for who has memory that the peer reads and writes: false, the device refused, and may go on
  // using everything until the process ends. The queue pair is of no more use.
  bool destroy();
  QueuePair(const QueuePair&) = delete;
  QueuePair& operator=(const QueuePair&) = delete;

  // For the peer.
  const ConnectionDescriptor& descriptor() const { return descriptor_; }
  // INIT to ready to receive; fails with kBadRequest for a descriptor that cannot be.
  Status ready_to_receive(const ConnectionDescriptor& peer);
  // Ready to receive to ready to send. To be called when the peer is ready to receive, or will be within the retries.
  Status ready_to_send();
  // Both.
  Status connect(const ConnectionDescriptor& peer);

  // Posts all requests in order, in chains with one doorbell each, or none. kTryAgain: the send queue has no room now
  // (wait for completions); other errors before posting leave the queue pair as it was. Should the device refuse in the
  // middle, *posted says how many it took: those are moved from and will complete, the others are untouched, and the
  // queue pair is in kError.
  Status post(std::span<SendRequest> requests, size_t* posted = nullptr);
  Status post(SendRequest request) { return post(std::span(&request, 1)); }
  Status post_receives(std::span<ReceiveRequest> requests, size_t* posted = nullptr);
  Status post_receive(ReceiveRequest request) { return post_receives(std::span(&request, 1)); }

  // Ends the connection: to kError; everything on the way comes back as a Completion. `reason` is kept if it is the first.
  void fail(Status reason);
  // In kError with nothing on the way: may be destroyed without loss.
  bool drained() const { return state_ == QueuePairState::kError && sends_.outstanding() == 0 && receives_.outstanding() == 0; }
  // Polls both completion queues until drained or until the time is over; completions (of other queue pairs as well)
  // are appended. For the end of a process and for tests; a loop waits for its completions instead.
  bool drain(uint32_t limit_ms, std::vector<Completion>& completions);

  QueuePairState state() const { return state_; }
  // Why it is in kError: the first cause, as a completion or a caller told it.
  const Status& failure() const { return failure_; }
  // A completion's error in full words, with device, port and peer.
  Status status_of(const Completion& completion) const;

  uint32_t number() const { return descriptor_.queue_pair_number; }
  uint32_t send_slots_free() const { return settings_.send_depth - sends_.outstanding(); }
  uint32_t receive_slots_free() const { return settings_.receive_depth - receives_.outstanding(); }
  uint32_t inline_bytes_max() const { return inline_bytes_max_; }
  uint32_t request_bytes_max() const { return request_bytes_max_; }
  const QueuePairSettings& settings() const { return settings_; }  // as lowered to the device's limits
  const ConnectionTerms& terms() const { return terms_; }
  ProtectionDomain& domain() const { return *domain_; }
  // "rxe0 port 1, queue pair 17, peer queue pair 18 at 10.77.0.2"
  std::string subject() const;

 private:
  friend class CompletionQueue;

  // A request that the adapter has.
  struct Slot {
    uint64_t token = 0;
    Operation operation = Operation::kSend;
    bool marker = false;  // our own, see post_marker
    std::shared_ptr<const void> keep;
  };
  // Requests of one queue in the order posted; sequence numbers run on and wrap at 32 bits.
  struct Ring {
    std::vector<Slot> slots;
    uint32_t mask = 0;
    uint32_t head = 0;           // sequence of the next request
    uint32_t tail = 0;           // of the oldest that is on the way
    uint32_t last_signaled = 0;  // sequence after the last request that will report its end
    uint32_t outstanding() const { return head - tail; }
    Slot& at(uint32_t sequence) { return slots[sequence & mask]; }
    void resize(uint32_t depth);
  };

  QueuePair(std::shared_ptr<ProtectionDomain> domain, std::shared_ptr<CompletionQueue> send_queue,
            std::shared_ptr<CompletionQueue> receive_queue, const LocalPort& port, const QueuePairSettings& settings);
  Status create_handle();
  Status initialize();
  Status wrong_state(const std::string& wish) const;
  void leak();
  // The last of a chain, and each `signal_every`th.
  bool signaled(size_t index, size_t count) const { return index + 1 == count || (index + 1) % settings_.signal_every == 0; }
  Status modify(QueuePairState to, abi::QueuePairAttributes& attributes, int mask);
  Status check(const SendRequest& request) const;
  Status check(const ReceiveRequest& request) const;
  Status post_chain(std::span<SendRequest> requests, size_t& posted);
  Status post_receive_chain(std::span<ReceiveRequest> requests, size_t& posted);
  void post_marker();
  // Called by a completion queue; false when no request on the way has this sequence.
  bool complete(const WorkRequestId& id, const abi::WorkCompletion& entry, std::vector<Completion>& completions);

  const std::shared_ptr<ProtectionDomain> domain_;
  const std::shared_ptr<CompletionQueue> send_queue_;
  const std::shared_ptr<CompletionQueue> receive_queue_;
  const LocalPort port_;
  QueuePairSettings settings_;
  abi::QueuePair* handle_ = nullptr;
  WorkRequestId send_id_;
  WorkRequestId receive_id_;
  bool send_attached_ = false;
  bool receive_attached_ = false;
  uint32_t inline_bytes_max_ = 0;
  uint32_t request_bytes_max_ = 0;
  ConnectionDescriptor descriptor_;
  ConnectionDescriptor peer_;
  ConnectionTerms terms_;
  QueuePairState state_ = QueuePairState::kReset;
  Status failure_;
  Ring sends_;
  Ring receives_;
};

}  // namespace ibexfs::verbs
