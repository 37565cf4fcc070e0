// The flow of an operation: admission in the order of arrival, pieces to the targets, the end.
#include <cstring>
#include <string>
#include <utility>

#include "stripes/file_core.h"

namespace ibexfs {

void FileTable::Core::start(FileOperation* operation) {
  operation->table = this;
  if (operation->file->admit(*operation)) run(operation);
}

void FileTable::Core::start_behind(FileOperation* operation) {
  operation->table = this;
  const FileOutcome earlier = operation->file->untold_error(operation->opening);
  if (earlier.status != StatusCode::kOk) return end(operation, {earlier.status, earlier.target, 0});
  if (bounds.take(*operation)) accept(operation);
}

void FileTable::Core::accept(FileOperation* operation) {
  operation->file->written(operation->offset, operation->length);
  const FileDone accepted = std::exchange(operation->done, nullptr);
  const auto owner = operation->owner;  // `accepted` may need what it owns
  const FileOutcome outcome{StatusCode::kOk, 0, operation->length};
  // Registered before it is acknowledged, so that a read which follows the answer waits for it; sent after,
  // so that the writer goes on meanwhile. Once admitted false another thread may run and end it.
  const bool ready = operation->file->admit(*operation);
  accepted(outcome);
  if (ready) run(operation);
}

void FileTable::Core::run(FileOperation* operation) {
  switch (operation->kind) {
    case FileOperation::Kind::kRead:
      return run_read(operation);
    case FileOperation::Kind::kWrite:
    case FileOperation::Kind::kWriteBehind:
      return run_write(operation);
    case FileOperation::Kind::kFlush:
      return end(operation, operation->file->tell_error(operation->opening));
    case FileOperation::Kind::kSync:
      return run_sync(operation);
  }
}

void FileTable::Core::run_read(FileOperation* operation) {
  OpenFile& file = *operation->file;
  operation->length = file.begin_read(operation->offset, operation->length);
  if (operation->length == 0) return end(operation, {});
  operation->pieces_left = count_pieces(file.layout, operation->offset, operation->length);
  // The operation may be gone once its last piece was sent.
  const auto keep = operation->file;
  const auto owner = std::const_pointer_cast<void>(operation->owner);
  uint8_t* const into = operation->into;
  for_each_piece(keep->layout, operation->offset, operation->length, [&](const StripePiece& piece) {
    uint8_t* const start = into + piece.range_offset;
    // Two words of capture: std::function keeps them without an allocation.
    struct {
      FileOperation* operation;
      uint32_t range_offset, length;
    } const part{operation, static_cast<uint32_t>(piece.range_offset), piece.length};
    client.read({piece.target, piece.column, keep->fid}, piece.chunk_offset, {start, piece.length}, owner,
                [part](const ChunkOutcome& outcome) {
                  if (outcome.status != StatusCode::kOk) {
                    part.operation->fail(outcome.status, outcome.target);
                  } else if (outcome.bytes < part.length) {
                    // A hole, or the end of the chunk file before the end of the file: zeros.
                    std::memset(part.operation->into + part.range_offset + outcome.bytes, 0, part.length - outcome.bytes);
                  }
                  part.operation->table->piece_done(part.operation);
                });
  });
}

void FileTable::Core::run_write(FileOperation* operation) {
  const auto keep = operation->file;
  const auto owner = operation->owner;
  const uint8_t* const data = operation->data;
  operation->pieces_left = count_pieces(keep->layout, operation->offset, operation->length);
  for_each_piece(keep->layout, operation->offset, operation->length, [&](const StripePiece& piece) {
    struct {
      FileOperation* operation;
      uint32_t column;
    } const part{operation, piece.column};
    client.write({piece.target, piece.column, keep->fid}, piece.chunk_offset, {data + piece.range_offset, piece.length}, owner,
                 [part](const ChunkOutcome& outcome) {
                   // Now, not when it was sent: a sync that runs meanwhile may reach the disk before it. A write
                   // that failed may have been done all the same.
                   part.operation->file->column_written(part.column, outcome.sync_stamp);
                   if (outcome.status != StatusCode::kOk) part.operation->fail(outcome.status, outcome.target);
                   part.operation->table->piece_done(part.operation);
                 });
  });
}

void FileTable::Core::run_sync(FileOperation* operation) {
  const FileOutcome earlier = operation->file->take_error(operation->opening);
  // Failed already; what is not durable is left to the next sync instead of keeping this caller waiting.
  if (earlier.status != StatusCode::kOk) return end(operation, {earlier.status, earlier.target, 0});
  const auto keep = operation->file;
  const std::vector<OpenFile::UnsyncedColumn> columns = keep->unsynced_columns();
  if (columns.empty()) return end(operation, operation->outcome());
  operation->pieces_left = static_cast<uint32_t>(columns.size());
  for (const OpenFile::UnsyncedColumn& covered : columns) {
    client.sync({keep->layout.targets[covered.column], covered.column, keep->fid}, covered.sync_stamp,
                [operation, covered](const ChunkOutcome& outcome) {
                  // Nothing was ever written to a chunk that is not there: all of it is durable.
                  if (outcome.status == StatusCode::kOk || outcome.status == StatusCode::kNoEntry) {
                    operation->file->column_synced(covered);
                  } else {
                    operation->file->column_failed(covered, outcome.sync_stamp);
                    operation->fail(outcome.status, outcome.target);
                  }
                  operation->table->piece_done(operation);
                });
  }
}

void FileTable::Core::piece_done(FileOperation* operation) {
  if (operation->pieces_left.fetch_sub(1) != 1) return;
  if (operation->writes()) return end_write(operation);
  const FileOutcome outcome = operation->outcome();
  if (operation->kind == FileOperation::Kind::kSync && outcome.status != StatusCode::kOk) {
    // The next sync may well succeed, although what this one should have made durable is lost: others must hear of it.
    operation->file->keep_error(outcome);
    operation->file->take_error(operation->opening);
  }
  end(operation, outcome);
}

void FileTable::Core::end_write(FileOperation* operation) {
  const auto file = operation->file;
  const FileOutcome outcome = operation->outcome();
  const bool behind = operation->kind == FileOperation::Kind::kWriteBehind;
  if (behind && outcome.status != StatusCode::kOk) {             // a direct writer learns it itself
    if (file->keep_error(outcome)) report(*operation, outcome);  // one line a failure, not one a piece
  }
  if (!behind && outcome.status == StatusCode::kOk) file->written(operation->offset, operation->length);
  const std::vector<FileOperation*> ready = file->retire(*operation);
  std::vector<FileOperation*> admitted;
  if (behind) {
    operation->owner.reset();  // its memory first: who goes on may need it
    admitted = bounds.give_back(*operation);
    delete operation;
  } else {
    end(operation, outcome);
  }
  for (FileOperation* next : ready) run(next);
  for (FileOperation* next : admitted) accept(next);
}

void FileTable::Core::report(const FileOperation& operation, const FileOutcome& outcome) {
  if (outcome.status == StatusCode::kCanceled) return;
  const Fid& fid = operation.file->fid;
  log_event(sink, wire::LogLevel::kError,
            "write of " + std::to_string(operation.length) + " bytes at " + std::to_string(operation.offset) + " of file " +
                fid.text() + " failed on target " + std::to_string(outcome.target) + ": status " +
                std::to_string(static_cast<uint32_t>(outcome.status)));
}

void FileTable::Core::end(FileOperation* operation, const FileOutcome& outcome) {
  // The operation holds the owner of the memory, which `done` may still need.
  if (operation->done) operation->done(outcome);
  delete operation;
}

}  // namespace ibexfs
