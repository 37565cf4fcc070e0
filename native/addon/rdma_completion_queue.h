// The JavaScript class NativeCompletionQueue (src/rdma/native.ts): a thin surface over RdmaLoop.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/rdma_loop.h"
#include "addon/rdma_values.h"

namespace ibexfs {

class RdmaCompletionQueue : public Napi::ObjectWrap<RdmaCompletionQueue> {
 public:
  static constexpr napi_type_tag kTypeTag{0x6962657866735244, 0x4d41437175657565};
  static Napi::Function define(Napi::Env env);
  // new NativeCompletionQueue(device, entries, onCompletions); sets the properties requests, completions, entries.
  explicit RdmaCompletionQueue(const Napi::CallbackInfo& info);
  ~RdmaCompletionQueue() override;

  // Null when it was closed, by JavaScript or by the end of the environment.
  std::shared_ptr<RdmaLoop> loop() const { return loop_ != nullptr && !loop_->closed() ? loop_ : nullptr; }

 private:
  void set_up(const Napi::CallbackInfo& info);
  Napi::Value submit(const Napi::CallbackInfo& info);
  Napi::Value poll(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  Napi::Value refusals(Napi::Env env, const std::vector<RdmaLoop::Refusal>& refused) const;

  std::shared_ptr<RdmaLoop> loop_;
  SharedBuffer requests_;
  SharedBuffer completions_;
};

}  // namespace ibexfs
