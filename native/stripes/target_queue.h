// The requests of one target: waiting, in flight over a connection, answered. A state machine under one
// lock that makes no system call and runs no callback: what it decides is handed to the caller to do.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "stripes/chunk_client.h"

namespace ibexfs {

// One request from submission to its end, over all its retries.
struct PendingCall {
  wire::ChunkOperation operation = wire::ChunkOperation::kRead;
  ChunkAddress chunk;
  uint64_t offset = 0;
  uint32_t length = 0;
  uint64_t sync_stamp = 0;
  uint8_t* into = nullptr;            // read
  const uint8_t* data = nullptr;      // write
  std::shared_ptr<const void> owner;  // of into or data
  ChunkDone done;
  std::chrono::milliseconds timeout{0};
  MonotonicClock::time_point submitted;

  // While in flight.
  std::shared_ptr<Connection> connection;
  uint64_t route_epoch = 0;
  bool receiving = false;                          // the connection writes into `into` now
  StatusCode failure_when_free = StatusCode::kOk;  // failed while receiving: ends when the connection has let go
};
using PendingCallPointer = std::unique_ptr<PendingCall>;

struct FinishedCall {
  PendingCallPointer call;
  ChunkOutcome outcome;
};

struct SendableFrame {
  std::shared_ptr<Connection> connection;
  OutgoingFrame frame;
};

class TargetQueue {
 public:
  TargetQueue(uint32_t id, const ChunkClientOptions& options) : id_(id), options_(options) {}

  // Queues the call; kOverloaded or kCanceled when it was not taken (then `call` is still the caller's).
  StatusCode submit(PendingCallPointer& call);
  // Moves the oldest waiting call into flight when there is a route and room, and returns its frame. The
  // caller sends it after this returned, and asks again until there is none.
  std::optional<SendableFrame> next_to_send();
  // True when calls wait without a route and nobody was told yet; `reason` is why the last route was given up.
  bool take_route_request(StatusCode& reason, Fid& first);
  // The event could not be delivered: it is still owed.
  void put_back_route_request();

  void set_route(std::shared_ptr<Connection> connection, uint64_t map_version);
  void clear_route();
  // Takes out all that waits, and the route.
  std::vector<PendingCallPointer> take_waiting();

  DataPlan plan_data(const Connection& from, const wire::FrameHeader& header, Bytes body);
  // The call that this answer ends, if it ends one: late answers and answers that mean "retry" do not.
  std::optional<FinishedCall> take_answered(const Connection& from, const wire::FrameHeader& header, Bytes body);

  // Queues again what was in flight over `closed`; returns the calls that had failed meanwhile.
  std::vector<FinishedCall> connection_closed(const Connection& closed);
  struct Expired {
    std::vector<FinishedCall> finished;
    std::vector<std::shared_ptr<Connection>> to_close;  // they receive into memory of calls that failed
  };
  // Fails the calls whose timeout has passed since they came and since the target last ended a call of this
  // client. What waits behind calls that the target works on is left to them.
  Expired expire(MonotonicClock::time_point now);
  // Once after the target was overloaded: when resume() shall be called. Nothing is sent until then.
  std::optional<std::chrono::milliseconds> take_pause();
  void resume();
  // Fails everything with kCanceled, now and later.
  Expired shut();

  bool idle() const;
  uint32_t id() const { return id_; }
  void add_to(ChunkClient::Statistics& statistics) const;

 private:
  struct Slot {
    PendingCallPointer call;
    // The call has failed and its answer may still come over this connection: until then, or until the
    // connection closes, the slot is not used again, so that a late answer never meets another call.
    std::shared_ptr<Connection> abandoned_on;
    uint16_t generation = 0;
  };
  enum class Verdict { kFinish, kRetryOnNewRoute, kRetryLater };

  // The functions below need mutex_.
  PendingCall* find(const Connection& from, uint64_t request_id, uint16_t& slot);
  PendingCallPointer release(uint16_t slot);
  PendingCallPointer take_out(uint16_t slot);
  void free_slot(uint16_t slot);
  bool ends_abandoned(const Connection& from, uint64_t request_id);
  void pause();
  void fail_in_flight(uint16_t slot, StatusCode status, Expired& out);
  static Verdict judge(StatusCode status);
  ChunkOutcome outcome_of(const PendingCall& call, const wire::FrameHeader& header, Bytes body) const;
  OutgoingFrame frame_of(const PendingCall& call, uint64_t request_id) const;

  const uint32_t id_;
  const ChunkClientOptions options_;

  mutable std::mutex mutex_;
  std::shared_ptr<Connection> route_;
  uint64_t map_version_ = 0;
  uint64_t route_epoch_ = 0;  // raised by every change of route_
  StatusCode route_lost_because_ = StatusCode::kOk;
  bool route_requested_ = false;
  MonotonicClock::time_point last_ended_;  // when the target last ended a call, well or not
  bool paused_ = false;                    // the target is overloaded: nothing is sent until resume()
  bool pause_owed_ = false;                // nobody was told of the pause yet
  std::chrono::milliseconds pause_length_{0};
  bool shut_ = false;
  std::deque<PendingCallPointer> waiting_;
  std::vector<Slot> slots_;
  std::vector<uint16_t> free_slots_;
  uint32_t in_flight_ = 0;
  uint64_t bytes_in_flight_ = 0;
  uint64_t retries_ = 0;
  uint64_t timeouts_ = 0;
  uint64_t requests_ = 0;
};

// Request ids: target in the upper 32 bits, generation and number of the slot below, so that an answer
// leads to its call without a table shared by all targets.
inline uint32_t target_of_request(uint64_t request_id) {
  return static_cast<uint32_t>(request_id >> 32);
}

}  // namespace ibexfs
