// Opening libibverbs, listing devices, and finding out why there is none.
#include "verbs/library.h"

#include <dlfcn.h>
#include <endian.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "verbs/error.h"

namespace ibexfs::verbs {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLibraryCure =
    "install libibverbs and its providers (Debian, Ubuntu: libibverbs1 ibverbs-providers; others: rdma-core)";
constexpr const char* kProviderCure =
    "install the providers of libibverbs (Debian, Ubuntu: ibverbs-providers; others: rdma-core)";
constexpr const char* kNoDeviceCure =
    "load the driver of the adapter, or make a soft-RoCE device: modprobe rdma_rxe && rdma link add rxe0 type rxe netdev "
    "INTERFACE";

// Symbols carry versions because the layouts of version 1.0 are not those of today: the default could be either.
class Symbols {
 public:
  explicit Symbols(void* handle) : handle_(handle) {}
  template <typename Function>
  void need(Function*& slot, const char* name, const char* version = "IBVERBS_1.1") {
    want(slot, name, version);
    if (slot == nullptr && missing_.empty()) missing_ = std::string(name) + " of version " + version;
  }
  template <typename Function>
  void want(Function*& slot, const char* name, const char* version) {
    slot = reinterpret_cast<Function*>(dlvsym(handle_, name, version));
  }
  const std::string& missing() const { return missing_; }

 private:
  void* handle_;
  std::string missing_;
};

// Gives the first symbol that is missing, or an empty string.
std::string load_table(void* handle, VerbsTable& table) {
  Symbols symbols(handle);
  symbols.need(table.get_device_list, "ibv_get_device_list");
  symbols.need(table.free_device_list, "ibv_free_device_list");
  symbols.need(table.get_device_guid, "ibv_get_device_guid");
  symbols.need(table.open_device, "ibv_open_device");
  symbols.need(table.close_device, "ibv_close_device");
  symbols.need(table.query_device, "ibv_query_device");
  symbols.need(table.query_port, "ibv_query_port");
  symbols.need(table.query_gid, "ibv_query_gid");
  symbols.need(table.get_async_event, "ibv_get_async_event");
  symbols.need(table.ack_async_event, "ibv_ack_async_event");
  symbols.need(table.alloc_pd, "ibv_alloc_pd");
  symbols.need(table.dealloc_pd, "ibv_dealloc_pd");
  symbols.need(table.reg_mr, "ibv_reg_mr");
  symbols.need(table.dereg_mr, "ibv_dereg_mr");
  symbols.need(table.create_comp_channel, "ibv_create_comp_channel", "IBVERBS_1.0");
  symbols.need(table.destroy_comp_channel, "ibv_destroy_comp_channel", "IBVERBS_1.0");
  symbols.need(table.create_cq, "ibv_create_cq");
  symbols.need(table.destroy_cq, "ibv_destroy_cq");
  symbols.need(table.get_cq_event, "ibv_get_cq_event");
  symbols.need(table.ack_cq_events, "ibv_ack_cq_events");
  symbols.need(table.create_qp, "ibv_create_qp");
  symbols.need(table.modify_qp, "ibv_modify_qp");
  symbols.need(table.destroy_qp, "ibv_destroy_qp");
  symbols.want(table.reg_mr_iova2, "ibv_reg_mr_iova2", "IBVERBS_1.8");
  symbols.want(table.query_gid_table, "_ibv_query_gid_table", "IBVERBS_1.11");
  symbols.want(table.is_fork_initialized, "ibv_is_fork_initialized", "IBVERBS_1.13");
  symbols.want(table.fork_init, "ibv_fork_init", "IBVERBS_1.1");
  return symbols.missing();
}

std::vector<std::string> names_in(const std::string& folder, const std::string& prefix = "") {
  std::vector<std::string> names;
  std::error_code ignored;
  for (fs::directory_iterator entry(folder, ignored), end; entry != end; entry.increment(ignored)) {
    std::string name = entry->path().filename();
    if (name.starts_with(prefix)) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The kernel's driver of the parent device. Software devices have no parent; the transport tells the two apart.
std::string driver_of(const abi::Device& device) {
  std::error_code error;
  const fs::path folder(device.ibdev_path);
  const fs::path driver = fs::read_symlink(folder / "device" / "driver", error);
  if (!error) return driver.filename();
  if (!fs::exists(folder, error) || fs::exists(folder / "device", error)) return "";
  return device.transport_type == abi::kTransportIwarp ? "siw" : "rxe";
}

// Why the device's node cannot be opened, with the cure; nothing when it can.
std::optional<AvailabilityReport> node_trouble(const SystemPaths& paths, const std::string& device, const std::string& node) {
  const std::string path = paths.dev + "/infiniband/" + node;
  if (access(path.c_str(), R_OK | W_OK) == 0) return std::nullopt;
  const int error = errno;
  if (error == ENOENT)
    return AvailabilityReport{Availability::kNoDevice, device + " has no device node " + path,
                              "in a container, pass the folder /dev/infiniband into it; else load the module ib_uverbs"};
  return AvailabilityReport{Availability::kNoDevice, Status::from_errno(error, "cannot use " + path + " of " + device).message(),
                            "give this user read and write access to " + path};
}

}  // namespace

const std::shared_ptr<Library>& Library::system() {
  static const std::shared_ptr<Library> library = open("libibverbs.so.1");
  return library;
}

std::shared_ptr<Library> Library::open(const char* file) {
  std::shared_ptr<Library> library(new Library);
  void* handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    library->load_error_ = std::string("cannot open ") + file + ": " + (reason != nullptr ? reason : "unknown error");
    return library;
  }
  const std::string missing = load_table(handle, library->table_);
  if (!missing.empty()) {
    library->load_error_ = std::string(file) + " has no " + missing;
    return library;
  }
  // Before anything is registered: a child process between fork and exec must not take registered pages along by
  // copy-on-write. Kernels since 5.12 copy such pages at fork; only before must the library mark them.
  const VerbsTable& verbs = library->table_;
  const bool needed = verbs.is_fork_initialized == nullptr || verbs.is_fork_initialized() == abi::kForkDisabled;
  if (needed && verbs.fork_init != nullptr) verbs.fork_init();
  return library;
}

std::shared_ptr<Library> Library::with_table(const VerbsTable& table, SystemPaths paths) {
  std::shared_ptr<Library> library(new Library);
  library->table_ = table;
  library->paths_ = std::move(paths);
  return library;
}

AvailabilityReport Library::report() const {
  if (!loaded()) return {Availability::kNoLibrary, load_error_, kLibraryCure};
  const auto listed = devices();
  if (!listed.ok()) return {Availability::kNoDevice, listed.status().message(), ""};
  if (listed.value().empty()) return explain_no_device(paths_);
  std::vector<std::string> usable;
  std::optional<AvailabilityReport> trouble;
  for (const DeviceInfo& device : listed.value()) {
    std::optional<AvailabilityReport> found;
    if (device.iwarp) {
      found = {Availability::kNoDevice, device.name + " is an iWARP device, which needs a connection manager",
               "use an InfiniBand or RoCE device"};
    } else {
      found = node_trouble(paths_, device.name, device.character_device);
    }
    if (!found) usable.push_back(device.name);
    if (!trouble) trouble = std::move(found);
  }
  if (usable.empty()) return *trouble;
  return {Availability::kUsable, (usable.size() == 1 ? "device " : "devices ") + joined(usable), ""};
}

Result<std::vector<DeviceInfo>> Library::devices() const {
  if (!loaded()) return Status(StatusCode::kNotSupported, load_error_ + "; " + kLibraryCure);
  int count = 0;
  errno = 0;
  abi::Device** list = table_.get_device_list(&count);
  if (list == nullptr) {
    const int error = errno;
    // The kernel module is not loaded.
    if (error == ENOSYS || error == ENOENT) return std::vector<DeviceInfo>();
    return verb_error("ibv_get_device_list", error, "this machine");
  }
  std::vector<DeviceInfo> devices;
  for (int i = 0; i < count; ++i) {
    const abi::Device& device = *list[i];
    devices.push_back({.name = device.name,
                       .character_device = device.dev_name,
                       .sysfs_path = device.ibdev_path,
                       .driver = driver_of(device),
                       .guid = be64toh(table_.get_device_guid(list[i])),
                       .iwarp = device.transport_type != abi::kTransportInfiniband});
  }
  table_.free_device_list(list);
  return devices;
}

AvailabilityReport explain_no_device(const SystemPaths& paths) {
  const std::vector<std::string> devices = names_in(paths.sys + "/class/infiniband");
  const std::vector<std::string> nodes = names_in(paths.sys + "/class/infiniband_verbs", "uverbs");
  const auto report = [](std::string reason, std::string cure) {
    return AvailabilityReport{Availability::kNoDevice, std::move(reason), std::move(cure)};
  };
  if (devices.empty()) return report("the kernel has no RDMA device", kNoDeviceCure);
  if (nodes.empty())
    return report("the kernel has " + joined(devices) + " but no interface for user space", "load the module ib_uverbs");
  for (const std::string& node : nodes) {
    const std::string device = first_line(paths.sys + "/class/infiniband_verbs/" + node + "/ibdev");
    if (auto trouble = node_trouble(paths, device, node)) return *std::move(trouble);
  }
  return report("the kernel has " + joined(devices) + " but libibverbs has no provider for it", kProviderCure);
}

}  // namespace ibexfs::verbs
