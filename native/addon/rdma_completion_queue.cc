#include "addon/rdma_completion_queue.h"

namespace ibexfs {
namespace {

// The event loop stands still meanwhile.
constexpr uint64_t kPollMaxUs = 1'000'000;

}  // namespace

Napi::Function RdmaCompletionQueue::define(Napi::Env env) {
  using Self = RdmaCompletionQueue;
  return DefineClass(
      env, "NativeCompletionQueue",
      {InstanceMethod("submit", &Self::submit), InstanceMethod("poll", &Self::poll), InstanceMethod("close", &Self::close)});
}

RdmaCompletionQueue::RdmaCompletionQueue(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RdmaCompletionQueue>(info) {
  info.This().As<Napi::Object>().TypeTag(&kTypeTag);
  set_up(info);
}

void RdmaCompletionQueue::set_up(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto* device = unwrap<RdmaDevice>(info[0]);
  const auto entries = whole_number(info[1]);
  if (device == nullptr || !info[2].IsFunction())
    return throw_rdma_argument(env, "a completion queue needs a device and a function that takes completions");
  if (device->state() == nullptr) return throw_rdma_closed(env, "device");
  if (!entries || *entries == 0 || *entries > INT32_MAX)
    return throw_rdma_argument(env, "the entries of a completion queue must be a whole number above 0");
  auto loop = RdmaLoop::create(env, device->state(), static_cast<uint32_t>(*entries), info[2].As<Napi::Function>());
  if (!loop.ok()) return throw_rdma(env, loop.status(), {.device = device->state()->device->name()});
  loop_ = loop.take();
  requests_ = SharedBuffer::create(env, loop_->requests()->data(), loop_->requests()->size() * sizeof(wire::RdmaRequest),
                                   loop_->requests());
  if (!requests_.valid()) return loop_->close();
  completions_ = SharedBuffer::create(env, loop_->completions()->data(),
                                      loop_->completions()->size() * sizeof(wire::RdmaCompletion), loop_->completions());
  if (!completions_.valid()) return loop_->close();
  auto object = info.This().As<Napi::Object>();
  object.Set("requests", requests_.value());
  object.Set("completions", completions_.value());
  object.Set("entries", Napi::Number::New(env, loop_->capacity()));
}

RdmaCompletionQueue::~RdmaCompletionQueue() {
  if (loop_ != nullptr) loop_->close();
}

Napi::Value RdmaCompletionQueue::submit(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (loop() == nullptr) return throw_rdma_closed(env, "completion queue"), env.Undefined();
  const auto count = whole_number(info[0]);
  if (!count || *count > RdmaLoop::kRequestsMax) {
    throw_rdma_argument(env, "submit takes a number of requests up to " + std::to_string(RdmaLoop::kRequestsMax));
    return env.Undefined();
  }
  const auto refused = loop_->submit(static_cast<uint32_t>(*count));
  return refused.empty() ? env.Undefined() : refusals(env, refused);
}

Napi::Value RdmaCompletionQueue::refusals(Napi::Env env, const std::vector<RdmaLoop::Refusal>& refused) const {
  Napi::Array list = Napi::Array::New(env);
  for (const RdmaLoop::Refusal& refusal : refused) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("queuePair", Napi::Number::New(env, refusal.queue_pair));
    entry.Set("receives", Napi::Boolean::New(env, refusal.receives));
    entry.Set("posted", Napi::Number::New(env, refusal.posted));
    entry.Set("error", rdma_error(env, refusal.status, {.device = loop_->device_name()}).Value());
    list.Set(list.Length(), entry);
  }
  return list;
}

Napi::Value RdmaCompletionQueue::poll(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (loop() == nullptr) return throw_rdma_closed(env, "completion queue"), env.Undefined();
  const auto limit_us = whole_number(info[0]);
  if (!limit_us || *limit_us > kPollMaxUs) {
    throw_rdma_argument(env, "poll waits for at most " + std::to_string(kPollMaxUs) + " microseconds");
    return env.Undefined();
  }
  const auto count = loop_->poll(static_cast<uint32_t>(*limit_us));
  if (count.ok()) return Napi::Number::New(env, count.value());
  throw_rdma(env, count.status(), {.device = loop_->device_name()});
  return env.Undefined();
}

Napi::Value RdmaCompletionQueue::close(const Napi::CallbackInfo& info) {
  if (loop_ != nullptr) loop_->close();
  loop_.reset();
  requests_.release(info.Env());
  completions_.release(info.Env());
  return info.Env().Undefined();
}

}  // namespace ibexfs
