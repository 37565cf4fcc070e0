#include "addon/rdma_arena.h"

#include "addon/rdma_protection_domain.h"

namespace ibexfs {

Napi::Function RdmaArena::define(Napi::Env env) {
  return DefineClass(env, "NativeArena",
                     {InstanceMethod("remote", &RdmaArena::remote), InstanceMethod("close", &RdmaArena::close)});
}

RdmaArena::RdmaArena(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RdmaArena>(info) {
  info.This().As<Napi::Object>().TypeTag(&kTypeTag);
  set_up(info);
}

void RdmaArena::set_up(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto* domain = unwrap<RdmaProtectionDomain>(info[0]);
  const auto bytes = whole_number(info[1]);
  if (domain == nullptr || !info[2].IsObject()) return throw_rdma_argument(env, "an arena needs a protection domain and rights");
  if (domain->domain() == nullptr) return throw_rdma_closed(env, "protection domain");
  if (!bytes || *bytes == 0) return throw_rdma_argument(env, "the bytes of an arena must be a whole number above 0");
  const auto options = info[2].As<Napi::Object>();
  const verbs::MemoryAccess access{.remote_read = flag(options, "remoteRead"),
                                   .remote_write = flag(options, "remoteWrite"),
                                   .remote_atomic = flag(options, "remoteAtomic"),
                                   .relaxed_ordering = flag(options, "relaxedOrdering")};
  auto created = verbs::RegisteredArena::create(domain->domain(), *bytes, access);
  if (!created.ok()) return throw_rdma(env, created.status(), {.device = domain->domain()->device().name()});
  std::shared_ptr<verbs::RegisteredArena> arena = created.take();
  buffer_ = SharedBuffer::create(env, arena->data(), *bytes, arena);
  if (!buffer_.valid()) return;
  bytes_ = *bytes;
  state_ = domain->state();
  slot_ = state_->arenas.add(std::move(arena));
  auto object = info.This().As<Napi::Object>();
  object.Set("buffer", buffer_.value());
  object.Set("slot", Napi::Number::New(env, slot_));
}

RdmaArena::~RdmaArena() {
  // Views may still be used: the buffer keeps the memory. No new request can name it.
  if (state_ != nullptr) state_->arenas.remove(slot_);
}

Napi::Value RdmaArena::remote(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto* arena_of = arena();
  if (arena_of == nullptr) return throw_rdma_closed(env, "arena"), env.Undefined();
  const auto offset = whole_number(info[0]);
  const auto length = whole_number(info[1]);
  if (!offset || !length || *offset > bytes_ || *length > bytes_ - *offset) {
    throw_rdma_argument(env, "the range is not inside of the arena of " + std::to_string(bytes_) + " bytes");
    return env.Undefined();
  }
  const auto range = (*arena_of)->remote(*offset, *length);
  if (!range.ok()) {
    throw_rdma(env, range.status(), {.device = state_->device->name()});
    return env.Undefined();
  }
  Napi::Object object = Napi::Object::New(env);
  // Addresses of programs are below 2^47, or 2^56 where a program asks for it, which we do not.
  object.Set("address", Napi::Number::New(env, static_cast<double>(range.value().address)));
  object.Set("length", Napi::Number::New(env, static_cast<double>(range.value().length)));
  object.Set("key", Napi::Number::New(env, range.value().rkey));
  return object;
}

Napi::Value RdmaArena::close(const Napi::CallbackInfo& info) {
  if (state_ != nullptr) state_->arenas.remove(slot_);
  state_.reset();
  buffer_.release(info.Env());
  return info.Env().Undefined();
}

}  // namespace ibexfs
