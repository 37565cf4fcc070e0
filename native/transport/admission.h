// Counts the connections of a listener and refuses those above its limits.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "transport/limits.h"

namespace ibexfs {

class Admission : public std::enable_shared_from_this<Admission> {
 public:
  explicit Admission(const TransportLimits& limits)
      : connections_max_(limits.connections_max), unauthenticated_max_(limits.unauthenticated_max) {}

  // The place of one connection; given back when destroyed.
  class Ticket {
   public:
    explicit Ticket(std::shared_ptr<Admission> admission) : admission_(std::move(admission)) {}
    Ticket(Ticket&&) noexcept = default;
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket() {
      if (!admission_) return;
      authenticated();
      admission_->connections_.fetch_sub(1);
    }
    // It no longer counts as a stranger's. Idempotent.
    void authenticated() {
      if (!std::exchange(authenticated_, true)) admission_->unauthenticated_.fetch_sub(1);
    }

   private:
    std::shared_ptr<Admission> admission_;
    bool authenticated_ = false;
  };

  // Only the accepting thread admits, so checking before counting is no race: others only decrease.
  std::optional<Ticket> admit() {
    if (connections_ >= connections_max_ || unauthenticated_ >= unauthenticated_max_) return std::nullopt;
    connections_.fetch_add(1);
    unauthenticated_.fetch_add(1);
    return Ticket(shared_from_this());
  }

  uint32_t connections() const { return connections_; }
  uint32_t unauthenticated() const { return unauthenticated_; }

 private:
  const uint32_t connections_max_;
  const uint32_t unauthenticated_max_;
  std::atomic<uint32_t> connections_{0};
  std::atomic<uint32_t> unauthenticated_{0};
};

}  // namespace ibexfs
