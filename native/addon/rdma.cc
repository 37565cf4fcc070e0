#include "addon/rdma.h"

#include <array>
#include <cstdio>

#include "addon/rdma_arena.h"
#include "addon/rdma_completion_queue.h"
#include "addon/rdma_device.h"
#include "addon/rdma_protection_domain.h"
#include "addon/rdma_queue_pair.h"
#include "addon/rdma_values.h"

namespace ibexfs {

namespace {

Napi::Value availability(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const verbs::AvailabilityReport report = verbs::Library::system()->report();
  Napi::Object object = Napi::Object::New(env);
  constexpr std::array<const char*, 3> kStates{"noLibrary", "noDevice", "usable"};
  object.Set("state", kStates[static_cast<size_t>(report.availability)]);
  object.Set("reason", report.reason);
  object.Set("cure", report.cure);
  return object;
}

Napi::Value devices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto listed = verbs::Library::system()->devices();
  if (!listed.ok()) return throw_rdma(env, listed.status(), {}), env.Undefined();
  Napi::Array list = Napi::Array::New(env);
  for (const verbs::DeviceInfo& device : listed.value()) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", device.name);
    entry.Set("driver", device.driver);
    std::array<char, 17> guid{};
    std::snprintf(guid.data(), guid.size(), "%016lx", static_cast<unsigned long>(device.guid));
    entry.Set("guid", guid.data());
    entry.Set("characterDevice", device.character_device);
    entry.Set("softRoce", Napi::Boolean::New(env, device.soft_roce()));
    entry.Set("iwarp", Napi::Boolean::New(env, device.iwarp));
    list.Set(list.Length(), entry);
  }
  return list;
}

Napi::Value live_objects(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const verbs::LiveObjects& live = verbs::Library::system()->live();
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* name, const std::atomic<uint64_t>& value) {
    object.Set(name, Napi::Number::New(env, static_cast<double>(value.load())));
  };
  set("devices", live.devices);
  set("protectionDomains", live.protection_domains);
  set("memoryRegions", live.memory_regions);
  set("registeredBytes", live.registered_bytes);
  set("completionChannels", live.completion_channels);
  set("completionQueues", live.completion_queues);
  set("queuePairs", live.queue_pairs);
  set("registrations", live.registrations);
  set("leaks", live.leaks);
  return object;
}

}  // namespace

Napi::Object define_rdma(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("availability", Napi::Function::New(env, availability, "availability"));
  object.Set("devices", Napi::Function::New(env, devices, "devices"));
  object.Set("liveObjects", Napi::Function::New(env, live_objects, "liveObjects"));
  object.Set("Device", RdmaDevice::define(env));
  object.Set("ProtectionDomain", RdmaProtectionDomain::define(env));
  object.Set("Arena", RdmaArena::define(env));
  object.Set("CompletionQueue", RdmaCompletionQueue::define(env));
  object.Set("QueuePair", RdmaQueuePair::define(env));
  return object;
}

}  // namespace ibexfs
