#include "addon/runtime.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "runtime/metrics.h"

namespace ibexfs {

namespace {

// Memory that JavaScript sees: one ArrayBuffer for the whole life of the mapping, which outlives the runtime
// for as long as JavaScript holds it.
Napi::ArrayBuffer share(Napi::Env env, uint8_t* data, size_t bytes, std::shared_ptr<void> owner) {
  auto* kept = new std::shared_ptr<void>(std::move(owner));
  return Napi::ArrayBuffer::New(
      env, data, bytes, [](Napi::Env, void*, std::shared_ptr<void>* hint) { delete hint; }, kept);
}

uint32_t u32(const Napi::CallbackInfo& info, size_t index) {
  return info[index].IsNumber() ? info[index].As<Napi::Number>().Uint32Value() : 0;
}

uint64_t u64(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsNumber()) return 0;
  const int64_t value = info[index].As<Napi::Number>().Int64Value();
  return value < 0 ? 0 : static_cast<uint64_t>(value);
}

std::string text(const Napi::CallbackInfo& info, size_t index) {
  return info[index].IsString() ? info[index].As<Napi::String>().Utf8Value() : std::string();
}

uint64_t number_option(const Napi::Object& options, const char* name) {
  const Napi::Value value = options.Get(name);
  return value.IsNumber() ? static_cast<uint64_t>(value.As<Napi::Number>().Int64Value()) : 0;
}

bool flag_option(const Napi::Object& options, const char* name) {
  return options.Get(name).ToBoolean().Value();
}

// What the sizes must be: a frame fits the ring and the command buffer several times over, a block the pool.
constexpr uint64_t kEventRingBytesMin = 4U << 20;
constexpr uint64_t kEventRingBytesMax = 1U << 30;  // positions in it are 32-bit numbers
constexpr uint64_t kCommandBytesMin = 2 * uint64_t{wire::kRpcBodyBytesMax};
constexpr uint64_t kCommandBytesMax = 1U << 30;
constexpr uint64_t kBufferBytesMin = BufferPool::kBlockBytesMax;
constexpr uint64_t kBufferBytesMax = uint64_t{1} << 40;

std::string fault_of_size(const Napi::Object& given, const char* name, uint64_t smallest, uint64_t largest) {
  const Napi::Value value = given.Get(name);
  const double bytes = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (bytes >= static_cast<double>(smallest) && bytes <= static_cast<double>(largest) && bytes == std::floor(bytes)) return {};
  return std::string(name) + " is " + value.ToString().Utf8Value() + ", expected a whole number of bytes from " +
         std::to_string(smallest) + " to " + std::to_string(largest);
}

// Empty when the options can be used.
std::string fault_of(const Napi::Object& given) {
  std::string fault = fault_of_size(given, "eventRingBytes", kEventRingBytesMin, kEventRingBytesMax);
  const uint64_t ring_bytes = number_option(given, "eventRingBytes");
  if (fault.empty() && !std::has_single_bit(ring_bytes)) {
    fault = "eventRingBytes is " + std::to_string(ring_bytes) + ", expected a power of two";
  }
  if (fault.empty()) fault = fault_of_size(given, "commandBytes", kCommandBytesMin, kCommandBytesMax);
  if (fault.empty()) fault = fault_of_size(given, "bufferBytes", kBufferBytesMin, kBufferBytesMax);
  return fault;
}

CoreOptions core_options(const Napi::Object& given) {
  CoreOptions options;
  options.reactor_threads = static_cast<uint32_t>(std::min<uint64_t>(number_option(given, "reactorThreads"), 64));
  options.buffer_bytes = number_option(given, "bufferBytes");
  options.event_ring_bytes = number_option(given, "eventRingBytes");
  options.command_bytes = number_option(given, "commandBytes");
  if (const uint64_t timeout_ms = number_option(given, "ioTimeoutMs"); timeout_ms != 0) {
    options.chunk_client.io_timeout_ms = static_cast<uint32_t>(timeout_ms);
  }
  if (const Napi::Value rdma = given.Get("rdma"); rdma.IsObject()) {
    const auto wished = rdma.As<Napi::Object>();
    options.rdma.device = wished.Get("device").IsString() ? wished.Get("device").As<Napi::String>().Utf8Value() : std::string();
    options.rdma.port = static_cast<uint8_t>(std::clamp<uint64_t>(number_option(wished, "port"), 1, UINT8_MAX));
    const Napi::Value index = wished.Get("gidIndex");
    if (index.IsNumber() && index.As<Napi::Number>().Int32Value() >= 0)
      options.rdma.gid_index = index.As<Napi::Number>().Uint32Value();
    options.rdma.expose_pool = flag_option(wished, "exposePool");
  }
  const std::string engine = given.Get("diskEngine").ToString().Utf8Value();
  if (engine == "io_uring") options.chunk_server.engine = DiskEngineKind::kIoUring;
  if (engine == "threads") options.chunk_server.engine = DiskEngineKind::kThreads;
  return options;
}

}  // namespace

void throw_status(Napi::Env env, const Status& status) {
  Napi::Error error = Napi::Error::New(env, status.message());
  error.Value().Set("status", Napi::Number::New(env, static_cast<double>(status.code())));
  error.ThrowAsJavaScriptException();
}

Napi::Function RuntimeObject::define(Napi::Env env) {
  using Self = RuntimeObject;
  return DefineClass(env, "NativeRuntime",
                     {InstanceMethod("flush", &Self::flush),
                      InstanceMethod("roomMade", &Self::room_made),
                      InstanceMethod("listen", &Self::listen),
                      InstanceMethod("connect", &Self::connect),
                      InstanceMethod("authenticate", &Self::authenticate),
                      InstanceMethod("rdmaOpen", &Self::rdma_open),
                      InstanceMethod("rdmaCheck", &Self::rdma_check),
                      InstanceMethod("rdmaOffer", &Self::rdma_offer),
                      InstanceMethod("rdmaAccept", &Self::rdma_accept),
                      InstanceMethod("rdmaProbe", &Self::rdma_probe),
                      InstanceMethod("rdmaUse", &Self::rdma_use),
                      InstanceMethod("rdmaDrop", &Self::rdma_drop),
                      InstanceMethod("setRoute", &Self::set_route),
                      InstanceMethod("clearRoute", &Self::clear_route),
                      InstanceMethod("failTarget", &Self::fail_target),
                      InstanceMethod("addTarget", &Self::add_target),
                      InstanceMethod("setTargetMapVersion", &Self::set_target_map_version),
                      InstanceMethod("removeTarget", &Self::remove_target),
                      InstanceMethod("openFile", &Self::open_file),
                      InstanceMethod("closeFile", &Self::close_file),
                      InstanceMethod("openHandle", &Self::open_handle),
                      InstanceMethod("closeHandle", &Self::close_handle),
                      InstanceMethod("setFileSize", &Self::set_file_size),
                      InstanceMethod("adoptFileSize", &Self::adopt_file_size),
                      InstanceMethod("settleFile", &Self::settle_file),
                      InstanceMethod("registerBuffer", &Self::register_buffer),
                      InstanceMethod("releaseBuffer", &Self::release_buffer),
                      InstanceMethod("mountFuse", &Self::mount_fuse),
                      InstanceMethod("unmountFuse", &Self::unmount_fuse),
                      InstanceMethod("invalidateInode", &Self::invalidate_inode),
                      InstanceMethod("invalidateEntry", &Self::invalidate_entry),
                      InstanceMethod("metrics", &Self::metrics),
                      InstanceMethod("close", &Self::close)});
}

RuntimeObject::RuntimeObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RuntimeObject>(info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsObject() || !info[1].IsFunction()) {
    Napi::TypeError::New(env, "createRuntime(options, onEvents)").ThrowAsJavaScriptException();
    return;
  }
  const Napi::Object given = info[0].As<Napi::Object>();
  if (const std::string fault = fault_of(given); !fault.empty()) {
    throw_status(env, Status(StatusCode::kInvalid, "createRuntime: " + fault));
    return;
  }
  driver_ = LoopDriver::create(env, info[1].As<Napi::Function>(), [this] { shut_down(); });
  Result<std::unique_ptr<Core>> core = Core::create(core_options(given), [driver = driver_] { driver->wake(); });
  if (!core.ok()) {
    shut_down();
    throw_status(env, core.status());
    return;
  }
  core_ = core.take();
  if (!driver_->start(core_->loop(), core_->ring())) {
    shut_down();
    throw_status(env, Status(StatusCode::kInternal, "the event loop cannot watch the reactor's descriptor"));
    return;
  }
  Napi::Object object = info.This().As<Napi::Object>();
  object.Set("events", share(env, core_->ring().memory(), core_->ring().memory_bytes(), core_->shared_ring()));
  object.Set("commands", share(env, core_->commands(), core_->command_bytes(), core_->shared_commands()));
  object.Set("poolMemory", share(env, core_->pool()->arena(), core_->pool()->arena_bytes(), core_->pool()));
  object.Set("fileStates", share(env, reinterpret_cast<uint8_t*>(core_->files().states()), core_->files().states_bytes(),
                                 core_->shared_file_states()));
}

RuntimeObject::~RuntimeObject() {
  shut_down();
}

void RuntimeObject::shut_down() {
  if (core_) core_->close();
  core_.reset();
  reap();
  if (driver_ != nullptr) driver_->close();
  driver_ = nullptr;
}

void RuntimeObject::reap() {
  std::vector<Napi::Reference<Napi::Value>*> done;
  {
    std::lock_guard lock(reaper_->mutex);
    done.swap(reaper_->done);
  }
  for (auto* reference : done) delete reference;
}

Napi::Value RuntimeObject::check(const Napi::CallbackInfo& info, const Status& status) {
  if (!status.ok()) throw_status(info.Env(), status);
  return info.Env().Undefined();
}

// After close() every call ends here.
#define IBEXFS_NEED_CORE(info)                                                                      \
  if (!core_) {                                                                                     \
    throw_status((info).Env(), Status(StatusCode::kShuttingDown, "the native runtime was closed")); \
    return (info).Env().Undefined();                                                                \
  }

Napi::Value RuntimeObject::flush(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  core_->execute(u32(info, 0));
  core_->loop().finish_round();
  reap();
  return info.Env().Undefined();
}

Napi::Value RuntimeObject::room_made(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  core_->ring().room_made();
  return info.Env().Undefined();
}

Napi::Value RuntimeObject::listen(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  const auto listening = core_->listen(text(info, 0), static_cast<uint16_t>(u32(info, 1)), text(info, 2) == "threads");
  if (!listening.ok()) return check(info, listening.status());
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("listener", Napi::Number::New(info.Env(), listening.value().first));
  result.Set("port", Napi::Number::New(info.Env(), listening.value().second));
  return result;
}

Napi::Value RuntimeObject::connect(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  const int reactor = info[2].IsNumber() ? info[2].As<Napi::Number>().Int32Value() : -1;
  const auto connection = core_->connect(text(info, 0), static_cast<uint16_t>(u32(info, 1)), reactor);
  if (!connection.ok()) return check(info, connection.status());
  return Napi::Number::New(info.Env(), connection.value());
}

Napi::Value RuntimeObject::authenticate(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  core_->connections().authenticated(u32(info, 0), info[1].IsString() ? text(info, 1) : std::string());
  return info.Env().Undefined();
}

Napi::Value RuntimeObject::rdma_open(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  return check(info, core_->rdma().open());
}

Napi::Value RuntimeObject::rdma_check(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  return check(info, core_->rdma().check());
}

Napi::Value RuntimeObject::rdma_offer(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  const auto offer = core_->rdma().offer(u32(info, 0));
  if (!offer.ok()) return check(info, offer.status());
  return Napi::Buffer<uint8_t>::Copy(info.Env(), reinterpret_cast<const uint8_t*>(&offer.value()), sizeof(offer.value()));
}

Napi::Value RuntimeObject::rdma_accept(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  wire::QueuePairOffer peer;
  if (!info[1].IsBuffer() || info[1].As<Napi::Buffer<uint8_t>>().Length() != sizeof(peer)) {
    return check(info, Status(StatusCode::kInvalid, "rdmaAccept: expected the peer's offer"));
  }
  std::memcpy(&peer, info[1].As<Napi::Buffer<uint8_t>>().Data(), sizeof(peer));
  return check(info, core_->rdma().accept(u32(info, 0), peer));
}

Napi::Value RuntimeObject::rdma_probe(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  core_->rdma().probe(u32(info, 0));
  return info.Env().Undefined();
}

Napi::Value RuntimeObject::rdma_use(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  const auto path = core_->rdma().use(u32(info, 0));
  if (!path.ok()) return check(info, path.status());
  return Napi::String::New(info.Env(), path.value());
}

Napi::Value RuntimeObject::rdma_drop(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  core_->rdma().drop(u32(info, 0), text(info, 1));
  return info.Env().Undefined();
}

Napi::Value RuntimeObject::set_route(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  if (auto connection = core_->connections().find(u32(info, 1))) {
    core_->chunk_client().set_route(u32(info, 0), std::move(connection), u64(info, 2));
  }
  return info.Env().Undefined();
}

Napi::Value RuntimeObject::clear_route(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  core_->chunk_client().clear_route(u32(info, 0));
  return info.Env().Undefined();
}

Napi::Value RuntimeObject::fail_target(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  core_->chunk_client().fail_target(u32(info, 0), Status(static_cast<StatusCode>(u32(info, 1)), text(info, 2)));
  return info.Env().Undefined();
}

Napi::Value RuntimeObject::add_target(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  return check(info, core_->add_target(u32(info, 0), text(info, 1), u64(info, 2)));
}

Napi::Value RuntimeObject::set_target_map_version(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  return check(info, core_->set_target_map_version(u32(info, 0), u64(info, 1)));
}

Napi::Value RuntimeObject::remove_target(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  return check(info, core_->remove_target(u32(info, 0)));
}

Napi::Value RuntimeObject::open_file(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  if (!info[2].IsTypedArray() || info[2].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array) {
    return check(info, Status(StatusCode::kInvalid, "openFile: targets must be a Uint32Array"));
  }
  const auto targets = info[2].As<Napi::Uint32Array>();
  StripeLayout layout;
  layout.stripe_bytes = u32(info, 1);
  layout.targets.assign(targets.Data(), targets.Data() + targets.ElementLength());
  const auto file = core_->files().open(Fid::from_packed(u64(info, 0)), std::move(layout), u64(info, 3));
  if (!file.ok()) return check(info, file.status());
  return Napi::Number::New(info.Env(), file.value());
}

Napi::Value RuntimeObject::close_file(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  core_->files().close(u32(info, 0));
  return info.Env().Undefined();
}

Napi::Value RuntimeObject::open_handle(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  const HandleId handle = core_->files().open_handle(u32(info, 0));
  if (handle == 0) return check(info, Status(StatusCode::kOverflow, "openHandle: the file is not open, or has too many handles"));
  return Napi::Number::New(info.Env(), static_cast<double>(handle));
}

Napi::Value RuntimeObject::close_handle(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  core_->files().close_handle(u64(info, 0));
  return info.Env().Undefined();
}

Napi::Value RuntimeObject::set_file_size(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  core_->files().set_size(u32(info, 0), u64(info, 1));
  return info.Env().Undefined();
}

Napi::Value RuntimeObject::adopt_file_size(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  core_->files().adopt_size(u32(info, 0), u64(info, 1));
  return info.Env().Undefined();
}

Napi::Value RuntimeObject::settle_file(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  core_->files().settled(u32(info, 0), info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : 0);
  return info.Env().Undefined();
}

Napi::Value RuntimeObject::register_buffer(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  RegisteredMemory memory;
  if (info[0].IsArrayBuffer()) {
    auto buffer = info[0].As<Napi::ArrayBuffer>();
    memory.data = static_cast<uint8_t*>(buffer.Data());
    memory.bytes = buffer.ByteLength();
  } else if (info[0].IsTypedArray()) {  // a Uint8Array over a SharedArrayBuffer, which N-API cannot name itself
    auto array = info[0].As<Napi::Uint8Array>();
    memory.data = array.Data();
    memory.bytes = array.ByteLength();
  } else {
    return check(info, Status(StatusCode::kInvalid, "registerBuffer: expected an ArrayBuffer or a Uint8Array"));
  }
  auto* reference = new Napi::Reference<Napi::Value>(Napi::Reference<Napi::Value>::New(info[0], 1));
  memory.owner = std::shared_ptr<void>(nullptr, [reaper = reaper_, reference](void*) {
    std::lock_guard lock(reaper->mutex);
    reaper->done.push_back(reference);
  });
  return Napi::Number::New(info.Env(), core_->register_memory(std::move(memory), info[1].ToBoolean().Value()));
}

Napi::Value RuntimeObject::release_buffer(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  core_->release_memory(u32(info, 0));
  reap();
  return info.Env().Undefined();
}

Napi::Value RuntimeObject::mount_fuse(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  MountOptions mount;
  FuseOptions fuse;
  if (info[1].IsObject()) {
    const auto options = info[1].As<Napi::Object>();
    mount.allow_other = flag_option(options, "allowOther");
    mount.read_only = flag_option(options, "readOnly");
    if (const uint64_t threads = number_option(options, "threads"); threads != 0) fuse.threads = static_cast<uint32_t>(threads);
  }
  const auto session = core_->mount(text(info, 0), mount, fuse);
  if (!session.ok()) return check(info, session.status());
  return Napi::Number::New(info.Env(), session.value());
}

Napi::Value RuntimeObject::unmount_fuse(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  core_->unmount(u32(info, 0), info[1].ToBoolean().Value() ? Unmount::kDetach : Unmount::kWhenIdle);
  return info.Env().Undefined();
}

Napi::Value RuntimeObject::invalidate_inode(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  FuseSession* session = core_->fuse_session(u32(info, 0));
  const bool data_too = info[2].ToBoolean().Value();
  return Napi::Boolean::New(info.Env(), session != nullptr && session->invalidate_inode(u64(info, 1), data_too ? 0 : -1, 0));
}

Napi::Value RuntimeObject::invalidate_entry(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  FuseSession* session = core_->fuse_session(u32(info, 0));
  return Napi::Boolean::New(info.Env(), session != nullptr && session->invalidate_entry(u64(info, 1), text(info, 2)));
}

Napi::Value RuntimeObject::metrics(const Napi::CallbackInfo& info) {
  IBEXFS_NEED_CORE(info);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("javascript_calls_total", Napi::Number::New(info.Env(), static_cast<double>(driver_->calls())));
  collect_metrics(*core_, [&](const std::string& name, double value) { result.Set(name, Napi::Number::New(info.Env(), value)); });
  return result;
}

Napi::Value RuntimeObject::close(const Napi::CallbackInfo& info) {
  shut_down();
  return info.Env().Undefined();
}

}  // namespace ibexfs
