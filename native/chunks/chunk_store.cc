#include "chunks/chunk_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace ibexfs {

namespace {

std::atomic<uint64_t> next_serial{1};

constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;

}  // namespace

ChunkStore::ChunkStore(std::string path) : path_(std::move(path)), serial_(next_serial.fetch_add(1)) {}

Result<std::shared_ptr<ChunkStore>> ChunkStore::open(const std::string& path) {
  std::shared_ptr<ChunkStore> store(new ChunkStore(path));
  Status status = store->set_up();
  if (!status.ok()) return status;
  return store;
}

Status ChunkStore::set_up() {
  const UniqueFd root(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return Status::from_errno(errno, "open target folder " + path_);
  struct stat attributes {};
  if (fstat(root.get(), &attributes) != 0) return Status::from_errno(errno, "stat target folder " + path_);
  device_ = attributes.st_dev;
  inode_ = attributes.st_ino;
  if (mkdirat(root.get(), "chunks", kFolderMode) != 0 && errno != EEXIST) {
    return Status::from_errno(errno, "mkdir " + path_ + "/chunks");
  }
  // Also when it was there: whoever made it may have died before its own fsync.
  if (fsync(root.get()) != 0) return Status::from_errno(errno, "fsync target folder " + path_);
  chunks_fd_.reset(openat(root.get(), "chunks", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!chunks_fd_) return Status::from_errno(errno, "open " + path_ + "/chunks");
  if (faccessat(chunks_fd_.get(), ".", W_OK | X_OK, AT_EACCESS) != 0)
    return Status::from_errno(errno, "write access to " + path_ + "/chunks");
  return {};
}

bool ChunkStore::has_vanished() const {
  struct stat held {};
  struct stat named {};
  if (fstat(chunks_fd_.get(), &held) != 0 || held.st_nlink == 0) return true;
  return ::stat(path_.c_str(), &named) != 0 || named.st_dev != device_ || named.st_ino != inode_;
}

int ChunkStore::make_folders(uint16_t folder) const {
  const std::string path = chunk_folder_path(folder);
  const std::string upper = path.substr(0, path.find('/'));
  for (const std::string* level : {&upper, &path}) {
    if (mkdirat(chunks_fd_.get(), level->c_str(), kFolderMode) != 0 && errno != EEXIST) return errno == ENOENT ? -ESTALE : -errno;
  }
  return 0;
}

int ChunkStore::open_chunk(const ChunkName& name, bool create, uint32_t* stamp) {
  const std::string path = chunk_path(name);
  const uint16_t folder = chunk_folder(name);
  const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0);
  int fd = openat(chunks_fd_.get(), path.c_str(), flags, kFileMode);
  if (fd < 0 && errno == ENOENT) {
    // A target whose folder has gone must not look like one whose chunks are all empty.
    if (has_vanished()) return -ESTALE;
    if (!create) return -ENOENT;
    const int made = make_folders(folder);
    if (made < 0) return made;
    fd = openat(chunks_fd_.get(), path.c_str(), flags, kFileMode);
  }
  if (fd < 0) return -errno;
  const std::lock_guard lock(mutex_);
  FolderState& state = folders_[folder];
  if (create) state.made++;
  *stamp = state.made;
  return fd;
}

int ChunkStore::reopen_direct(int fd) {
  // By descriptor, not by name: the name may belong to another file by now.
  const int direct = ::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
  if (direct >= 0) return direct;
  const int error_number = errno;
  if (error_number == EINVAL || error_number == ENOENT) refuse_direct();  // ENOENT: no /proc
  return -error_number;
}

int ChunkStore::remove_chunk(const ChunkName& name) {
  if (unlinkat(chunks_fd_.get(), chunk_path(name).c_str(), 0) == 0) return 0;
  if (errno != ENOENT) return -errno;
  return has_vanished() ? -ESTALE : 0;
}

int ChunkStore::stat_chunk(const ChunkName& name, ChunkAttributes* attributes) {
  struct stat found {};
  if (fstatat(chunks_fd_.get(), chunk_path(name).c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) return -errno;
    *attributes = {};
    return has_vanished() ? -ESTALE : 0;
  }
  attributes->size = static_cast<uint64_t>(found.st_size);
  attributes->blocks = static_cast<uint64_t>(found.st_blocks);
  return 0;
}

int ChunkStore::sync_folder(const char* relative_path) const {
  const UniqueFd folder(openat(chunks_fd_.get(), relative_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return errno == ENOENT ? -ESTALE : -errno;
  return fsync(folder.get()) == 0 ? 0 : -errno;
}

bool ChunkStore::is_entry_durable(const ChunkName& name, uint32_t stamp) {
  const std::lock_guard lock(mutex_);
  return folders_[chunk_folder(name)].durable >= stamp;
}

int ChunkStore::make_entry_durable(const ChunkName& name, uint32_t stamp) {
  const uint16_t folder = chunk_folder(name);
  uint32_t covered = 0;
  bool path_durable = false;
  {
    const std::lock_guard lock(mutex_);
    const FolderState& state = folders_[folder];
    if (state.durable >= stamp) return 0;
    covered = state.made;
    path_durable = state.path_durable;
  }
  const std::string path = chunk_folder_path(folder);
  int result = sync_folder(path.c_str());
  if (result == 0 && !path_durable) result = sync_folder(path.substr(0, path.find('/')).c_str());
  if (result == 0 && !path_durable) result = sync_folder(".");
  if (result < 0) return result;
  const std::lock_guard lock(mutex_);
  FolderState& state = folders_[folder];
  state.durable = std::max(state.durable, covered);
  state.path_durable = true;
  return 0;
}

Result<TargetUsage> ChunkStore::usage() const {
  if (has_vanished())
    return Status(StatusCode::kIoError, "target folder " + path_ + " has vanished: it was removed, replaced or mounted over");
  struct statvfs found {};
  if (fstatvfs(chunks_fd_.get(), &found) != 0) return Status::from_errno(errno, "statvfs " + path_);
  TargetUsage usage;
  usage.bytes_total = found.f_blocks * found.f_frsize;
  usage.bytes_free = found.f_bfree * found.f_frsize;
  usage.bytes_available = found.f_bavail * found.f_frsize;
  usage.files_total = found.f_files;
  usage.files_free = found.f_ffree;
  return usage;
}

}  // namespace ibexfs
