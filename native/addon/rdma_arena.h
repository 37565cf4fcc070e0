// The JavaScript class NativeArena (src/rdma/native.ts): registered memory that JavaScript sees as one ArrayBuffer. The
// memory is unmapped and deregistered when JavaScript has let go of it (close(), or the collection of the buffer and all
// its views) and the last request that uses it has ended. V8 counts it as external memory by itself.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/rdma_device.h"
#include "addon/rdma_values.h"

namespace ibexfs {

class RdmaArena : public Napi::ObjectWrap<RdmaArena> {
 public:
  static constexpr napi_type_tag kTypeTag{0x6962657866735244, 0x4d414172656e6100};
  static Napi::Function define(Napi::Env env);
  // new NativeArena(domain, bytes, {remoteRead, remoteWrite, remoteAtomic, relaxedOrdering}); sets the properties
  // buffer and slot.
  explicit RdmaArena(const Napi::CallbackInfo& info);
  ~RdmaArena() override;

 private:
  void set_up(const Napi::CallbackInfo& info);
  Napi::Value remote(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  const std::shared_ptr<verbs::RegisteredArena>* arena() const { return state_ ? state_->arenas.find(slot_) : nullptr; }

  std::shared_ptr<RdmaDeviceState> state_;  // null after close()
  uint32_t slot_ = 0;
  size_t bytes_ = 0;
  SharedBuffer buffer_;
};

}  // namespace ibexfs
