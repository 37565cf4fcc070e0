// Pure decisions: which GID, which terms, which state, which words.
#include <doctest/doctest.h>

#include <set>

#include "test/verbs_stub.h"

using namespace ibexfs;
using namespace ibexfs::verbs;
using namespace ibexfs::test;

namespace {

GidEntry entry(uint32_t index, const char* address, GidType type = GidType::kRoceV2, const char* interface = "eth0",
               bool up = true) {
  const auto gid = Gid::parse(address);
  REQUIRE(gid);
  return {*gid, index, type, interface, up};
}

ConnectionDescriptor infiniband(uint16_t lid, const char* gid) {
  ConnectionDescriptor descriptor = invented_peer();
  descriptor.link_layer = LinkLayer::kInfiniband;
  descriptor.lid = lid;
  descriptor.gid = *Gid::parse(gid);
  return descriptor;
}

}  // namespace

TEST_CASE("GIDs: text and kinds") {
  CHECK(Gid::parse("10.77.0.1")->text() == "10.77.0.1");
  CHECK(Gid::parse("::ffff:10.77.0.1") == Gid::parse("10.77.0.1"));
  CHECK(Gid::parse("fe80::1%eth0")->text() == "fe80::1");
  CHECK_FALSE(Gid::parse("10.77.0"));
  CHECK_FALSE(Gid::parse(""));
  CHECK(Gid::parse("::")->empty());
  CHECK(Gid::parse("fe80::1")->is_link_local());
  CHECK(Gid::parse("169.254.3.4")->is_link_local());
  CHECK_FALSE(Gid::parse("10.0.0.1")->is_link_local());
  CHECK(Gid::parse("ff02::1")->is_multicast());
  CHECK(Gid::parse("224.0.0.1")->is_multicast());
  CHECK(Gid::parse("fe80::1")->subnet_prefix() == 0xfe80000000000000);
}

TEST_CASE("of RoCE GIDs the one that peers reach is chosen") {
  const std::vector<GidEntry> table{
      entry(0, "fe80::4404:34ff:fedd:44ef"),
      entry(1, "10.77.0.1", GidType::kRoceV1),
      entry(2, "fd77::1"),
      entry(3, "2001:db8::7"),
      entry(4, "192.0.2.5", GidType::kRoceV2, "docker0"),
      entry(5, "10.77.0.1"),
      entry(6, "192.0.2.6"),
      entry(7, "192.0.2.7", GidType::kRoceV2, "eth1", false),
      entry(300, "192.0.2.8"),
  };
  const auto order = [&](const char* address) {
    std::vector<uint32_t> indexes;
    for (const GidEntry& ranked : rank_roce_gids(table, address == nullptr ? std::nullopt : Gid::parse(address)))
      indexes.push_back(ranked.index);
    return indexes;
  };
  CHECK(order(nullptr) == std::vector<uint32_t>{6, 5, 3, 2, 4});
  CHECK(order("10.77.0.1") == std::vector<uint32_t>{5, 6, 3, 2, 4});
  CHECK(order("192.0.2.5") == std::vector<uint32_t>{4, 6, 5, 3, 2});
  // Not an address of the device: of the same family first.
  CHECK(order("2001:db8::99") == std::vector<uint32_t>{3, 2, 6, 5, 4});

  CHECK(choose_roce_gid(table, {Gid::parse("fd77::1"), std::nullopt}, "x").value().index == 2);
  CHECK(choose_roce_gid(table, {Gid::parse("fd77::1"), 1}, "x").value().index == 1);
  const auto absent = choose_roce_gid(table, {std::nullopt, 9}, "rxe0 port 1");
  CHECK(absent.status().message().find("rxe0 port 1 has no GID with index 9") != std::string::npos);
  CHECK_FALSE(choose_roce_gid(table, {std::nullopt, 300}, "x").ok());
  const auto none = choose_roce_gid(std::span(table).first(2), {}, "rxe0 port 1");
  REQUIRE_FALSE(none.ok());
  CHECK(none.status().message() ==
        "rxe0 port 1 has no RoCE v2 GID that peers could reach; it has fe80::4404:34ff:fedd:44ef (RoCE v2), 10.77.0.1 (RoCE "
        "v1): give its network interface an IP address and bring it up");
  CHECK(choose_roce_gid({}, {}, "x").status().message().find("none at all") != std::string::npos);
}

TEST_CASE("terms of a connection are the smaller of both") {
  ConnectionDescriptor local = invented_peer();
  local.mtu_bytes = 4096;
  local.responder_depth = 16;
  local.initiator_depth = 2;
  const auto terms = negotiate(local, invented_peer());
  REQUIRE(terms.ok());
  CHECK(terms.value().mtu_bytes == 2048);
  CHECK(terms.value().responder_depth == 8);
  CHECK(terms.value().initiator_depth == 2);
  CHECK(terms.value().route_header);
}

TEST_CASE("InfiniBand needs a route header between subnets only") {
  const auto local = infiniband(5, "fe80::1");
  CHECK_FALSE(negotiate(local, infiniband(6, "fe80::2")).value().route_header);
  CHECK(negotiate(local, infiniband(6, "fec0::2")).value().route_header);
  auto demanding = infiniband(6, "fe80::2");
  demanding.route_header_required = true;
  CHECK(negotiate(local, demanding).value().route_header);
  CHECK(negotiate(demanding, local).value().route_header);
  CHECK_FALSE(negotiate(local, infiniband(0, "fe80::2")).ok());
  CHECK_FALSE(negotiate(local, infiniband(0xc001, "fe80::2")).ok());
  CHECK_FALSE(negotiate(local, invented_peer()).ok());
  CHECK(infiniband(6, "fe80::2").text() == "queue pair 99 at LID 6");
}

TEST_CASE("a peer's descriptor that cannot be is refused") {
  const auto refused = [](auto change) {
    ConnectionDescriptor peer = invented_peer();
    change(peer);
    const auto terms = negotiate(invented_peer(), peer);
    return !terms.ok() && terms.status().code() == StatusCode::kBadRequest;
  };
  CHECK_FALSE(refused([](ConnectionDescriptor&) {}));
  CHECK(refused([](ConnectionDescriptor& peer) { peer.queue_pair_number = 1U << 24; }));
  CHECK(refused([](ConnectionDescriptor& peer) { peer.queue_pair_number = 1; }));
  CHECK(refused([](ConnectionDescriptor& peer) { peer.packet_sequence_number = 1U << 24; }));
  CHECK(refused([](ConnectionDescriptor& peer) { peer.mtu_bytes = 1500; }));
  CHECK(refused([](ConnectionDescriptor& peer) { peer.mtu_bytes = 8192; }));
  CHECK(refused([](ConnectionDescriptor& peer) { peer.gid = {}; }));
  CHECK(refused([](ConnectionDescriptor& peer) { peer.gid = *Gid::parse("ff02::1"); }));
  CHECK(refused([](ConnectionDescriptor& peer) { peer.gid = *Gid::parse("fd77::1"); }));
  CHECK(refused([](ConnectionDescriptor& peer) { peer.link_layer = static_cast<LinkLayer>(7); }));
}

TEST_CASE("MTUs have five sizes") {
  for (int number = 1; number <= 5; ++number) CHECK(mtu_number(mtu_bytes(number)) == number);
  CHECK(mtu_bytes(1) == 256);
  CHECK(mtu_bytes(5) == 4096);
  CHECK(mtu_bytes(0) == 0);
  CHECK(mtu_bytes(6) == 0);
  CHECK(mtu_number(0) == 0);
  CHECK(mtu_number(128) == 0);
}

TEST_CASE("packet sequence numbers are 24 bits and differ") {
  std::set<uint32_t> numbers;
  for (int i = 0; i < 100; ++i) {
    const auto number = random_packet_sequence_number();
    REQUIRE(number.ok());
    CHECK(number.value() < 1U << 24);
    numbers.insert(number.value());
  }
  CHECK(numbers.size() > 90);
}

TEST_CASE("a queue pair's states go forward or to error") {
  using enum QueuePairState;
  const std::vector<QueuePairState> all{kReset, kInit, kReadyToReceive, kReadyToSend, kError};
  const std::set<std::pair<QueuePairState, QueuePairState>> allowed{
      {kReset, kInit}, {kInit, kReadyToReceive},  {kReadyToReceive, kReadyToSend}, {kReset, kError},
      {kInit, kError}, {kReadyToReceive, kError}, {kReadyToSend, kError}};
  for (const auto from : all) {
    for (const auto to : all) CHECK(may_change(from, to) == (allowed.count({from, to}) == 1));
  }
}

TEST_CASE("ids of work requests keep every part") {
  for (const WorkRequestId& id : {WorkRequestId{0, 0, 0, false}, WorkRequestId{UINT32_MAX, UINT16_MAX, 0x7fff, true},
                                  WorkRequestId{1, 2, 3, true}, WorkRequestId{0x12345678, 0x9abc, 0x5ef0, false}}) {
    const WorkRequestId same = WorkRequestId::unpack(id.pack());
    CHECK(same.sequence == id.sequence);
    CHECK(same.index == id.index);
    CHECK(same.generation == id.generation);
    CHECK(same.receive == id.receive);
  }
}

TEST_CASE("ranges are values with parts") {
  uint8_t bytes[100];
  const LocalRange local{bytes, 100, 7};
  CHECK(local.first(10).length == 10);
  CHECK(local.last(10).data == bytes + 90);
  CHECK(local.subrange(20, 30).data == bytes + 20);
  CHECK(local.subrange(100, 0).length == 0);
  CHECK(local.subrange(20, 30).lkey == 7);
  const RemoteRange remote{1000, 100, 9};
  CHECK(remote.last(1).address == 1099);
  CHECK(remote.subrange(5, 6).rkey == 9);
  CHECK(remote.valid());
  CHECK_FALSE(RemoteRange{UINT64_MAX, 2, 0}.valid());
  CHECK((LocalRanges{local.first(1), local.last(2)}.bytes()) == 3);
}

TEST_CASE("errors name verb, object and cause in words") {
  CHECK(verb_error("ibv_reg_mr", ENOMEM, "rxe0, 4096 bytes", "do this").message() ==
        "ibv_reg_mr on rxe0, 4096 bytes: Cannot allocate memory (ENOMEM); do this");
  CHECK(verb_error("ibv_poll_cq", 0, "rxe0").code() == StatusCode::kIoError);
  CHECK(verb_error("ibv_post_send", -EINVAL, "rxe0").code() == StatusCode::kInvalid);
  const Status status = completion_error("WRITE", CompletionStatus::kRemoteAccess, 137, "rxe0 port 1, queue pair 17");
  CHECK(status.code() == StatusCode::kAccessDenied);
  CHECK(status.message().starts_with(
      "WRITE on rxe0 port 1, queue pair 17: remote access error (vendor error 137); the peer's key"));
  CHECK(describe(static_cast<CompletionStatus>(200)) == "general error");
}

TEST_CASE("settings know soft-RoCE") {
  DeviceInfo hardware;
  hardware.driver = "mlx5_core";
  DeviceInfo software;
  software.driver = "rxe";
  CHECK(QueuePairSettings::for_device(hardware).send_depth == 256);
  CHECK(QueuePairSettings::for_device(hardware).timeout == 14);
  CHECK(QueuePairSettings::for_device(software).send_depth == 128);
  CHECK(QueuePairSettings::for_device(software).receive_depth == 64);
  CHECK(QueuePairSettings::for_device(software).timeout == 16);
}
