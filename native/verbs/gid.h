// Addresses of ports (GIDs), and which one to use. A RoCE port has one GID per IP address and RoCE version of its
// network interface; only version 2 can be routed, and peers must be able to reach the address.
#pragma once

#include <netinet/in.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace ibexfs::verbs {

// 16 bytes; for RoCE an IPv6 address, or an IPv4 address as ::ffff:a.b.c.d.
struct Gid {
  std::array<uint8_t, 16> bytes{};

  static Gid from(const in_addr& address);
  static Gid from(const in6_addr& address);
  // An IPv4 or IPv6 address in text (a zone after % is left out); nothing when it is neither.
  static std::optional<Gid> parse(const std::string& address);

  bool empty() const;    // all zeros: an unused entry
  bool is_ipv4() const;  // v4-mapped
  bool is_link_local() const;
  bool is_multicast() const;
  uint64_t subnet_prefix() const;
  std::string text() const;  // "10.77.0.1" for v4-mapped, else as IPv6
  auto operator<=>(const Gid&) const = default;
};

enum class GidType : uint8_t { kInfiniband, kRoceV1, kRoceV2, kUnknown };
std::string_view describe(GidType type);

struct GidEntry {
  Gid gid;
  uint32_t index = 0;  // tables move: an entry is index and bytes together
  GidType type = GidType::kUnknown;
  std::string interface;     // network interface, where there is one
  bool interface_up = true;  // true also when that cannot be seen (another network namespace)
};

struct GidWish {
  // The address that the TCP connection to the peer uses on this side: preferred, because the peer reaches it.
  std::optional<Gid> address;
  // Overrides everything: what an administrator configured.
  std::optional<uint32_t> index;
};

// Best first: the wished address; then routable IPv4, private IPv4, global IPv6, unique local IPv6; interfaces of
// container and virtual machine networks after all others. Link-local addresses and RoCE version 1 are left out, as
// are interfaces that are down.
std::vector<GidEntry> rank_roce_gids(std::span<const GidEntry> entries, const std::optional<Gid>& address);

// The entry to use on an Ethernet port, or a Status that says what the table lacks. `subject` names device and port.
Result<GidEntry> choose_roce_gid(std::span<const GidEntry> entries, const GidWish& wish, const std::string& subject);

}  // namespace ibexfs::verbs
