// Mounts and unmounts: everything that touches the mount table. The conversation over the descriptor that
// a mount yields is fuse/session.h's.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace ibexfs {

struct MountOptions {
  std::string source = "ibexfs";  // first column of the mount table
  bool allow_other = true;        // users other than the mounting one; not root: needs user_allow_other in /etc/fuse.conf
  bool read_only = false;
  bool allow_set_id = false;     // honour set-id bits (root only)
  bool allow_devices = false;    // honour device files (root only)
  bool allow_not_empty = false;  // cover a folder that has entries
};

struct FuseMount {
  int fd = -1;             // of /dev/fuse; the session closes it
  std::string mountpoint;  // absolute, links resolved
  bool by_helper = false;  // mounted by fusermount3
  std::string device;      // "major:minor" in the mount table, one thing by which unmount_fuse knows it again
};

// Blocks for as long as mount(2) or fusermount3 takes; the kernel's first request waits on the descriptor
// afterwards. The Status says what is missing.
Result<FuseMount> mount_fuse(const std::string& mountpoint, const MountOptions& options);

enum class Unmount {
  kWhenIdle,  // fails with "in use" while files are open below it
  kDetach,    // vanishes from the tree now; as root also cuts off processes that still have files open
};
// Does nothing when the mount is gone or covered: what stands at its path now is somebody else's.
// Do not call it on a thread that answers this mount's requests.
Status unmount_fuse(const FuseMount& mount, Unmount how);

// Raises the kernel's read-ahead of a mount to `kilobytes` (root; after the session's start).
Status set_read_ahead(const FuseMount& mount, uint32_t kilobytes);

}  // namespace ibexfs
