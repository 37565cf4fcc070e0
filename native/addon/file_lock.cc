#include "addon/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"

namespace ibexfs {

Result<int> lock_file(const std::string& path) {
  // No links: the lock is on this folder's own file. Nonblocking: what stands there instead must not hold us up.
  UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600));
  if (!file) return Status::from_errno(errno, "open lock file " + path);
  struct stat attributes {};
  if (fstat(file.get(), &attributes) != 0) return Status::from_errno(errno, "stat lock file " + path);
  if (!S_ISREG(attributes.st_mode)) return Status::from_errno(EINVAL, "lock file " + path + " is not a regular file");
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) return Status::from_errno(errno, "lock " + path);
  return file.release();
}

void unlock_file(int descriptor) {
  UniqueFd(descriptor).reset();
}

}  // namespace ibexfs
