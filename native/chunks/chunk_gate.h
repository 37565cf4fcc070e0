// Order among the changes of one chunk. Changes that touch the same bytes run one after the other, in the order
// they came, so each lands whole; the others run together. Not thread-safe: the chunk's lock guards it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ibexfs {

class ChunkGate {
 public:
  enum class Mode : uint8_t {
    kCached,     // a write through the page cache
    kDirect,     // a write past it; together with cached writes the kernel cannot keep both views of a large folio
    kExclusive,  // truncate, remove, and writes that are partly direct: alone
  };

  struct Ticket {
    uint64_t begin = 0;
    uint64_t end = 0;
    Mode mode = Mode::kExclusive;
    Ticket* next = nullptr;
  };

  // True: go ahead, and leave() when done. False: leave() of another will return this ticket when its turn is.
  bool enter(Ticket* ticket) {
    if (first_ == nullptr && fits(*ticket)) {
      active_.push_back(ticket);
      return true;
    }
    ticket->next = nullptr;
    (last_ != nullptr ? last_->next : first_) = ticket;
    last_ = ticket;
    return false;
  }

  // A chain (by `next`) of the tickets whose turn it is now; nobody overtakes one that waits.
  Ticket* leave(Ticket* ticket) {
    active_.erase(std::find(active_.begin(), active_.end(), ticket));
    Ticket* admitted = nullptr;
    Ticket** tail = &admitted;
    while (first_ != nullptr && fits(*first_)) {
      Ticket* next = first_;
      first_ = next->next;
      if (first_ == nullptr) last_ = nullptr;
      next->next = nullptr;
      active_.push_back(next);
      *tail = next;
      tail = &next->next;
    }
    return admitted;
  }

  bool idle() const { return active_.empty() && first_ == nullptr; }

 private:
  bool fits(const Ticket& ticket) const {
    return std::none_of(active_.begin(), active_.end(), [&](const Ticket* other) {
      return ticket.mode == Mode::kExclusive || other->mode != ticket.mode ||
             (ticket.begin < other->end && other->begin < ticket.end);
    });
  }

  std::vector<Ticket*> active_;  // few: bounded by the requests in flight
  Ticket* first_ = nullptr;      // waiting
  Ticket* last_ = nullptr;
};

}  // namespace ibexfs
