// One chunk request, from its admission until its answer has left: holds its share of the limits, its buffer
// or pipe, and its pin on the chunk, and walks through gate, disk and answer. Runs on the reactor of its
// connection; only call() runs in a disk thread.
#pragma once

#include <memory>

#include "base/buffer_pool.h"
#include "chunks/chunk_core.h"
#include "chunks/chunk_request.h"
#include "transport/connection.h"
#include "transport/pipe_pool.h"

namespace ibexfs {

class ChunkCall final : public DiskJob, public std::enable_shared_from_this<ChunkCall> {
 public:
  // The request has been admitted with request.length bytes; the call releases them when it goes.
  ChunkCall(std::shared_ptr<ChunkCore> core, ChunkHandler& handler, const std::shared_ptr<Connection>& connection,
            std::shared_ptr<ChunkPeer> peer, const wire::FrameHeader& header, const CheckedRequest& request,
            std::shared_ptr<ChunkTarget> target);
  ~ChunkCall() override;

  // Memory for the data, before start; false: none now, the peer is asked again.
  bool reserve();
  uint8_t* buffer() const { return buffer_.data(); }

  // Whether it is to be served; refused otherwise.
  bool accepted() const { return request_.verdict == StatusCode::kOk; }
  // Serves or refuses it; the answer follows, now or later.
  void start();

  int64_t call() override;
  void finish(int64_t result) override;

 private:
  struct GateTicket : ChunkGate::Ticket {
    ChunkCall* call = nullptr;
  };
  // Where finish() finds the call: its turn has come, its (first) disk work is done, or its second, or another sync
  // has done its work.
  enum class Step : uint8_t { kTurn, kDisk, kSecond, kServed };

  bool changes_chunk() const;
  // True: its turn is now. False: another call will wake it.
  bool take_turn();
  void run();
  void submit(DiskJob::Kind kind);
  void complete(int64_t result);
  void leave_gate();
  void answer(StatusCode status, uint32_t bytes, const ChunkAttributes& attributes);
  void fail(int error_number);

  // Reads (chunk_read.cc).
  bool wants_pipe() const;
  void run_read();
  void finish_read(int64_t result);
  void read_ahead();
  bool could_be_direct() const;
  bool go_direct();
  int64_t read_blocking();
  int64_t fill_pipe(int fd);
  int64_t read_without_pipe(int fd);

  // Writes (chunk_write.cc).
  ChunkGate::Mode write_mode() const;
  size_t direct_bytes() const;
  void run_write();
  void submit_write(int fd, size_t from, size_t to);
  void finish_write(int64_t result);
  int64_t write_blocking();
  int64_t write_through(const ChunkDescriptors& descriptors);

  // The others (chunk_sync.cc).
  void run_stat();
  void run_sync();
  void finish_sync(int64_t result);
  int64_t sync_blocking();
  void complete_sync(int64_t result);
  void judge_sync(int64_t result, bool is_own);
  void answer_sync();
  int64_t stat_blocking();
  int64_t truncate_blocking();
  int64_t remove_blocking();

  const std::shared_ptr<ChunkCore> core_;
  ChunkHandler& handler_;
  const std::shared_ptr<Connection> connection_;
  const std::shared_ptr<ChunkPeer> peer_;
  const CheckedRequest request_;
  const uint64_t request_id_;
  const uint64_t map_version_;
  const uint16_t operation_;             // as the client gave it
  std::shared_ptr<ChunkCall> self_;      // while the gate or the engine has the call
  std::shared_ptr<ChunkTarget> target_;  // until answered; null when refused
  ChunkPin file_;
  std::shared_ptr<ChunkDescriptors> descriptors_;  // that the disk work in flight uses
  GateTicket ticket_;
  Step step_ = Step::kTurn;
  Buffer buffer_;
  std::shared_ptr<PipeSlice> pipe_;
  bool direct_read_ = false;
  size_t read_bytes_ = 0;  // in buffer_, before the engine's part
  ReadAhead ahead_;
  ChunkAttributes attributes_;
  uint64_t sync_stamp_ = 0;                   // for the answer
  StatusCode sync_status_ = StatusCode::kOk;  // for the answer of a sync
};

}  // namespace ibexfs
