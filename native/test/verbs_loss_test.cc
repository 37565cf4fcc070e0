// A device that is lost, and opened anew.
#include <doctest/doctest.h>

#include "runtime/rdma.h"
#include "test/transport_support.h"
#include "test/verbs_stub.h"

using namespace ibexfs;
using namespace ibexfs::test;

TEST_CASE("a device that was lost is let go, and opened anew when it is wanted again") {
  StubDevice stub;
  const auto reactor = make_reactor();
  EventRing ring(
      1U << 16, [] {}, [] {});
  ConnectionTable connections(ring);
  Rdma rdma({}, std::make_shared<BufferPool>(16U << 20), connections, ring, *reactor, stub.library);
  REQUIRE(rdma.open().ok());
  const VerbsDomain* const first = rdma.domain();
  CHECK(rdma.open().ok());
  CHECK(rdma.domain() == first);
  verbs::abi::AsyncEvent event{};
  event.event_type = verbs::abi::kEventDeviceFatal;
  stub.stub.raise_async(event);
  REQUIRE(wait_until([&] {
    reactor->run_once(0);
    return rdma.domain() == nullptr;
  }));
  CHECK(stub.library->live().devices == 1);  // the test's own
  stub.stub.failures["open_device"] = ENODEV;
  CHECK_FALSE(rdma.check().ok());
  stub.stub.failures.clear();
  CHECK(rdma.check().ok());
  REQUIRE(rdma.domain() != nullptr);
  rdma.close();
}
