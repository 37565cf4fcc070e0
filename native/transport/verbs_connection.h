// A connection over a queue pair. It is negotiated on a TCP connection, which stays as its control: the end of one is
// the end of the other, and both have the same id.
//
//   kOffered -> kConnected -> kOpen -> kClosing -> kDraining -> kClosed      each may go to kDraining
//
// Messages (SENDs with a wire::MessagePrefix) form a stream of frames each way. Small data of a frame is in the stream.
// Larger data lies in registered memory and is moved by the side that answers chunk requests: READ before a request is
// handed to the handler, WRITE posted in front of the message with the answer. A message is sent only when the peer has
// posted a receive for it (a credit), so that a receiver is never found not ready.
//
// Until kClosed the peer's adapter may read and write what requests exposed: on_closed comes after the queue pair has
// drained or was destroyed, whatever else has happened before.
//
// Frames may be sent by any thread; the rest belongs to the reactor's driving thread.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "transport/connection.h"
#include "transport/frame_parser.h"
#include "transport/limits.h"
#include "transport/tcp_connection.h"
#include "transport/verbs_lane.h"
#include "transport/verbs_messages.h"

namespace ibexfs {

class VerbsConnection final : public Connection, private FrameHandler {
 public:
  // Makes the queue pair. From now on the end of `control` ends it, and it may be given up by drop().
  static Result<std::shared_ptr<VerbsConnection>> create(const std::shared_ptr<VerbsLane>& lane,
                                                         const std::shared_ptr<Connection>& control);
  ~VerbsConnection() override;

  // For the peer.
  wire::QueuePairOffer offer() const;
  // Connects it to the peer's. kOffered -> kConnected.
  Status accept(const wire::QueuePairOffer& peer);
  // Sends the first message and calls `done` when the peer's first has come, or with the reason when none does in time.
  // The side that accepted the TCP connection answers by itself.
  void probe(std::function<void(const Status&)> done);
  // Takes the conversation over from the TCP connection: kConnected -> kOpen. Frames come after set_authenticated.
  Status use();
  // Gives the queue pair up; the TCP connection carries on.
  void drop(const Status& reason);
  // "rxe0 port 1, 10.77.0.1 to 10.77.0.2, MTU 1024"
  std::string path() const;
  uint32_t queue_pair_number() const { return number_; }

  void send(OutgoingFrame frame, Flush flush) override;
  void flush() override;
  size_t bytes_queued() const override { return bytes_queued_.load(std::memory_order_relaxed); }
  bool takes_pipes() const override { return false; }
  bool peer_moves_data() const override { return !accepted_; }
  void pause() override;
  void resume() override;
  void retry_plan() override;
  void set_authenticated() override;
  void close(Status reason) override;

 private:
  friend class VerbsLane;
  enum class State : uint8_t { kOffered, kConnected, kOpen, kClosing, kDraining, kClosed };
  using Lock = std::unique_lock<std::mutex>;

  VerbsConnection(std::shared_ptr<VerbsLane> lane, const std::shared_ptr<Connection>& control);
  std::shared_ptr<VerbsConnection> self() { return std::static_pointer_cast<VerbsConnection>(shared_from_this()); }
  std::string name() const { return "connection to " + peer_address_ + " over RDMA"; }

  // Of the lane.
  void complete(verbs::Completion& completion);
  void settle();
  void break_off(const Status& reason);  // drain, then on_closed
  void lose(const Status& reason);       // nothing will be drained any more: the end of the queue pair is the fence
  void abandon(const Status& reason);    // likewise, and without waiting for the control connection
  // Of the control connection.
  DataPlan plan_data(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body) override;
  bool on_frame(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body,
                std::shared_ptr<void> context) override;
  void on_closed(const std::shared_ptr<Connection>& connection, const Status& reason) override;

  // Life (verbs_connection.cc).
  Status post_first_receives();
  void begin_closing();
  void finish_closing();
  void drain_timed_out();
  void try_to_finish();
  void end_queue_pair();
  void leak(std::unordered_map<uint64_t, Exposure> exposures);
  void end_probe(const Status& status);
  void touch() { lane_->touch(self()); }
  void post_touch();

  // Sending (verbs_send.cc).
  void expose(OutgoingFrame& frame, Exposure& exposure);
  void request_flush(Flush flush);
  void pump();
  void pump_reads(SendChain& chain);
  bool pump_message(SendChain& chain);
  bool add_writes(SendChain& chain, const OutgoingFrame& frame);
  void pump_credits(SendChain& chain);
  void add_message(SendChain& chain, uint32_t slot, size_t payload_bytes, uint16_t flags);
  void post(SendChain& chain);
  void send_probe();
  void stalled();

  // Receiving (verbs_receive.cc).
  void take_message(const verbs::Completion& completion);
  void read_frames();
  bool feed_parser();
  bool handle_frames();
  bool handle_plan();
  bool was_asked(const wire::FrameHeader& answer);
  bool take_remote(const wire::FrameHeader& header, Bytes body, DataPlan plan);
  bool begin_pull(const wire::FrameHeader& header, Bytes body, DataPlan plan);
  bool take_written(const wire::FrameHeader& header, DataPlan plan);
  bool handle_frame();
  void finish_pulls();
  void repost_receives();
  bool may_read() const;
  bool refuse(const Status& reason);

  const std::shared_ptr<VerbsLane> lane_;
  VerbsDomain& domain_;
  Reactor& reactor_;
  const std::shared_ptr<Connection> control_;
  TcpConnection& tcp_;  // the same
  FrameHandler& handler_;
  const TransportLimits limits_;
  const bool accepted_;
  std::shared_ptr<MessageSlots> slots_;
  std::shared_ptr<verbs::QueuePair> queue_pair_;
  uint32_t number_ = 0;

  std::mutex mutex_;
  std::atomic<State> state_{State::kOffered};         // written by the driving thread under mutex_, but for kClosing
  MessageQueue queue_;                                // guarded
  std::unordered_map<uint64_t, Exposure> exposures_;  // guarded; by request id
  Status close_reason_;                               // guarded
  std::atomic<size_t> bytes_queued_{0};
  std::atomic<bool> touch_posted_{false};
  std::atomic<bool> retry_requested_{false};
  std::atomic<int> pauses_{0};
  std::atomic<bool> authenticated_{false};

  // Of the driving thread.
  bool touched_ = false;    // the lane will call settle
  bool used_ = false;       // on_closed is ours to tell
  bool held_back_ = false;  // too many answers wait
  bool control_closed_ = false;
  bool put_off_ = false;
  bool leaked_ = false;    // the device did not destroy the queue pair
  bool settling_ = false;  // what is sent meanwhile leaves at its end
  Status reason_;
  TimerId deadline_ = 0;  // of the probe, of closing, or of draining
  std::function<void(const Status&)> probe_done_;
  bool probed_ = false;  // the peer's first message has come

  Credits credits_;
  std::vector<uint32_t> free_slots_;  // for sending
  std::deque<ReceivedMessage> inbox_;
  std::vector<uint32_t> slots_to_post_;  // for receiving, read to the end
  MonotonicClock::time_point progress_at_{};
  TimerId stall_timer_ = 0;
  std::vector<OutgoingFrame> dropped_;

  FrameParser parser_;
  std::shared_ptr<void> data_context_;
  std::unordered_map<uint32_t, Pull> pulls_;
  std::deque<uint32_t> pulls_to_post_;
  std::deque<uint32_t> pulls_done_;
  uint32_t next_pull_ = 0;
  uint32_t reads_in_flight_ = 0;
};

}  // namespace ibexfs
