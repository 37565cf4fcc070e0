// Lets Node's event loop drive the loop reactor, and wakes it for records that other threads put into the
// event ring. JavaScript is called once per batch. Holds the end of its environment (a worker's, or the
// process's) back until libuv has let go of its handles.
#pragma once

#include <napi.h>
#include <uv.h>

#include <atomic>
#include <functional>
#include <optional>
#include <thread>

#include "runtime/event_ring.h"
#include "transport/reactor.h"

namespace ibexfs {

class LoopDriver {
 public:
  // The driver lives until close(); libuv frees its handles a turn later. `on_end` is called when the
  // environment ends before close(), which it has to call.
  static LoopDriver* create(Napi::Env env, Napi::Function on_events, std::function<void()> on_end);

  // Once the reactor and the ring exist. False: libuv refused the descriptor.
  bool start(Reactor& reactor, EventRing& ring);
  // Any thread: JavaScript sleeps and a record is in the ring.
  void wake();
  // JavaScript thread: nothing is called any more; frees itself when libuv has let go.
  void close();
  // How often JavaScript was called.
  uint64_t calls() const { return calls_; }

 private:
  LoopDriver(Napi::Env env, Napi::Function on_events, std::function<void()> on_end);
  ~LoopDriver() = default;
  void round();
  void deliver();
  static void handle_closed(uv_handle_t* handle);
  static void environment_ends(napi_async_cleanup_hook_handle hook, void* self);

  Napi::Env env_;
  Napi::FunctionReference on_events_;
  std::function<void()> on_end_;
  std::optional<Napi::AsyncContext> context_;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  uv_async_t async_{};
  uv_poll_t poll_{};
  Reactor* reactor_ = nullptr;
  EventRing* ring_ = nullptr;
  std::thread::id loop_thread_;
  bool in_round_ = false;  // of the loop's thread: its own records are delivered at the round's end
  bool woken_in_round_ = false;
  bool closed_ = false;
  int open_handles_ = 0;
  uint64_t calls_ = 0;
};

}  // namespace ibexfs
