// The requests of a ChunkCall that move no data: stat, sync, truncate.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "chunks/chunk_call.h"

namespace ibexfs {

void ChunkCall::run_stat() {
  descriptors_ = file_->descriptors();
  if (descriptors_ == nullptr) return submit(Kind::kCall);
  struct stat found {};
  if (fstat(descriptors_->cached.get(), &found) != 0) return fail(errno);
  attributes_.size = static_cast<uint64_t>(found.st_size);
  attributes_.blocks = static_cast<uint64_t>(found.st_blocks);
  complete(0);
}

int64_t ChunkCall::stat_blocking() {
  return target_->store()->stat_chunk(request_.name, &attributes_);
}

void ChunkCall::run_sync() {
  slow = true;
  descriptors_ = file_->descriptors();
  if (descriptors_ == nullptr) return submit(Kind::kCall);
  fd = descriptors_->cached.get();
  submit(Kind::kSync);
}

void ChunkCall::finish_sync(int64_t result) {
  const bool data_only = kind == Kind::kSync;
  if (result < 0 || !data_only) return complete(result);
  struct stat found {};
  const bool named = fstat(fd, &found) == 0 && found.st_nlink > 0;
  if (named && target_->store()->is_entry_durable(request_.name, descriptors_->stamp)) return complete(0);
  step_ = Step::kSecond;
  submit(Kind::kCall);
}

void ChunkCall::complete_sync(int64_t result) {
  if (result == -ECANCELED) {
    leave_gate();
    return fail(ECANCELED);
  }
  const SyncFailures::Verdict verdict = target_->sync_failures().judge(request_.name, request_.sync_stamp, result < 0);
  sync_stamp_ = verdict.stamp;
  leave_gate();
  if (result < 0) return fail(static_cast<int>(-result));
  // Another's sync has met it and reported the fault.
  answer(verdict.failed ? StatusCode::kIoError : StatusCode::kOk, 0, {});
}

// Data first, then the entries that lead to it.
int64_t ChunkCall::sync_blocking() {
  if (step_ == Step::kDisk) {
    const int opened = file_->open(false, false, core_->files, &descriptors_);
    if (opened == -ENOENT) return 0;  // nothing was written, or it was removed
    if (opened < 0) return opened;
    if (fdatasync(descriptors_->cached.get()) != 0) return -errno;
  }
  // Somebody deleted the file below us: what was written to it is lost, and saying so is all there is to do.
  if (file_->was_unlinked_behind(descriptors_)) return -ESTALE;
  const int entered = target_->store()->make_entry_durable(request_.name, descriptors_->stamp);
  // The folder's other chunks have been told that they are in it, or will be by a sync that succeeds.
  if (entered < 0) target_->sync_failures().all_failed();
  return entered;
}

int64_t ChunkCall::truncate_blocking() {
  const bool create = request_.offset > 0;
  const int opened = file_->open(create, false, core_->files, &descriptors_);
  if (opened == -ENOENT) return 0;  // what does not exist has no bytes to cut
  if (opened < 0) return opened;
  return ftruncate(descriptors_->cached.get(), static_cast<off_t>(request_.offset)) == 0 ? 0 : -errno;
}

}  // namespace ibexfs
