#include "addon/rdma_values.h"

#include <cmath>

namespace ibexfs {

namespace {

constexpr double kNumberMax = 9007199254740991;  // 2^53 - 1

// Messages of verbs/error.h begin with the verb that failed: "ibv_create_qp on rxe0 port 1: ...".
std::string verb_of(const std::string& message) {
  return message.starts_with("ibv_") ? message.substr(0, message.find(' ')) : std::string();
}

}  // namespace

Napi::Error rdma_error(Napi::Env env, const Status& status, const RdmaPlace& place) {
  Napi::Error error = Napi::Error::New(env, status.message());
  Napi::Object value = error.Value();
  value.Set("status", Napi::Number::New(env, static_cast<double>(status.code())));
  if (const std::string verb = verb_of(status.message()); !verb.empty()) value.Set("verb", verb);
  if (!place.device.empty()) value.Set("device", place.device);
  if (place.port != 0) value.Set("port", Napi::Number::New(env, place.port));
  if (place.queue_pair != 0) value.Set("queuePair", Napi::Number::New(env, place.queue_pair));
  if (!place.peer.empty()) value.Set("peer", place.peer);
  return error;
}

void throw_rdma(Napi::Env env, const Status& status, const RdmaPlace& place) {
  rdma_error(env, status, place).ThrowAsJavaScriptException();
}

void throw_rdma_closed(Napi::Env env, const char* what) {
  Napi::Error error = Napi::Error::New(env, std::string("the ") + what + " was closed");
  error.Value().Set("status", Napi::Number::New(env, static_cast<double>(StatusCode::kBadDescriptor)));
  error.Value().Set("closed", Napi::Boolean::New(env, true));
  error.ThrowAsJavaScriptException();
}

void throw_rdma_argument(Napi::Env env, const std::string& what) {
  throw_rdma(env, Status(StatusCode::kInvalid, what), {});
}

std::optional<uint64_t> whole_number(const Napi::Value& value) {
  if (!value.IsNumber()) return std::nullopt;
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= kNumberMax) || number != std::floor(number)) return std::nullopt;
  return static_cast<uint64_t>(number);
}

bool flag(const Napi::Object& options, const char* name) {
  return options.Get(name).ToBoolean().Value();
}

SharedBuffer SharedBuffer::create(Napi::Env env, void* data, size_t bytes, std::shared_ptr<void> owner) {
  struct Hint {
    std::shared_ptr<void> owner;
    std::shared_ptr<bool> finalized;
  };
  auto* hint = new Hint{std::move(owner), std::make_shared<bool>(false)};
  SharedBuffer buffer;
  napi_value value = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, data, bytes,
      [](napi_env, void*, void* finalize_hint) {
        auto* own = static_cast<Hint*>(finalize_hint);
        *own->finalized = true;
        delete own;
      },
      hint, &value);
  if (status != napi_ok) {
    delete hint;
    throw_rdma(env,
               Status(StatusCode::kNotSupported, status == napi_no_external_buffers_allowed
                                                     ? "this build of Node lets native code share no memory with JavaScript"
                                                     : "no ArrayBuffer could be made of native memory"),
               {});
    return buffer;
  }
  buffer.reference_ = Napi::Weak(Napi::Value(env, value).As<Napi::Object>());
  buffer.owner_ = &hint->owner;
  buffer.finalized_ = hint->finalized;
  return buffer;
}

void SharedBuffer::release(Napi::Env env) {
  if (owner_ == nullptr) return;
  const Napi::HandleScope scope(env);
  const Napi::Value value = reference_.Value();
  if (!value.IsEmpty() && value.IsArrayBuffer() && napi_detach_arraybuffer(env, value) == napi_ok && !*finalized_) {
    // Nobody sees the memory any more. The finaliser, a turn later, finds an empty owner.
    owner_->reset();
  }
  owner_ = nullptr;
  reference_.Reset();
}

}  // namespace ibexfs
