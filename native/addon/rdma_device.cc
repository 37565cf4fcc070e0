#include "addon/rdma_device.h"

#include "addon/rdma_values.h"

namespace ibexfs {

uint32_t RdmaArenas::add(std::shared_ptr<verbs::RegisteredArena> arena) {
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(places_.size()));
    places_.emplace_back();
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  places_[index].arena = std::move(arena);
  return index | places_[index].generation << kIndexBits;
}

void RdmaArenas::remove(uint32_t slot) {
  if (find(slot) == nullptr) return;
  Place& place = places_[slot & kIndexMask];
  place.arena.reset();
  place.generation = (place.generation + 1) & ((1U << (32 - kIndexBits)) - 1);
  free_.push_back(slot & kIndexMask);
}

const std::shared_ptr<verbs::RegisteredArena>* RdmaArenas::find(uint32_t slot) const {
  const uint32_t index = slot & kIndexMask;
  if (index >= places_.size()) return nullptr;
  const Place& place = places_[index];
  return place.arena != nullptr && place.generation == slot >> kIndexBits ? &place.arena : nullptr;
}

namespace {

Napi::Object port_object(Napi::Env env, const verbs::PortInfo& port) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("number", Napi::Number::New(env, port.number));
  object.Set("linkLayer", port.link_layer == verbs::LinkLayer::kEthernet ? "ethernet" : "infiniband");
  object.Set("active", Napi::Boolean::New(env, port.active));
  object.Set("state", port.state);
  object.Set("mtuBytes", Napi::Number::New(env, port.mtu_bytes));
  object.Set("mtuBytesMax", Napi::Number::New(env, port.mtu_bytes_max));
  object.Set("messageBytesMax", Napi::Number::New(env, port.message_bytes_max));
  object.Set("lid", Napi::Number::New(env, port.lid));
  object.Set("speedMbps", Napi::Number::New(env, static_cast<double>(port.speed_mbps)));
  return object;
}

Napi::Object gid_object(Napi::Env env, const verbs::GidEntry& entry) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("index", Napi::Number::New(env, entry.index));
  object.Set("gid", entry.gid.text());
  object.Set("type", std::string(verbs::describe(entry.type)));
  object.Set("interface", entry.interface);
  object.Set("interfaceUp", Napi::Boolean::New(env, entry.interface_up));
  return object;
}

// 0 is no port, so that what is no number ends in the device's own words.
uint8_t port_number(const Napi::CallbackInfo& info) {
  const auto number = whole_number(info[0]);
  return number && *number <= UINT8_MAX ? static_cast<uint8_t>(*number) : 0;
}

}  // namespace

Napi::Function RdmaDevice::define(Napi::Env env) {
  using Self = RdmaDevice;
  return DefineClass(
      env, "NativeDevice",
      {InstanceMethod("limits", &Self::limits), InstanceMethod("port", &Self::port), InstanceMethod("gids", &Self::gids),
       InstanceMethod("portTrouble", &Self::port_trouble), InstanceMethod("close", &Self::close)});
}

RdmaDevice::RdmaDevice(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RdmaDevice>(info) {
  info.This().As<Napi::Object>().TypeTag(&kTypeTag);
  set_up(info);
}

void RdmaDevice::set_up(const Napi::CallbackInfo& info) {
  const std::string name = info[0].ToString().Utf8Value();
  auto device = verbs::Device::open(verbs::Library::system(), name);
  if (!device.ok()) return throw_rdma(info.Env(), device.status(), {.device = name});
  state_ = std::make_shared<RdmaDeviceState>();
  state_->device = device.take();
}

Napi::Value RdmaDevice::limits(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (state_ == nullptr) return throw_rdma_closed(env, "device"), env.Undefined();
  const verbs::DeviceLimits& limits = state_->device->limits();
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* name, double value) { object.Set(name, Napi::Number::New(env, value)); };
  set("memoryRegionBytesMax", static_cast<double>(limits.memory_region_bytes_max));
  set("queuePairsMax", limits.queue_pairs_max);
  set("workRequestsMax", limits.work_requests_max);
  set("completionQueuesMax", limits.completion_queues_max);
  set("completionEntriesMax", limits.completion_entries_max);
  set("memoryRegionsMax", limits.memory_regions_max);
  set("protectionDomainsMax", limits.protection_domains_max);
  set("responderDepthMax", limits.responder_depth_max);
  set("initiatorDepthMax", limits.initiator_depth_max);
  set("ports", limits.ports);
  set("vendorId", limits.vendor_id);
  set("vendorPartId", limits.vendor_part_id);
  object.Set("atomics", Napi::Boolean::New(env, limits.atomics));
  object.Set("firmwareVersion", limits.firmware_version);
  return object;
}

Napi::Value RdmaDevice::port(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (state_ == nullptr) return throw_rdma_closed(env, "device"), env.Undefined();
  const auto port = state_->device->port(port_number(info));
  if (port.ok()) return port_object(env, port.value());
  throw_rdma(env, port.status(), {.device = state_->device->name(), .port = port_number(info)});
  return env.Undefined();
}

Napi::Value RdmaDevice::gids(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (state_ == nullptr) return throw_rdma_closed(env, "device"), env.Undefined();
  const auto gids = state_->device->gids(port_number(info));
  if (!gids.ok()) {
    throw_rdma(env, gids.status(), {.device = state_->device->name(), .port = port_number(info)});
    return env.Undefined();
  }
  Napi::Array list = Napi::Array::New(env);
  for (const verbs::GidEntry& entry : gids.value()) list.Set(list.Length(), gid_object(env, entry));
  return list;
}

// Why the port cannot carry traffic now; an empty string when it can.
Napi::Value RdmaDevice::port_trouble(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (state_ == nullptr) return throw_rdma_closed(env, "device"), env.Undefined();
  const auto usable = verbs::usable_port(*state_->device, port_number(info), {});
  return Napi::String::New(env, usable.ok() ? std::string() : usable.status().message());
}

Napi::Value RdmaDevice::close(const Napi::CallbackInfo& info) {
  // Children keep the device itself.
  state_.reset();
  return info.Env().Undefined();
}

}  // namespace ibexfs
