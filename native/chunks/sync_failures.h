// Which chunks of a target have failed a sync, so that everybody who may have lost data by it gets to know.
//
// The kernel tells the failure of writing a file back once per open file description, and gives the pages up: the
// next fdatasync succeeds although the data is gone. All clients' data goes through one description here, so what
// the kernel tells one of them is kept for the others. As with errseq_t: failures are numbered, whoever writes is
// told the last number there was before (a stamp), and brings the stamp of his oldest write that is not durable
// yet when he syncs. A later failure of that chunk is his too. So nothing is kept by client.
//
// Bounded: of chunks that were left out, any is taken to have failed when the last of them did, which can only
// mean an error too many. What a restart forgets: failures of before it, whose stamps are of another life.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <unordered_map>

#include "chunks/chunk_name.h"

namespace ibexfs {

class SyncFailures {
 public:
  explicit SyncFailures(size_t chunks_max = 4096);

  // Before a write begins. Never 0.
  uint64_t stamp() const;

  struct Verdict {
    bool failed = false;
    uint64_t stamp = 0;  // up to here the asker knows now
  };
  // A sync of the chunk has ended, `failed` or not, for someone whose writes began at `since` (0: he has none).
  // Syncs of one chunk come here one after the other, each before the next begins; of several that share one, the first
  // says whether it failed.
  Verdict judge(const ChunkName& name, uint64_t since, bool failed);
  // What many chunks need to be found again may be lost.
  void all_failed();

  size_t size() const;

 private:
  struct Hash {
    size_t operator()(const ChunkName& name) const {
      return mix_bits(name.fid.sequence ^ mix_bits((uint64_t{name.fid.object} << 32) | name.column));
    }
  };
  uint64_t stamped(uint32_t number) const { return (uint64_t{life_} << 32) | number; }

  const size_t chunks_max_;
  const uint32_t life_;  // tells stamps of this process from those of an earlier one
  mutable std::mutex mutex_;
  uint32_t failures_ = 0;
  uint32_t all_failed_at_ = 0;
  std::unordered_map<ChunkName, uint32_t, Hash> failed_at_;
  std::deque<ChunkName> oldest_first_;  // each chunk of failed_at_ once, by its first failure
};

}  // namespace ibexfs
