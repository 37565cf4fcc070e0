// READ, WRITE and LSEEK: answered from the FileTable, by whichever thread completes them.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "fuse/worker.h"

namespace ibexfs {

namespace {

// An open data request and the memory it works on; the connection that moves the bytes keeps it alive too.
struct DataRequest {
  std::shared_ptr<FuseSession::Core> core;
  RequestOrigin origin;
  Buffer buffer;
  uint32_t length = 0;
  std::unique_ptr<uint8_t[]> spare;  // instead of buffer: a WRITE for which the pool had no block

  DataRequest(std::shared_ptr<FuseSession::Core> session, const RequestOrigin& from, Buffer memory, uint32_t bytes)
      : core(std::move(session)), origin(from), buffer(std::move(memory)), length(bytes) {}
  ~DataRequest() {
    if (spare) --core->spare_writes;
  }
  DataRequest(const DataRequest&) = delete;
  DataRequest& operator=(const DataRequest&) = delete;
};

int error_of(const FileOutcome& outcome) {
  return errno_of(static_cast<uint32_t>(outcome.status));
}

void answer_read(DataRequest& request, const FileOutcome& outcome) {
  if (outcome.status != StatusCode::kOk) return request.core->answer(request.origin, error_of(outcome));
  const iovec part{request.buffer.data(), outcome.bytes};
  request.core->bytes_read.fetch_add(outcome.bytes, std::memory_order_relaxed);
  request.core->answer(request.origin, 0, std::span(&part, 1));
}

void answer_write(DataRequest& request, const FileOutcome& outcome) {
  if (outcome.status != StatusCode::kOk) return request.core->answer(request.origin, error_of(outcome));
  request.core->bytes_written.fetch_add(request.length, std::memory_order_relaxed);
  request.core->answer_with(request.origin, fuse_write_out{request.length, 0});
}

}  // namespace

void FuseWorker::read_request(const RequestOrigin& origin) {
  fuse_read_in args;
  if (!arguments(args) || args.size > kFuseDataBytesMax) return core_->answer(origin, EINVAL);
  if (args.size == 0) return core_->answer(origin, 0);
  if (Buffer buffer = core_->buffers.allocate(args.size)) return core_->start_read(origin, args, std::move(buffer));
  // What holds the pool's blocks may wait for the frames that this thread holds back.
  batch_->flush();
  core_->park_read(origin, args);
}

void FuseSession::Core::start_read(const RequestOrigin& origin, const fuse_read_in& args, Buffer buffer) {
  auto request = std::make_shared<DataRequest>(shared_from_this(), origin, std::move(buffer), args.size);
  DataRequest* open = request.get();
  files.read(file_of(args.fh), args.offset, {open->buffer.data(), args.size}, std::move(request),
             [open](const FileOutcome& outcome) { answer_read(*open, outcome); });
}

void FuseSession::Core::park_read(const RequestOrigin& origin, const fuse_read_in& args) {
  {
    const std::lock_guard lock(parked_mutex_);
    parked_.push_back({origin, args});
  }
  serve_parked();
}

void FuseSession::Core::ask_for_block() {
  if (std::exchange(block_asked_, true)) return;
  buffers.when_available([weak = weak_from_this()] {
    const auto core = weak.lock();
    if (!core) return;
    {
      const std::lock_guard lock(core->parked_mutex_);
      core->block_asked_ = false;
    }
    core->serve_parked();
  });
}

void FuseSession::Core::serve_parked() {
  std::unique_lock lock(parked_mutex_);
  block_given_back_ = true;
  if (serving_parked_) return;
  serving_parked_ = true;
  while (std::exchange(block_given_back_, false) && !stopping) {
    if (!parked_.empty()) ask_for_block();  // before the last try, so that no block is missed
    while (!parked_.empty()) {
      Buffer buffer = buffers.allocate(parked_.front().args.size);
      if (!buffer) break;
      const ParkedRead next = parked_.front();
      parked_.pop_front();
      lock.unlock();
      start_read(next.origin, next.args, std::move(buffer));
      lock.lock();
    }
  }
  serving_parked_ = false;
}

void FuseWorker::write_request(const RequestOrigin& origin, const fuse_in_header& header) {
  fuse_write_in args;
  if (received_bytes_ < kHeadBytes) return core_->answer(origin, EINVAL);
  std::memcpy(&args, head_.data() + sizeof(fuse_in_header), sizeof(args));
  if (args.size != received_bytes_ - kHeadBytes) return core_->answer(origin, EINVAL);
  const FileId file = file_of(args.fh);
  if ((args.write_flags & FUSE_WRITE_KILL_SUIDGID) != 0 && core_->files.take_clear_set_id(file))
    clear_set_id(header.nodeid, header);
  auto request = std::make_shared<DataRequest>(core_, origin, Buffer(), args.size);
  DataRequest* open = request.get();
  if (!keep_write(args.size, open->buffer, open->spare)) return core_->answer(origin, EIO);  // stopping
  const Bytes data{open->spare ? open->spare.get() : open->buffer.data(), args.size};
  const auto done = [open](const FileOutcome& outcome) { answer_write(*open, outcome); };
  if (core_->options.write_behind && (args.flags & (O_DIRECT | O_SYNC | O_DSYNC)) == 0) {
    core_->files.write_behind(args.fh, args.offset, data, std::move(request),
                              open->spare ? size_t{kFuseDataBytesMax} : open->buffer.capacity(), done);
  } else {
    core_->files.write(file, args.offset, data, std::move(request), done);
  }
}

bool FuseWorker::keep_write(uint32_t bytes, Buffer& buffer, std::unique_ptr<uint8_t[]>& spare) {
  if (data_ && bytes > kCopiedWriteBytesMax) {
    buffer = std::move(data_);
    return true;
  }
  buffer = core_->buffers.allocate(std::max<size_t>(bytes, 1));
  if (!buffer && core_->spare_writes.fetch_add(1) < kSpareWritesMax) {
    if (data_) {
      spare = make_spare();
      std::memcpy(spare.get(), data_.data(), bytes);
    } else {
      spare = std::exchange(spare_, make_spare());
    }
    return true;
  }
  if (!buffer) {
    --core_->spare_writes;
    buffer = allocate(std::max<size_t>(bytes, 1));
    if (!buffer) return false;
  }
  std::memcpy(buffer.data(), received(), bytes);
  return true;
}

void FuseWorker::seek_request(const RequestOrigin& origin) {
  fuse_lseek_in args;
  if (!arguments(args)) return core_->answer(origin, EINVAL);
  const FileId file = file_of(args.fh);
  if (!core_->files.is_open(file)) return core_->answer(origin, EBADF);
  // Holes are not known here: a file is all data with one hole at its end, which is always a correct answer.
  const uint64_t size = core_->files.size_of(file);
  if (args.whence != SEEK_DATA && args.whence != SEEK_HOLE) return core_->answer(origin, EINVAL);
  if (args.offset >= size) return core_->answer(origin, ENXIO);
  core_->answer_with(origin, fuse_lseek_out{args.whence == SEEK_DATA ? args.offset : size});
}

}  // namespace ibexfs
