// An open device: its limits, its ports, its events.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "verbs/gid.h"
#include "verbs/library.h"

namespace ibexfs::verbs {

// What the device allows. Asked, never assumed.
struct DeviceLimits {
  uint64_t memory_region_bytes_max = 0;
  uint32_t queue_pairs_max = 0;
  uint32_t work_requests_max = 0;  // of one queue of a queue pair
  uint32_t scatter_gather_max = 0;
  uint32_t completion_queues_max = 0;
  uint32_t completion_entries_max = 0;
  uint32_t memory_regions_max = 0;
  uint32_t protection_domains_max = 0;
  // READs and atomics that a queue pair answers at once, and has on the way at once.
  uint8_t responder_depth_max = 0;
  uint8_t initiator_depth_max = 0;
  bool atomics = false;
  uint32_t ports = 0;
  uint32_t vendor_id = 0;
  uint32_t vendor_part_id = 0;
  std::string firmware_version;
};

enum class LinkLayer : uint8_t { kInfiniband = 1, kEthernet = 2 };

struct PortInfo {
  uint8_t number = 1;
  LinkLayer link_layer = LinkLayer::kInfiniband;
  bool active = false;
  std::string state;  // "active", "down", ...
  uint32_t mtu_bytes = 0;
  uint32_t mtu_bytes_max = 0;
  uint32_t message_bytes_max = 0;
  uint16_t lid = 0;
  bool route_header_required = false;  // InfiniBand that needs GIDs within the subnet too
  uint32_t gid_table_length = 0;
  uint64_t speed_mbps = 0;  // 0: unknown
};

enum class DeviceEventKind : uint8_t {
  kQueuePairFatal,        // queue_pair_number names it
  kCompletionQueueFatal,  // overrun: every queue pair of it is lost
  kDeviceFatal,           // everything is lost
  kPortActive,
  kPortDown,
  kAddressesChanged,  // GIDs, LID or partition keys: what was chosen may no longer hold
  kOther,
};

struct DeviceEvent {
  DeviceEventKind kind = DeviceEventKind::kOther;
  uint8_t port = 0;                                        // of port events
  uint32_t queue_pair_number = 0;                          // of queue pair events
  const abi::CompletionQueue* completion_queue = nullptr;  // of completion queue events: to compare with, it may be gone
  std::string text;                                        // for the log: device, port or queue pair, and what happened
};

// Opens and closes; thread-safe except next_event, which belongs to one thread.
class Device {
 public:
  static Result<std::shared_ptr<Device>> open(const std::shared_ptr<Library>& library, const std::string& name);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceInfo& info() const { return info_; }
  const std::string& name() const { return info_.name; }
  const DeviceLimits& limits() const { return limits_; }

  // Asks the device with each call. Ports count from 1.
  Result<PortInfo> port(uint8_t number) const;
  // The used entries of the port's table.
  Result<std::vector<GidEntry>> gids(uint8_t port) const;

  // Readable (non-blocking) when next_event has something.
  int event_fd() const { return context_->async_fd; }
  // Nothing when there is no event now. Events are acknowledged at once, so none can block a destroy.
  Result<std::optional<DeviceEvent>> next_event();

  Library& library() const { return *library_; }
  const VerbsTable& verbs() const { return library_->verbs(); }
  LiveObjects& live() const { return library_->live(); }
  abi::Context* context() const { return context_; }

 private:
  Device(std::shared_ptr<Library> library, DeviceInfo info, abi::Context* context);
  Status load_limits();

  const std::shared_ptr<Library> library_;
  const DeviceInfo info_;
  abi::Context* const context_;
  DeviceLimits limits_;
};

// A port that can carry traffic with the GID to use: what a connection starts from.
struct LocalPort {
  PortInfo port;
  GidEntry gid;  // of an InfiniBand port: entry 0
};

// The port with its addresses, or a Status that says why it cannot be used now (down, no RoCE v2 GID).
Result<LocalPort> usable_port(const Device& device, uint8_t port, const GidWish& wish);

}  // namespace ibexfs::verbs
