// GIDs: text, kinds, choice.
#include "verbs/gid.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace ibexfs::verbs {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
// An address handle has 8 bits for the index.
constexpr uint32_t kIndexMax = 255;

// 10/8, 172.16/12, 192.168/16, and 169.254/16 counts as link-local.
bool private_ipv4(const Gid& gid) {
  const uint8_t* address = gid.bytes.data() + kMappedPrefix.size();
  return address[0] == 10 || (address[0] == 172 && (address[1] & 0xf0) == 16) || (address[0] == 192 && address[1] == 168);
}

// Networks of containers and virtual machines: addresses there are seldom those that peers can reach.
bool overlay_interface(std::string_view name) {
  constexpr std::array<std::string_view, 9> kPrefixes{"docker", "veth",  "cni",    "flannel", "cali",
                                                      "br-",    "virbr", "podman", "tun"};
  return std::any_of(kPrefixes.begin(), kPrefixes.end(), [&](std::string_view prefix) { return name.starts_with(prefix); });
}

// Lower is better.
int rank_of(const GidEntry& entry, const std::optional<Gid>& address) {
  if (address && entry.gid == *address) return 0;
  const bool unique_local = !entry.gid.is_ipv4() && (entry.gid.bytes[0] & 0xfe) == 0xfc;
  const int kind = entry.gid.is_ipv4() ? (private_ipv4(entry.gid) ? 2 : 1) : (unique_local ? 4 : 3);
  // An address of the same family as the wished one: a peer that was reached by IPv6 may have no IPv4.
  const bool other_family = address && address->is_ipv4() != entry.gid.is_ipv4();
  return kind + (other_family ? 10 : 0) + (overlay_interface(entry.interface) ? 100 : 0);
}

bool candidate(const GidEntry& entry) {
  return entry.type == GidType::kRoceV2 && entry.interface_up && entry.index <= kIndexMax && !entry.gid.empty() &&
         !entry.gid.is_link_local() && !entry.gid.is_multicast();
}

}  // namespace

Gid Gid::from(const in_addr& address) {
  Gid gid;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), gid.bytes.begin());
  std::memcpy(gid.bytes.data() + kMappedPrefix.size(), &address, sizeof address);
  return gid;
}

Gid Gid::from(const in6_addr& address) {
  Gid gid;
  std::memcpy(gid.bytes.data(), &address, sizeof address);
  return gid;
}

std::optional<Gid> Gid::parse(const std::string& address) {
  in_addr ipv4{};
  if (inet_pton(AF_INET, address.c_str(), &ipv4) == 1) return from(ipv4);
  in6_addr ipv6{};
  if (inet_pton(AF_INET6, address.substr(0, address.find('%')).c_str(), &ipv6) == 1) return from(ipv6);
  return std::nullopt;
}

bool Gid::empty() const {
  return *this == Gid();
}

bool Gid::is_ipv4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin());
}

bool Gid::is_link_local() const {
  if (is_ipv4()) return bytes[12] == 169 && bytes[13] == 254;
  return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

bool Gid::is_multicast() const {
  return is_ipv4() ? bytes[12] >= 224 : bytes[0] == 0xff;
}

uint64_t Gid::subnet_prefix() const {
  uint64_t prefix = 0;
  for (size_t i = 0; i < 8; ++i) prefix = prefix << 8 | bytes[i];
  return prefix;
}

std::string Gid::text() const {
  char buffer[INET6_ADDRSTRLEN];
  const char* text = is_ipv4() ? inet_ntop(AF_INET, bytes.data() + kMappedPrefix.size(), buffer, sizeof buffer)
                               : inet_ntop(AF_INET6, bytes.data(), buffer, sizeof buffer);
  return text;
}

std::string_view describe(GidType type) {
  switch (type) {
    case GidType::kInfiniband:
      return "InfiniBand";
    case GidType::kRoceV1:
      return "RoCE v1";
    case GidType::kRoceV2:
      return "RoCE v2";
    case GidType::kUnknown:
      break;
  }
  return "unknown";
}

std::vector<GidEntry> rank_roce_gids(std::span<const GidEntry> entries, const std::optional<Gid>& address) {
  std::vector<GidEntry> ranked;
  std::copy_if(entries.begin(), entries.end(), std::back_inserter(ranked), candidate);
  std::stable_sort(ranked.begin(), ranked.end(),
                   [&](const GidEntry& a, const GidEntry& b) { return rank_of(a, address) < rank_of(b, address); });
  return ranked;
}

Result<GidEntry> choose_roce_gid(std::span<const GidEntry> entries, const GidWish& wish, const std::string& subject) {
  if (wish.index) {
    for (const GidEntry& entry : entries) {
      if (entry.index == *wish.index && entry.index <= kIndexMax) return entry;
    }
    return Status(StatusCode::kNoEntry, subject + " has no GID with index " + std::to_string(*wish.index) +
                                            ": choose another, or leave the choice to us");
  }
  auto ranked = rank_roce_gids(entries, wish.address);
  if (!ranked.empty()) return std::move(ranked.front());
  std::string found;
  for (const GidEntry& entry : entries) {
    if (entry.gid.empty()) continue;
    found += (found.empty() ? "" : ", ") + entry.gid.text() + " (" + std::string(describe(entry.type)) +
             (entry.interface_up ? "" : ", " + entry.interface + " is down") + ")";
  }
  return Status(StatusCode::kNoEntry, subject + " has no RoCE v2 GID that peers could reach; it has " +
                                          (found.empty() ? "none at all" : found) +
                                          ": give its network interface an IP address and bring it up");
}

}  // namespace ibexfs::verbs
