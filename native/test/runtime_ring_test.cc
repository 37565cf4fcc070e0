// The event ring: order and loss under several producers, a full ring, kept records, padding at the end.
#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "runtime/event_ring.h"
#include "test/support.h"

using namespace ibexfs;
using namespace ibexfs::test;

namespace {

// Reads the ring as JavaScript does: control words first, records from byte 64 on.
class Consumer {
 public:
  Consumer(EventRing& ring, size_t capacity)
      : ring_(ring), capacity_(capacity), words_(reinterpret_cast<uint32_t*>(ring.memory())) {}

  // Takes up to `limit` records and hands each one to `take(kind, record)`; gives how many there were.
  template <typename Take>
  size_t drain(size_t limit, Take take) {
    size_t count = 0;
    uint32_t head = load(0);
    while (count < limit && head != load(1)) {
      const uint8_t* record = ring_.memory() + EventRing::kControlBytes + (head & (capacity_ - 1));
      wire::RingRecord start;
      std::memcpy(&start, record, sizeof(start));
      REQUIRE(+start.length >= sizeof(start));
      REQUIRE(+start.length % 8 == 0);
      if (static_cast<wire::EventKind>(start.kind) != wire::EventKind::kPadding) {
        take(static_cast<wire::EventKind>(start.kind), record);
        count++;
      } else {
        paddings++;
      }
      head += start.length;
      store(0, head);
    }
    if (__atomic_exchange_n(&words_[3], 0U, __ATOMIC_SEQ_CST) != 0) ring_.room_made();
    return count;
  }
  void sleep() { store(2, 1); }

  size_t paddings = 0;

 private:
  uint32_t load(size_t word) const { return __atomic_load_n(&words_[word], __ATOMIC_SEQ_CST); }
  void store(size_t word, uint32_t value) { __atomic_store_n(&words_[word], value, __ATOMIC_SEQ_CST); }

  EventRing& ring_;
  const size_t capacity_;
  uint32_t* words_;
};

wire::LogEvent log_record(size_t text_bytes) {
  wire::LogEvent event;
  event.text_length = static_cast<uint32_t>(text_bytes);
  return event;
}

}  // namespace

TEST_CASE("event ring: several producers and a slow consumer lose nothing and keep each producer's order") {
  constexpr size_t kCapacity = 4096;
  constexpr uint32_t kProducers = 3;
  constexpr uint32_t kRecords = 3000;
  std::atomic<uint32_t> wakes{0};
  EventRing ring(
      kCapacity, [&] { wakes++; }, [] {});
  Consumer consumer(ring, kCapacity);
  std::atomic<uint32_t> finished{0};
  std::vector<std::thread> producers;
  for (uint32_t producer = 0; producer < kProducers; producer++) {
    producers.emplace_back([&, producer] {
      std::vector<uint8_t> text(100);
      for (uint32_t i = 0; i < kRecords; i++) {
        const size_t bytes = i % text.size();
        fill_pattern({text.data(), bytes}, i);
        wire::ConnectionEvent event;
        event.connection = producer;
        event.listener = i;
        event.text_length = static_cast<uint32_t>(bytes);
        if (producer == 0) {
          ring.push_surely(wire::EventKind::kConnectionOpened, event, {Bytes(text.data(), bytes)});
          continue;
        }
        // As connections do: try, ask to be told of room, try once more, then wait for it.
        while (!ring.push(wire::EventKind::kConnectionOpened, event, {Bytes(text.data(), bytes)})) {
          auto room = std::make_shared<std::atomic<bool>>(false);
          ring.when_room([room] { *room = true; });
          if (ring.push(wire::EventKind::kConnectionOpened, event, {Bytes(text.data(), bytes)})) break;
          while (!*room) std::this_thread::yield();
        }
      }
      finished++;
    });
  }
  std::vector<uint32_t> next(kProducers, 0);
  size_t wrong = 0;
  const auto take = [&](wire::EventKind kind, const uint8_t* record) {
    wire::ConnectionEvent event;
    std::memcpy(&event, record, sizeof(event));
    const bool whole = kind == wire::EventKind::kConnectionOpened && event.connection < kProducers &&
                       has_pattern({record + sizeof(event), event.text_length}, event.listener);
    if (!whole || next[event.connection]++ != event.listener) wrong++;
  };
  CHECK(wait_until(
      [&] {
        consumer.drain(5, take);
        return next == std::vector<uint32_t>(kProducers, kRecords);
      },
      std::chrono::seconds(60)));
  for (std::thread& producer : producers) producer.join();
  CHECK(wrong == 0);
  CHECK(consumer.paddings > 0);
  CHECK(wakes == 1);  // JavaScript never said again that it sleeps
}

TEST_CASE("event ring: records that are kept come in order, and nobody overtakes them") {
  constexpr size_t kCapacity = 1024;
  EventRing ring(
      kCapacity, [] {}, [] {});
  Consumer consumer(ring, kCapacity);
  uint32_t pushed = 0;
  for (; pushed < 200; pushed++) {
    wire::IoEvent event;
    event.tag = pushed;
    ring.push_surely(wire::EventKind::kIoDone, event);
  }
  wire::IoEvent refused;
  refused.tag = 999;
  CHECK_FALSE(ring.push(wire::EventKind::kIoDone, refused));
  std::atomic<int> told{0};
  ring.when_room([&] { told++; });
  uint32_t next = 0;
  const auto take = [&](wire::EventKind, const uint8_t* record) {
    wire::IoEvent event;
    std::memcpy(&event, record, sizeof(event));
    CHECK(+event.tag == next++);
  };
  consumer.drain(3, take);
  CHECK(told == 0);  // what came free went to the records that are kept
  CHECK_FALSE(ring.push(wire::EventKind::kIoDone, refused));
  while (consumer.drain(1000, take) > 0) {
  }
  CHECK(next == pushed);
  CHECK(told == 1);
  refused.tag = next;
  CHECK(ring.push(wire::EventKind::kIoDone, refused));
  CHECK(consumer.drain(10, take) == 1);
}

TEST_CASE("event ring: a record of any length fits behind padding, byte for byte") {
  constexpr size_t kCapacity = 1024;
  EventRing ring(
      kCapacity, [] {}, [] {});
  Consumer consumer(ring, kCapacity);
  std::vector<uint8_t> text(500);
  for (size_t round = 0; round < 2000; round++) {
    const size_t bytes = (round * 37) % text.size();
    fill_pattern({text.data(), bytes}, round);
    auto event = log_record(bytes);
    REQUIRE(ring.push(wire::EventKind::kLog, event,
                      {Bytes(text.data(), bytes / 2), Bytes(text.data() + bytes / 2, bytes - bytes / 2)}));
    const size_t taken = consumer.drain(
        10, [&](wire::EventKind, const uint8_t* record) { CHECK(std::memcmp(record + sizeof(event), text.data(), bytes) == 0); });
    REQUIRE(taken == 1);
  }
  CHECK(consumer.paddings > 0);
}

TEST_CASE("event ring: a wake-up is sent for the first record after the consumer slept, and only for it") {
  std::atomic<int> wakes{0};
  EventRing ring(
      1024, [&] { wakes++; }, [] {});
  Consumer consumer(ring, 1024);
  auto event = log_record(0);
  for (int i = 0; i < 3; i++) CHECK(ring.push(wire::EventKind::kLog, event));
  CHECK(wakes == 1);
  consumer.drain(10, [](wire::EventKind, const uint8_t*) {});
  consumer.sleep();
  for (int i = 0; i < 3; i++) CHECK(ring.push(wire::EventKind::kLog, event));
  CHECK(wakes == 2);
}

TEST_CASE("event ring: an unhurried record wakes nobody until it is looked for, or comes along with another") {
  int wakes = 0;
  int wanted_soon = 0;
  EventRing ring(
      1024, [&] { wakes++; }, [&] { wanted_soon++; });
  Consumer consumer(ring, 1024);
  auto event = log_record(0);
  const auto push_unhurried = [&] { return ring.push_unhurried(wire::EventKind::kLog, &event, sizeof(event), {}); };
  ring.look_again();
  CHECK(wakes == 0);  // nothing is there
  CHECK(push_unhurried());
  CHECK(wakes == 0);
  CHECK(wanted_soon == 1);
  ring.look_again();
  CHECK(wakes == 1);
  CHECK(push_unhurried());
  CHECK(wanted_soon == 1);  // it is awake and sees it anyway
  CHECK(consumer.drain(10, [](wire::EventKind, const uint8_t*) {}) == 2);
  consumer.sleep();
  CHECK(push_unhurried());
  CHECK(ring.push(wire::EventKind::kLog, event));
  CHECK(wakes == 2);
  CHECK(consumer.drain(10, [](wire::EventKind, const uint8_t*) {}) == 2);
}
