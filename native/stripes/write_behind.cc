#include "stripes/write_behind.h"

#include <algorithm>

namespace ibexfs {

WriteBehindBounds::Room WriteBehindBounds::room_for(const FileOperation& operation) const {
  const OpenFile& file = *operation.file;
  // One operation always fits an idle file or table, however large it is.
  if (file.behind_requests > 0 && (file.behind_bytes + operation.held_bytes > options_.write_behind_file_bytes_max ||
                                   file.behind_requests >= options_.write_behind_file_requests_max)) {
    return Room::kFileFull;
  }
  if (bytes_ > 0 && bytes_ + operation.held_bytes > options_.write_behind_bytes_max) return Room::kAllFull;
  return Room::kYes;
}

void WriteBehindBounds::count(const FileOperation& operation) {
  bytes_ += operation.held_bytes;
  operation.file->behind_bytes += operation.held_bytes;
  ++operation.file->behind_requests;
}

bool WriteBehindBounds::take(FileOperation& operation) {
  const std::lock_guard lock(mutex_);
  const bool others_wait =
      std::ranges::any_of(waiting_, [&](const FileOperation* waiting) { return waiting->file == operation.file; });
  if (!others_wait && room_for(operation) == Room::kYes) {
    count(operation);
    return true;
  }
  waiting_.push_back(&operation);
  return false;
}

std::vector<FileOperation*> WriteBehindBounds::give_back(const FileOperation& operation) {
  const std::lock_guard lock(mutex_);
  bytes_ -= operation.held_bytes;
  operation.file->behind_bytes -= operation.held_bytes;
  --operation.file->behind_requests;
  std::vector<FileOperation*> admitted;
  std::vector<const OpenFile*> full_files;  // what waits behind a waiting one of the same file keeps its place
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    const OpenFile* file = (*next)->file.get();
    if (std::ranges::find(full_files, file) != full_files.end()) {
      ++next;
      continue;
    }
    const Room room = room_for(**next);
    if (room == Room::kAllFull) break;
    if (room == Room::kFileFull) {
      full_files.push_back(file);
      ++next;
      continue;
    }
    count(**next);
    admitted.push_back(*next);
    next = waiting_.erase(next);
  }
  return admitted;
}

}  // namespace ibexfs
