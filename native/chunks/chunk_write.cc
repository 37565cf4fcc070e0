// Writes of a ChunkCall. Large page-aligned ones bypass the page cache: no copy, no fresh pages, and the sync
// that follows finds the data on the disk. The rest, and what is left of a large one behind its last whole
// page, goes through the page cache. The gate keeps the two kinds apart.
#include <unistd.h>

#include <cerrno>

#include "chunks/chunk_call.h"
#include "chunks/disk_io.h"

namespace ibexfs {

namespace {

// What file systems ask of direct I/O is 512 or 4096 bytes; pool buffers are aligned to pages too.
constexpr uint64_t kDirectAlignment = 4096;

}  // namespace

ChunkGate::Mode ChunkCall::write_mode() const {
  const uint32_t minimum = core_->options.direct_write_bytes_min;
  const bool direct = minimum > 0 && request_.length >= minimum && request_.length >= kDirectAlignment &&
                      request_.offset % kDirectAlignment == 0 && target_->store()->takes_direct();
  if (!direct) return ChunkGate::Mode::kCached;
  return request_.length % kDirectAlignment == 0 ? ChunkGate::Mode::kDirect : ChunkGate::Mode::kExclusive;
}

// The first bytes of the request that bypass the page cache.
size_t ChunkCall::direct_bytes() const {
  if (ticket_.mode == ChunkGate::Mode::kCached || !target_->store()->takes_direct()) return 0;
  return request_.length - request_.length % kDirectAlignment;
}

void ChunkCall::run_write() {
  if (request_.length == 0) return complete(0);
  descriptors_ = file_->descriptors();
  const bool ready = descriptors_ != nullptr && (direct_bytes() == 0 || descriptors_->direct);
  if (!ready) return submit(Kind::kCall);
  if (direct_bytes() > 0) return submit_write(descriptors_->direct.get(), 0, direct_bytes());
  step_ = Step::kSecond;
  submit_write(descriptors_->cached.get(), 0, request_.length);
}

void ChunkCall::submit_write(int descriptor, size_t from, size_t to) {
  fd = descriptor;
  data = buffer_.data() + from;
  length = to - from;
  offset = request_.offset + from;
  in_thread = step_ == Step::kSecond;
  submit(Kind::kWrite);
}

void ChunkCall::finish_write(int64_t result) {
  const bool direct = kind == Kind::kWrite && step_ == Step::kDisk;
  if (!direct) return complete(result < 0 ? result : static_cast<int64_t>(request_.length));
  const size_t written = length;
  if (result == -EINVAL) target_->store()->refuse_direct();
  if (result < 0 && result != -EINVAL) return complete(result);
  step_ = Step::kSecond;
  if (result == -EINVAL) return submit_write(descriptors_->cached.get(), 0, request_.length);
  if (written == request_.length) return complete(static_cast<int64_t>(request_.length));
  submit_write(descriptors_->cached.get(), written, request_.length);
}

int64_t ChunkCall::write_blocking() {
  const int opened = file_->open(true, direct_bytes() > 0, core_->files, &descriptors_);
  if (opened < 0) return opened;
  return write_through(*descriptors_);
}

int64_t ChunkCall::write_through(const ChunkDescriptors& descriptors) {
  const size_t direct = direct_bytes();
  // Others may be writing past the cache just now, so this one must not go through it.
  if (direct > 0 && !descriptors.direct) return -EMFILE;
  size_t written = 0;
  if (direct > 0) {
    const int64_t result = write_fully(descriptors.direct.get(), buffer_.data(), direct, request_.offset);
    if (result == -EINVAL) {
      target_->store()->refuse_direct();
    } else if (result < 0) {
      return result;
    } else {
      written = direct;
    }
  }
  return write_fully(descriptors.cached.get(), buffer_.data() + written, request_.length - written, request_.offset + written);
}

}  // namespace ibexfs
