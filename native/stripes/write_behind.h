// The bounds of write-behind: which accepted but unwritten bytes there may be, per file and in all. Says who
// may go on and who waits; starts nothing itself.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "stripes/open_file.h"

namespace ibexfs {

class WriteBehindBounds {
 public:
  explicit WriteBehindBounds(const FileTableOptions& options) : options_(options) {}

  // True: counted, go on. False: it waits, a later give_back() returns it.
  bool take(FileOperation& operation);
  // Uncounts a finished operation and returns those that may go on now, counted.
  std::vector<FileOperation*> give_back(const FileOperation& operation);

 private:
  enum class Room { kYes, kFileFull, kAllFull };
  Room room_for(const FileOperation& operation) const;
  void count(const FileOperation& operation);

  const FileTableOptions options_;
  std::mutex mutex_;
  uint64_t bytes_ = 0;
  std::deque<FileOperation*> waiting_;  // one a blocked writer; the kernel bounds those
};

}  // namespace ibexfs
