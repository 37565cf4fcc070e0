// Checking a peer's descriptor and agreeing on terms.
#include "verbs/connection_descriptor.h"

#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <cerrno>

namespace ibexfs::verbs {
namespace {

constexpr uint32_t kMask24 = 0xffffff;
constexpr uint16_t kUnicastLidMax = 0xbfff;

Status refuse(const std::string& what) {
  return {StatusCode::kBadRequest, "the peer's descriptor " + what};
}

Status check_address(const ConnectionDescriptor& local, const ConnectionDescriptor& peer, bool route_header) {
  if (route_header && (peer.gid.empty() || peer.gid.is_multicast())) return refuse("has no GID that can be reached");
  if (peer.link_layer == LinkLayer::kEthernet) {
    if (peer.gid.is_ipv4() != local.gid.is_ipv4())
      return refuse("has GID " + peer.gid.text() + " while ours is " + local.gid.text() +
                    ": use IPv4 or IPv6 on both sides, or choose the GID by its index");
    return {};
  }
  if (peer.lid > kUnicastLidMax || (peer.lid == 0 && !route_header)) return refuse("has no valid LID");
  return {};
}

}  // namespace

std::string ConnectionDescriptor::text() const {
  const bool by_gid = link_layer == LinkLayer::kEthernet || lid == 0;
  return "queue pair " + std::to_string(queue_pair_number) + " at " + (by_gid ? gid.text() : "LID " + std::to_string(lid));
}

Result<ConnectionTerms> negotiate(const ConnectionDescriptor& local, const ConnectionDescriptor& peer) {
  if (peer.link_layer != LinkLayer::kInfiniband && peer.link_layer != LinkLayer::kEthernet)
    return refuse("names an unknown link layer");
  if (peer.link_layer != local.link_layer)
    return refuse(peer.link_layer == LinkLayer::kEthernet ? "is of RoCE while our port is InfiniBand"
                                                          : "is of InfiniBand while our port is RoCE");
  // 0 and 1 belong to the subnet's management.
  if (peer.queue_pair_number < 2 || peer.queue_pair_number > kMask24) return refuse("has no valid queue pair number");
  if (peer.packet_sequence_number > kMask24) return refuse("has no valid packet sequence number");
  if (mtu_number(peer.mtu_bytes) == 0) return refuse("names an MTU that there is not: " + std::to_string(peer.mtu_bytes));
  const bool route_header = local.link_layer == LinkLayer::kEthernet || local.route_header_required ||
                            peer.route_header_required || local.gid.subnet_prefix() != peer.gid.subnet_prefix();
  if (Status status = check_address(local, peer, route_header); !status.ok()) return status;
  return ConnectionTerms{.mtu_bytes = std::min(local.mtu_bytes, peer.mtu_bytes),
                         .responder_depth = std::min(local.responder_depth, peer.initiator_depth),
                         .initiator_depth = std::min(local.initiator_depth, peer.responder_depth),
                         .route_header = route_header};
}

Result<uint32_t> random_packet_sequence_number() {
  uint32_t number = 0;
  ssize_t bytes = 0;
  // Interrupted only before the generator is seeded, which is early at boot.
  do bytes = getrandom(&number, sizeof number, 0);
  while (bytes < 0 && errno == EINTR);
  if (bytes != sizeof number) return Status::from_errno(errno, "getrandom");
  return number & kMask24;
}

int mtu_number(uint32_t bytes) {
  return std::has_single_bit(bytes) && bytes >= 256 && bytes <= 4096 ? std::countr_zero(bytes) - 7 : 0;
}

uint32_t mtu_bytes(int number) {
  return number >= 1 && number <= 5 ? 128U << static_cast<unsigned>(number) : 0;
}

}  // namespace ibexfs::verbs
