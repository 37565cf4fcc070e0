#include "chunks/chunk_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

namespace ibexfs {

namespace {

// A first read at the start of a chunk counts as sequential from this size: smaller ones often only look at a
// file's head.
constexpr uint64_t kFirstSequentialReadBytesMin = 64U << 10;
// What is remembered of direct reads: blocks of this size, so many of them (the first 4 GiB of a chunk; beyond,
// blocks share a place, which only means that some are cached at their first read), for so long.
constexpr uint64_t kReadBlockBytes = 256U << 10;
constexpr uint64_t kReadBlocks = 16384;
constexpr std::chrono::seconds kReadMemory{10};
// Idle chunks closed when the process has run out of descriptors.
constexpr size_t kEvictionsPerShortage = 64;

}  // namespace

std::shared_ptr<ChunkDescriptors> ChunkFile::descriptors() const {
  const std::lock_guard lock(mutex_);
  return descriptors_;
}

int ChunkFile::open(bool create, bool want_direct, ChunkFiles& files, std::shared_ptr<ChunkDescriptors>* descriptors) {
  const std::lock_guard opening(open_mutex_);
  *descriptors = this->descriptors();
  if (*descriptors != nullptr && (!want_direct || (*descriptors)->direct)) return 0;

  uint32_t stamp = 0;
  UniqueFd cached;
  if (*descriptors != nullptr) {
    // The same file again, by its descriptor: what is open stays what this chunk is.
    cached.reset(fcntl((*descriptors)->cached.get(), F_DUPFD_CLOEXEC, 0));
    stamp = (*descriptors)->stamp;
    if (!cached) return 0;
  } else {
    int fd = store_->open_chunk(name_, create, &stamp);
    if (fd == -EMFILE || fd == -ENFILE) {
      files.evict(kEvictionsPerShortage);
      fd = store_->open_chunk(name_, create, &stamp);
    }
    if (fd < 0) return fd;
    cached.reset(fd);
  }
  UniqueFd direct;
  if (want_direct) {
    const int fd = store_->reopen_direct(cached.get());
    if (fd >= 0) direct.reset(fd);
  }
  if (*descriptors != nullptr && !direct) return 0;
  *descriptors = std::make_shared<ChunkDescriptors>(std::move(cached), std::move(direct), stamp, files.descriptors_open_);
  const std::lock_guard lock(mutex_);
  descriptors_ = *descriptors;
  return 0;
}

int ChunkFile::remove() {
  const std::lock_guard opening(open_mutex_);
  const int result = store_->remove_chunk(name_);
  if (result < 0) return result;
  std::shared_ptr<ChunkDescriptors> removed;
  {
    const std::lock_guard lock(mutex_);
    removed = std::move(descriptors_);
    descriptors_ = nullptr;
    read_expected_ = read_ahead_end_ = 0;
    read_streak_ = 0;
  }
  // Closing the last descriptor frees the file's blocks: here, in a disk thread, unless a read still uses it.
  removed.reset();
  return 0;
}

bool ChunkFile::was_unlinked_behind(const std::shared_ptr<ChunkDescriptors>& descriptors) {
  const std::lock_guard opening(open_mutex_);
  struct stat attributes {};
  return this->descriptors() == descriptors && fstat(descriptors->cached.get(), &attributes) == 0 && attributes.st_nlink == 0;
}

bool ChunkFile::enter(ChunkGate::Ticket* ticket) {
  const std::lock_guard lock(mutex_);
  return changes_.enter(ticket);
}

ChunkGate::Ticket* ChunkFile::leave(ChunkGate::Ticket* ticket) {
  const std::lock_guard lock(mutex_);
  return changes_.leave(ticket);
}

bool ChunkFile::enter_sync(SyncTurns::Ticket* ticket) {
  const std::lock_guard lock(mutex_);
  return syncs_.enter(ticket);
}

SyncTurns::Ticket* ChunkFile::leave_sync() {
  const std::lock_guard lock(mutex_);
  return syncs_.leave();
}

bool ChunkFile::is_first_read(uint64_t offset, uint64_t length, std::chrono::steady_clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (now - blocks_read_at_ > kReadMemory) blocks_read_.assign(kReadBlocks, false);
  blocks_read_at_ = now;
  const uint64_t first = offset / kReadBlockBytes;
  const bool fresh = !blocks_read_[first % kReadBlocks];
  for (uint64_t block = first; block * kReadBlockBytes < offset + length; block++) blocks_read_[block % kReadBlocks] = true;
  return fresh;
}

ReadAhead ChunkFile::note_read(uint64_t offset, uint64_t length, uint64_t window) {
  const std::lock_guard lock(mutex_);
  const uint64_t end = offset + length;
  const bool first = offset == 0 && length >= kFirstSequentialReadBytesMin;
  // Pipelined requests arrive a little out of order, so near what was expected is sequential too.
  const bool near = offset <= read_expected_ + window && offset + window >= read_expected_;
  if (first) {
    read_ahead_end_ = 0;
    read_streak_ = 1;
    read_expected_ = end;
  } else if (near && (offset != 0 || read_streak_ > 0)) {
    read_streak_++;
    read_expected_ = std::max(read_expected_, end);
  } else {
    read_streak_ = 0;
    read_expected_ = end;
    read_ahead_end_ = 0;
  }
  if (window == 0 || read_streak_ == 0 || (read_streak_ == 1 && !first)) return {};
  // In steps of half a window: few calls, and never less than half a window ahead.
  ReadAhead ahead;
  ahead.is_sequential = true;
  if (read_ahead_end_ >= end + window / 2) return ahead;
  ahead.offset = std::max(read_ahead_end_, end);
  ahead.length = end + window - ahead.offset;
  read_ahead_end_ = end + window;
  return ahead;
}

ChunkPin& ChunkPin::operator=(ChunkPin&& other) noexcept {
  if (this != &other) {
    reset();
    files_ = other.files_;
    file_ = std::exchange(other.file_, nullptr);
  }
  return *this;
}

void ChunkPin::reset() {
  if (file_ != nullptr) files_->remove_pin(std::exchange(file_, nullptr));
}

ChunkPin ChunkPin::clone() const {
  files_->add_pin(file_);
  return {files_, file_};
}

ChunkPin ChunkFiles::pin(const std::shared_ptr<ChunkStore>& store, const ChunkName& name) {
  std::vector<std::unique_ptr<ChunkFile>> evicted;  // closed after the lock was released
  const std::lock_guard lock(mutex_);
  std::unique_ptr<ChunkFile>& file = files_[Key{store->serial(), name}];
  if (file == nullptr) {
    file = std::make_unique<ChunkFile>(store, name);
    // One new chunk may open two descriptors; those in use cannot be closed, but the limit on requests in
    // flight bounds them to half of the maximum.
    uint32_t wanted = descriptors_open() + 2;
    while (wanted > descriptors_max_ && !idle_.empty()) {
      evicted.push_back(take_idle(idle_.begin()));
      wanted -= evicted.back()->descriptors()->descriptors();
    }
  } else if (file->pins_ == 0) {
    idle_.erase(file->idle_position_);
  }
  file->pins_++;
  return {this, file.get()};
}

void ChunkFiles::add_pin(ChunkFile* file) {
  const std::lock_guard lock(mutex_);
  file->pins_++;
}

void ChunkFiles::remove_pin(ChunkFile* file) {
  std::unique_ptr<ChunkFile> closed;
  const std::lock_guard lock(mutex_);
  if (--file->pins_ > 0) return;
  file->idle_position_ = idle_.insert(idle_.end(), file);
  // What is not open (a chunk that does not exist) is not worth remembering.
  if (file->descriptors() == nullptr || file->store().is_retired()) closed = take_idle(file->idle_position_);
}

std::unique_ptr<ChunkFile> ChunkFiles::take_idle(std::list<ChunkFile*>::iterator position) {
  ChunkFile* file = *position;
  idle_.erase(position);
  const auto found = files_.find(Key{file->store().serial(), file->name()});
  std::unique_ptr<ChunkFile> taken = std::move(found->second);
  files_.erase(found);
  if (taken->descriptors() != nullptr) evictions_.fetch_add(1, std::memory_order_relaxed);
  return taken;
}

void ChunkFiles::evict(size_t count) {
  std::vector<std::unique_ptr<ChunkFile>> evicted;
  const std::lock_guard lock(mutex_);
  while (evicted.size() < count && !idle_.empty()) evicted.push_back(take_idle(idle_.begin()));
}

void ChunkFiles::forget(ChunkStore& store) {
  std::vector<std::unique_ptr<ChunkFile>> closed;
  const std::lock_guard lock(mutex_);
  store.retire();
  for (auto position = idle_.begin(); position != idle_.end();) {
    const auto next = std::next(position);
    if (&(*position)->store() == &store) closed.push_back(take_idle(position));
    position = next;
  }
}

size_t ChunkFiles::size() const {
  const std::lock_guard lock(mutex_);
  return files_.size();
}

}  // namespace ibexfs
