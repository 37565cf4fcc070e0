// The JavaScript class NativeProtectionDomain (src/rdma/native.ts).
#pragma once

#include <napi.h>

#include <memory>

#include "addon/rdma_device.h"

namespace ibexfs {

class RdmaProtectionDomain : public Napi::ObjectWrap<RdmaProtectionDomain> {
 public:
  static constexpr napi_type_tag kTypeTag{0x6962657866735244, 0x4d41446f6d61696e};
  static Napi::Function define(Napi::Env env);
  // new NativeProtectionDomain(device)
  explicit RdmaProtectionDomain(const Napi::CallbackInfo& info);

  // Null after close().
  const std::shared_ptr<verbs::ProtectionDomain>& domain() const { return domain_; }
  const std::shared_ptr<RdmaDeviceState>& state() const { return state_; }

 private:
  void set_up(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<RdmaDeviceState> state_;
  std::shared_ptr<verbs::ProtectionDomain> domain_;
};

}  // namespace ibexfs
