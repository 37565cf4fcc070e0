// Protection domains, registration, arenas.
#include "verbs/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "verbs/error.h"

namespace ibexfs::verbs {
namespace {

constexpr size_t kHugePageBytes = 2U << 20;
constexpr int kHugePageFlags = MAP_HUGETLB | (21 << 26);  // 2^21 bytes, whatever the system's default size is

size_t round_up(size_t bytes, size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

// Huge pages that the administrator set aside; else pages that the kernel may merge to huge ones; else nothing. Adapters
// cache translations by page, so large pages are fewer misses.
std::span<uint8_t> map_arena(size_t bytes) {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
  if (bytes < kHugePageBytes) {
    void* small = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kFlags, -1, 0);
    return small == MAP_FAILED ? std::span<uint8_t>() : std::span(static_cast<uint8_t*>(small), bytes);
  }
  const size_t rounded = round_up(bytes, kHugePageBytes);
  void* huge = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, kFlags | kHugePageFlags, -1, 0);
  if (huge != MAP_FAILED) return {static_cast<uint8_t*>(huge), rounded};
  // Mapped with a margin that is cut off, so that the rest begins on a boundary of huge pages.
  void* wide = mmap(nullptr, rounded + kHugePageBytes, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (wide == MAP_FAILED) return {};
  auto* begin = static_cast<uint8_t*>(wide);
  const size_t before = round_up(reinterpret_cast<uintptr_t>(begin), kHugePageBytes) - reinterpret_cast<uintptr_t>(begin);
  if (before > 0) munmap(begin, before);
  if (before < kHugePageBytes) munmap(begin + before + rounded, kHugePageBytes - before);
  madvise(begin + before, rounded, MADV_HUGEPAGE);
  return {begin + before, rounded};
}

unsigned access_flags(const MemoryAccess& access) {
  return abi::kAccessLocalWrite | (access.remote_read ? abi::kAccessRemoteRead : 0U) |
         (access.remote_write ? abi::kAccessRemoteWrite : 0U) | (access.remote_atomic ? abi::kAccessRemoteAtomic : 0U);
}

}  // namespace

Result<std::shared_ptr<ProtectionDomain>> ProtectionDomain::create(std::shared_ptr<Device> device) {
  errno = 0;
  abi::ProtectionDomain* handle = device->verbs().alloc_pd(device->context());
  if (handle == nullptr) return verb_error("ibv_alloc_pd", errno, device->name());
  return std::shared_ptr<ProtectionDomain>(new ProtectionDomain(std::move(device), handle));
}

ProtectionDomain::ProtectionDomain(std::shared_ptr<Device> device, abi::ProtectionDomain* handle)
    : device_(std::move(device)), handle_(handle) {
  ++device_->live().protection_domains;
}

ProtectionDomain::~ProtectionDomain() {
  if (device_->verbs().dealloc_pd(handle_) != 0) ++device_->live().leaks;
  --device_->live().protection_domains;
}

Result<std::shared_ptr<RegisteredMemory>> RegisteredMemory::create(std::shared_ptr<ProtectionDomain> domain,
                                                                   std::span<uint8_t> memory, const MemoryAccess& access) {
  if (memory.empty()) return Status(StatusCode::kInvalid, "no memory to register");
  std::shared_ptr<RegisteredMemory> registered(new RegisteredMemory(std::move(domain), memory, access));
  if (Status status = registered->register_all(); !status.ok()) return status;
  return registered;
}

RegisteredMemory::RegisteredMemory(std::shared_ptr<ProtectionDomain> domain, std::span<uint8_t> memory,
                                   const MemoryAccess& access)
    : domain_(std::move(domain)), memory_(memory), access_(access) {}

Status RegisteredMemory::register_all() {
  Device& device = domain_->device();
  // Some drivers cut a longer registration silently. Whole huge pages, so that few ranges straddle two regions.
  const uint64_t limit = device.limits().memory_region_bytes_max;
  region_bytes_ = limit == 0 || limit >= memory_.size() ? memory_.size() : limit;
  if (region_bytes_ < memory_.size() && region_bytes_ > kHugePageBytes) region_bytes_ -= region_bytes_ % kHugePageBytes;
  const VerbsTable& verbs = device.verbs();
  const unsigned flags = access_flags(access_);
  for (size_t offset = 0; offset < memory_.size(); offset += region_bytes_) {
    uint8_t* begin = memory_.data() + offset;
    const size_t bytes = std::min(region_bytes_, memory_.size() - offset);
    errno = 0;
    abi::MemoryRegion* region = access_.relaxed_ordering && verbs.reg_mr_iova2 != nullptr
                                    ? verbs.reg_mr_iova2(domain_->handle(), begin, bytes, reinterpret_cast<uintptr_t>(begin),
                                                         flags | abi::kAccessRelaxedOrdering)
                                    : verbs.reg_mr(domain_->handle(), begin, bytes, static_cast<int>(flags));
    if (region == nullptr) {
      const int error = errno;
      return verb_error("ibv_reg_mr", error, device.name() + ", " + std::to_string(bytes) + " bytes",
                        error == ENOMEM || error == EAGAIN || error == EPERM ? memory_lock_cure() : "");
    }
    regions_.push_back(region);
    ++device.live().memory_regions;
    ++device.live().registrations;
    device.live().registered_bytes += bytes;
  }
  return {};
}

RegisteredMemory::~RegisteredMemory() {
  deregister();
}

bool RegisteredMemory::deregister() {
  Device& device = domain_->device();
  bool all = true;
  for (abi::MemoryRegion* region : regions_) {
    const size_t bytes = region->length;
    const bool done = device.verbs().dereg_mr(region) == 0;
    --device.live().memory_regions;
    device.live().registered_bytes -= bytes;
    if (!done) ++device.live().leaks;
    all = all && done;
  }
  regions_.clear();
  return all;
}

Status RegisteredMemory::check(size_t offset, size_t length) const {
  if (regions_.empty()) return {StatusCode::kInvalid, "the memory is no longer registered"};
  if (offset > memory_.size() || length > memory_.size() - offset)
    return {StatusCode::kInvalid, "bytes " + std::to_string(offset) + " to " + std::to_string(offset + length) +
                                      " are not inside of the registered memory of " + std::to_string(memory_.size()) + " bytes"};
  if (length > 0 && offset / region_bytes_ != (offset + length - 1) / region_bytes_)
    return {StatusCode::kInvalid, "the range spans two memory regions of " + std::to_string(region_bytes_) + " bytes"};
  return {};
}

Result<LocalRange> RegisteredMemory::local(size_t offset, size_t length) const {
  if (Status status = check(offset, length); !status.ok()) return status;
  const size_t region = std::min(offset / region_bytes_, regions_.size() - 1);
  return LocalRange{memory_.data() + offset, length, regions_[region]->lkey};
}

Result<RemoteRange> RegisteredMemory::remote(size_t offset, size_t length) const {
  if (Status status = check(offset, length); !status.ok()) return status;
  if (!access_.remote_read && !access_.remote_write && !access_.remote_atomic)
    return Status(StatusCode::kAccessDenied, "the memory was registered without any right for peers");
  const size_t region = std::min(offset / region_bytes_, regions_.size() - 1);
  return RemoteRange{reinterpret_cast<uintptr_t>(memory_.data()) + offset, length, regions_[region]->rkey};
}

Result<std::shared_ptr<RegisteredArena>> RegisteredArena::create(std::shared_ptr<ProtectionDomain> domain, size_t bytes,
                                                                 const MemoryAccess& access) {
  const size_t page_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (bytes == 0 || bytes > SIZE_MAX / 2) return Status(StatusCode::kInvalid, "an arena cannot have so many bytes");
  const std::span<uint8_t> mapping = map_arena(round_up(bytes, page_bytes));
  if (mapping.empty()) return Status::from_errno(errno, "mmap of an arena of " + std::to_string(bytes) + " bytes");
  auto memory = RegisteredMemory::create(std::move(domain), mapping, access);
  if (!memory.ok()) {
    // Every region that was made before the failure is gone with the object.
    munmap(mapping.data(), mapping.size());
    return memory.status();
  }
  return std::shared_ptr<RegisteredArena>(new RegisteredArena(memory.take()));
}

RegisteredArena::~RegisteredArena() {
  // A region that could not be deregistered may still be written by the adapter: then its pages are left to it.
  if (memory_->deregister()) munmap(memory_->data(), memory_->size());
}

}  // namespace ibexfs::verbs
