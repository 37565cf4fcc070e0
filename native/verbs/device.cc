// Opening a device, asking for its limits, ports and addresses, reading its events.
#include "verbs/device.h"

#include <fcntl.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "verbs/connection_descriptor.h"
#include "verbs/error.h"

namespace ibexfs::verbs {
namespace {

std::string subject_of(const std::string& device, uint8_t port) {
  return device + " port " + std::to_string(port);
}

uint32_t count_of(int limit) {
  return limit > 0 ? static_cast<uint32_t>(limit) : 0;
}

uint8_t depth_of(int limit) {
  return static_cast<uint8_t>(std::clamp(limit, 0, 255));
}

std::string state_text(int state) {
  constexpr std::array<const char*, 6> kTexts{"unknown", "down", "initializing", "armed", "active", "active, deferred"};
  return state >= 0 && static_cast<size_t>(state) < kTexts.size() ? kTexts[static_cast<size_t>(state)] : "unknown";
}

// Lanes times signalling rate, as the interface numbers them: each a bit.
uint64_t speed_of(uint8_t width, uint8_t speed) {
  constexpr std::array<uint64_t, 5> kLanes{1, 4, 8, 12, 2};
  constexpr std::array<uint64_t, 8> kMegabits{2500, 5000, 10000, 10000, 14000, 25000, 50000, 100000};
  const auto lane = static_cast<size_t>(__builtin_ctz(width | 0x100U));
  const auto rate = static_cast<size_t>(__builtin_ctz(speed | 0x100U));
  return lane < kLanes.size() && rate < kMegabits.size() ? kLanes[lane] * kMegabits[rate] : 0;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

bool interface_up(const SystemPaths& paths, const std::string& interface) {
  const std::string flags = first_line(paths.sys + "/class/net/" + interface + "/flags");
  return flags.empty() || (std::strtoul(flags.c_str(), nullptr, 16) & IFF_UP) != 0;
}

GidType type_of(uint32_t number) {
  constexpr std::array<GidType, 3> kTypes{GidType::kInfiniband, GidType::kRoceV1, GidType::kRoceV2};
  return number < kTypes.size() ? kTypes[number] : GidType::kUnknown;
}

Gid gid_of(const abi::Gid& raw) {
  Gid gid;
  std::memcpy(gid.bytes.data(), raw.raw, gid.bytes.size());
  return gid;
}

}  // namespace

Result<std::shared_ptr<Device>> Device::open(const std::shared_ptr<Library>& library, const std::string& name) {
  const auto listed = library->devices();
  if (!listed.ok()) return listed.status();
  const auto& infos = listed.value();
  const auto info = std::find_if(infos.begin(), infos.end(), [&](const DeviceInfo& entry) { return entry.name == name; });
  const VerbsTable& verbs = library->verbs();
  int count = 0;
  errno = 0;
  // Listed once more because an entry can be opened only while its list lives.
  abi::Device** list = info == infos.end() ? nullptr : verbs.get_device_list(&count);
  abi::Context* context = nullptr;
  bool found = false;
  int error = errno;
  for (int i = 0; list != nullptr && i < count && !found; ++i) {
    if (name != list[i]->name) continue;
    found = true;
    errno = 0;
    context = verbs.open_device(list[i]);
    error = errno;
  }
  if (list != nullptr) verbs.free_device_list(list);
  if (!found) return Status(StatusCode::kNoEntry, "there is no RDMA device " + name + ": " + library->report().reason);
  if (context == nullptr) {
    const AvailabilityReport report = library->report();
    const bool explained = report.availability != Availability::kUsable;
    return verb_error("ibv_open_device", error, name, explained ? report.reason + ": " + report.cure : "");
  }
  std::shared_ptr<Device> device(new Device(library, *info, context));
  if (Status status = device->load_limits(); !status.ok()) return status;
  return device;
}

Device::Device(std::shared_ptr<Library> library, DeviceInfo info, abi::Context* context)
    : library_(std::move(library)), info_(std::move(info)), context_(context) {
  ++live().devices;
}

Device::~Device() {
  if (verbs().close_device(context_) != 0) ++live().leaks;
  --live().devices;
}

Status Device::load_limits() {
  abi::DeviceAttributes attributes{};
  if (const int error = verbs().query_device(context_, &attributes); error != 0)
    return verb_error("ibv_query_device", error, name());
  limits_ = {.memory_region_bytes_max = attributes.max_mr_size,
             .queue_pairs_max = count_of(attributes.max_qp),
             .work_requests_max = count_of(attributes.max_qp_wr),
             .scatter_gather_max = count_of(attributes.max_sge),
             .completion_queues_max = count_of(attributes.max_cq),
             .completion_entries_max = count_of(attributes.max_cqe),
             .memory_regions_max = count_of(attributes.max_mr),
             .protection_domains_max = count_of(attributes.max_pd),
             .responder_depth_max = depth_of(attributes.max_qp_rd_atom),
             .initiator_depth_max = depth_of(attributes.max_qp_init_rd_atom),
             .atomics = attributes.atomic_cap != abi::kAtomicNone,
             .ports = attributes.phys_port_cnt,
             .vendor_id = attributes.vendor_id,
             .vendor_part_id = attributes.vendor_part_id,
             .firmware_version = std::string(attributes.firmware_version,
                                             strnlen(attributes.firmware_version, sizeof attributes.firmware_version))};
  const int flags = fcntl(context_->async_fd, F_GETFL);
  if (flags < 0 || fcntl(context_->async_fd, F_SETFL, flags | O_NONBLOCK) != 0)
    return Status::from_errno(errno, "fcntl of the event descriptor of " + name());
  return {};
}

Result<PortInfo> Device::port(uint8_t number) const {
  if (number == 0 || number > limits_.ports)
    return Status(StatusCode::kNoEntry,
                  name() + " has " + std::to_string(limits_.ports) + " ports, and no port " + std::to_string(number));
  abi::PortAttributes attributes{};
  if (const int error = verbs().query_port(context_, number, &attributes); error != 0)
    return verb_error("ibv_query_port", error, subject_of(name(), number));
  const bool ethernet = attributes.link_layer == abi::kLinkLayerEthernet;
  return PortInfo{.number = number,
                  .link_layer = ethernet ? LinkLayer::kEthernet : LinkLayer::kInfiniband,
                  .active = attributes.state == abi::kPortActive,
                  .state = state_text(attributes.state),
                  .mtu_bytes = mtu_bytes(attributes.active_mtu),
                  .mtu_bytes_max = mtu_bytes(attributes.max_mtu),
                  .message_bytes_max = attributes.max_msg_sz,
                  .lid = attributes.lid,
                  .route_header_required = (attributes.flags & abi::kPortFlagGrhRequired) != 0,
                  .gid_table_length = count_of(attributes.gid_tbl_len),
                  .speed_mbps = speed_of(attributes.active_width, attributes.active_speed)};
}

Result<std::vector<GidEntry>> Device::gids(uint8_t number) const {
  const auto asked = port(number);
  if (!asked.ok()) return asked.status();
  std::vector<GidEntry> entries;
  const auto add = [&](GidEntry entry) {
    if (entry.gid.empty()) return;
    if (!entry.interface.empty()) entry.interface_up = interface_up(library_->paths(), entry.interface);
    entries.push_back(std::move(entry));
  };
  if (verbs().query_gid_table != nullptr) {
    // The call gives the tables of all ports.
    std::vector<abi::GidEntry> table(size_t{asked.value().gid_table_length} * std::max(limits_.ports, 1U));
    const ssize_t count = verbs().query_gid_table(context_, table.data(), table.size(), 0, sizeof(abi::GidEntry));
    for (ssize_t i = 0; i < count; ++i) {
      const abi::GidEntry& entry = table[static_cast<size_t>(i)];
      if (entry.port_num != number) continue;
      char name_buffer[IF_NAMESIZE] = "";
      if (entry.ndev_ifindex != 0) if_indextoname(entry.ndev_ifindex, name_buffer);
      add({gid_of(entry.gid), entry.gid_index, type_of(entry.gid_type), name_buffer});
    }
    if (count >= 0) return entries;
  }
  // Older libraries and kernels: the table entry by entry, its types and interfaces from sysfs.
  const std::string attributes = info_.sysfs_path + "/ports/" + std::to_string(number) + "/gid_attrs/";
  for (uint32_t index = 0; index < asked.value().gid_table_length; ++index) {
    abi::Gid raw{};
    if (verbs().query_gid(context_, number, static_cast<int>(index), &raw) != 0) continue;
    const std::string type = first_line(attributes + "types/" + std::to_string(index));
    const bool ethernet = asked.value().link_layer == LinkLayer::kEthernet;
    const GidType kind = type == "RoCE v2" ? GidType::kRoceV2 : (ethernet ? GidType::kRoceV1 : GidType::kInfiniband);
    add({gid_of(raw), index, kind, first_line(attributes + "ndevs/" + std::to_string(index))});
  }
  return entries;
}

Result<std::optional<DeviceEvent>> Device::next_event() {
  abi::AsyncEvent raw{};
  errno = 0;
  if (verbs().get_async_event(context_, &raw) != 0) {
    if (errno == EAGAIN || errno == EINTR) return std::optional<DeviceEvent>();
    return verb_error("ibv_get_async_event", errno, name());
  }
  DeviceEvent event;
  const auto of_port = [&](DeviceEventKind kind, const char* what) {
    event.kind = kind;
    event.port = static_cast<uint8_t>(raw.element.port_num);
    event.text = subject_of(name(), event.port) + ": " + what;
  };
  const auto of_queue_pair = [&](const char* what) {
    event.kind = DeviceEventKind::kQueuePairFatal;
    event.queue_pair_number = raw.element.qp->qp_num;
    event.text = name() + " queue pair " + std::to_string(event.queue_pair_number) + ": " + what;
  };
  switch (raw.event_type) {
    case abi::kEventQueuePairFatal:
      of_queue_pair("fatal error");
      break;
    case abi::kEventQueuePairRequestError:
      of_queue_pair("the peer sent an invalid request");
      break;
    case abi::kEventQueuePairAccessError:
      of_queue_pair("the peer asked for memory that it has no right to");
      break;
    case abi::kEventCompletionQueueError:
      event.kind = DeviceEventKind::kCompletionQueueFatal;
      event.completion_queue = raw.element.cq;
      event.text = name() + ": a completion queue overran";
      break;
    case abi::kEventDeviceFatal:
      event.kind = DeviceEventKind::kDeviceFatal;
      event.text = name() + ": fatal error of the device";
      break;
    case abi::kEventPortActive:
      of_port(DeviceEventKind::kPortActive, "active");
      break;
    case abi::kEventPortError:
      of_port(DeviceEventKind::kPortDown, "down");
      break;
    case abi::kEventLidChange:
    case abi::kEventPkeyChange:
    case abi::kEventClientReregister:
    case abi::kEventGidChange:
      of_port(DeviceEventKind::kAddressesChanged, "its addresses changed");
      break;
    default:
      event.text = name() + ": event " + std::to_string(raw.event_type);
  }
  verbs().ack_async_event(&raw);
  return std::optional(std::move(event));
}

Result<LocalPort> usable_port(const Device& device, uint8_t number, const GidWish& wish) {
  const std::string subject = subject_of(device.name(), number);
  if (device.info().iwarp)
    return Status(StatusCode::kNotSupported, subject + " is iWARP, which needs a connection manager: use InfiniBand or RoCE");
  auto port = device.port(number);
  if (!port.ok()) return port.status();
  const bool ethernet = port.value().link_layer == LinkLayer::kEthernet;
  if (!port.value().active)
    return Status(StatusCode::kNotSupported,
                  subject + " is " + port.value().state + ": " +
                      (ethernet ? "bring its network interface and link up" : "check its cable and the subnet manager"));
  const auto entries = device.gids(number);
  if (!entries.ok()) return entries.status();
  if (ethernet) {
    auto chosen = choose_roce_gid(entries.value(), wish, subject);
    if (!chosen.ok()) return chosen.status();
    return LocalPort{port.take(), chosen.take()};
  }
  const uint32_t index = wish.index.value_or(0);
  for (const GidEntry& entry : entries.value()) {
    if (entry.index == index) return LocalPort{port.take(), entry};
  }
  return Status(StatusCode::kNoEntry, subject + " has no GID with index " + std::to_string(index));
}

}  // namespace ibexfs::verbs
