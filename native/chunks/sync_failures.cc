#include "chunks/sync_failures.h"

#include <algorithm>
#include <random>

namespace ibexfs {

SyncFailures::SyncFailures(size_t chunks_max) : chunks_max_(chunks_max), life_(std::random_device()() | 1U) {}

uint64_t SyncFailures::stamp() const {
  const std::lock_guard lock(mutex_);
  return stamped(failures_);
}

SyncFailures::Verdict SyncFailures::judge(const ChunkName& name, uint64_t since, bool failed) {
  const std::lock_guard lock(mutex_);
  if (failed) {
    if (failed_at_.insert_or_assign(name, ++failures_).second) oldest_first_.push_back(name);
    if (failed_at_.size() > chunks_max_) {
      const auto left_out = failed_at_.find(oldest_first_.front());
      all_failed_at_ = std::max(all_failed_at_, left_out->second);
      failed_at_.erase(left_out);
      oldest_first_.pop_front();
    }
  }
  const auto found = failed_at_.find(name);
  const uint32_t failed_at = std::max(all_failed_at_, found == failed_at_.end() ? 0 : found->second);
  // A stamp of another life is older than all of this one's.
  const uint32_t known = static_cast<uint32_t>(since >> 32) == life_ ? static_cast<uint32_t>(since) : 0;
  return {failed || (since != 0 && failed_at > known), stamped(failures_)};
}

void SyncFailures::all_failed() {
  const std::lock_guard lock(mutex_);
  all_failed_at_ = ++failures_;
  failed_at_.clear();
  oldest_first_.clear();
}

size_t SyncFailures::size() const {
  const std::lock_guard lock(mutex_);
  return failed_at_.size();
}

}  // namespace ibexfs
