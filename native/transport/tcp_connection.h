// One TCP connection. Sending is shared by all threads under a mutex that is never held during a system call;
// receiving, timers and the end belong to the reactor's driving thread.
//
//   kConnecting -> kOpen -> kClosing -> kClosed          kConnecting, kOpen -> kClosed on failure
//
// The reactor's watch owns the connection until kClosed, whoever else holds it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "transport/admission.h"
#include "transport/connection.h"
#include "transport/frame_parser.h"
#include "transport/reactor.h"
#include "transport/send_queue.h"
#include "transport/tcp.h"

namespace ibexfs {

class TcpConnection final : public Connection {
 public:
  // Who a connection works for; all outlive it.
  struct Environment {
    Reactor& reactor;
    FrameHandler& handler;
    ConnectionObserver& observer;
    TransportLimits limits;
  };

  TcpConnection(ConnectionId id, std::string peer_address, UniqueFd socket, const Environment& environment);
  ~TcpConnection() override;

  // Exactly one of them, once, on any thread. connect_error: errno of connect(2) where it failed at once, or 0.
  void start_connecting(int connect_error);
  void start_accepted(uint32_t listener, Admission::Ticket ticket);

  void send(OutgoingFrame frame, Flush flush) override;
  void flush() override;
  size_t bytes_queued() const override { return bytes_queued_.load(std::memory_order_relaxed); }
  void pause() override;
  void resume() override;
  void retry_plan() override;
  void set_authenticated() override;
  void close(Status reason) override;
  TcpConnection* as_tcp() override { return this; }

  // For queue pairs that are negotiated on this connection. Driving thread, but for what is constant.
  Reactor& reactor() const { return reactor_; }
  const TransportLimits& limits() const { return limits_; }
  bool accepted() const { return accepted_; }
  bool open() const { return state_ == State::kOpen; }
  FrameHandler& handler() const { return *handler_; }
  // Frames and the end are told to `handler` from now on.
  void hand_over(FrameHandler& handler) { handler_ = &handler; }
  // Numeric, without the port; empty when it is gone.
  std::string local_host() const;

 private:
  enum class State : uint8_t { kConnecting, kOpen, kClosing, kClosed };

  std::shared_ptr<TcpConnection> self() { return std::static_pointer_cast<TcpConnection>(shared_from_this()); }
  std::string name() const { return "connection to " + peer_address_; }

  // Sending (tcp_send.cc), any thread.
  using Lock = std::unique_lock<std::mutex>;
  void request_flush(Lock& lock);
  void write_queue(Lock& lock);
  bool can_write() const;
  void write_batch(Lock& lock, SendQueue::Batch& batch);
  void after_writing(Lock& lock);
  void write_failed();

  // Receiving (tcp_receive.cc), driving thread.
  void read_frames();
  bool handle_frames();
  bool handle_plan();
  bool handle_frame();
  bool handle_too_early();
  bool may_read() const;
  bool hold_back();
  void post_continue();
  void watch_progress(std::chrono::milliseconds delay);
  void discard_input();

  // Life (tcp_connection.cc), driving thread.
  void begin(uint32_t epoll_events);
  void abandon();
  void on_ready(uint32_t epoll_events);
  void on_connect_done();
  void note_socket_error();
  Status why_ended();
  void set_deadline(uint32_t delay_ms, Status reason);
  void begin_closing();
  void finish_sending();
  void fail(const Status& reason);
  void update_interest();

  Reactor& reactor_;
  FrameHandler* handler_;  // of the driving thread
  ConnectionObserver& observer_;
  const TransportLimits limits_;

  std::mutex mutex_;
  std::atomic<State> state_{State::kConnecting};  // written under mutex_
  UniqueFd socket_;                               // closed under mutex_ and never while writing_
  SendQueue queue_;                               // guarded by mutex_
  bool writing_ = false;                          // guarded: some thread is in write_queue; others only queue
  bool blocked_ = false;                          // guarded: the socket takes no more until EPOLLOUT
  bool flush_requested_ = false;                  // guarded
  bool interest_stale_ = false;                   // guarded: blocked_ was set and epoll does not know yet
  int write_error_ = 0;                           // guarded: errno of the socket, from the first write that failed or from epoll
  Status close_reason_;                           // guarded; set once, with kClosing
  std::vector<OutgoingFrame> sent_;               // of the thread that is writing_
  std::atomic<size_t> bytes_queued_{0};           // queue_.bytes() for those who do not lock
  std::atomic<bool> reading_held_back_{false};    // send_queue_pause_bytes was passed; written under mutex_
  std::atomic<bool> connected_{false};            // written by the driving thread

  std::atomic<int> pauses_{0};
  std::atomic<bool> authenticated_{false};
  std::atomic<bool> retry_requested_{false};
  std::atomic<bool> continue_posted_{false};

  // Of the driving thread.
  bool accepted_ = false;
  bool put_off_ = false;        // the handler has no room; until retry_plan
  bool too_early_ = false;      // an RPC frame came before we learned that the handshake is done
  bool shutdown_sent_ = false;  // while closing: all is sent, waiting for the peer's end
  TimerId deadline_ = 0;        // of connecting, of the handshake, or of closing
  // Between plan_data and the last byte of the data: memory of the handler waits for the peer.
  bool receiving_data_ = false;
  MonotonicClock::time_point received_at_{};  // the last bytes, while receiving_data_
  TimerId progress_timer_ = 0;                // 0: not running
  FrameParser parser_;
  std::shared_ptr<void> data_context_;
  std::optional<Admission::Ticket> ticket_;
};

}  // namespace ibexfs
