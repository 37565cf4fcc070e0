// libibverbs, opened at run time: the addon loads and everything but RDMA works on a machine without it. It is never
// closed again, because providers keep state and threads may be inside of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "verbs/live_objects.h"
#include "verbs/verbs_table.h"

namespace ibexfs::verbs {

enum class Availability { kNoLibrary, kNoDevice, kUsable };

// `reason` says what was found or is missing, `cure` what an administrator can do about it (empty when usable).
struct AvailabilityReport {
  Availability availability = Availability::kNoLibrary;
  std::string reason;
  std::string cure;
};

// Where the kernel shows its devices; tests give folders of their own.
struct SystemPaths {
  std::string sys = "/sys";
  std::string dev = "/dev";
};

// What is known of a device without opening it.
struct DeviceInfo {
  std::string name;              // mlx5_0, rxe0
  std::string character_device;  // uverbs0
  std::string sysfs_path;        // its folder of the class infiniband
  std::string driver;            // mlx5_core; "rxe" and "siw" for the kernel's software devices; may be empty
  uint64_t guid = 0;
  bool iwarp = false;  // needs a connection manager that we do not have: listed, not usable

  bool soft_roce() const { return driver == "rxe"; }
};

// Thread-safe.
class Library {
 public:
  // The machine's libibverbs. Opened once per process; who asks later gets the same object.
  static const std::shared_ptr<Library>& system();
  // Opens `file`. When that fails the object exists all the same and says why in report().
  static std::shared_ptr<Library> open(const char* file);
  // For tests: a table of their own.
  static std::shared_ptr<Library> with_table(const VerbsTable& table, SystemPaths paths);

  bool loaded() const { return load_error_.empty(); }
  // Looks at the devices anew with each call.
  AvailabilityReport report() const;
  // Empty when there is none; an error when there is no library or the kernel refuses to list them.
  Result<std::vector<DeviceInfo>> devices() const;

  // Valid when loaded().
  const VerbsTable& verbs() const { return table_; }
  const SystemPaths& paths() const { return paths_; }
  LiveObjects& live() const { return live_; }

 private:
  Library() = default;

  std::string load_error_;  // empty: the table is complete
  VerbsTable table_;
  SystemPaths paths_;
  mutable LiveObjects live_;
};

// Why there is no usable device, from what the kernel shows below `paths`: no module, no device, a device without a
// provider or without its node in /dev.
AvailabilityReport explain_no_device(const SystemPaths& paths);

}  // namespace ibexfs::verbs
