// Latency of native/verbs on an RDMA device, one way at 64 bytes, as perftest measures it: two ends, each with a thread
// that polls. Writes are found in memory (ib_write_lat), messages in the completion queue (ib_send_lat).
// Usage: bench_verbs [TRIPS]; prints a line for each operation: its name and the median in microseconds.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "verbs/library.h"
#include "verbs/queue_pair.h"

using namespace ibexfs;
using namespace ibexfs::verbs;

namespace {

constexpr size_t kBytes = 64;
constexpr size_t kArenaBytes = 4096;
// Where a message is received; it is sent from the arena's start.
constexpr size_t kInbox = 1024;
constexpr uint32_t kEntries = 1024;
// Writes on the way whose completions nobody has looked at.
constexpr int kUnseenMax = 16;

void expect(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  std::exit(1);
}

template <typename Value>
Value expect(Result<Value> result) {
  expect(result.status());
  return result.take();
}

struct End {
  End(const std::shared_ptr<Device>& device, const LocalPort& port) {
    auto domain = expect(ProtectionDomain::create(device));
    queue = expect(CompletionQueue::create(expect(CompletionChannel::create(device)), kEntries));
    arena = expect(RegisteredArena::create(domain, kArenaBytes, {.remote_write = true}));
    auto settings = QueuePairSettings::for_device(device->info());
    settings.remote_write = true;
    pair = expect(QueuePair::create(domain, queue, queue, port, settings));
  }

  // Until `wanted` completions came since the last look.
  void complete(size_t wanted) {
    while (completions.size() < wanted) expect(expect_polled());
    for (const Completion& completion : completions) expect(pair->status_of(completion));
    completions.clear();
  }
  Status expect_polled() { return queue->poll(completions, 32).status(); }

  std::shared_ptr<CompletionQueue> queue;
  std::shared_ptr<RegisteredArena> arena;
  std::shared_ptr<QueuePair> pair;
  std::vector<Completion> completions;
};

class Writes {
 public:
  Writes(End& own, const End& peer) : end_(own) {
    request_.operation = Operation::kWrite;
    request_.inline_data = own.pair->inline_bytes_max() >= kBytes;
    request_.local = expect(own.arena->local(0, kBytes));
    request_.remote = expect(peer.arena->remote(kInbox, kBytes));
  }
  void prepare() {}
  void tell(int trip) {
    end_.arena->data()[kBytes - 1] = mark(trip);
    SendRequest request = request_;
    expect(end_.pair->post(std::move(request)));
    if (++unseen_ < kUnseenMax) return;
    end_.complete(static_cast<size_t>(unseen_));
    unseen_ = 0;
  }
  void hear(int trip) {
    const volatile uint8_t* last = end_.arena->data() + kInbox + kBytes - 1;
    while (*last != mark(trip)) {
    }
  }
  void end() { end_.complete(static_cast<size_t>(unseen_)); }

 private:
  // Neighbours differ, and none is 0, which was there before.
  static uint8_t mark(int trip) { return static_cast<uint8_t>(trip % 255 + 1); }
  End& end_;
  SendRequest request_;
  int unseen_ = 0;
};

class Messages {
 public:
  Messages(End& own, const End& /*peer*/) : end_(own) {
    request_.operation = Operation::kSend;
    request_.inline_data = own.pair->inline_bytes_max() >= kBytes;
    request_.local = expect(own.arena->local(0, kBytes));
  }
  void prepare() {
    ReceiveRequest receive;
    receive.local = expect(end_.arena->local(kInbox, kBytes));
    expect(end_.pair->post_receive(std::move(receive)));
  }
  void tell(int /*trip*/) {
    SendRequest request = request_;
    expect(end_.pair->post(std::move(request)));
    ++wanted_;
  }
  // A message, and the end of what was sent before.
  void hear(int /*trip*/) {
    while (!heard_) {
      expect(end_.expect_polled());
      for (const Completion& completion : end_.completions) {
        expect(end_.pair->status_of(completion));
        if (completion.operation == Operation::kReceive)
          heard_ = true;
        else
          --wanted_;
      }
      end_.completions.clear();
    }
    heard_ = false;
    prepare();
  }
  void end() { end_.complete(static_cast<size_t>(wanted_)); }

 private:
  End& end_;
  SendRequest request_;
  int wanted_ = 0;
  bool heard_ = false;
};

template <typename Side>
double median_us(const std::shared_ptr<Device>& device, const LocalPort& port, int trips) {
  End left(device, port);
  End right(device, port);
  expect(left.pair->connect(right.pair->descriptor()));
  expect(right.pair->connect(left.pair->descriptor()));
  Side asking(left, right);
  Side answering(right, left);
  asking.prepare();
  answering.prepare();
  std::thread peer([&] {
    for (int trip = 0; trip < trips; ++trip) {
      answering.hear(trip);
      answering.tell(trip);
    }
    answering.end();
  });
  std::vector<double> samples;
  samples.reserve(static_cast<size_t>(trips));
  auto begin = std::chrono::steady_clock::now();
  for (int trip = 0; trip < trips; ++trip) {
    asking.tell(trip);
    asking.hear(trip);
    const auto end = std::chrono::steady_clock::now();
    samples.push_back(std::chrono::duration<double, std::micro>(end - begin).count() / 2);
    begin = end;
  }
  asking.end();
  peer.join();
  std::ranges::nth_element(samples, samples.begin() + trips / 2);
  return samples[static_cast<size_t>(trips) / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const int trips = argc > 1 ? std::atoi(argv[1]) : 10'000;
  if (trips < 1) return 2;
  const auto devices = expect(Library::system()->devices());
  if (devices.empty()) expect(Status(StatusCode::kNotSupported, Library::system()->report().reason));
  const auto device = expect(Device::open(Library::system(), devices.front().name));
  const auto port = expect(usable_port(*device, 1, {}));
  std::printf("write %.3f\n", median_us<Writes>(device, port, trips));
  std::printf("send %.3f\n", median_us<Messages>(device, port, trips));
  return 0;
}
