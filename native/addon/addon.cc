// Entry point of the addon: what src/native.ts calls NativeAddon.
#include <napi.h>

#include "addon/file_lock.h"
#include "addon/rdma.h"
#include "addon/runtime.h"
#include "addon/service_manager.h"
#include "base/boot_clock.h"
#include "base/crc32c.h"
#include "chunks/disk_engine.h"
#include "fuse/mount.h"

namespace ibexfs {

namespace {

struct InstanceData {
  Napi::FunctionReference runtime_class;
};

Napi::Value create_runtime(const Napi::CallbackInfo& info) {
  const auto* data = info.Env().GetInstanceData<InstanceData>();
  return data->runtime_class.New({info[0], info[1]});
}

Napi::Value io_uring_problem(const Napi::CallbackInfo& info) {
  // What the disk engine itself asks before it chooses.
  return Napi::String::New(info.Env(), probe_io_uring().message());
}

Napi::Value unmount(const Napi::CallbackInfo& info) {
  FuseMount mount;
  mount.mountpoint = info[0].ToString().Utf8Value();
  mount.by_helper = geteuid() != 0;
  const Status status = unmount_fuse(mount, info[1].ToBoolean().Value() ? Unmount::kDetach : Unmount::kWhenIdle);
  if (!status.ok()) throw_status(info.Env(), status);
  return info.Env().Undefined();
}

Napi::Value checksum(const Napi::CallbackInfo& info) {
  if (!info[0].IsTypedArray()) {
    Napi::TypeError::New(info.Env(), "crc32c(bytes, seed): bytes must be a Uint8Array").ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  const auto bytes = info[0].As<Napi::Uint8Array>();
  const uint32_t seed = info[1].IsNumber() ? info[1].As<Napi::Number>().Uint32Value() : 0;
  return Napi::Number::New(info.Env(), crc32c(seed, {bytes.Data(), bytes.ByteLength()}));
}

Napi::Value boot_time_ms(const Napi::CallbackInfo& info) {
  const std::chrono::duration<double, std::milli> time = BootClock::now().time_since_epoch();
  return Napi::Number::New(info.Env(), time.count());
}

Napi::Value sd_notify(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), notify_service_manager(info[0].ToString().Utf8Value()));
}

Napi::Value lock_file_of(const Napi::CallbackInfo& info) {
  const Result<int> descriptor = lock_file(info[0].ToString().Utf8Value());
  if (descriptor.ok()) return Napi::Number::New(info.Env(), descriptor.value());
  throw_status(info.Env(), descriptor.status());
  return info.Env().Undefined();
}

Napi::Value unlock_file_of(const Napi::CallbackInfo& info) {
  if (info[0].IsNumber()) unlock_file(info[0].As<Napi::Number>().Int32Value());
  return info.Env().Undefined();
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto* data = new InstanceData;
  data->runtime_class = Napi::Persistent(RuntimeObject::define(env));
  env.SetInstanceData(data);
  exports.Set("createRuntime", Napi::Function::New(env, create_runtime, "createRuntime"));
  exports.Set("ioUringProblem", Napi::Function::New(env, io_uring_problem, "ioUringProblem"));
  exports.Set("unmount", Napi::Function::New(env, unmount, "unmount"));
  exports.Set("crc32c", Napi::Function::New(env, checksum, "crc32c"));
  exports.Set("bootTimeMs", Napi::Function::New(env, boot_time_ms, "bootTimeMs"));
  exports.Set("sdNotify", Napi::Function::New(env, sd_notify, "sdNotify"));
  exports.Set("lockFile", Napi::Function::New(env, lock_file_of, "lockFile"));
  exports.Set("unlockFile", Napi::Function::New(env, unlock_file_of, "unlockFile"));
  exports.Set("rdma", define_rdma(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(ibexfs, initialize)

}  // namespace ibexfs
