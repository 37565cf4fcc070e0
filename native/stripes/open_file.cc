#include "stripes/open_file.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace ibexfs {

namespace {

// What a handle's number may be so that JavaScript can name handle and file in one number below 2^53.
constexpr size_t kHandlesMax = 1U << 20;

double now_microseconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<double>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

// JavaScript reads these words while native threads write them: whole 8-byte stores, no torn values.
void store(double& word, double value) {
  std::atomic_ref<double>(word).store(value, std::memory_order_relaxed);
}

}  // namespace

OpenFile::OpenFile(const Fid& file, StripeLayout stripes, uint64_t size, FileState& state, FileId id)
    : fid(file), layout(std::move(stripes)), state_(&state), size_(size), columns_(layout.columns()) {
  // What was written before this opening may still be in the caches of the targets.
  if (size > 0) change_all_columns();
  store(state.clear_set_id_on_write, 0);
  store(state.mtime_microseconds, 0);
  store(state.file_id, id);
  publish();
}

void OpenFile::publish() {
  if (state_ == nullptr) return;
  store(state_->size, static_cast<double>(size_));
  store(state_->mtime_microseconds, mtime_);
  store(state_->pending_bytes, static_cast<double>(pending_bytes_));
  store(state_->bytes_read, static_cast<double>(bytes_read_));
  store(state_->bytes_written, static_cast<double>(bytes_written_));
}

bool OpenFile::admit(FileOperation& operation) {
  const std::lock_guard lock(mutex_);
  operation.sequence = ++last_sequence_;
  operation.blockers = static_cast<uint32_t>(
      std::ranges::count_if(pending_writes_, [&](const FileOperation* write) { return operation.overlaps(*write); }));
  if (operation.writes()) {
    pending_writes_.push_back(&operation);
    pending_bytes_ += operation.length;
    if (state_ != nullptr) store(state_->pending_bytes, static_cast<double>(pending_bytes_));
  }
  if (operation.blockers == 0) return true;
  blocked_.push_back(&operation);
  return false;
}

std::vector<FileOperation*> OpenFile::retire(FileOperation& write) {
  const std::lock_guard lock(mutex_);
  std::erase(pending_writes_, &write);
  pending_bytes_ -= write.length;
  publish();
  std::vector<FileOperation*> ready;
  if (blocked_.empty()) return ready;
  for (FileOperation* waiting : blocked_) {
    if (waiting->sequence > write.sequence && waiting->overlaps(write) && --waiting->blockers == 0) ready.push_back(waiting);
  }
  if (!ready.empty()) std::erase_if(blocked_, [](const FileOperation* waiting) { return waiting->blockers == 0; });
  return ready;
}

uint64_t OpenFile::begin_read(uint64_t offset, uint64_t length) {
  const std::lock_guard lock(mutex_);
  const uint64_t clipped = offset >= size_ ? 0 : std::min(length, size_ - offset);
  bytes_read_ += clipped;
  if (state_ != nullptr) store(state_->bytes_read, static_cast<double>(bytes_read_));
  return clipped;
}

void OpenFile::written(uint64_t offset, uint64_t length) {
  const std::lock_guard lock(mutex_);
  size_ = std::max(size_, offset + length);
  // Never the same twice: settled() tells by it whether a write came in between.
  mtime_ = std::max(now_microseconds(), mtime_ + 1);
  bytes_written_ += length;
  publish();
}

void OpenFile::change_all_columns() {
  for (Column& column : columns_) ++column.written;
}

void OpenFile::column_written(uint32_t column, uint64_t sync_stamp) {
  const std::lock_guard lock(mutex_);
  ++columns_[column].written;
  uint64_t& oldest = columns_[column].sync_stamp;
  // Answers come in any order: the oldest stamp counts. Of two lives of the target, whichever is kept is foreign to one
  // of them, which then takes every failure for ours.
  const bool same_life = oldest >> 32 == sync_stamp >> 32;
  if (oldest == 0 || (same_life && sync_stamp < oldest)) oldest = sync_stamp;
}

std::vector<OpenFile::UnsyncedColumn> OpenFile::unsynced_columns() const {
  const std::lock_guard lock(mutex_);
  std::vector<UnsyncedColumn> unsynced;
  for (uint32_t column = 0; column < columns_.size(); ++column) {
    const Column& at = columns_[column];
    if (at.written > at.synced) unsynced.push_back({column, at.written, at.sync_stamp});
  }
  return unsynced;
}

void OpenFile::column_synced(const UnsyncedColumn& covered) {
  const std::lock_guard lock(mutex_);
  Column& column = columns_[covered.column];
  column.synced = std::max(column.synced, covered.written);
  // Else it stays that of an older write than there is: at worst an error too many.
  if (column.synced == column.written) column.sync_stamp = 0;
}

void OpenFile::column_failed(const UnsyncedColumn& covered, uint64_t sync_stamp) {
  const std::lock_guard lock(mutex_);
  if (sync_stamp != 0) columns_[covered.column].sync_stamp = sync_stamp;
}

const OpenFile::Handle* OpenFile::handle(uint32_t opening) const {
  return opening == 0 || opening > handles_.size() || !handles_[opening - 1].open ? nullptr : &handles_[opening - 1];
}

uint32_t OpenFile::open_handle() {
  const std::lock_guard lock(mutex_);
  if (free_handles_.empty()) {
    if (handles_.size() >= kHandlesMax) return 0;
    handles_.emplace_back();
    free_handles_.push_back(static_cast<uint32_t>(handles_.size()));
  }
  const uint32_t opening = free_handles_.back();
  free_handles_.pop_back();
  handles_[opening - 1] = {true, failures_told_, failures_told_};
  return opening;
}

void OpenFile::close_handle(uint32_t opening) {
  const std::lock_guard lock(mutex_);
  Handle* closed = handle(opening);
  if (closed == nullptr) return;
  closed->open = false;
  free_handles_.push_back(opening);
}

bool OpenFile::keep_error(const FileOutcome& outcome) {
  const std::lock_guard lock(mutex_);
  const bool first = failures_ == failures_told_;
  if (first) error_ = outcome;
  ++failures_;
  return first;
}

FileOutcome OpenFile::untold_error(uint32_t opening) const {
  const std::lock_guard lock(mutex_);
  const Handle* asking = handle(opening);
  return asking != nullptr && asking->told < failures_ ? error_ : FileOutcome{};
}

FileOutcome OpenFile::tell_error(uint32_t opening) {
  const std::lock_guard lock(mutex_);
  Handle* asking = handle(opening);
  if (asking == nullptr || asking->reported == failures_) return {};
  asking->told = failures_told_ = failures_;
  return error_;
}

FileOutcome OpenFile::take_error(uint32_t opening) {
  const std::lock_guard lock(mutex_);
  Handle* asking = handle(opening);
  if (asking == nullptr || asking->reported == failures_) return {};
  asking->reported = asking->told = failures_told_ = failures_;
  return error_;
}

bool OpenFile::clean(uint32_t opening) const {
  const std::lock_guard lock(mutex_);
  const Handle* asking = handle(opening);
  return pending_writes_.empty() && mtime_ == 0 && (asking == nullptr || asking->reported == failures_);
}

uint64_t OpenFile::size() const {
  const std::lock_guard lock(mutex_);
  return size_;
}

void OpenFile::set_size(uint64_t size) {
  const std::lock_guard lock(mutex_);
  change_all_columns();  // the cut is a change of its own, made durable by the next sync
  size_ = size;
  publish();
}

void OpenFile::adopt_size(uint64_t size) {
  const std::lock_guard lock(mutex_);
  if (mtime_ != 0) return;
  size_ = size;
  publish();
}

void OpenFile::settled(double mtime_microseconds) {
  const std::lock_guard lock(mutex_);
  if (mtime_ == mtime_microseconds) mtime_ = 0;
  publish();
}

bool OpenFile::take_clear_set_id() {
  const std::lock_guard lock(mutex_);
  if (state_ == nullptr) return false;
  const std::atomic_ref<double> word(state_->clear_set_id_on_write);
  if (word.load(std::memory_order_relaxed) == 0) return false;
  word.store(0, std::memory_order_relaxed);
  return true;
}

void OpenFile::detach() {
  const std::lock_guard lock(mutex_);
  if (state_ == nullptr) return;
  for (double* word : {&state_->size, &state_->mtime_microseconds, &state_->clear_set_id_on_write, &state_->pending_bytes,
                       &state_->file_id, &state_->bytes_read, &state_->bytes_written}) {
    store(*word, 0);
  }
  state_ = nullptr;
}

}  // namespace ibexfs
