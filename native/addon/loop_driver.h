// Lets Node's event loop drive the loop reactor, and wakes it for records that other threads put into the
// event ring. JavaScript is called once per batch.
#pragma once

#include <napi.h>
#include <uv.h>

#include <atomic>
#include <functional>
#include <thread>

#include "runtime/event_ring.h"
#include "transport/reactor.h"

namespace ibexfs {

class LoopDriver {
 public:
  // The driver lives until close(); libuv frees its handles a turn later.
  static LoopDriver* create(Napi::Env env, Napi::Function on_events);

  // Once the reactor and the ring exist. False: libuv refused the descriptor.
  bool start(Reactor& reactor, EventRing& ring);
  // Any thread: JavaScript sleeps and a record is in the ring.
  void wake();
  // JavaScript thread: nothing is called any more; frees itself when libuv has let go.
  void close();

 private:
  LoopDriver(Napi::Env env, Napi::Function on_events);
  ~LoopDriver() = default;
  void round();
  void deliver();
  static void handle_closed(uv_handle_t* handle);

  Napi::Env env_;
  Napi::FunctionReference on_events_;
  Napi::AsyncContext context_;
  uv_async_t async_{};
  uv_poll_t poll_{};
  Reactor* reactor_ = nullptr;
  EventRing* ring_ = nullptr;
  std::thread::id loop_thread_;
  bool in_round_ = false;  // of the loop's thread: its own records are delivered at the round's end
  bool woken_in_round_ = false;
  bool closed_ = false;
  int open_handles_ = 0;
};

}  // namespace ibexfs
