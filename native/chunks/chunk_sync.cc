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

// What came out is true for all who share this sync, and each is judged before the next one begins.
void ChunkCall::complete_sync(int64_t result) {
  if (result < 0 && result != -ECANCELED) target_->report_fault(static_cast<int>(-result), "sync", request_.name);
  judge_sync(result, true);
  for (SyncTurns::Ticket* shared = ticket_.next; shared != nullptr; shared = shared->next)
    static_cast<GateTicket*>(shared)->call->judge_sync(result, false);
  if (SyncTurns::Ticket* next = file_->leave_sync()) {
    ChunkCall* admitted = static_cast<GateTicket*>(next)->call;
    admitted->handler_.engine().wake(admitted);
  }
  for (SyncTurns::Ticket* shared = ticket_.next; shared != nullptr;) {
    ChunkCall* served = static_cast<GateTicket*>(shared)->call;
    shared = shared->next;  // read first: the call may be gone once it is awake
    served->step_ = Step::kServed;
    served->handler_.engine().wake(served);
  }
  answer_sync();
}

// The failure of a sync that several share is one failure.
void ChunkCall::judge_sync(int64_t result, bool is_own) {
  sync_status_ = result < 0 ? status_of_errno(static_cast<int>(-result)) : StatusCode::kOk;
  if (result == -ECANCELED) return;
  const SyncFailures::Verdict verdict = target_->sync_failures().judge(request_.name, request_.sync_stamp, is_own && result < 0);
  sync_stamp_ = verdict.stamp;
  // An earlier sync has met it and reported the fault.
  if (result >= 0 && verdict.failed) sync_status_ = StatusCode::kIoError;
}

void ChunkCall::answer_sync() {
  answer(sync_status_, 0, {});
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
