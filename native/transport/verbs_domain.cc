#include "transport/verbs_domain.h"

#include <utility>

namespace ibexfs {

namespace {

// A registration for about a thousand messages: few regions, and little for a process with few connections.
constexpr size_t kSlotArenaBytes = 8U << 20;
// 512 MiB in all. Who connects when it is used up stays with TCP.
constexpr size_t kSlotArenasMax = 64;

}  // namespace

Result<std::shared_ptr<VerbsDomain>> VerbsDomain::open(const std::shared_ptr<verbs::Library>& library,
                                                       const VerbsOptions& options, std::shared_ptr<BufferPool> pool) {
  std::shared_ptr<VerbsDomain> domain(new VerbsDomain(options, std::move(pool)));
  if (Status status = domain->open_device(library); !status.ok()) return status;
  auto protection = verbs::ProtectionDomain::create(domain->device_);
  if (!protection.ok()) return protection.status();
  domain->protection_domain_ = protection.take();
  const verbs::MemoryAccess access{.remote_read = options.expose_pool, .remote_write = options.expose_pool};
  auto memory =
      verbs::RegisteredMemory::create(domain->protection_domain_, {domain->pool_->arena(), domain->pool_->arena_bytes()}, access);
  if (!memory.ok()) return memory.status();
  domain->pool_memory_ = memory.take();
  // The first here, at start: a registration takes milliseconds, and connections come while requests are served.
  {
    const std::lock_guard lock(domain->slots_mutex_);
    if (Status status = domain->grow_slots(); !status.ok()) return status;
  }
  return domain;
}

Status VerbsDomain::open_device(const std::shared_ptr<verbs::Library>& library) {
  std::vector<std::string> names;
  if (!options_.device.empty()) {
    names.push_back(options_.device);
  } else {
    const auto devices = library->devices();
    if (!devices.ok() || devices.value().empty()) {
      const verbs::AvailabilityReport report = library->report();
      return {StatusCode::kNotSupported, report.reason + (report.cure.empty() ? "" : ": " + report.cure)};
    }
    for (const verbs::DeviceInfo& device : devices.value()) names.push_back(device.name);
  }
  Status first;
  for (const std::string& name : names) {
    auto device = verbs::Device::open(library, name);
    Status status =
        device.ok() ? verbs::usable_port(*device.value(), options_.port, {{}, options_.gid_index}).status() : device.status();
    if (status.ok()) {
      device_ = device.take();
      return {};
    }
    if (first.ok()) first = std::move(status);
  }
  return first;
}

Result<verbs::LocalPort> VerbsDomain::port_for(const std::string& local_host) const {
  return verbs::usable_port(*device_, options_.port, {verbs::Gid::parse(local_host), options_.gid_index});
}

std::optional<verbs::LocalRange> VerbsDomain::local(const uint8_t* data, size_t bytes) const {
  const auto offset = reinterpret_cast<uintptr_t>(data) - reinterpret_cast<uintptr_t>(pool_memory_->data());
  const auto range = pool_memory_->local(offset, bytes);
  return range.ok() ? std::optional(range.value()) : std::nullopt;
}

std::optional<verbs::RemoteRange> VerbsDomain::remote(const uint8_t* data, size_t bytes) const {
  if (!options_.expose_pool) return std::nullopt;
  const std::shared_lock lock(exposed_mutex_);
  const auto other = exposed_.upper_bound(data);
  const verbs::RegisteredMemory& memory =
      other != exposed_.end() && data >= other->second->data() ? *other->second : *pool_memory_;
  const auto range = memory.remote(reinterpret_cast<uintptr_t>(data) - reinterpret_cast<uintptr_t>(memory.data()), bytes);
  // Key 0 says on the wire that there is none.
  return range.ok() && range.value().rkey != 0 ? std::optional(range.value()) : std::nullopt;
}

std::shared_ptr<void> VerbsDomain::expose(std::span<uint8_t> memory, std::shared_ptr<void> owner) {
  if (!options_.expose_pool || memory.empty()) return nullptr;
  auto registered = verbs::RegisteredMemory::create(protection_domain_, memory, {.remote_read = true, .remote_write = true});
  if (!registered.ok()) return nullptr;
  struct Exposed {
    std::shared_ptr<VerbsDomain> domain;
    std::shared_ptr<void> owner;
    std::shared_ptr<verbs::RegisteredMemory> registered;  // goes before its owner
    ~Exposed() {
      const std::unique_lock lock(domain->exposed_mutex_);
      domain->exposed_.erase(registered->data() + registered->size());
    }
  };
  auto exposed = std::make_shared<Exposed>();
  exposed->domain = shared_from_this();
  exposed->owner = std::move(owner);
  exposed->registered = registered.take();
  const std::unique_lock lock(exposed_mutex_);
  exposed_[memory.data() + memory.size()] = exposed->registered.get();
  return exposed;
}

Status VerbsDomain::grow_slots() {
  if (slot_arenas_.size() >= kSlotArenasMax)
    return {StatusCode::kOverloaded, "the memory for messages over RDMA is used up by other connections"};
  auto arena = verbs::RegisteredArena::create(protection_domain_, kSlotArenaBytes, {});
  if (!arena.ok()) return arena.status();
  for (size_t at = 0; at + wire::kMessageBytesMax <= kSlotArenaBytes; at += wire::kMessageBytesMax) {
    const auto slot = arena.value()->local(at, wire::kMessageBytesMax);
    if (slot.ok()) free_slots_.push_back(slot.value());
  }
  slot_arenas_.push_back(arena.take());
  return {};
}

Result<std::shared_ptr<MessageSlots>> VerbsDomain::take_slots(size_t count) {
  const std::lock_guard lock(slots_mutex_);
  while (free_slots_.size() < count) {
    if (Status status = grow_slots(); !status.ok()) return status;
  }
  const auto first = free_slots_.end() - static_cast<std::ptrdiff_t>(count);
  std::vector<verbs::LocalRange> slots(first, free_slots_.end());
  free_slots_.erase(first, free_slots_.end());
  return std::make_shared<MessageSlots>(shared_from_this(), std::move(slots));
}

MessageSlots::~MessageSlots() {
  const std::lock_guard lock(domain_->slots_mutex_);
  domain_->free_slots_.insert(domain_->free_slots_.end(), slots_.begin(), slots_.end());
}

}  // namespace ibexfs
