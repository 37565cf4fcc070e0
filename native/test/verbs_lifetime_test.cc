// What lives how long: children keep parents, memory outlives the adapter's use of it, refusals leak rather than free.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

#include "test/verbs_stub.h"

using namespace ibexfs;
using namespace ibexfs::verbs;
using namespace ibexfs::test;

namespace {

size_t position(const std::vector<std::string>& calls, const std::string& call) {
  return static_cast<size_t>(std::find(calls.begin(), calls.end(), call) - calls.begin());
}

// Says when it is let go.
struct Keep {
  explicit Keep(std::vector<std::string>& calls) : log(calls) {}
  Keep(const Keep&) = delete;
  Keep& operator=(const Keep&) = delete;
  ~Keep() { log.emplace_back("memory let go"); }
  std::vector<std::string>& log;
};

}  // namespace

TEST_CASE("children keep their parents, whatever is let go first") {
  StubDevice stub;
  auto queue = stub.queue(20);
  auto pair = stub.connected(queue, small_settings());
  auto arena = RegisteredArena::create(stub.domain(), 4096, {}).take();
  queue.reset();
  CHECK(stub.library->live().completion_queues == 1);
  CHECK(stub.library->live().memory_regions == 1);
  CHECK(stub.library->live().registered_bytes == 4096);
  CHECK(stub.library->live().registrations == 1);
  stub.device.reset();
  CHECK(stub.library->live().devices == 1);
  pair.reset();
  CHECK(stub.library->live().devices == 1);
  arena.reset();
  CHECK(stub.library->live().devices == 0);
  const auto& calls = stub.stub.calls;
  CHECK(position(calls, "destroy_qp") < position(calls, "destroy_cq"));
  CHECK(position(calls, "destroy_cq") < position(calls, "destroy_comp_channel"));
  CHECK(calls.back() == "close_device");
}

TEST_CASE("what requests keep is let go when they complete, or after the queue pair is destroyed") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  auto pair = stub.connected(queue, small_settings());
  stub.stub.late_flush = true;
  auto& calls = stub.stub.calls;
  const auto post = [&] {
    SendRequest request;
    request.keep = std::make_shared<Keep>(calls);
    REQUIRE(pair->post(std::move(request)).ok());
  };
  post();
  post();
  ReceiveRequest receive;
  receive.keep = std::make_shared<Keep>(calls);
  REQUIRE(pair->post_receive(std::move(receive)).ok());
  calls.clear();
  stub.stub.execute_sends(pair->number(), 1);
  std::vector<Completion> completions;
  REQUIRE(queue->harvest(completions, SIZE_MAX).ok());
  REQUIRE(completions.size() == 1);
  CHECK(calls.empty());
  completions.clear();
  CHECK(calls == std::vector<std::string>{"memory let go"});
  calls.clear();
  // Never drained: destroying is the fence.
  pair.reset();
  REQUIRE(calls.size() >= 3);
  CHECK(calls[0] == "destroy_qp");
  CHECK(std::count(calls.begin(), calls.end(), "memory let go") == 2);
}

TEST_CASE("an abort: completions that come later belong to nobody, and their entries stay reserved until then") {
  StubDevice stub;
  const auto queue = stub.queue(13);
  auto pair = stub.connected(queue, small_settings());
  const uint32_t first_number = pair->number();
  std::vector<SendRequest> requests(3);
  CHECK(pair->post(requests).ok());
  pair->fail({StatusCode::kCanceled, "aborted"});  // three flushed entries wait in the queue
  CHECK_FALSE(pair->drained());
  pair.reset();
  CHECK(queue->reserved() == 3);
  const auto port = usable_port(*stub.device, 1, {});
  CHECK_FALSE(QueuePair::create(stub.domain(), queue, queue, port.value(), small_settings()).ok());
  std::vector<Completion> completions;
  CHECK(queue->harvest(completions, SIZE_MAX).value());
  CHECK(completions.empty());
  CHECK(queue->strays() == 3);
  CHECK(queue->reserved() == 0);
  pair = stub.connected(queue, small_settings());
  CHECK(pair->number() != first_number);
  // In the same place, with requests of the same sequence: the younger gets its own only.
  CHECK(pair->post(SendRequest{}).ok());
  stub.stub.execute_sends(pair->number(), 1);
  CHECK(queue->harvest(completions, SIZE_MAX).value());
  CHECK(completions.size() == 1);
}

TEST_CASE("drain waits for the flush, within its limit") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  stub.stub.late_flush = true;
  CHECK(pair->post(SendRequest{}).ok());
  pair->fail({StatusCode::kCanceled, "the caller closed it"});
  std::vector<Completion> completions;
  CHECK_FALSE(pair->drain(2, completions));
  stub.stub.flush(pair->number());
  CHECK(pair->drain(2000, completions));
  REQUIRE(completions.size() == 1);
  CHECK(pair->status_of(completions[0]).message() == "SEND flushed, because of: the caller closed it");
  // The first reason stays.
  pair->fail({StatusCode::kIoError, "another"});
  CHECK(pair->failure().message() == "the caller closed it");
}

TEST_CASE("a device that cannot even fail the queue pair is gone: it counts as failed") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto pair = stub.connected(queue, small_settings());
  stub.stub.failures["modify_qp"] = EIO;
  pair->fail({StatusCode::kIoError, "lost"});
  CHECK(pair->state() == QueuePairState::kError);
  CHECK(pair->drained());
}

TEST_CASE("making a queue pair fails: nothing stays reserved or alive") {
  StubDevice stub;
  const auto queue = stub.queue(20);
  const auto port = usable_port(*stub.device, 1, {});
  const auto attempt = [&] { return QueuePair::create(stub.domain(), queue, queue, port.value(), small_settings()).status(); };
  stub.stub.failures["create_qp"] = ENOMEM;
  CHECK(attempt().message().find("ibv_create_qp on stub0 port 1") != std::string::npos);
  CHECK(queue->reserved() == 0);
  stub.stub.failures = {{"modify_qp", EINVAL}};
  CHECK(attempt().message().find("ibv_modify_qp on stub0 port 1, queue pair 17, reset to init") != std::string::npos);
  CHECK(queue->reserved() == 0);
  CHECK(stub.library->live().queue_pairs == 0);
}

TEST_CASE("each verb that makes something names itself when it fails") {
  StubDevice stub;
  const auto domain = stub.domain();
  const auto channel = CompletionChannel::create(stub.device).take();
  stub.stub.failures = {{"alloc_pd", ENOMEM}, {"reg_mr", EFAULT}, {"create_cq", EINVAL}, {"create_comp_channel", EMFILE}};
  CHECK(ProtectionDomain::create(stub.device).status().message() == "ibv_alloc_pd on stub0: Cannot allocate memory (ENOMEM)");
  CHECK(RegisteredArena::create(domain, 4096, {}).status().message() == "ibv_reg_mr on stub0, 4096 bytes: Bad address (EFAULT)");
  CHECK(CompletionQueue::create(channel, 10).status().message().starts_with("ibv_create_cq on stub0, 10 entries"));
  CHECK(CompletionChannel::create(stub.device).status().message().starts_with("ibv_create_comp_channel on stub0"));
  CHECK(stub.library->live().memory_regions == 0);
}

TEST_CASE("a registration that the kernel refuses names the limit on locked memory") {
  StubDevice stub;
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_MEMLOCK, &before) == 0);
  const rlimit low{64 << 10, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_MEMLOCK, &low) == 0);
  stub.stub.failures["reg_mr"] = ENOMEM;
  const Status status = RegisteredArena::create(stub.domain(), 1U << 20, {}).status();
  REQUIRE(setrlimit(RLIMIT_MEMLOCK, &before) == 0);
  CHECK(status.code() == StatusCode::kNoMemory);
  CHECK(status.message().find("this process may lock 64 KiB of memory: raise the limit") != std::string::npos);
}

TEST_CASE("memory is registered in regions that the device can have") {
  StubDevice stub;
  stub.stub.attributes.max_mr_size = 8192;
  const auto device = Device::open(stub.library, "stub0").take();
  const auto arena = RegisteredArena::create(ProtectionDomain::create(device).take(), 20000, {.remote_write = true}).take();
  CHECK(arena->size() == 20480);
  CHECK(stub.library->live().memory_regions == 3);
  CHECK(arena->memory().region_bytes() == 8192);
  const auto first = arena->local(0, 8192);
  const auto second = arena->local(8192, 100);
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  CHECK(first.value().lkey != second.value().lkey);
  CHECK(second.value().data == arena->data() + 8192);
  CHECK(arena->remote(16384, 4096).value().address == reinterpret_cast<uintptr_t>(arena->data()) + 16384);
  CHECK(arena->local(20480, 0).ok());
  CHECK_FALSE(arena->local(8000, 1000).ok());
  CHECK_FALSE(arena->local(20000, 1000).ok());
  CHECK_FALSE(arena->local(SIZE_MAX, 2).ok());
}

TEST_CASE("memory without rights for peers has nothing to tell them") {
  StubDevice stub;
  const auto arena = RegisteredArena::create(stub.domain(), 4096, {}).take();
  CHECK(arena->local(0, 4096).ok());
  CHECK(arena->remote(0, 4096).status().code() == StatusCode::kAccessDenied);
}

TEST_CASE("an arena of huge pages is aligned to them") {
  StubDevice stub;
  const auto arena = RegisteredArena::create(stub.domain(), 3U << 20, {}).take();
  CHECK(arena->size() == 4U << 20);
  CHECK(reinterpret_cast<uintptr_t>(arena->data()) % (2U << 20) == 0);
  std::fill_n(arena->data(), arena->size(), uint8_t{1});
}

TEST_CASE("what the device refuses to destroy leaks with all it uses") {
  StubVerbs stub;
  const auto library = Library::with_table(StubVerbs::table(), {});
  std::vector<std::string> log;
  uint8_t* left = nullptr;
  {
    auto device = Device::open(library, "stub0").take();
    auto domain = ProtectionDomain::create(device).take();
    auto queue = CompletionQueue::create(CompletionChannel::create(device).take(), 20).take();
    auto pair = QueuePair::create(domain, queue, queue, usable_port(*device, 1, {}).value(), small_settings()).take();
    REQUIRE(pair->connect(invented_peer()).ok());
    stub.late_flush = true;
    SendRequest request;
    request.keep = std::make_shared<Keep>(log);
    REQUIRE(pair->post(std::move(request)).ok());
    const auto arena = RegisteredArena::create(domain, 4096, {}).take();
    left = arena->data();
    stub.failures = {{"destroy_qp", EBUSY}, {"dereg_mr", EBUSY}};
  }
  CHECK(log.empty());
  CHECK(library->live().leaks == 2);
  CHECK(library->live().completion_queues == 1);
  // Still mapped: an access would end the test otherwise.
  left[0] = 1;
  CHECK(left[0] == 1);
  // The stub ends with this test while what it leaked stays.
}
