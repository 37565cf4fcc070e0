// State of a FUSE session that its threads, its open data requests and its owner share. It lives until the
// last of them has let go; the descriptors close with it. Internal to fuse.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "fuse/event_outbox.h"
#include "fuse/known_facts.h"
#include "fuse/notifier.h"
#include "fuse/pending_requests.h"
#include "fuse/session.h"

namespace ibexfs {

// Most data of one READ or WRITE, agreed on in INIT: 256 pages.
inline constexpr uint32_t kFuseDataBytesMax = 1U << 20;
inline constexpr uint16_t kFusePagesMax = 256;
// A WRITE no larger than this is copied to a buffer of its size, so that the large receive buffer serves on.
inline constexpr uint32_t kCopiedWriteBytesMax = 64U << 10;

// WRITEs that may stay in receive memory when the pool is full (each up to kFuseDataBytesMax), before the
// FUSE threads wait for the pool with them. More writers than this on dead targets delay names too, until
// their requests time out.
inline constexpr uint32_t kSpareWritesMax = 64;

struct FuseSession::Core : std::enable_shared_from_this<Core> {
  Core(FuseMount mounted, const FuseOptions& chosen, FileTable& file_table, BufferPool& pool, EventSink& event_sink);

  // Answers. error: 0 or a positive errno. Any thread; what the kernel does not want any more is dropped.
  void answer(const RequestOrigin& origin, int error, std::span<const iovec> parts);
  void answer(const RequestOrigin& origin, int error) { answer(origin, error, {}); }
  template <typename Struct>
  void answer_with(const RequestOrigin& origin, const Struct& value) {
    const iovec part{const_cast<Struct*>(&value), sizeof(value)};
    answer(origin, 0, std::span(&part, 1));
  }

  // Hands a name request to TypeScript. May wait: only on a FUSE thread.
  void hand_over(const RequestOrigin& origin, uint32_t opcode, NameRequest& request);
  // The same from any other thread.
  void hand_over_later(const RequestOrigin& origin, uint32_t opcode, NameRequest& request);
  void reply(const wire::FuseReplyCommand& command, Bytes data);
  // The kernel ended the session; reported once.
  void closed(int error);

  const FuseMount mount;
  const FuseOptions options;
  FileTable& files;
  BufferPool& buffers;
  EventSink& sink;
  const std::shared_ptr<EventOutbox> outbox;
  PendingRequests pending;
  KnownFacts facts;
  FuseNotifier notifier;

  std::vector<UniqueFd> devices;  // one a thread; the first is the mount's own
  UniqueFd stop_event;            // readable once the threads shall end
  std::atomic<bool> stopping{false};
  std::atomic<bool> closed_reported{false};

  // READs that found no block in the pool. They hold no memory, so no thread waits with them.
  void park_read(const RequestOrigin& origin, const fuse_read_in& args);
  void start_read(const RequestOrigin& origin, const fuse_read_in& args, Buffer buffer);
  // WRITEs whose data stays in the memory it was received into, outside the pool; bounded by kSpareWritesMax.
  std::atomic<uint32_t> spare_writes{0};

  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> name_requests{0};
  std::atomic<uint64_t> known_answers{0};
  std::atomic<uint64_t> bytes_read{0};
  std::atomic<uint64_t> bytes_written{0};

 private:
  bool prepare(const RequestOrigin& origin, uint32_t opcode, NameRequest& request);
  struct ParkedRead {
    RequestOrigin origin;
    fuse_read_in args;
  };
  void serve_parked();
  void ask_for_block();  // with parked_mutex_

  std::mutex parked_mutex_;
  std::deque<ParkedRead> parked_;  // one a reader that waits; the kernel bounds those
  bool serving_parked_ = false;    // what is given back meanwhile is seen by who serves
  bool block_given_back_ = false;
  bool block_asked_ = false;
};

}  // namespace ibexfs
