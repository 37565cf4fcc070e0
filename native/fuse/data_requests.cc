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
  if (!arguments(args) || args.size > kFuseDataBytesMax || args.fh > UINT32_MAX) return core_->answer(origin, EINVAL);
  if (args.size == 0) return core_->answer(origin, 0);
  Buffer buffer = allocate(args.size);
  if (!buffer) return core_->answer(origin, EIO);  // stopping
  auto request = std::make_shared<DataRequest>(core_, origin, std::move(buffer), args.size);
  DataRequest* open = request.get();
  core_->files.read(static_cast<FileId>(args.fh), args.offset, {open->buffer.data(), args.size}, std::move(request),
                    [open](const FileOutcome& outcome) { answer_read(*open, outcome); });
}

void FuseWorker::write_request(const RequestOrigin& origin, const fuse_in_header& header) {
  fuse_write_in args;
  if (received_bytes_ < kHeadBytes) return core_->answer(origin, EINVAL);
  std::memcpy(&args, head_.data() + sizeof(fuse_in_header), sizeof(args));
  if (args.size != received_bytes_ - kHeadBytes || args.fh > UINT32_MAX) return core_->answer(origin, EINVAL);
  const auto file = static_cast<FileId>(args.fh);
  if ((args.write_flags & FUSE_WRITE_KILL_SUIDGID) != 0 && core_->files.take_clear_set_id(file))
    clear_set_id(header.nodeid, header);
  Buffer buffer;
  if (args.size <= kCopiedWriteBytesMax) {
    buffer = allocate(std::max<size_t>(args.size, 1));
    if (!buffer) return core_->answer(origin, EIO);  // stopping
    std::memcpy(buffer.data(), data_.data(), args.size);
  } else {
    buffer = std::move(data_);
  }
  auto request = std::make_shared<DataRequest>(core_, origin, std::move(buffer), args.size);
  DataRequest* open = request.get();
  const Bytes data{open->buffer.data(), args.size};
  const auto done = [open](const FileOutcome& outcome) { answer_write(*open, outcome); };
  if (core_->options.write_behind && (args.flags & (O_DIRECT | O_SYNC | O_DSYNC)) == 0) {
    core_->files.write_behind(file, args.offset, data, std::move(request), open->buffer.capacity(), done);
  } else {
    core_->files.write(file, args.offset, data, std::move(request), done);
  }
}

void FuseWorker::seek_request(const RequestOrigin& origin) {
  fuse_lseek_in args;
  if (!arguments(args) || args.fh > UINT32_MAX) return core_->answer(origin, EINVAL);
  const auto file = static_cast<FileId>(args.fh);
  if (!core_->files.is_open(file)) return core_->answer(origin, EBADF);
  // Holes are not known here: a file is all data with one hole at its end, which is always a correct answer.
  const uint64_t size = core_->files.size_of(file);
  if (args.whence != SEEK_DATA && args.whence != SEEK_HOLE) return core_->answer(origin, EINVAL);
  if (args.offset >= size) return core_->answer(origin, ENXIO);
  core_->answer_with(origin, fuse_lseek_out{args.whence == SEEK_DATA ? args.offset : size});
}

}  // namespace ibexfs
