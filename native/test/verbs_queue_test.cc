// Posting and completing, where a real device would not do what is asked for here: refusals in the middle, errors at a
// chosen request, overruns, stray and late completions, spurious events.
#include <doctest/doctest.h>

#include "test/verbs_stub.h"

using namespace ibexfs;
using namespace ibexfs::verbs;
using namespace ibexfs::test;

namespace {

std::vector<SendRequest> sends(size_t count, uint64_t first_token = 0) {
  std::vector<SendRequest> requests(count);
  for (size_t i = 0; i < count; ++i) {
    requests[i].token = first_token + i;
    requests[i].keep = std::make_shared<int>(0);
  }
  return requests;
}

std::vector<Completion> harvest(CompletionQueue& queue) {
  std::vector<Completion> completions;
  const auto done = queue.harvest(completions, SIZE_MAX);
  REQUIRE(done.ok());
  REQUIRE(done.value());
  return completions;
}

std::vector<uint64_t> tokens(const std::vector<Completion>& completions) {
  std::vector<uint64_t> all;
  for (const Completion& completion : completions) all.push_back(completion.token);
  return all;
}

}  // namespace

TEST_CASE("the states are entered with what both ends agreed upon") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  const auto& posted = stub.stub.pair(pair->number());
  REQUIRE(posted.modifications.size() == 3);
  CHECK(posted.masks[0] == (abi::kMaskState | abi::kMaskPkeyIndex | abi::kMaskPort | abi::kMaskAccessFlags));
  CHECK(posted.modifications[1].path_mtu == 4);
  CHECK(posted.modifications[1].rq_psn == 12345);
  CHECK(posted.modifications[1].dest_qp_num == 99);
  CHECK(posted.modifications[1].max_dest_rd_atomic == 8);
  CHECK(posted.modifications[1].min_rnr_timer == 12);
  CHECK(posted.modifications[1].ah_attr.is_global == 1);
  CHECK(posted.modifications[1].ah_attr.grh.hop_limit == 64);
  CHECK(posted.modifications[1].ah_attr.grh.sgid_index == 1);
  CHECK(posted.modifications[1].ah_attr.grh.dgid.raw[15] == 2);
  CHECK(posted.modifications[2].sq_psn == pair->descriptor().packet_sequence_number);
  CHECK(posted.modifications[2].max_rd_atomic == 4);
  CHECK(posted.modifications[2].rnr_retry == 6);
  CHECK(pair->state() == QueuePairState::kReadyToSend);
  CHECK_FALSE(pair->connect(invented_peer()).ok());
  CHECK(pair->subject() == "stub0 port 1, queue pair 17, peer queue pair 99 at 10.0.0.2");
  // 220 and 110 were refused.
  CHECK(pair->inline_bytes_max() == 55);
}

TEST_CASE("a queue pair is not made of two opened devices, though they be one adapter") {
  StubDevice stub;
  const auto again = Device::open(stub.library, "stub0");
  REQUIRE(again.ok());
  const auto port = usable_port(*stub.device, 1, {});
  REQUIRE(port.ok());
  const auto domain = stub.domain();
  const auto queue = stub.queue(20);
  const auto channel = CompletionChannel::create(again.value());
  REQUIRE(channel.ok());
  const auto other = CompletionQueue::create(channel.value(), 20);
  REQUIRE(other.ok());
  for (const auto& [sends_to, receives_to] :
       {std::pair{queue, other.value()}, std::pair{other.value(), queue}, std::pair{other.value(), other.value()}}) {
    const auto made = QueuePair::create(domain, sends_to, receives_to, port.value(), small_settings());
    CHECK(made.status().code() == StatusCode::kInvalid);
  }
  CHECK(QueuePair::create(domain, queue, queue, port.value(), small_settings()).ok());
}

TEST_CASE("a chain is one doorbell; every fourth and the last request report") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  auto requests = sends(7);
  CHECK(pair->post(requests).ok());
  CHECK(stub.stub.doorbells == 1);
  CHECK(pair->send_slots_free() == 1);
  CHECK_FALSE(requests[0].keep);
  std::vector<bool> signaled;
  for (const auto& posted : stub.stub.pair(pair->number()).sends) signaled.push_back(posted.signaled);
  CHECK(signaled == std::vector<bool>{false, false, false, true, false, false, true});
  stub.stub.execute_sends(pair->number(), 5);
  auto completions = harvest(*queue);
  // One report for the first four; the fifth has executed but nobody was told.
  CHECK(tokens(completions) == std::vector<uint64_t>{0, 1, 2, 3});
  CHECK(pair->send_slots_free() == 5);
  stub.stub.execute_sends(pair->number(), 2);
  completions = harvest(*queue);
  CHECK(tokens(completions) == std::vector<uint64_t>{4, 5, 6});
  for (const Completion& completion : completions) {
    CHECK(completion.ok());
    CHECK(completion.keep);
    CHECK(completion.owner == 77);
    CHECK(completion.queue_pair_number == pair->number());
  }
  CHECK(pair->send_slots_free() == 8);
}

TEST_CASE("a full send queue is back-pressure, and nothing is posted") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  auto requests = sends(6);
  CHECK(pair->post(requests).ok());
  auto more = sends(3, 6);
  size_t posted = 99;
  CHECK(pair->post(more, &posted).code() == StatusCode::kTryAgain);
  CHECK(posted == 0);
  CHECK(more[0].keep);
  CHECK(pair->state() == QueuePairState::kReadyToSend);
  CHECK(stub.stub.pair(pair->number()).sends.size() == 6);
  auto never = sends(9);
  CHECK(pair->post(never).code() == StatusCode::kInvalid);
  stub.stub.execute_sends(pair->number(), 6);
  harvest(*queue);
  CHECK(pair->post(more).ok());
}

TEST_CASE("requests that cannot be are refused before anything is posted") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  uint8_t bytes[64] = {};
  const auto refused = [&](SendRequest request) {
    auto requests = sends(2);
    requests[1] = std::move(request);
    const Status status = pair->post(requests);
    CHECK(stub.stub.pair(pair->number()).sends.empty());
    CHECK(pair->state() == QueuePairState::kReadyToSend);
    return status.code();
  };
  SendRequest request;
  request.operation = Operation::kReceive;
  CHECK(refused(request) == StatusCode::kInvalid);
  request.operation = Operation::kWrite;
  request.local = LocalRange{bytes, 64, 1};
  request.remote = {4096, 63, 2};
  CHECK(refused(request) == StatusCode::kInvalid);
  request.remote = {UINT64_MAX - 10, 64, 2};
  CHECK(refused(request) == StatusCode::kInvalid);
  request.remote = {4096, 64, 2};
  request.inline_data = true;
  CHECK(refused(request) == StatusCode::kInvalid);  // 55 is the device's
  request.operation = Operation::kRead;
  request.local = LocalRange{bytes, 8, 1};
  CHECK(refused(request) == StatusCode::kInvalid);
  request.inline_data = false;
  request.local = LocalRange{bytes, (1U << 20) + 1, 1};
  request.remote = {4096, 1U << 21, 2};
  CHECK(refused(request) == StatusCode::kInvalid);
  request.operation = Operation::kFetchAndAdd;
  request.local = LocalRange{bytes, 8, 1};
  request.remote = {4100, 8, 2};
  CHECK(refused(request) == StatusCode::kInvalid);
  request.remote = {4096, 8, 2};
  request.local = LocalRange{bytes, 4, 1};
  CHECK(refused(request) == StatusCode::kInvalid);
  ReceiveRequest receive;
  receive.local = LocalRange{bytes, size_t{1} << 31, 1};
  CHECK(pair->post_receive(receive).code() == StatusCode::kInvalid);
}

TEST_CASE("requests arrive at the device as described") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  uint8_t bytes[64] = {};
  std::vector<SendRequest> requests(3);
  requests[0].inline_data = true;
  requests[0].local = {LocalRange{bytes, 10, 1}, LocalRange{bytes, 0, 1}, LocalRange{bytes + 20, 5, 1}};
  requests[1].operation = Operation::kRead;
  requests[1].local = LocalRange{bytes, 64, 1};
  requests[1].remote = {4096, 64, 2};
  requests[2].operation = Operation::kSendWithImmediate;
  requests[2].fence = true;
  CHECK(pair->post(requests).ok());
  const auto& posted = stub.stub.pair(pair->number()).sends;
  CHECK(posted[0].is_inline);
  CHECK(posted[0].ranges == 2);
  CHECK(posted[1].opcode == abi::kOpcodeRead);
  CHECK(posted[2].opcode == abi::kOpcodeSendWithImmediate);
  CHECK(posted[2].fence);
  CHECK(posted[2].ranges == 0);
  stub.stub.execute_sends(pair->number(), 3);
  CHECK(harvest(*queue).size() == 3);
}

TEST_CASE("a post that the device refuses in the middle: the queue pair fails, what was taken comes back") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  auto before = sends(2);
  CHECK(pair->post(before).ok());
  stub.stub.sends_until_refusal = 2;
  auto requests = sends(3, 10);
  size_t posted = 0;
  SUBCASE("the flush reports all of them") {
    const Status status = pair->post(requests, &posted);
    CHECK(status.code() == StatusCode::kNoMemory);
    CHECK(status.message().starts_with("ibv_post_send on stub0 port 1, queue pair 17"));
    CHECK(posted == 2);
    CHECK_FALSE(requests[0].keep);
    CHECK_FALSE(requests[1].keep);
    CHECK(requests[2].keep);
    CHECK(pair->state() == QueuePairState::kError);
    CHECK_FALSE(pair->drained());
    CHECK(tokens(harvest(*queue)) == std::vector<uint64_t>{0, 1, 10, 11});
  }
  SUBCASE("unsignalled ones that had executed already are told by the marker") {
    stub.stub.late_flush = true;
    CHECK_FALSE(pair->post(requests, &posted).ok());
    // 0 and 1 with their report, 10 and 11 without one: before the queue pair failed.
    auto& device = stub.stub.pair(pair->number());
    REQUIRE(device.sends.size() == 5);
    stub.stub.execute_sends(pair->number(), 4);
    CHECK(tokens(harvest(*queue)) == std::vector<uint64_t>{0, 1});
    CHECK_FALSE(pair->drained());
    stub.stub.flush(pair->number());
    const auto completions = harvest(*queue);
    CHECK(tokens(completions) == std::vector<uint64_t>{10, 11});
    // Executed or not: nobody knows.
    for (const Completion& completion : completions) CHECK(completion.status == CompletionStatus::kFlushed);
  }
  CHECK(pair->drained());
  CHECK(pair->post(requests).code() == StatusCode::kConnectionReset);
}

TEST_CASE("receives that the device refuses in the middle") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  stub.stub.receives_until_refusal = 1;
  std::vector<ReceiveRequest> requests(3);
  for (auto& request : requests) request.keep = std::make_shared<int>(0);
  requests[0].token = 5;
  size_t posted = 0;
  CHECK(pair->post_receives(requests, &posted).code() == StatusCode::kNoMemory);
  CHECK(posted == 1);
  CHECK_FALSE(requests[0].keep);
  CHECK(requests[1].keep);
  const auto completions = harvest(*queue);
  CHECK(tokens(completions) == std::vector<uint64_t>{5});
  CHECK(pair->drained());
}

TEST_CASE("an error takes the queue pair down; the others come back flushed, in order, with the first cause") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  std::vector<ReceiveRequest> receives(2);
  receives[0].token = 100;
  receives[1].token = 101;
  CHECK(pair->post_receives(receives).ok());
  auto requests = sends(6);
  CHECK(pair->post(requests).ok());
  stub.stub.execute_sends(pair->number(), 1);
  stub.stub.fail_send(pair->number(), static_cast<int>(CompletionStatus::kRemoteAccess));
  const auto completions = harvest(*queue);
  CHECK(tokens(completions) == std::vector<uint64_t>{0, 1, 100, 101, 2, 3, 4, 5});
  // The first had no report of its own and was followed by a failure.
  CHECK(completions[0].status == CompletionStatus::kFlushed);
  CHECK(completions[1].status == CompletionStatus::kRemoteAccess);
  CHECK_FALSE(completions[2].has_immediate);
  CHECK(completions[2].bytes == 0);
  for (size_t i = 2; i < completions.size(); ++i) CHECK(completions[i].status == CompletionStatus::kFlushed);
  CHECK(pair->state() == QueuePairState::kError);
  CHECK(pair->drained());
  CHECK(pair->failure().code() == StatusCode::kAccessDenied);
  CHECK(pair->failure().message().starts_with(
      "SEND on stub0 port 1, queue pair 17, peer queue pair 99 at 10.0.0.2: remote access"));
  CHECK(pair->status_of(completions[3]).message().starts_with("receive flushed, because of: SEND on stub0"));
  CHECK(pair->status_of(completions[3]).code() == StatusCode::kAccessDenied);
}

TEST_CASE("receives tell bytes, immediate data and whether a WRITE took them") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  std::vector<ReceiveRequest> receives(3);
  CHECK(pair->post_receives(receives).ok());
  const uint32_t immediate = 0x01020304;
  stub.stub.execute_receive(pair->number(), 100);
  stub.stub.execute_receive(pair->number(), 0, &immediate);
  stub.stub.execute_receive(pair->number(), 4096, &immediate, true);
  const auto completions = harvest(*queue);
  REQUIRE(completions.size() == 3);
  CHECK(completions[0].bytes == 100);
  CHECK_FALSE(completions[0].has_immediate);
  CHECK(completions[1].immediate == immediate);
  CHECK_FALSE(completions[1].received_write);
  CHECK(completions[2].received_write);
  CHECK(completions[2].bytes == 4096);
  CHECK(pair->receive_slots_free() == 4);
}

TEST_CASE("sequence numbers wrap") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  for (uint64_t round = 0; round < 1000; ++round) {
    auto requests = sends(1 + round % 8, round * 8);
    REQUIRE(pair->post(requests).ok());
    stub.stub.execute_sends(pair->number(), requests.size());
    const auto completions = harvest(*queue);
    REQUIRE(completions.size() == requests.size());
    REQUIRE(completions.back().token == round * 8 + requests.size() - 1);
  }
}

TEST_CASE("queue pairs reserve entries for all they may post, and are refused when these are short") {
  StubDevice stub;
  const auto port = usable_port(*stub.device, 1, {});
  const auto queue = stub.queue(27);  // 8 + 4 + a marker: two fit
  auto first = stub.connected(queue, small_settings());
  auto second = stub.connected(queue, small_settings());
  CHECK(queue->reserved() == 26);
  const auto third = QueuePair::create(stub.domain(), queue, queue, port.value(), small_settings());
  REQUIRE_FALSE(third.ok());
  CHECK(third.status().code() == StatusCode::kOverloaded);
  CHECK(third.status().message().find("1 of 27 entries free") != std::string::npos);
  CHECK(queue->reserved() == 26);
  second.reset();
  CHECK(queue->reserved() == 13);
  second = stub.connected(queue, small_settings());
  // What the first two posted at most fits, so nothing overruns.
  auto a = sends(8);
  auto b = sends(8, 8);
  CHECK(first->post(a).ok());
  CHECK(second->post(b).ok());
  first->fail({StatusCode::kCanceled, "test"});
  second->fail({StatusCode::kCanceled, "test"});
  CHECK(harvest(*queue).size() == 16);
}

TEST_CASE("limits of the device lower what is asked for") {
  StubDevice stub;
  stub.stub.attributes.max_qp_wr = 5;
  stub.stub.attributes.max_sge = 2;
  stub.stub.attributes.max_qp_rd_atom = 0;
  stub.stub.attributes.max_cqe = 30;
  const auto device = Device::open(stub.library, "stub0").take();
  const auto queue = CompletionQueue::create(CompletionChannel::create(device).take(), 1000).take();
  CHECK(queue->capacity() == 30);
  const auto domain = ProtectionDomain::create(device).take();
  const auto pair = QueuePair::create(domain, queue, queue, usable_port(*device, 1, {}).value(), {}).take();
  CHECK(pair->settings().send_depth == 4);
  CHECK(pair->settings().receive_depth == 5);
  CHECK(pair->settings().ranges_max == 2);
  CHECK(pair->descriptor().responder_depth == 0);
  CHECK(pair->request_bytes_max() == 1U << 20);
}

TEST_CASE("an overrun breaks the queue and all its queue pairs, and is told") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  auto requests = sends(2);
  CHECK(pair->post(requests).ok());
  for (int i = 0; i < 21; ++i) stub.stub.deliver(queue->handle(), {});
  std::vector<Completion> completions;
  const auto broken = queue->harvest(completions, SIZE_MAX);
  REQUIRE_FALSE(broken.ok());
  CHECK(broken.status().message().find("ibv_poll_cq on stub0") != std::string::npos);
  CHECK(pair->state() == QueuePairState::kError);
  CHECK(pair->failure().message() == broken.status().message());
  // It never drains; destroying it is the way out, and frees what the requests kept.
  CHECK_FALSE(pair->drain(1, completions));
  CHECK_FALSE(queue->poll(completions, 1).ok());
}

TEST_CASE("entries that belong to nobody are counted and change nothing") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  auto requests = sends(2);
  CHECK(pair->post(requests).ok());
  const auto ids = stub.stub.pair(pair->number()).sends;
  abi::WorkCompletion entry{};
  entry.wr_id = UINT64_MAX;
  stub.stub.deliver(queue->handle(), entry);
  auto id = WorkRequestId::unpack(ids[0].wr_id);
  id.sequence += 2;  // not posted yet
  entry.wr_id = id.pack();
  stub.stub.deliver(queue->handle(), entry);
  id = WorkRequestId::unpack(ids[0].wr_id);
  id.generation ^= 1;
  entry.wr_id = id.pack();
  stub.stub.deliver(queue->handle(), entry);
  CHECK(harvest(*queue).empty());
  CHECK(queue->strays() == 3);
  stub.stub.execute_sends(pair->number(), 2);
  CHECK(harvest(*queue).size() == 2);
  // The same once more: no request is on the way.
  entry.wr_id = ids[1].wr_id;
  stub.stub.deliver(queue->handle(), entry);
  CHECK(harvest(*queue).empty());
  CHECK(queue->strays() == 4);
}

TEST_CASE("poll, arm, poll, sleep: no completion is slept over, one event per arming") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  const auto post_and_execute = [&](size_t count) {
    auto requests = sends(count);
    REQUIRE(pair->post(requests).ok());
    stub.stub.execute_sends(pair->number(), count);
  };
  // Before the first arming there is no event, so the first harvest must look.
  post_and_execute(1);
  CHECK(harvest(*queue).size() == 1);
  post_and_execute(2);
  post_and_execute(2);
  CHECK(queue->channel().take_events().ok());
  CHECK(harvest(*queue).size() == 4);
  // Spurious events are fine.
  stub.stub.raise_event(queue->handle());
  stub.stub.raise_event(queue->handle());
  CHECK(queue->channel().take_events().ok());
  CHECK(harvest(*queue).empty());
  CHECK(queue->channel().take_events().ok());
  // A bounded harvest says that it must be called again.
  for (int i = 0; i < 3; ++i) post_and_execute(2);
  std::vector<Completion> completions;
  CHECK_FALSE(queue->harvest(completions, 1).value());
  CHECK(queue->harvest(completions, SIZE_MAX).value());
  CHECK(completions.size() == 6);
  CHECK(queue->channel().take_events().ok());
}

TEST_CASE("what comes in between the last poll and the arming raises no event, and is found all the same") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  REQUIRE(pair->post(SendRequest{}).ok());
  stub.stub.before_arming = [&] { stub.stub.execute_sends(pair->number(), 1); };
  CHECK(harvest(*queue).size() == 1);
  CHECK_FALSE(stub.stub.before_arming);
}

TEST_CASE("a receive that was passed over counts as unknown, not as empty") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  std::vector<ReceiveRequest> receives(2);
  CHECK(pair->post_receives(receives).ok());
  stub.stub.pair(pair->number()).receives.pop_front();
  stub.stub.execute_receive(pair->number(), 10);
  const auto completions = harvest(*queue);
  REQUIRE(completions.size() == 2);
  CHECK(completions[0].status == CompletionStatus::kFlushed);
  CHECK(completions[1].bytes == 10);
}

TEST_CASE("events are acknowledged in batches, and all before the queue is destroyed") {
  StubDevice stub;
  auto queue = stub.queue(20);
  for (int i = 0; i < 130; ++i) stub.stub.raise_event(queue->handle());
  CHECK(queue->channel().take_events().ok());
  CHECK(stub.stub.acknowledgements == 2);
  stub.stub.raise_event(queue->handle());  // nobody takes this one
  queue.reset();
  CHECK(stub.stub.acknowledgements == 3);
}
