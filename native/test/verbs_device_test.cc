// Every operation on a real device, between two queue pairs of it.
#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>

#include "test/verbs_device_support.h"

using namespace ibexfs;
using namespace ibexfs::verbs;
using namespace ibexfs::test;

namespace {

SendRequest request(Operation operation, LocalRanges local, RemoteRange remote = {}, uint64_t token = 0) {
  SendRequest made;
  made.operation = operation;
  made.local = local;
  made.remote = remote;
  made.token = token;
  return made;
}

void post(End& end, SendRequest made) {
  const Status status = end.pair->post(std::move(made));
  REQUIRE_MESSAGE(status.ok(), status.message());
}

void post_receive(End& end, LocalRanges local, uint64_t token = 0) {
  ReceiveRequest made;
  made.local = local;
  made.token = token;
  const Status status = end.pair->post_receive(made);
  REQUIRE_MESSAGE(status.ok(), status.message());
}

uint64_t word_at(const uint8_t* bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

}  // namespace

TEST_CASE("device: what it is, what it can, which address it has") {
  const auto real = RealDevice::find();
  if (!real) return;
  const DeviceLimits& limits = real->device->limits();
  MESSAGE(real->device->name(), " (", real->device->info().driver, "), GID ", real->port.gid.gid.text(), " index ",
          real->port.gid.index, ", MTU ", real->port.port.mtu_bytes, ", at most ", limits.completion_entries_max,
          " completion entries, messages of ", real->port.port.message_bytes_max, " bytes");
  CHECK(limits.queue_pairs_max > 0);
  CHECK(limits.completion_entries_max > 0);
  CHECK(limits.work_requests_max > 0);
  CHECK(real->port.port.active);
  CHECK(mtu_number(real->port.port.mtu_bytes) != 0);
  CHECK(real->device->info().guid != 0);
  if (real->device->name().starts_with("rxe")) CHECK(real->device->info().soft_roce());
  if (real->port.port.link_layer != LinkLayer::kEthernet) return;
  CHECK(real->port.gid.type == GidType::kRoceV2);
  CHECK_FALSE(real->port.gid.interface.empty());
  CHECK_FALSE(real->device->next_event().value());
}

TEST_CASE("device: a GID of each address carries traffic, and the wished one is taken") {
  auto real = RealDevice::find();
  if (!real || real->port.port.link_layer != LinkLayer::kEthernet) return;
  const auto entries = real->device->gids(1);
  REQUIRE(entries.ok());
  for (const GidEntry& entry : rank_roce_gids(entries.value(), std::nullopt)) {
    CAPTURE(entry.gid.text());
    auto port = usable_port(*real->device, 1, {entry.gid, std::nullopt});
    REQUIRE(port.ok());
    CHECK(port.value().gid.gid == entry.gid);
    CHECK(usable_port(*real->device, 1, {std::nullopt, entry.index}).value().gid.index == entry.index);
    Link link({real->device, port.take()});
    post(link.left, request(Operation::kWrite, link.left.local(0, 64), link.right.remote(0, 64)));
    link.left.expect(1);
  }
}

TEST_CASE("device: older libraries' way to the GID table gives the same") {
  const auto real = RealDevice::find();
  if (!real) return;
  VerbsTable table = Library::system()->verbs();
  if (table.query_gid_table == nullptr) return;
  table.query_gid_table = nullptr;
  const auto device = Device::open(Library::with_table(table, {}), real->device->name()).take();
  const auto expected = real->device->gids(1).take();
  const auto entries = device->gids(1).take();
  REQUIRE(entries.size() == expected.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    CHECK(entries[i].gid == expected[i].gid);
    CHECK(entries[i].index == expected[i].index);
    CHECK(entries[i].type == expected[i].type);
    CHECK(entries[i].interface == expected[i].interface);
    CHECK(entries[i].interface_up == expected[i].interface_up);
  }
}

TEST_CASE("device: SEND, with immediate, inline, gathered and scattered") {
  const auto real = RealDevice::find();
  if (!real) return;
  const LiveCounts before;
  {
    Link link(*real);
    CHECK(link.left.pair->terms().mtu_bytes == real->port.port.mtu_bytes);
    fill_pattern(link.left.bytes(0, 10000), 1);
    post_receive(link.right, link.right.local(0, 10000), 7);
    post(link.left, request(Operation::kSend, link.left.local(0, 10000), {}, 8));
    CHECK(link.left.expect(1)[0].token == 8);
    const auto received = link.right.expect(1);
    CHECK(received[0].token == 7);
    CHECK(received[0].bytes == 10000);
    CHECK_FALSE(received[0].has_immediate);
    CHECK(has_pattern(link.right.bytes(0, 10000), 1));

    post_receive(link.right, {});
    SendRequest immediate = request(Operation::kSendWithImmediate, {});
    immediate.immediate = 0xabcd1234;
    post(link.left, std::move(immediate));
    link.left.expect(1);
    const auto told = link.right.expect(1);
    CHECK(told[0].has_immediate);
    CHECK(told[0].immediate == 0xabcd1234);
    CHECK_FALSE(told[0].received_write);
    CHECK(told[0].bytes == 0);

    // Memory that is registered nowhere, and changed at once.
    std::vector<uint8_t> unregistered(link.left.pair->inline_bytes_max());
    REQUIRE(unregistered.size() >= 64);
    fill_pattern(unregistered, 2);
    post_receive(link.right, link.right.local(0, 1000));
    SendRequest small = request(Operation::kSend, LocalRange{unregistered.data(), unregistered.size(), 0});
    small.inline_data = true;
    post(link.left, std::move(small));
    std::fill(unregistered.begin(), unregistered.end(), uint8_t{0});
    link.left.expect(1);
    CHECK(link.right.expect(1)[0].bytes == unregistered.size());
    CHECK(has_pattern(link.right.bytes(0, unregistered.size()), 2));

    fill_pattern(link.left.bytes(0, 6000), 3);
    post_receive(link.right, {link.right.local(100, 1000), link.right.local(20000, 0), link.right.local(5000, 5000)});
    post(link.left, request(Operation::kSend, {link.left.local(0, 10), link.left.local(10, 5000), link.left.local(5010, 0),
                                               link.left.local(5010, 990)}));
    link.left.expect(1);
    CHECK(link.right.expect(1)[0].bytes == 6000);
    CHECK(has_pattern(link.right.bytes(100, 1000), 3));
    CHECK(std::equal(link.left.bytes(1000, 5000).begin(), link.left.bytes(1000, 5000).end(), link.right.bytes(5000, 1).begin()));
  }
  CHECK(LiveCounts() == before);
}

TEST_CASE("device: WRITE, WRITE with immediate, READ") {
  const auto real = RealDevice::find();
  if (!real) return;
  Link link(*real);
  fill_pattern(link.left.bytes(0, 100000), 4);
  post(link.left, request(Operation::kWrite, link.left.local(0, 100000), link.right.remote(4096, 100000)));
  link.left.expect(1);
  CHECK(has_pattern(link.right.bytes(4096, 100000), 4));

  post_receive(link.right, {}, 5);
  SendRequest telling = request(Operation::kWriteWithImmediate, link.left.local(0, 300), link.right.remote(0, 300));
  telling.immediate = 99;
  post(link.left, std::move(telling));
  link.left.expect(1);
  const auto told = link.right.expect(1);
  CHECK(told[0].token == 5);
  CHECK(told[0].immediate == 99);
  CHECK(told[0].received_write);
  CHECK(told[0].bytes == 300);
  CHECK(has_pattern(link.right.bytes(0, 300), 4));

  fill_pattern(link.right.bytes(0, 100000), 5);
  post(link.left, request(Operation::kRead, {link.left.local(0, 1), link.left.local(8192, 99999)}, link.right.remote(0, 100000)));
  link.left.expect(1);
  CHECK(link.left.bytes(0, 1)[0] == pattern_at(0, 5));
  CHECK(link.left.bytes(8192, 1)[0] == pattern_at(1, 5));
  CHECK(link.left.bytes(8192 + 99998, 1)[0] == pattern_at(99999, 5));

  // Nothing at all is fine too.
  post(link.left, request(Operation::kWrite, {}));
  link.left.expect(1);
}

TEST_CASE("device: compare and swap, fetch and add") {
  const auto real = RealDevice::find();
  if (!real) return;
  if (!real->device->limits().atomics) {
    MESSAGE("not run: ", real->device->name(), " has no atomic operations");
    return;
  }
  Link link(*real);
  const uint64_t initial = 1000;
  std::memcpy(link.right.arena->data(), &initial, sizeof initial);
  const auto atomic = [&](Operation operation, uint64_t compare_or_add, uint64_t swap) {
    SendRequest made = request(operation, link.left.local(64, 8), link.right.remote(0, 8));
    made.compare_or_add = compare_or_add;
    made.swap = swap;
    post(link.left, std::move(made));
    link.left.expect(1);
    return word_at(link.left.arena->data() + 64);
  };
  CHECK(atomic(Operation::kFetchAndAdd, 5, 0) == 1000);
  CHECK(atomic(Operation::kCompareAndSwap, 1, 2) == 1005);
  CHECK(word_at(link.right.arena->data()) == 1005);
  CHECK(atomic(Operation::kCompareAndSwap, 1005, UINT64_MAX) == 1005);
  CHECK(word_at(link.right.arena->data()) == UINT64_MAX);
  CHECK(atomic(Operation::kFetchAndAdd, 1, 0) == UINT64_MAX);
  CHECK(word_at(link.right.arena->data()) == 0);
}

TEST_CASE("device: megabytes in chains, both directions, every byte in its place") {
  const auto real = RealDevice::find();
  if (!real) return;
  constexpr size_t kBytes = 12U << 20;
  Link link(*real, kBytes);
  const size_t piece = std::min<size_t>(link.left.pair->request_bytes_max(), 1U << 20);
  fill_pattern(link.left.bytes(0, kBytes), 6);
  const auto transfer = [&](Operation operation, End& from) {
    End& to = &from == &link.left ? link.right : link.left;
    std::vector<SendRequest> requests;
    for (size_t offset = 0; offset < kBytes; offset += piece)
      requests.push_back(request(operation, from.local(offset, piece), to.remote(offset, piece), offset));
    const Status status = from.pair->post(requests);
    REQUIRE_MESSAGE(status.ok(), status.message());
    const auto completions = from.expect(requests.size());
    for (size_t i = 0; i < completions.size(); ++i) CHECK(completions[i].token == i * piece);
  };
  transfer(Operation::kWrite, link.left);
  CHECK(has_pattern(link.right.bytes(0, kBytes), 6));
  fill_pattern(link.right.bytes(0, kBytes), 7);
  transfer(Operation::kRead, link.left);
  CHECK(has_pattern(link.left.bytes(0, kBytes), 7));
}

TEST_CASE("device: a READ, then a fenced SEND that tells of it") {
  const auto real = RealDevice::find();
  if (!real) return;
  Link link(*real);
  fill_pattern(link.right.bytes(0, 50000), 8);
  post_receive(link.right, link.right.local(100000, 50000));
  std::vector<SendRequest> requests;
  requests.push_back(request(Operation::kRead, link.left.local(0, 50000), link.right.remote(0, 50000)));
  requests.push_back(request(Operation::kSend, link.left.local(0, 50000)));
  requests[1].fence = true;
  REQUIRE(link.left.pair->post(requests).ok());
  link.left.expect(2);
  link.right.expect(1);
  CHECK(has_pattern(link.right.bytes(100000, 50000), 8));
}

TEST_CASE("device: a queue as full as it can be, again and again") {
  const auto real = RealDevice::find();
  if (!real) return;
  Link link(*real);
  const size_t depth = link.left.pair->settings().send_depth;
  for (int round = 0; round < 5; ++round) {
    std::vector<SendRequest> requests;
    for (size_t i = 0; i < depth; ++i)
      requests.push_back(request(Operation::kWrite, link.left.local(i * 64, 64), link.right.remote(i * 64, 64), i));
    const Status status = link.left.pair->post(requests);
    REQUIRE_MESSAGE(status.ok(), status.message());
    // Room comes with completions only, also after the device has executed everything.
    CHECK(link.left.pair->post(request(Operation::kWrite, {})).code() == StatusCode::kTryAgain);
    const auto completions = link.left.expect(depth);
    for (size_t i = 0; i < depth; ++i) CHECK(completions[i].token == i);
  }
}

TEST_CASE("device: two threads that sleep between messages lose none") {
  const auto real = RealDevice::find();
  if (!real) return;
  constexpr int kRounds = 500;
  Link link(*real);
  // Each side has one receive more than messages can be on the way, so none meets a receiver that is not ready.
  for (End* end : {&link.left, &link.right}) {
    post_receive(*end, end->local(0, 64));
    post_receive(*end, end->local(0, 64));
  }
  const auto play = [](End& end, bool begins) {
    const auto send = [&] { return end.pair->post(request(Operation::kSend, end.local(64, 64))).ok(); };
    size_t received = 0;
    size_t sent = begins && send() ? 1 : 0;
    while (received < kRounds || sent < kRounds) {
      if (!end.wait(1)) return false;
      for (const Completion& completion : std::exchange(end.completions, {})) {
        if (!completion.ok()) return false;
        if (completion.operation != Operation::kReceive) continue;
        ++received;
        post_receive(end, end.local(0, 64));
        if (sent < kRounds && send()) ++sent;
      }
    }
    return true;
  };
  bool other = false;
  std::thread thread([&] { other = play(link.right, false); });
  CHECK(play(link.left, true));
  thread.join();
  CHECK(other);
}
