#include "stripes/open_file.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace ibexfs {

namespace {

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

void OpenFile::column_written(uint32_t column) {
  const std::lock_guard lock(mutex_);
  ++columns_[column].written;
}

std::vector<OpenFile::UnsyncedColumn> OpenFile::unsynced_columns() const {
  const std::lock_guard lock(mutex_);
  std::vector<UnsyncedColumn> unsynced;
  for (uint32_t column = 0; column < columns_.size(); ++column) {
    if (columns_[column].written > columns_[column].synced) unsynced.push_back({column, columns_[column].written});
  }
  return unsynced;
}

void OpenFile::column_synced(const UnsyncedColumn& covered) {
  const std::lock_guard lock(mutex_);
  uint64_t& synced = columns_[covered.column].synced;
  synced = std::max(synced, covered.written);
}

void OpenFile::keep_error(const FileOutcome& outcome) {
  const std::lock_guard lock(mutex_);
  if (error_.status != StatusCode::kOk && !error_told_) return;
  error_ = outcome;
  error_told_ = false;
}

FileOutcome OpenFile::untold_error() const {
  const std::lock_guard lock(mutex_);
  return error_told_ ? FileOutcome{} : error_;
}

FileOutcome OpenFile::tell_error() {
  const std::lock_guard lock(mutex_);
  error_told_ = true;
  return error_;
}

FileOutcome OpenFile::take_error() {
  const std::lock_guard lock(mutex_);
  error_told_ = false;
  return std::exchange(error_, {});
}

bool OpenFile::clean() const {
  const std::lock_guard lock(mutex_);
  return pending_writes_.empty() && error_.status == StatusCode::kOk && mtime_ == 0;
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
