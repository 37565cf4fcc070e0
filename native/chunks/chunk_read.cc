// Reads of a ChunkCall: cached bytes at once, others by the disk engine. Large ranges that are cached go through
// a pipe, so that their pages reach the socket without a copy; large ones that are not, and that nobody has
// read lately, go past the page cache, whose fresh pages cost more than the rest of a read.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "chunks/chunk_call.h"
#include "chunks/disk_io.h"
#include "chunks/page_cache.h"

namespace ibexfs {

namespace {

constexpr uint64_t kPageBytes = 4096;
// Below it copying is cheaper than the system calls and page references of two splices.
constexpr uint32_t kPipeBytesMin = 64U << 10;

// Fetches what a sequential reader will want next; nobody waits for it. At most one per chunk and window.
class ReadAheadJob final : public DiskJob {
 public:
  ReadAheadJob(std::shared_ptr<ChunkCore> core, ChunkPin file, std::shared_ptr<ChunkDescriptors> descriptors,
               const ReadAhead& ahead)
      : core_(std::move(core)), file_(std::move(file)), descriptors_(std::move(descriptors)), ahead_(ahead) {}

  int64_t call() override {
    fetch_pages(descriptors_->cached.get(), ahead_.offset, ahead_.length);
    return 0;
  }
  void finish(int64_t) override { delete this; }

 private:
  const std::shared_ptr<ChunkCore> core_;  // outlives the pin
  const ChunkPin file_;
  const std::shared_ptr<ChunkDescriptors> descriptors_;
  const ReadAhead ahead_;
};

}  // namespace

bool ChunkCall::wants_pipe() const {
  // A pipe holds a number of pages, full or not: a range that touches one more would come short.
  return connection_->takes_pipes() && request_.length >= kPipeBytesMin &&
         request_.offset % kPageBytes + request_.length <= PipePool::kSliceBytes;
}

bool ChunkCall::could_be_direct() const {
  const uint32_t minimum = core_->options.direct_read_bytes_min;
  return minimum > 0 && request_.length >= minimum && request_.offset % kPageBytes == 0 && request_.length % kPageBytes == 0 &&
         target_->store()->takes_direct();
}

// For a range that is not cached: past the page cache if nobody has read it lately and a buffer is free.
bool ChunkCall::go_direct() {
  if (!could_be_direct() || !file_->is_first_read(request_.offset, request_.length, std::chrono::steady_clock::now()))
    return false;
  if (!buffer_) buffer_ = core_->pool.allocate(request_.length);
  if (!buffer_) return false;
  pipe_.reset();
  direct_read_ = true;
  return true;
}

void ChunkCall::run_read() {
  if (request_.length == 0) return complete(0);
  ahead_ = file_->note_read(request_.offset, request_.length, core_->options.read_ahead_bytes);
  descriptors_ = file_->descriptors();
  if (descriptors_ == nullptr) return submit(Kind::kCall);
  fd = descriptors_->cached.get();
  if (request_.length >= kPipeBytesMin && !is_cached(fd, request_.offset, request_.length)) {
    if (!go_direct() || !descriptors_->direct) return submit(Kind::kCall);
    fd = descriptors_->direct.get();
    data = buffer_.data();
    length = request_.length;
    offset = request_.offset;
    is_direct_read = true;
    return submit(Kind::kRead);
  }
  if (pipe_ != nullptr) {
    const int64_t filled = fill_pipe(fd);
    if (filled < 0) return submit(Kind::kCall);
    read_ahead();
    return complete(filled);
  }
  bool complete_now = false;
  read_bytes_ = read_cached(fd, buffer_.data(), request_.offset, request_.length, &complete_now);
  read_ahead();
  if (complete_now) return complete(static_cast<int64_t>(read_bytes_));
  data = buffer_.data() + read_bytes_;
  length = request_.length - read_bytes_;
  offset = request_.offset + read_bytes_;
  submit(Kind::kRead);
}

void ChunkCall::finish_read(int64_t result) {
  if (result == -EINVAL && is_direct_read) {
    target_->store()->refuse_direct();
    is_direct_read = direct_read_ = false;
    return submit(Kind::kCall);
  }
  complete(result < 0 ? result : result + static_cast<int64_t>(read_bytes_));
}

void ChunkCall::read_ahead() {
  if (ahead_.length == 0 || is_cached(fd, ahead_.offset, 1)) return;
  handler_.engine().submit(new ReadAheadJob(core_, file_.clone(), descriptors_, ahead_));
}

int64_t ChunkCall::read_blocking() {
  const bool was_open = descriptors_ != nullptr;
  if (!was_open || direct_read_) {
    const int opened = file_->open(false, could_be_direct(), core_->files, &descriptors_);
    if (opened == -ENOENT) return 0;  // a chunk that was never written has no bytes
    if (opened < 0) return opened;
  }
  const int file = descriptors_->cached.get();
  if (!was_open && could_be_direct() && !is_cached(file, request_.offset, request_.length)) go_direct();
  if (direct_read_ && descriptors_->direct) {
    const int64_t result = read_once(descriptors_->direct.get(), buffer_.data(), request_.length, request_.offset);
    if (result != -EINVAL) return result;
    target_->store()->refuse_direct();
  }
  if (ahead_.is_sequential) {
    const uint64_t end = std::max(request_.offset + request_.length, ahead_.offset + ahead_.length);
    fetch_pages(file, request_.offset, end - request_.offset);
  }
  if (pipe_ == nullptr) return read_fully(file, buffer_.data(), request_.length, request_.offset);
  const int64_t filled = fill_pipe(file);
  return filled >= 0 ? filled : read_without_pipe(file);
}

// Bytes in the pipe: fewer than asked only at the end of the file. Negative when this pipe cannot do it.
int64_t ChunkCall::fill_pipe(int file) {
  size_t filled = pipe_->bytes();
  while (filled < request_.length) {
    const Result<size_t> moved = pipe_->fill_from_file(file, request_.offset + filled, request_.length - filled);
    if (!moved.ok()) return -static_cast<int64_t>(moved.status().code());
    filled += moved.value();
    if (moved.value() > 0) continue;
    struct stat attributes {};
    if (fstat(file, &attributes) != 0) return -errno;
    // Nothing more although the file goes on: the pipe is full, or the file has grown meanwhile.
    if (static_cast<uint64_t>(attributes.st_size) > request_.offset + filled) return -EAGAIN;
    break;
  }
  return static_cast<int64_t>(filled);
}

// A file system without splice, or a pipe that was too small: through a buffer after all.
int64_t ChunkCall::read_without_pipe(int file) {
  pipe_.reset();
  buffer_ = core_->pool.allocate(request_.length);
  if (!buffer_) return -EAGAIN;
  return read_fully(file, buffer_.data(), request_.length, request_.offset);
}

}  // namespace ibexfs
