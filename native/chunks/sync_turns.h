// The syncs of one chunk, one running at a time: the kernel tells a failure to one of several that run together, so
// the others must not be judged before it. Those that come meanwhile share the next one. Never the running one, which
// may have begun before their data was written. So however many wait, two more reach the disk at most. Not
// thread-safe: the chunk's lock guards it.
#pragma once

#include <utility>

#include "chunks/chunk_gate.h"

namespace ibexfs {

class SyncTurns {
 public:
  using Ticket = ChunkGate::Ticket;

  // True: run now, and leave() when done. False: leave() of another will return this ticket, first or behind the first.
  bool enter(Ticket* ticket) {
    ticket->next = nullptr;
    if (!std::exchange(running_, true)) return true;
    (last_ != nullptr ? last_->next : first_) = ticket;
    last_ = ticket;
    return false;
  }

  // The one that runs next and, chained behind it (by `next`), those that it runs for too.
  Ticket* leave() {
    last_ = nullptr;
    running_ = first_ != nullptr;
    return std::exchange(first_, nullptr);
  }

 private:
  bool running_ = false;
  Ticket* first_ = nullptr;  // waiting
  Ticket* last_ = nullptr;
};

}  // namespace ibexfs
