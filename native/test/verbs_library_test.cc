// Opening the library and devices: what is missing is said, with the cure.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "test/verbs_stub.h"

using namespace ibexfs;
using namespace ibexfs::verbs;
using namespace ibexfs::test;

namespace fs = std::filesystem;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Folders that stand for /sys and /dev.
class FakeSystem {
 public:
  FakeSystem() {
    char name[] = "/tmp/ibexfs-verbs-test-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    root_ = name;
  }
  ~FakeSystem() { fs::remove_all(root_); }
  void file(const std::string& path, const std::string& content) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << content;
  }
  void remove(const std::string& path) const { fs::remove_all(root_ / path); }
  SystemPaths paths() const { return {root_ / "sys", root_ / "dev"}; }

 private:
  fs::path root_;
};

}  // namespace

TEST_CASE("a machine without libibverbs says so") {
  const auto library = Library::open("libibexfs-there-is-none.so.1");
  CHECK_FALSE(library->loaded());
  const AvailabilityReport report = library->report();
  CHECK(report.availability == Availability::kNoLibrary);
  CHECK(contains(report.reason, "cannot open libibexfs-there-is-none.so.1"));
  CHECK(contains(report.cure, "ibverbs-providers"));
  CHECK(library->devices().status().code() == StatusCode::kNotSupported);
  const auto device = Device::open(library, "mlx5_0");
  REQUIRE_FALSE(device.ok());
  CHECK(contains(device.status().message(), "cannot open libibexfs-there-is-none.so.1"));
}

TEST_CASE("a library without the symbols is not taken for libibverbs") {
  const auto library = Library::open("libm.so.6");
  CHECK_FALSE(library->loaded());
  CHECK(library->report().availability == Availability::kNoLibrary);
  CHECK(contains(library->report().reason, "libm.so.6 has no ibv_get_device_list of version IBVERBS_1.1"));
}

TEST_CASE("the machine's own library is opened once and reports something to act upon") {
  const auto library = Library::system();
  CHECK(library == Library::system());
  const AvailabilityReport report = library->report();
  MESSAGE("this machine: ", report.reason, " ", report.cure);
  CHECK_FALSE(report.reason.empty());
  CHECK(report.cure.empty() == (report.availability == Availability::kUsable));
}

TEST_CASE("why there is no device") {
  const FakeSystem system;
  const auto explain = [&] { return explain_no_device(system.paths()); };
  CHECK(contains(explain().reason, "the kernel has no RDMA device"));
  CHECK(contains(explain().cure, "rdma link add"));
  system.file("sys/class/infiniband/rxe0/node_type", "1: CA\n");
  CHECK(contains(explain().reason, "rxe0 but no interface for user space"));
  CHECK(contains(explain().cure, "ib_uverbs"));
  system.file("sys/class/infiniband_verbs/uverbs0/ibdev", "rxe0\n");
  CHECK(contains(explain().reason, "rxe0 has no device node"));
  CHECK(contains(explain().cure, "container"));
  system.file("dev/infiniband/uverbs0", "");
  CHECK(contains(explain().reason, "libibverbs has no provider"));
  CHECK(contains(explain().cure, "ibverbs-providers"));
  CHECK(explain().availability == Availability::kNoDevice);
}

TEST_CASE("an empty or refused list is no device") {
  StubVerbs stub;
  const FakeSystem system;
  const auto library = Library::with_table(StubVerbs::table(), system.paths());
  stub.list_error = ENOSYS;
  CHECK(library->devices().value().empty());
  CHECK(library->report().availability == Availability::kNoDevice);
  stub.list_error = EPERM;
  CHECK(library->devices().status().message() == "ibv_get_device_list on this machine: Operation not permitted (EPERM)");
  CHECK(library->report().availability == Availability::kNoDevice);
  stub.list_error = 0;
  // It is listed; its node is what is missing now, then not.
  CHECK(contains(library->report().reason, "stub0 has no device node"));
  system.file("dev/infiniband/uverbs0", "");
  CHECK(library->report().availability == Availability::kUsable);
  CHECK(library->report().reason == "device stub0");
  stub.device_names.emplace_back("stub1");
  CHECK(library->report().reason == "devices stub0, stub1");
}

TEST_CASE("opening a device fails with the reason") {
  StubVerbs stub;
  const FakeSystem system;
  const auto library = Library::with_table(StubVerbs::table(), system.paths());
  const auto absent = Device::open(library, "mlx5_9");
  CHECK(absent.status().code() == StatusCode::kNoEntry);
  CHECK(contains(absent.status().message(), "there is no RDMA device mlx5_9"));
  stub.failures["open_device"] = ENOENT;
  CHECK(contains(Device::open(library, "stub0").status().message(), "stub0 has no device node"));
  stub.failures = {{"query_device", EIO}};
  CHECK(contains(Device::open(library, "stub0").status().message(), "ibv_query_device on stub0"));
  CHECK(library->live().devices == 0);
}

TEST_CASE("limits and ports are the device's") {
  StubDevice stub;
  CHECK(stub.device->limits().completion_entries_max == 100);
  CHECK(stub.device->limits().atomics);
  CHECK(stub.device->info().guid == 0x1122334455667788);
  const auto port = stub.device->port(1);
  REQUIRE(port.ok());
  CHECK(port.value().mtu_bytes == 4096);
  CHECK(port.value().state == "active");
  CHECK_FALSE(stub.device->port(0).ok());
  CHECK(contains(stub.device->port(2).status().message(), "stub0 has 1 ports, and no port 2"));
}

TEST_CASE("a port that cannot be used says why") {
  StubDevice stub;
  CHECK(usable_port(*stub.device, 1, {}).value().gid.gid.text() == "10.0.0.1");
  stub.stub.port.state = 1;
  const auto down = usable_port(*stub.device, 1, {});
  CHECK(contains(down.status().message(), "stub0 port 1 is down: bring its network interface"));
  stub.stub.port.state = 4;
  stub.stub.gids.clear();
  CHECK(contains(usable_port(*stub.device, 1, {}).status().message(), "no RoCE v2 GID"));
  stub.stub.port.link_layer = abi::kLinkLayerInfiniband;
  CHECK(contains(usable_port(*stub.device, 1, {}).status().message(), "no GID with index 0"));
  abi::GidEntry entry{};
  entry.gid.raw[0] = 0xfe;
  entry.gid.raw[1] = 0x80;
  entry.port_num = 1;
  stub.stub.gids.push_back(entry);
  CHECK(usable_port(*stub.device, 1, {}).ok());
}

TEST_CASE("older libraries: the table entry by entry, its types from sysfs") {
  const FakeSystem system;
  StubVerbs stub;
  VerbsTable table = StubVerbs::table();
  table.query_gid_table = nullptr;
  const auto library = Library::with_table(table, system.paths());
  const auto device = Device::open(library, "stub0").take();
  // The stub's device has no folder in sysfs: then an entry counts as version 1, which is not chosen.
  const auto entries = device->gids(1);
  REQUIRE(entries.ok());
  REQUIRE(entries.value().size() == 1);
  CHECK(entries.value()[0].index == 1);
  CHECK(entries.value()[0].type == GidType::kRoceV1);
}

TEST_CASE("events of a device are read, told in words and acknowledged at once") {
  StubDevice stub;
  CHECK_FALSE(stub.device->next_event().value());
  abi::AsyncEvent raw{};
  raw.element.port_num = 1;
  raw.event_type = abi::kEventPortError;
  stub.stub.raise_async(raw);
  abi::QueuePair pair{};
  pair.qp_num = 17;
  raw.element.qp = &pair;
  raw.event_type = abi::kEventQueuePairAccessError;
  stub.stub.raise_async(raw);
  raw.event_type = 77;
  stub.stub.raise_async(raw);
  auto event = stub.device->next_event().take();
  REQUIRE(event);
  CHECK(event->kind == DeviceEventKind::kPortDown);
  CHECK(event->port == 1);
  CHECK(event->text == "stub0 port 1: down");
  event = stub.device->next_event().take();
  REQUIRE(event);
  CHECK(event->kind == DeviceEventKind::kQueuePairFatal);
  CHECK(event->queue_pair_number == 17);
  event = stub.device->next_event().take();
  REQUIRE(event);
  CHECK(event->kind == DeviceEventKind::kOther);
  CHECK_FALSE(stub.device->next_event().value());
  CHECK(stub.stub.async_unacknowledged == 0);
}
