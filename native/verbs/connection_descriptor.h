// What two ends tell each other about their queue pairs, over any channel, before they connect them. Plain numbers:
// how they are encoded and authenticated is the matter of whoever exchanges them.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "verbs/device.h"

namespace ibexfs::verbs {

struct ConnectionDescriptor {
  uint32_t queue_pair_number = 0;       // 24 bits
  uint32_t packet_sequence_number = 0;  // 24 bits, random: the first that this side sends
  LinkLayer link_layer = LinkLayer::kEthernet;
  Gid gid;
  uint16_t lid = 0;  // InfiniBand only
  bool route_header_required = false;
  uint32_t mtu_bytes = 0;
  // READs and atomics that this side answers at once, and wants to have on the way at once.
  uint8_t responder_depth = 0;
  uint8_t initiator_depth = 0;

  std::string text() const;  // "queue pair 17 at 10.77.0.1"
};

// What follows from both descriptors.
struct ConnectionTerms {
  uint32_t mtu_bytes = 0;
  uint8_t responder_depth = 0;
  uint8_t initiator_depth = 0;
  bool route_header = false;  // always for RoCE; on InfiniBand between subnets, or where a port demands it
};

// Checks what the peer says, which is untrusted, and negotiates: of everything the smaller of both.
Result<ConnectionTerms> negotiate(const ConnectionDescriptor& local, const ConnectionDescriptor& peer);

// 24 random bits of the kernel's generator: sequence numbers that cannot be guessed keep strangers from injecting packets.
Result<uint32_t> random_packet_sequence_number();

// 256, 512, 1024, 2048, 4096 to the interface's number and back; 0 for anything else.
int mtu_number(uint32_t bytes);
uint32_t mtu_bytes(int number);

}  // namespace ibexfs::verbs
