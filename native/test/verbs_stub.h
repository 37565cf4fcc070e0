// A device that exists in a table of verbs only: it moves no byte and completes nothing by itself, but keeps the rules
// that matter (order, flushing, one event per arming, what blocks a destroy) and does on demand what no real device
// does on demand. One at a time.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "verbs/library.h"
#include "verbs/queue_pair.h"

namespace ibexfs::test {

class StubVerbs {
 public:
  StubVerbs();
  ~StubVerbs();
  StubVerbs(const StubVerbs&) = delete;
  StubVerbs& operator=(const StubVerbs&) = delete;

  static verbs::VerbsTable table();

  // What the device is; to be set before it is opened.
  std::vector<std::string> device_names{"stub0"};
  int list_error = 0;  // the list is null with this errno
  verbs::abi::DeviceAttributes attributes{};
  verbs::abi::PortAttributes port{};
  std::vector<verbs::abi::GidEntry> gids;
  uint32_t inline_bytes_max = 64;  // more is refused with EINVAL, as some providers do

  // Errors on demand: verb to errno.
  std::map<std::string, int> failures;
  // post_send takes so many more requests, then refuses with ENOMEM; negative: all.
  int sends_until_refusal = -1;
  int receives_until_refusal = -1;

  // The requests that the device has of a queue pair, oldest first.
  struct Posted {
    uint64_t wr_id = 0;
    bool signaled = true;
    bool is_inline = false;
    int opcode = 0;
    int ranges = 0;
    bool fence = false;
  };
  struct Pair {
    verbs::abi::QueuePair raw{};
    std::deque<Posted> sends, receives;
    std::vector<verbs::abi::QueuePairAttributes> modifications;
    std::vector<int> masks;
  };
  Pair& pair(uint32_t number);

  // Executes the oldest `count` sends: the signalled ones report success.
  void execute_sends(uint32_t number, size_t count);
  // The oldest send fails, which takes the queue pair to its error state and flushes all others.
  void fail_send(uint32_t number, int status);
  void execute_receive(uint32_t number, uint32_t bytes, const uint32_t* immediate = nullptr, bool write = false);
  // The error state flushes at once unless this is set; then flush() does it.
  bool late_flush = false;
  void flush(uint32_t number);
  // Any entry at all.
  void deliver(verbs::abi::CompletionQueue* queue, const verbs::abi::WorkCompletion& entry);
  // An event that nothing caused.
  void raise_event(verbs::abi::CompletionQueue* queue);
  void raise_async(verbs::abi::AsyncEvent event);

  // Runs within the next arming, before it takes effect: for what comes in just then.
  std::function<void()> before_arming;

  // What went on.
  std::vector<std::string> calls;   // verbs of making and destroying, in order
  std::vector<std::string> faults;  // rules that were broken: tests expect none
  size_t doorbells = 0;
  size_t acknowledgements = 0;  // calls of ack_cq_events
  size_t async_unacknowledged = 0;

 private:
  friend struct StubEntry;
  struct Queue {
    verbs::abi::CompletionQueue raw{};
    std::deque<verbs::abi::WorkCompletion> entries;
    bool armed = false;
    bool overrun = false;
    uint32_t events_taken = 0;
    uint32_t events_acknowledged = 0;
    uint32_t users = 0;
  };
  struct Channel {
    verbs::abi::CompletionChannel raw{};
    std::deque<verbs::abi::CompletionQueue*> events;
  };
  bool fails(const char* verb);
  Queue& queue_of(verbs::abi::CompletionQueue* raw);
  void report(Pair& pair, const Posted& posted, int status, bool receive);

  verbs::abi::Context context_{};
  std::vector<verbs::abi::Device> devices_;
  std::vector<verbs::abi::Device*> list_;
  UniqueFd async_fd_;
  std::deque<verbs::abi::AsyncEvent> async_events_;
  std::set<verbs::abi::ProtectionDomain*> domains_;
  std::set<verbs::abi::MemoryRegion*> regions_;
  std::map<verbs::abi::CompletionQueue*, std::unique_ptr<Queue>> queues_;
  std::map<verbs::abi::CompletionChannel*, std::unique_ptr<Channel>> channels_;
  std::map<uint32_t, std::unique_ptr<Pair>> pairs_;
  uint32_t last_number_ = 16;
  uint32_t last_key_ = 0;
};

// A library over the stub, with an open device and a usable port.
struct StubDevice {
  StubDevice();
  ~StubDevice();  // checks that nothing is left (unless a leak was provoked) and no rule was broken

  std::shared_ptr<verbs::ProtectionDomain> domain();
  std::shared_ptr<verbs::CompletionQueue> queue(uint32_t entries);
  // Connected with an invented peer.
  std::shared_ptr<verbs::QueuePair> connected(const std::shared_ptr<verbs::CompletionQueue>& queue,
                                              verbs::QueuePairSettings settings);

  StubVerbs stub;
  std::shared_ptr<verbs::Library> library;
  std::shared_ptr<verbs::Device> device;
  uint64_t leaks_expected = 0;
};

verbs::QueuePairSettings small_settings();  // 8 sends, 4 receives
verbs::ConnectionDescriptor invented_peer();

}  // namespace ibexfs::test
