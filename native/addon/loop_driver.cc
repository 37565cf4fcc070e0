#include "addon/loop_driver.h"

namespace ibexfs {

LoopDriver::LoopDriver(Napi::Env env, Napi::Function on_events)
    : env_(env), on_events_(Napi::Persistent(on_events)), context_(env, "ibexfs"), loop_thread_(std::this_thread::get_id()) {}

LoopDriver* LoopDriver::create(Napi::Env env, Napi::Function on_events) {
  auto* driver = new LoopDriver(env, on_events);
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  uv_async_init(loop, &driver->async_, [](uv_async_t* async) {
    auto* self = static_cast<LoopDriver*>(async->data);
    if (!self->closed_) self->deliver();
  });
  driver->async_.data = driver;
  driver->open_handles_ = 1;
  return driver;
}

bool LoopDriver::start(Reactor& reactor, EventRing& ring) {
  reactor_ = &reactor;
  ring_ = &ring;
  if (uv_poll_init(async_.loop, &poll_, reactor.fd()) != 0) return false;
  poll_.data = this;
  open_handles_++;
  uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* poll, int, int) { static_cast<LoopDriver*>(poll->data)->round(); });
  return true;
}

void LoopDriver::wake() {
  if (std::this_thread::get_id() == loop_thread_ && in_round_) {
    woken_in_round_ = true;
    return;
  }
  uv_async_send(&async_);
}

void LoopDriver::round() {
  if (closed_) return;
  in_round_ = true;
  reactor_->run_once(0);
  in_round_ = false;
  if (!woken_in_round_) return;
  woken_in_round_ = false;
  deliver();
}

void LoopDriver::deliver() {
  Napi::HandleScope scope(env_);
  // MakeCallback runs what the events settled (ticks, promises) before it returns.
  on_events_.MakeCallback(env_.Global(), std::initializer_list<napi_value>{}, context_);
  if (env_.IsExceptionPending()) {
    const Napi::Error error = env_.GetAndClearPendingException();
    napi_fatal_exception(env_, error.Value());
  }
}

void LoopDriver::close() {
  if (closed_) return;
  closed_ = true;
  on_events_.Reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&async_), handle_closed);
  if (open_handles_ > 1) uv_close(reinterpret_cast<uv_handle_t*>(&poll_), handle_closed);
}

void LoopDriver::handle_closed(uv_handle_t* handle) {
  auto* self = static_cast<LoopDriver*>(handle->data);
  if (--self->open_handles_ == 0) delete self;
}

}  // namespace ibexfs
