// Between JavaScript and native/verbs: errors with all that is known of their cause, typed objects, numbers.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>
#include <string>

#include "verbs/device.h"

namespace ibexfs {

// Where an error happened, as far as it is known.
struct RdmaPlace {
  std::string device{};
  uint32_t port = 0;
  uint32_t queue_pair = 0;
  std::string peer{};
};

// An Error with message, status (a StatusCode) and what is known of: verb, device, port, queuePair, peer.
// src/rdma/errors.ts makes an RdmaError of it.
Napi::Error rdma_error(Napi::Env env, const Status& status, const RdmaPlace& place);
void throw_rdma(Napi::Env env, const Status& status, const RdmaPlace& place);
// `what` was closed before the call.
void throw_rdma_closed(Napi::Env env, const char* what);
// A wrong argument: kInvalid.
void throw_rdma_argument(Napi::Env env, const std::string& what);

// A whole number from 0 to 2^53 - 1.
std::optional<uint64_t> whole_number(const Napi::Value& value);
// Nothing when it is absent; false when it is there and no whole number up to `largest`.
template <typename Number>
bool read_number(const Napi::Object& options, const char* name, uint64_t largest, Number& out) {
  const Napi::Value value = options.Get(name);
  if (value.IsUndefined()) return true;
  const auto number = whole_number(value);
  if (!number || *number > largest) return false;
  out = static_cast<Number>(*number);
  return true;
}
bool flag(const Napi::Object& options, const char* name);

// The native object behind a JavaScript object of ours; null for anything else, whatever JavaScript passes.
template <typename Wrapped>
Wrapped* unwrap(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  const auto object = value.As<Napi::Object>();
  return object.CheckTypeTag(&Wrapped::kTypeTag) ? Wrapped::Unwrap(object) : nullptr;
}

// Memory that JavaScript sees as one ArrayBuffer for its whole life. `owner` is let go when JavaScript has let go of
// it, or by `release`.
class SharedBuffer {
 public:
  // Throws and gives an empty object where this build of Node allows no memory of native code (Electron).
  static SharedBuffer create(Napi::Env env, void* data, size_t bytes, std::shared_ptr<void> owner);
  SharedBuffer() = default;
  bool valid() const { return owner_ != nullptr; }
  Napi::ArrayBuffer value() const { return reference_.Value().As<Napi::ArrayBuffer>(); }
  // Takes the memory away from JavaScript: every view of it has length 0 from now on.
  void release(Napi::Env env);

 private:
  Napi::ObjectReference reference_;         // weak: the buffer's life is JavaScript's matter
  std::shared_ptr<void>* owner_ = nullptr;  // freed by the buffer's finaliser
  std::shared_ptr<bool> finalized_;
};

}  // namespace ibexfs
