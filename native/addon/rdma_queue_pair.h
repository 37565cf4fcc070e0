// The JavaScript class NativeQueuePair (src/rdma/native.ts): a queue pair of an RdmaLoop, by its slot.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/rdma_loop.h"
#include "addon/rdma_values.h"

namespace ibexfs {

class RdmaQueuePair : public Napi::ObjectWrap<RdmaQueuePair> {
 public:
  static constexpr napi_type_tag kTypeTag{0x6962657866735244, 0x4d41517561697200};
  static Napi::Function define(Napi::Env env);
  // new NativeQueuePair(domain, completionQueue, options); sets the properties slot, descriptor, sendDepth, receiveDepth,
  // inlineBytesMax, requestBytesMax.
  explicit RdmaQueuePair(const Napi::CallbackInfo& info);
  ~RdmaQueuePair() override;

 private:
  void set_up(const Napi::CallbackInfo& info);
  Napi::Value connect(const Napi::CallbackInfo& info);
  Napi::Value state(const Napi::CallbackInfo& info);
  Napi::Value terms(const Napi::CallbackInfo& info);
  Napi::Value fail(const Napi::CallbackInfo& info);
  Napi::Value failure(const Napi::CallbackInfo& info);
  Napi::Value error_of(const Napi::CallbackInfo& info);
  Napi::Value destroy(const Napi::CallbackInfo& info);
  // Null after destroy(), and when its completion queue was closed.
  verbs::QueuePair* pair() const;
  RdmaPlace place(const verbs::QueuePair& pair) const;
  void describe(Napi::Env env, Napi::Object object) const;

  std::shared_ptr<RdmaLoop> loop_;
  uint32_t slot_ = 0;
  uint32_t port_ = 0;
  std::string peer_;
  int64_t accounted_bytes_ = 0;
};

}  // namespace ibexfs
