// One FUSE thread: reads requests from its descriptor until none is left, dispatches them, sleeps. Internal
// to fuse.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "base/buffer_pool.h"
#include "fuse/session_core.h"
#include "stripes/chunk_client.h"

namespace ibexfs {

class FuseWorker {
 public:
  FuseWorker(std::shared_ptr<FuseSession::Core> core, int fd) : core_(std::move(core)), fd_(fd) {}
  void run();

 private:
  // Headers of a WRITE, so that its data starts at the start of a page in data_.
  static constexpr size_t kHeadBytes = sizeof(fuse_in_header) + sizeof(fuse_write_in);

  enum class Round { kEmpty, kMore, kEnd };
  Round serve_queue();
  void dispatch(size_t bytes);

  void read_request(const RequestOrigin& origin);
  void write_request(const RequestOrigin& origin, const fuse_in_header& header);
  // The received data in memory that the WRITE keeps: a block of the pool, or spare memory when it has none.
  bool keep_write(uint32_t bytes, Buffer& buffer, std::unique_ptr<uint8_t[]>& spare);
  void seek_request(const RequestOrigin& origin);
  void name_request(const RequestOrigin& origin, const fuse_in_header& header);
  // True: answered by what TypeScript told in advance.
  bool answer_by_facts(const RequestOrigin& origin, uint32_t opcode, const NameRequest& request);
  void hand_over(const RequestOrigin& origin, uint32_t opcode, NameRequest& request);
  // A name request that must not run before pending data has reached the targets.
  void after_data(const RequestOrigin& origin, uint32_t opcode, NameRequest& request);
  void collect_forgets(const fuse_in_header& header);
  void push_forgets();
  void clear_set_id(uint64_t node, const fuse_in_header& header);

  // Waits until the pool has a block; empty when the session stops.
  Buffer allocate(size_t bytes);
  static std::unique_ptr<uint8_t[]> make_spare() { return std::make_unique_for_overwrite<uint8_t[]>(kFuseDataBytesMax); }
  // Where the request behind its head lies.
  uint8_t* received() const { return data_ ? data_.data() : spare_.get(); }
  // The request behind its header, in one piece.
  Bytes body();
  template <typename Struct>
  bool arguments(Struct& out) {
    const Bytes bytes = body();
    if (bytes.size() < sizeof(Struct)) return false;
    std::memcpy(&out, bytes.data(), sizeof(Struct));
    return true;
  }

  const std::shared_ptr<FuseSession::Core> core_;
  const int fd_;
  alignas(8) std::array<uint8_t, kHeadBytes> head_;
  Buffer data_;  // kFuseDataBytesMax, taken by the WRITE that filled it; empty while the pool has none
  // Receives while there is no data_: reading a request must not depend on the pool, which a dead target may fill.
  std::unique_ptr<uint8_t[]> spare_ = make_spare();
  size_t received_bytes_ = 0;
  std::vector<uint8_t> joined_;
  std::vector<fuse_forget_one> forgets_;
  ChunkSendBatch* batch_ = nullptr;  // while the queue is served
};

}  // namespace ibexfs
