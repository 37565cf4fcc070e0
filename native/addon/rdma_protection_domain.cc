#include "addon/rdma_protection_domain.h"

#include "addon/rdma_values.h"

namespace ibexfs {

Napi::Function RdmaProtectionDomain::define(Napi::Env env) {
  return DefineClass(env, "NativeProtectionDomain", {InstanceMethod("close", &RdmaProtectionDomain::close)});
}

RdmaProtectionDomain::RdmaProtectionDomain(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RdmaProtectionDomain>(info) {
  info.This().As<Napi::Object>().TypeTag(&kTypeTag);
  set_up(info);
}

void RdmaProtectionDomain::set_up(const Napi::CallbackInfo& info) {
  const auto* device = unwrap<RdmaDevice>(info[0]);
  if (device == nullptr) return throw_rdma_argument(info.Env(), "a protection domain needs a device");
  if (device->state() == nullptr) return throw_rdma_closed(info.Env(), "device");
  auto domain = verbs::ProtectionDomain::create(device->state()->device);
  if (!domain.ok()) return throw_rdma(info.Env(), domain.status(), {.device = device->state()->device->name()});
  state_ = device->state();
  domain_ = domain.take();
}

Napi::Value RdmaProtectionDomain::close(const Napi::CallbackInfo& info) {
  domain_.reset();
  state_.reset();
  return info.Env().Undefined();
}

}  // namespace ibexfs
