// The JavaScript class NativeDevice (src/rdma/native.ts): an open RDMA device, and the arenas that were registered on it.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "verbs/memory.h"

namespace ibexfs {

// Arenas of a device by the number that JavaScript writes into requests. A number names a place and how often the place
// was taken before, so that a request made for an arena that was closed never reaches a younger one.
class RdmaArenas {
 public:
  uint32_t add(std::shared_ptr<verbs::RegisteredArena> arena);
  void remove(uint32_t slot);
  // Null when the arena was closed.
  const std::shared_ptr<verbs::RegisteredArena>* find(uint32_t slot) const;

 private:
  struct Place {
    std::shared_ptr<verbs::RegisteredArena> arena;
    uint32_t generation = 0;
  };
  static constexpr uint32_t kIndexBits = 20;
  static constexpr uint32_t kIndexMask = (1U << kIndexBits) - 1;
  std::vector<Place> places_;
  std::vector<uint32_t> free_;
};

// What objects made of the device keep.
struct RdmaDeviceState {
  std::shared_ptr<verbs::Device> device;
  RdmaArenas arenas;
};

class RdmaDevice : public Napi::ObjectWrap<RdmaDevice> {
 public:
  static constexpr napi_type_tag kTypeTag{0x6962657866735244, 0x4d41446576696365};
  static Napi::Function define(Napi::Env env);
  // new NativeDevice(name)
  explicit RdmaDevice(const Napi::CallbackInfo& info);

  // Null after close().
  const std::shared_ptr<RdmaDeviceState>& state() const { return state_; }

 private:
  void set_up(const Napi::CallbackInfo& info);
  Napi::Value limits(const Napi::CallbackInfo& info);
  Napi::Value port(const Napi::CallbackInfo& info);
  Napi::Value gids(const Napi::CallbackInfo& info);
  Napi::Value port_trouble(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<RdmaDeviceState> state_;
};

}  // namespace ibexfs
