#include "stripes/file_table.h"

#include <sys/mman.h>

#include <cerrno>
#include <string>
#include <utility>

#include "stripes/file_core.h"

namespace ibexfs {

FileSlots::~FileSlots() {
  for (auto& page : pages_) delete page.load();
}

FileSlots::Slot* FileSlots::slot(uint32_t number) const {
  Page* page = pages_[number / kPageSlots].load(std::memory_order_acquire);
  return page == nullptr ? nullptr : &page->slots[number % kPageSlots];
}

FileId FileSlots::reserve() {
  uint32_t number = unused_from_;
  if (!free_.empty()) {
    number = free_.back();
    free_.pop_back();
  } else if (unused_from_ < capacity_) {
    ++unused_from_;
    std::atomic<Page*>& page = pages_[number / kPageSlots];
    if (page.load() == nullptr) page.store(new Page, std::memory_order_release);
  } else {
    return 0;
  }
  const std::lock_guard lock(lock_of(number));
  uint16_t& generation = slot(number)->generation;
  if (++generation == 0) generation = 1;
  return (uint32_t{generation} << 16) | number;
}

void FileSlots::put(FileId id, uint64_t packed_fid, std::shared_ptr<OpenFile> file) {
  by_fid_[packed_fid] = id;
  const std::lock_guard lock(lock_of(slot_of(id)));
  slot(slot_of(id))->file = std::move(file);
}

std::shared_ptr<OpenFile> FileSlots::get(FileId id) const {
  Slot* found = slot(slot_of(id));
  if (found == nullptr) return nullptr;
  const std::lock_guard lock(lock_of(slot_of(id)));
  return found->generation == id >> 16 ? found->file : nullptr;
}

std::shared_ptr<OpenFile> FileSlots::remove(FileId id) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<OpenFile> removed;
  Slot* found = slot(slot_of(id));
  if (found == nullptr) return nullptr;
  {
    const std::lock_guard slot_lock(lock_of(slot_of(id)));
    if (found->generation != id >> 16) return nullptr;
    removed = std::move(found->file);
    found->file.reset();
  }
  if (!removed) return nullptr;
  // Before the slot can be given away again.
  removed->detach();
  by_fid_.erase(removed->fid.packed());
  free_.push_back(static_cast<uint16_t>(slot_of(id)));
  return removed;
}

FileId FileSlots::find(uint64_t packed_fid) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_fid_.find(packed_fid);
  return found == by_fid_.end() ? 0 : found->second;
}

FileTable::Core::~Core() {
  if (states != nullptr) munmap(states, states_bytes);
}

Result<std::unique_ptr<FileTable>> FileTable::create(ChunkClient& client, EventSink& sink, FileTableOptions options) {
  if (options.capacity == 0 || options.capacity > 65'536) {
    return Status(StatusCode::kInvalid,
                  "capacity of the table of open files: " + std::to_string(options.capacity) + ", expected 1 to 65536");
  }
  auto core = std::make_shared<Core>(client, sink, options);
  core->states_bytes = size_t{options.capacity} * sizeof(FileState);
  // Untouched pages cost nothing, so it can be sized for the most files there may ever be.
  void* memory = mmap(nullptr, core->states_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return Status::from_errno(errno, "memory for the table of open files");
  core->states = static_cast<FileState*>(memory);
  return std::unique_ptr<FileTable>(new FileTable(std::move(core)));
}

FileTable::FileTable(std::shared_ptr<Core> core) : core_(std::move(core)) {}

FileTable::~FileTable() = default;

Result<FileId> FileTable::open(const Fid& fid, StripeLayout layout, uint64_t size) {
  const std::string name = "file " + std::to_string(fid.packed());
  if (!layout.valid()) return Status(StatusCode::kInvalid, name + ": its layout has no stripe size or no targets");
  bool exists = false;
  const FileId id = core_->slots.add(
      fid.packed(),
      [&](FileId fresh) {
        return std::make_shared<OpenFile>(fid, std::move(layout), size, core_->states[slot_of(fresh)], fresh);
      },
      exists);
  if (exists) return Status(StatusCode::kExists, name + " is open already: its slot is shared by all its openings");
  if (id == 0)
    return Status(StatusCode::kOverflow,
                  name + ": all " + std::to_string(core_->options.capacity) + " slots for open files are in use");
  return id;
}

void FileTable::close(FileId file) {
  core_->slots.remove(file);
}

HandleId FileTable::open_handle(FileId file) {
  const auto found = core_->slots.get(file);
  const uint32_t opening = found ? found->open_handle() : 0;
  return opening == 0 ? 0 : (uint64_t{opening} << 32) | file;
}

void FileTable::close_handle(HandleId handle) {
  if (const auto found = core_->slots.get(file_of(handle))) found->close_handle(opening_of(handle));
}

FileId FileTable::find(const Fid& fid) const {
  return core_->slots.find(fid.packed());
}

namespace {

// Null, after `done` was called, when the file is not open or the range is not one.
FileOperation* make_operation(std::shared_ptr<OpenFile> file, FileOperation::Kind kind, uint64_t offset, uint64_t length,
                              FileDone& done) {
  StatusCode refused = StatusCode::kOk;
  if (!file)
    refused = StatusCode::kBadDescriptor;
  else if (length > kFileRangeBytesMax || offset > (uint64_t{1} << 62))
    refused = StatusCode::kInvalid;
  if (refused != StatusCode::kOk || (length == 0 && (kind == FileOperation::Kind::kRead || kind == FileOperation::Kind::kWrite ||
                                                     kind == FileOperation::Kind::kWriteBehind))) {
    done({refused, 0, 0});
    return nullptr;
  }
  auto* operation = new FileOperation;
  operation->kind = kind;
  operation->file = std::move(file);
  operation->offset = offset;
  operation->length = length;
  operation->done = std::move(done);
  return operation;
}

}  // namespace

void FileTable::read(FileId file, uint64_t offset, std::span<uint8_t> into, std::shared_ptr<void> owner, FileDone done) {
  FileOperation* operation = make_operation(core_->slots.get(file), FileOperation::Kind::kRead, offset, into.size(), done);
  if (operation == nullptr) return;
  operation->into = into.data();
  operation->owner = std::move(owner);
  core_->start(operation);
}

void FileTable::write(FileId file, uint64_t offset, Bytes data, std::shared_ptr<const void> owner, FileDone done) {
  FileOperation* operation = make_operation(core_->slots.get(file), FileOperation::Kind::kWrite, offset, data.size(), done);
  if (operation == nullptr) return;
  operation->data = data.data();
  operation->owner = std::move(owner);
  core_->start(operation);
}

void FileTable::write_behind(HandleId handle, uint64_t offset, Bytes data, std::shared_ptr<const void> owner, size_t held_bytes,
                             FileDone accepted) {
  FileOperation* operation =
      make_operation(core_->slots.get(file_of(handle)), FileOperation::Kind::kWriteBehind, offset, data.size(), accepted);
  if (operation == nullptr) return;
  operation->opening = opening_of(handle);
  operation->data = data.data();
  operation->owner = std::move(owner);
  operation->held_bytes = held_bytes;
  core_->start_behind(operation);
}

void FileTable::flush(HandleId handle, FileDone done) {
  FileOperation* operation = make_operation(core_->slots.get(file_of(handle)), FileOperation::Kind::kFlush, 0, 0, done);
  if (operation == nullptr) return;
  operation->opening = opening_of(handle);
  core_->start(operation);
}

void FileTable::sync(HandleId handle, FileDone done) {
  FileOperation* operation = make_operation(core_->slots.get(file_of(handle)), FileOperation::Kind::kSync, 0, 0, done);
  if (operation == nullptr) return;
  operation->opening = opening_of(handle);
  core_->start(operation);
}

bool FileTable::clean(HandleId handle) const {
  const auto found = core_->slots.get(file_of(handle));
  return !found || found->clean(opening_of(handle));
}

void FileTable::set_size(FileId file, uint64_t size) {
  if (const auto found = core_->slots.get(file)) found->set_size(size);
}

void FileTable::adopt_size(FileId file, uint64_t size) {
  if (const auto found = core_->slots.get(file)) found->adopt_size(size);
}

void FileTable::settled(FileId file, double mtime_microseconds) {
  if (const auto found = core_->slots.get(file)) found->settled(mtime_microseconds);
}

bool FileTable::is_open(FileId file) const {
  return core_->slots.get(file) != nullptr;
}

bool FileTable::take_clear_set_id(FileId file) {
  const auto found = core_->slots.get(file);
  return found && found->take_clear_set_id();
}

Fid FileTable::fid_of(FileId file) const {
  const auto found = core_->slots.get(file);
  return found ? found->fid : Fid{};
}

uint64_t FileTable::size_of(FileId file) const {
  const auto found = core_->slots.get(file);
  return found ? found->size() : 0;
}

FileState* FileTable::states() const {
  return core_->states;
}

size_t FileTable::states_bytes() const {
  return core_->states_bytes;
}

}  // namespace ibexfs
