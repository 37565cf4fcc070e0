#include "addon/loop_driver.h"

namespace ibexfs {

LoopDriver::LoopDriver(Napi::Env env, Napi::Function on_events, std::function<void()> on_end)
    : env_(env), on_events_(Napi::Persistent(on_events)), on_end_(std::move(on_end)), loop_thread_(std::this_thread::get_id()) {
  context_.emplace(env, "ibexfs");
}

LoopDriver* LoopDriver::create(Napi::Env env, Napi::Function on_events, std::function<void()> on_end) {
  auto* driver = new LoopDriver(env, on_events, std::move(on_end));
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  uv_async_init(loop, &driver->async_, [](uv_async_t* async) {
    auto* self = static_cast<LoopDriver*>(async->data);
    if (!self->closed_) self->deliver();
  });
  driver->async_.data = driver;
  driver->open_handles_ = 1;
  // An asynchronous one: handles that are still closing when the loop of a worker is taken down kill the process.
  napi_add_async_cleanup_hook(env, environment_ends, driver, &driver->hook_);
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
  calls_++;
  const Napi::HandleScope scope(env_);
  // napi_make_callback runs what the events settled (ticks, promises) before it returns. It fails without an
  // exception when the environment is being stopped.
  napi_value result = nullptr;
  if (napi_make_callback(env_, *context_, env_.Global(), on_events_.Value(), 0, nullptr, &result) == napi_ok) return;
  bool is_pending = false;
  napi_value error = nullptr;
  if (napi_is_exception_pending(env_, &is_pending) != napi_ok || !is_pending) return;
  if (napi_get_and_clear_last_exception(env_, &error) == napi_ok) napi_fatal_exception(env_, error);
}

void LoopDriver::close() {
  if (closed_) return;
  closed_ = true;
  on_end_ = nullptr;
  on_events_.Reset();
  context_.reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&async_), handle_closed);
  if (open_handles_ > 1) uv_close(reinterpret_cast<uv_handle_t*>(&poll_), handle_closed);
}

void LoopDriver::environment_ends(napi_async_cleanup_hook_handle /*hook*/, void* self) {
  // A copy: close() drops the original.
  if (const std::function<void()> on_end = static_cast<LoopDriver*>(self)->on_end_) on_end();
}

void LoopDriver::handle_closed(uv_handle_t* handle) {
  auto* self = static_cast<LoopDriver*>(handle->data);
  if (--self->open_handles_ > 0) return;
  if (self->hook_ != nullptr) napi_remove_async_cleanup_hook(self->hook_);
  delete self;
}

}  // namespace ibexfs
