#include "chunks/chunk_target.h"

#include <cerrno>

namespace ibexfs {

namespace {

constexpr std::chrono::seconds kReportInterval{1};

}  // namespace

StatusCode status_of_errno(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return StatusCode::kNoSpace;
    case EFBIG:
      return StatusCode::kFileTooBig;
    case ECANCELED:
      return StatusCode::kCanceled;
    case EROFS:
      return StatusCode::kReadOnly;
    case ENOMEM:
      return StatusCode::kNoMemory;
    case EAGAIN:
    case EMFILE:
    case ENFILE:
      return StatusCode::kOverloaded;
    default:
      // What else a disk or a damaged folder may say means nothing to a client but this.
      return StatusCode::kIoError;
  }
}

void ChunkTarget::begin(wire::ChunkOperation operation) {
  Counters& counters = counters_[static_cast<size_t>(operation)];
  in_flight_.fetch_add(1, std::memory_order_relaxed);
  raise(counters.in_flight_max, counters.in_flight.fetch_add(1, std::memory_order_relaxed) + 1);
}

void ChunkTarget::end(wire::ChunkOperation operation, bool failed, uint64_t bytes) {
  Counters& counters = counters_[static_cast<size_t>(operation)];
  counters.operations.fetch_add(1, std::memory_order_relaxed);
  counters.bytes.fetch_add(bytes, std::memory_order_relaxed);
  if (failed) counters.errors.fetch_add(1, std::memory_order_relaxed);
  counters.in_flight.fetch_sub(1, std::memory_order_relaxed);
  // Sequentially consistent with wait_until_idle: one of the two sees the other.
  if (in_flight_.fetch_sub(1) == 1 && awaited_.load()) {
    const std::lock_guard lock(idle_mutex_);
    idle_.notify_all();
  }
}

bool ChunkTarget::wait_until_idle(std::chrono::milliseconds timeout) {
  awaited_.store(true);
  std::unique_lock lock(idle_mutex_);
  return idle_.wait_for(lock, timeout, [this] { return in_flight_.load() == 0; });
}

void ChunkTarget::report_fault(int error_number, const char* operation, const ChunkName& name) {
  faults_.fetch_add(1, std::memory_order_relaxed);
  uint64_t unreported = 0;
  {
    const std::lock_guard lock(fault_mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (now < next_report_) {
      unreported_++;
      return;
    }
    next_report_ = now + kReportInterval;
    unreported = std::exchange(unreported_, 0);
  }
  const std::string what =
      std::string(operation) + " of chunk " + store_->chunk_file_path(name) + " (target " + std::to_string(id_) + ")";
  std::string text =
      error_number == ESTALE
          ? what + ": the target's folder has vanished: it was removed, replaced or mounted over; restore it and restart"
          : Status::from_errno(error_number, what).message();
  if (unreported > 0) text += "; " + std::to_string(unreported) + " more since the last report";

  wire::TargetEvent event;
  event.target = id_;
  event.status = static_cast<uint32_t>(status_of_errno(error_number));
  event.text_length = static_cast<uint32_t>(text.size());
  if (!events_.push(wire::EventKind::kTargetFault, event, {as_bytes(text)})) log_event(events_, wire::LogLevel::kError, text);
}

ChunkTargetStatistics ChunkTarget::statistics() const {
  ChunkTargetStatistics statistics;
  statistics.target = id_;
  statistics.path = store_->path();
  for (size_t kind = 0; kind < kChunkOperationKinds; kind++) {
    const Counters& from = counters_[kind];
    ChunkOperationStatistics& to = statistics.operations[kind];
    to.operations = from.operations.load(std::memory_order_relaxed);
    to.bytes = from.bytes.load(std::memory_order_relaxed);
    to.errors = from.errors.load(std::memory_order_relaxed);
    to.in_flight = from.in_flight.load(std::memory_order_relaxed);
    to.in_flight_max = from.in_flight_max.load(std::memory_order_relaxed);
  }
  statistics.faults = faults_.load(std::memory_order_relaxed);
  return statistics;
}

}  // namespace ibexfs
