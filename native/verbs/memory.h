// Protection domains, and memory registered in them. Registration pins pages and takes microseconds to milliseconds,
// so it is done for few large arenas at start and never on the path of an I/O.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "verbs/device.h"
#include "verbs/range.h"

namespace ibexfs::verbs {

// The unit of isolation: a key is valid for every queue pair of its domain. Peers that are trusted differently
// therefore get domains of their own.
class ProtectionDomain {
 public:
  static Result<std::shared_ptr<ProtectionDomain>> create(std::shared_ptr<Device> device);
  ~ProtectionDomain();
  ProtectionDomain(const ProtectionDomain&) = delete;
  ProtectionDomain& operator=(const ProtectionDomain&) = delete;

  Device& device() const { return *device_; }
  abi::ProtectionDomain* handle() const { return handle_; }

 private:
  ProtectionDomain(std::shared_ptr<Device> device, abi::ProtectionDomain* handle);
  const std::shared_ptr<Device> device_;
  abi::ProtectionDomain* const handle_;
};

// What peers may do with the memory; this process may always do everything.
struct MemoryAccess {
  bool remote_read = false;
  bool remote_write = false;
  bool remote_atomic = false;
  // The bus may reorder writes: faster for bulk data, and no longer any order between two WRITEs, so that arrival may
  // be learned from completions only. Without effect on devices that do not know it.
  bool relaxed_ordering = false;
};

// Registers memory that somebody else owns, in as few regions as the device's max_mr_size allows. The destructor
// deregisters; the memory must stay mapped until then.
class RegisteredMemory {
 public:
  static Result<std::shared_ptr<RegisteredMemory>> create(std::shared_ptr<ProtectionDomain> domain, std::span<uint8_t> memory,
                                                          const MemoryAccess& access);
  ~RegisteredMemory();
  RegisteredMemory(const RegisteredMemory&) = delete;
  RegisteredMemory& operator=(const RegisteredMemory&) = delete;

  uint8_t* data() const { return memory_.data(); }
  size_t size() const { return memory_.size(); }
  // Every range within one multiple of so many bytes lies within one region.
  size_t region_bytes() const { return region_bytes_; }
  ProtectionDomain& domain() const { return *domain_; }

  // Fails when the range is not inside of the memory or spans two regions.
  Result<LocalRange> local(size_t offset, size_t length) const;
  // As a peer gets it. Fails also when peers were given no access.
  Result<RemoteRange> remote(size_t offset, size_t length) const;

  // False when a region could not be deregistered: then the memory must never be unmapped.
  bool deregister();

 private:
  RegisteredMemory(std::shared_ptr<ProtectionDomain> domain, std::span<uint8_t> memory, const MemoryAccess& access);
  Status register_all();
  Status check(size_t offset, size_t length) const;

  const std::shared_ptr<ProtectionDomain> domain_;
  const std::span<uint8_t> memory_;
  const MemoryAccess access_;
  size_t region_bytes_ = 0;
  std::vector<abi::MemoryRegion*> regions_;
};

// Memory that is mapped and registered at once, on huge pages where the system has some.
class RegisteredArena {
 public:
  // `bytes` is rounded up to whole pages.
  static Result<std::shared_ptr<RegisteredArena>> create(std::shared_ptr<ProtectionDomain> domain, size_t bytes,
                                                         const MemoryAccess& access);
  ~RegisteredArena();
  RegisteredArena(const RegisteredArena&) = delete;
  RegisteredArena& operator=(const RegisteredArena&) = delete;

  uint8_t* data() const { return memory_->data(); }
  size_t size() const { return memory_->size(); }
  const RegisteredMemory& memory() const { return *memory_; }
  Result<LocalRange> local(size_t offset, size_t length) const { return memory_->local(offset, length); }
  Result<RemoteRange> remote(size_t offset, size_t length) const { return memory_->remote(offset, length); }

 private:
  explicit RegisteredArena(std::shared_ptr<RegisteredMemory> memory) : memory_(std::move(memory)) {}
  const std::shared_ptr<RegisteredMemory> memory_;
};

}  // namespace ibexfs::verbs
