// What goes wrong on a real device, and ends in the middle: told in words, everything handed back, nothing left.
#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <set>

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

// Posts, waits for the one completion, gives it.
Completion run(End& end, SendRequest made) {
  const Status status = end.pair->post(std::move(made));
  REQUIRE_MESSAGE(status.ok(), status.message());
  REQUIRE(end.wait(1));
  REQUIRE(end.completions.size() == 1);
  Completion completion = std::move(end.completions.front());
  end.completions.clear();
  return completion;
}

// Providers differ in how they call some mistakes: any of `expected`.
void check_failed(End& end, const Completion& completion, std::initializer_list<CompletionStatus> expected) {
  CHECK(std::count(expected.begin(), expected.end(), completion.status) == 1);
  CHECK(end.pair->state() == QueuePairState::kError);
  CHECK(end.pair->drained());
  const std::string message = end.pair->status_of(completion).message();
  MESSAGE(message);
  CHECK(message.find(end.domain->device().name() + " port 1, queue pair") != std::string::npos);
  CHECK(message.find(describe(completion.status)) != std::string::npos);
}

// The provider's post_send, cut off after a number of requests.
int (*whole_post_send)(abi::QueuePair*, abi::SendRequest*, abi::SendRequest**) = nullptr;
size_t requests_let_through = 0;
int cut_post_send(abi::QueuePair* pair, abi::SendRequest* first, abi::SendRequest** bad) {
  abi::SendRequest* last = first;
  for (size_t i = 1; i < requests_let_through && last->next != nullptr; ++i) last = last->next;
  abi::SendRequest* refused = last->next;
  last->next = nullptr;
  const int error = whole_post_send(pair, first, bad);
  if (error != 0 || refused == nullptr) return error;
  *bad = refused;
  return ENOMEM;
}

}  // namespace

TEST_CASE("device: a wrong key, a range outside, a right that was not given") {
  const auto real = RealDevice::find();
  if (!real) return;
  const LiveCounts before;
  for (const int mistake : {0, 1, 2}) {
    CAPTURE(mistake);
    Link link(*real);
    const auto guarded = RegisteredArena::create(link.right.domain, 4096, {.remote_read = true}).take();
    RemoteRange target = link.right.remote(0, 4096);
    if (mistake == 0) target.rkey ^= 0xff;
    if (mistake == 1) target.address += End::kArenaBytes - 4095;
    if (mistake == 2) target = guarded->remote(0, 4096).take();
    fill_pattern(std::span(guarded->data(), 4096), 9);
    const auto completion = run(link.left, request(Operation::kWrite, link.left.local(0, 4096), target));
    check_failed(link.left, completion, {CompletionStatus::kRemoteAccess});
    CHECK(has_pattern(std::span(guarded->data(), 4096), 9));
  }
  CHECK(LiveCounts() == before);
}

TEST_CASE("device: local memory of another domain") {
  const auto real = RealDevice::find();
  if (!real) return;
  Link link(*real);
  const auto completion = run(link.left, request(Operation::kWrite, link.right.local(0, 4096), link.right.remote(0, 4096)));
  check_failed(link.left, completion, {CompletionStatus::kLocalProtection, CompletionStatus::kLocalQueuePairOperation});
}

TEST_CASE("device: a message longer than the receive for it") {
  const auto real = RealDevice::find();
  if (!real) return;
  Link link(*real);
  ReceiveRequest receive;
  receive.local = link.right.local(0, 100);
  REQUIRE(link.right.pair->post_receive(receive).ok());
  const auto completion = run(link.left, request(Operation::kSend, link.left.local(0, 101)));
  check_failed(link.left, completion, {CompletionStatus::kRemoteInvalidRequest, CompletionStatus::kRemoteOperation});
  REQUIRE(link.right.wait(1));
  check_failed(link.right, link.right.completions[0],
               {CompletionStatus::kLocalLength, CompletionStatus::kLocalQueuePairOperation});
}

TEST_CASE("device: a receiver without a receive") {
  const auto real = RealDevice::find();
  if (!real) return;
  auto settings = QueuePairSettings::for_device(real->device->info());
  settings.receiver_not_ready_retries = 1;
  Link link(*real, settings);
  const auto completion = run(link.left, request(Operation::kSend, link.left.local(0, 100)));
  check_failed(link.left, completion, {CompletionStatus::kReceiverNotReady});
  // The receiver knows of nothing and is as it was.
  CHECK(link.right.pair->state() == QueuePairState::kReadyToSend);
}

TEST_CASE("device: a peer that is gone") {
  const auto real = RealDevice::find();
  if (!real) return;
  auto settings = QueuePairSettings::for_device(real->device->info());
  settings.timeout = 10;  // 4 ms
  settings.retries = 2;
  Link link(*real, settings);
  link.right.pair.reset();
  const auto completion = run(link.left, request(Operation::kWrite, link.left.local(0, 100), link.right.remote(0, 100)));
  check_failed(link.left, completion, {CompletionStatus::kRetriesExceeded});
}

TEST_CASE("device: the peer's violation reaches the responder as an event or as its failure") {
  const auto real = RealDevice::find();
  if (!real) return;
  Link link(*real);
  ReceiveRequest receive;
  receive.local = link.right.local(0, 100);
  REQUIRE(link.right.pair->post_receive(receive).ok());
  RemoteRange target = link.right.remote(0, 4096);
  target.rkey ^= 0xff;
  run(link.left, request(Operation::kWrite, link.left.local(0, 4096), target));
  const auto seen = [&] {
    const auto event = real->device->next_event().take();
    if (event && event->kind == DeviceEventKind::kQueuePairFatal && event->queue_pair_number == link.right.pair->number())
      return true;
    std::vector<Completion> completions;
    REQUIRE(link.right.queue->poll(completions, 64).ok());
    return !completions.empty() && !completions[0].ok();
  };
  CHECK(wait_until(seen));
}

TEST_CASE("device: closed in the middle: each request comes back once, and what they kept is let go") {
  const auto real = RealDevice::find();
  if (!real) return;
  const LiveCounts before;
  {
    Link link(*real);
    auto keep = std::make_shared<int>(0);
    std::vector<SendRequest> requests;
    for (size_t i = 0; i < 32; ++i) {
      requests.push_back(request(i % 2 == 0 ? Operation::kRead : Operation::kWrite, link.left.local(0, 1U << 20),
                                 link.right.remote(0, 1U << 20), i));
      requests.back().keep = keep;
    }
    std::vector<ReceiveRequest> receives(8);
    for (size_t i = 0; i < receives.size(); ++i) {
      receives[i].local = link.left.local(0, 64);
      receives[i].token = 100 + i;
      receives[i].keep = keep;
    }
    REQUIRE(link.left.pair->post_receives(receives).ok());
    REQUIRE(link.left.pair->post(requests).ok());
    CHECK(keep.use_count() == 41);
    link.left.pair->fail({StatusCode::kCanceled, "closed by the test"});
    std::vector<Completion> completions;
    CHECK(link.left.pair->drain(30000, completions));
    std::set<uint64_t> tokens;
    for (const Completion& completion : completions) tokens.insert(completion.token);
    CHECK(completions.size() == 40);
    CHECK(tokens.size() == 40);
    CHECK(std::any_of(completions.begin(), completions.end(), [](const Completion& completion) { return !completion.ok(); }));
    completions.clear();
    CHECK(keep.use_count() == 1);
    CHECK(link.left.queue->strays() == 0);
  }
  CHECK(LiveCounts() == before);
}

TEST_CASE("device: destroyed in the middle, undrained; the next on the same queue is not disturbed") {
  const auto real = RealDevice::find();
  if (!real) return;
  const LiveCounts before;
  {
    Link link(*real);
    const auto settings = QueuePairSettings::for_device(real->device->info());
    for (int round = 0; round < 10; ++round) {
      std::vector<SendRequest> requests;
      for (size_t i = 0; i < 16; ++i)
        requests.push_back(request(Operation::kWrite, link.left.local(0, 100000), link.right.remote(0, 100000), i));
      REQUIRE(link.left.pair->post(requests).ok());
      link.left.pair.reset();
      // The adapter is done with the memory: what it reads from now on would be seen on the other side.
      auto next = QueuePair::create(link.left.domain, link.left.queue, link.left.queue, real->port, settings);
      REQUIRE_MESSAGE(next.ok(), next.status().message());
      link.left.pair = next.take();
      auto peer_settings = settings;
      peer_settings.remote_read = peer_settings.remote_write = true;
      auto peer = QueuePair::create(link.right.domain, link.right.queue, link.right.queue, real->port, peer_settings);
      REQUIRE_MESSAGE(peer.ok(), peer.status().message());
      link.right.pair = peer.take();
      REQUIRE(link.left.pair->connect(link.right.pair->descriptor()).ok());
      REQUIRE(link.right.pair->connect(link.left.pair->descriptor()).ok());
      const auto completion = run(link.left, request(Operation::kWrite, link.left.local(0, 64), link.right.remote(0, 64), 55));
      CHECK(completion.ok());
      CHECK(completion.token == 55);
    }
    REQUIRE(link.left.wait(0));
    CHECK(link.left.queue->reserved() == link.left.pair->settings().send_depth + 1 + link.left.pair->settings().receive_depth);
  }
  CHECK(LiveCounts() == before);
}

TEST_CASE("device: a post that is cut off in the middle drains all the same") {
  const auto real = RealDevice::find();
  if (!real) return;
  Link link(*real);
  abi::ContextOperations& operations = real->device->context()->ops;
  whole_post_send = operations.post_send;
  requests_let_through = 5;
  std::vector<SendRequest> requests;
  for (size_t i = 0; i < 10; ++i)
    requests.push_back(request(Operation::kWrite, link.left.local(0, 4096), link.right.remote(0, 4096), i));
  size_t posted = 0;
  operations.post_send = cut_post_send;
  const Status status = link.left.pair->post(requests, &posted);
  operations.post_send = whole_post_send;
  CHECK(status.code() == StatusCode::kNoMemory);
  CHECK(posted == 5);
  // None of the five asked for a report, and the device may have executed any of them before it failed.
  CHECK(link.left.pair->drain(30000, link.left.completions));
  CHECK(link.left.completions.size() == 5);
}

TEST_CASE("device: more memory than the device registers is refused with the reason") {
  const auto real = RealDevice::find();
  if (!real) return;
  const auto domain = ProtectionDomain::create(real->device).take();
  // Not mapped, so nothing that could be pinned.
  const auto refused = RegisteredMemory::create(domain, std::span(reinterpret_cast<uint8_t*>(4096), 1U << 20), {});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.status().message().starts_with("ibv_reg_mr on " + real->device->name()));
}

TEST_CASE("device: a descriptor of a peer that cannot be reached") {
  const auto real = RealDevice::find();
  if (!real || real->port.port.link_layer != LinkLayer::kEthernet || !real->port.gid.gid.is_ipv4()) return;
  End end(*real, QueuePairSettings::for_device(real->device->info()));
  ConnectionDescriptor peer = end.pair->descriptor();
  peer.gid = *Gid::parse("2001:db8::1");
  const Status status = end.pair->connect(peer);
  CHECK(status.code() == StatusCode::kBadRequest);
  CHECK(end.pair->state() == QueuePairState::kInit);
  // It can be connected with another one still.
  CHECK(end.pair->connect(end.pair->descriptor()).ok());
}
