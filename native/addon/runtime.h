// The JavaScript class NativeRuntime (src/native.ts): a thin surface over Core. Arguments are checked for
// type here, for meaning by Core.
#pragma once

#include <napi.h>

#include <memory>
#include <mutex>
#include <vector>

#include "addon/loop_driver.h"
#include "runtime/core.h"

namespace ibexfs {

class RuntimeObject : public Napi::ObjectWrap<RuntimeObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit RuntimeObject(const Napi::CallbackInfo& info);
  ~RuntimeObject() override;

 private:
  Napi::Value flush(const Napi::CallbackInfo& info);
  Napi::Value room_made(const Napi::CallbackInfo& info);
  Napi::Value listen(const Napi::CallbackInfo& info);
  Napi::Value connect(const Napi::CallbackInfo& info);
  Napi::Value authenticate(const Napi::CallbackInfo& info);
  Napi::Value rdma_open(const Napi::CallbackInfo& info);
  Napi::Value rdma_check(const Napi::CallbackInfo& info);
  Napi::Value rdma_offer(const Napi::CallbackInfo& info);
  Napi::Value rdma_accept(const Napi::CallbackInfo& info);
  Napi::Value rdma_probe(const Napi::CallbackInfo& info);
  Napi::Value rdma_use(const Napi::CallbackInfo& info);
  Napi::Value rdma_drop(const Napi::CallbackInfo& info);
  Napi::Value set_route(const Napi::CallbackInfo& info);
  Napi::Value clear_route(const Napi::CallbackInfo& info);
  Napi::Value fail_target(const Napi::CallbackInfo& info);
  Napi::Value add_target(const Napi::CallbackInfo& info);
  Napi::Value set_target_map_version(const Napi::CallbackInfo& info);
  Napi::Value remove_target(const Napi::CallbackInfo& info);
  Napi::Value open_file(const Napi::CallbackInfo& info);
  Napi::Value close_file(const Napi::CallbackInfo& info);
  Napi::Value open_handle(const Napi::CallbackInfo& info);
  Napi::Value close_handle(const Napi::CallbackInfo& info);
  Napi::Value set_file_size(const Napi::CallbackInfo& info);
  Napi::Value adopt_file_size(const Napi::CallbackInfo& info);
  Napi::Value settle_file(const Napi::CallbackInfo& info);
  Napi::Value register_buffer(const Napi::CallbackInfo& info);
  Napi::Value release_buffer(const Napi::CallbackInfo& info);
  Napi::Value mount_fuse(const Napi::CallbackInfo& info);
  Napi::Value unmount_fuse(const Napi::CallbackInfo& info);
  Napi::Value invalidate_inode(const Napi::CallbackInfo& info);
  Napi::Value invalidate_entry(const Napi::CallbackInfo& info);
  Napi::Value metrics(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  void shut_down();
  void reap();
  Napi::Value check(const Napi::CallbackInfo& info, const Status& status);

  // References to JavaScript memory whose last native user is gone; dropped on the JavaScript thread only.
  struct Reaper {
    std::mutex mutex;
    std::vector<Napi::Reference<Napi::Value>*> done;
  };

  std::unique_ptr<Core> core_;
  LoopDriver* driver_ = nullptr;
  std::shared_ptr<Reaper> reaper_ = std::make_shared<Reaper>();
};

// Throws an Error with message, code ('E...' or 'ERR_...' text) and status.
void throw_status(Napi::Env env, const Status& status);

}  // namespace ibexfs
