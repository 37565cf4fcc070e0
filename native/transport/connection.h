// One authenticated conversation with a peer, whatever carries it: TCP (transport/tcp.h), or queue pairs that were
// negotiated over it (transport/verbs_connection.h). Senders and handlers never learn which one it is: "data" of a frame is moved
// by the carrier (TCP: bytes behind the body; verbs: RDMA READ or WRITE issued by the server).
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/event_sink.h"
#include "base/status.h"

namespace ibexfs {

using ConnectionId = uint32_t;  // never 0, never used twice in a process

// A pipe filled by splice() from a file: page-cache pages on their way to a socket without a copy.
// Returned to its pool when destroyed. Defined by transport/pipe_pool.h.
class PipeSlice;

// Defined by transport/tcp_connection.h.
class TcpConnection;

// The conversation with a peer that a connection belongs to. Defined by transport/peer_sessions.h.
class PeerSession;

// Body of a frame; chunk bodies live inline, RPC bodies on the heap.
class FrameBody {
 public:
  FrameBody() = default;
  template <typename Struct>
  static FrameBody of(const Struct& value) {
    static_assert(sizeof(Struct) <= kInlineBytes);
    FrameBody body;
    std::memcpy(body.inline_.data(), &value, sizeof(Struct));
    body.inline_bytes_ = sizeof(Struct);
    return body;
  }
  static FrameBody copy_of(Bytes bytes) {
    FrameBody body;
    if (bytes.size() <= kInlineBytes) {
      if (!bytes.empty()) std::memcpy(body.inline_.data(), bytes.data(), bytes.size());
      body.inline_bytes_ = static_cast<uint32_t>(bytes.size());
    } else {
      body.heap_.assign(bytes.begin(), bytes.end());
    }
    return body;
  }
  Bytes bytes() const { return heap_.empty() ? Bytes{inline_.data(), inline_bytes_} : Bytes{heap_}; }

 private:
  static constexpr size_t kInlineBytes = 64;
  std::array<uint8_t, kInlineBytes> inline_;
  uint32_t inline_bytes_ = 0;
  std::vector<uint8_t> heap_;
};

// Memory of a peer, as its request named it. key 0: it named none.
struct RemoteMemory {
  uint64_t address = 0;
  uint32_t key = 0;
};

struct OutgoingFrame {
  wire::FrameHeader header{};  // magic, version, lengths and CRC are filled by send
  FrameBody body;
  Bytes data;                              // sent behind the body ...
  std::shared_ptr<const void> data_owner;  // ... and kept alive until it has left (or the connection has closed)
  std::shared_ptr<PipeSlice> pipe;         // instead of data: bytes to splice into the socket
  // Of a request: where the data of its answer will go; owned by data_owner. Queue pairs let the server write it there.
  std::span<uint8_t> answer_into;
  // Of an answer: where the request wants the data. Only where the request came over queue pairs.
  RemoteMemory remote;
};

// kLater: at the end of the reactor's round, or at the next flush(). kHeld: at the next flush(), which the
// sender promises to call soon, from whichever thread it runs on.
enum class Flush { kNow, kLater, kHeld };

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  virtual ~Connection() = default;

  ConnectionId id() const { return id_; }
  const std::string& peer_address() const { return peer_address_; }  // "host:port", for logs

  // Any thread. Queues the frame; its bytes leave in order. After the connection closed it is dropped: the
  // closing was or will be reported to the handler, which fails what was waiting.
  virtual void send(OutgoingFrame frame, Flush flush) = 0;
  virtual void flush() = 0;
  // Bytes queued and not yet taken by the carrier. Producers that can wait do so above their limit.
  virtual size_t bytes_queued() const = 0;

  // Whether OutgoingFrame::pipe can be sent; else the bytes have to be in memory.
  virtual bool takes_pipes() const { return true; }
  // The peer moves data of requests itself: until a request was answered, or until on_closed, it may read the data of
  // the request and write to answer_into at any time.
  virtual bool peer_moves_data() const { return false; }
  // The TCP connection that this is, for what is negotiated on one; else null.
  virtual TcpConnection* as_tcp() { return nullptr; }

  // Any thread. Stops or restarts taking frames in (back-pressure: the peer's sends will fill up and wait).
  // Pauses nest: as many resumes as pauses.
  virtual void pause() = 0;
  virtual void resume() = 0;

  // Any thread. Asks the handler again about a frame that it had put off (DataPlan::kPause, on_frame false).
  virtual void retry_plan() = 0;

  // Once, before set_authenticated; null where nobody asks for it.
  void join(std::shared_ptr<PeerSession> session) { session_ = std::move(session); }
  const std::shared_ptr<PeerSession>& session() const { return session_; }

  // Any thread. Lifts the limits that hold before authentication (handshake frames only, small bodies, a deadline).
  virtual void set_authenticated() = 0;
  // Any thread, idempotent: sends what is queued (within a second), closes, reports on_closed once.
  virtual void close(Status reason) = 0;

 protected:
  Connection(ConnectionId id, std::string peer_address) : id_(id), peer_address_(std::move(peer_address)) {}
  ConnectionId id_;
  std::string peer_address_;
  std::shared_ptr<PeerSession> session_;
};

// What to do with the data part of a frame.
struct DataPlan {
  enum class Kind {
    kInto,     // receive into `into` (exactly header.data_length bytes)
    kDiscard,  // read and drop; the handler answers with an error in on_frame
    kPause,    // no room now: take nothing in until Connection::retry_plan was called, then ask again
    kClose,    // protocol violation: close with `reason`
  };
  Kind kind = Kind::kDiscard;
  uint8_t* into = nullptr;
  std::shared_ptr<void> context;  // handed back in on_frame; owns what `into` points to
  Status reason;
};

// Receives frames of the connections of one reactor, on that reactor's driving thread.
class FrameHandler {
 public:
  virtual ~FrameHandler() = default;
  // Header and body have arrived and header.data_length > 0: where shall the data go? After kPause the
  // handler arranges (BufferPool::when_available, ...) that Connection::retry_plan is called.
  virtual DataPlan plan_data(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body) = 0;
  // The whole frame is here; data, if any, is where the plan said. `body` is valid during the call.
  // False: no room now (event ring full); the connection stops reading and offers the frame again after retry_plan.
  virtual bool on_frame(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body,
                        std::shared_ptr<void> context) = 0;
  virtual void on_closed(const std::shared_ptr<Connection>& connection, const Status& reason) = 0;
};

}  // namespace ibexfs
