// Name requests of the kernel as TypeScript sees them: decodes one into a wire::FuseRequestEvent. Pure
// functions; the kernel is trusted no more than any other peer: lengths, terminators and names are checked.
//
// Every event carries session, operation, unique (named in the answer; 0: no answer), node (the packed FID the
// request is about), uid, gid and pid of the caller. The tails are `name` (nameLength) and `second`
// (secondLength), without terminators. Beside these:
//
// clang-format off
// operation    fields                                                                       answer kind
// lookup       node: parent; name                                                           entry (node 0: none, cached)
// forget       node: 0; name: nameLength/16 pairs of u64 (node, lookups to take back)       none (unique 0)
// getattr      valid: 1 when handle holds; handle                                           attributes
// setattr      valid: FATTR_* bits of linux/fuse.h; mode; owner (uid); group (gid); size;   attributes
//              atime(+Nanoseconds); mtime(+Nanoseconds); handle with FATTR_FH (bit 6).
//              ATIME_NOW/MTIME_NOW (bits 7, 8): use the server's clock. KILL_SUIDGID (bit 11): clear
//              set-id bits too. Before a new size is handed over, pending writes have reached the targets.
//              unique 0: made by native code, valid = KILL_SUIDGID alone: a write must clear set-id bits.
// readlink     -                                                                            bytes (the target)
// symlink      node: parent; name; second: target                                           entry
// mknod        node: parent; name; mode; device; umask                                      entry
// mkdir        node: parent; name; mode; umask                                              entry
// unlink       node: parent; name                                                           error (0)
// rmdir        node: parent; name                                                           error (0)
// rename2      node: old parent; name; newNode: new parent; second: new name;               error (0)
//              flags: RENAME_NOREPLACE 1, RENAME_EXCHANGE 2, RENAME_WHITEOUT 4 (rename arrives as this, flags 0)
// link         node: new parent; name: new name; newNode: the existing inode                entry
// open         flags: O_*; valid: 1 = clear set-id bits (O_TRUNC). With O_TRUNC pending     open (handle: HandleId)
//              writes have reached the targets before.
// create       node: parent; name; flags: O_*; mode; umask; valid: 1 = clear set-id bits    create (handle: HandleId)
// statfs       -                                                                            statfs
// release      handle; flags: O_*; valid: 1 = flush too. Pending writes are on the targets.  none (unique 0)
// flush        handle; owner: 0; dataError. Pending writes are on the targets; not sent     error (0, or dataError)
//              for a file that is clean (native code answers it).
// fsync        handle; flags: 1 = data only; dataError. The chunks are durable.             error (0, or dataError)
// fsyncdir     handle; flags: 1 = data only                                                 error (0)
// setxattr     name; second: value; flags: XATTR_CREATE 1, XATTR_REPLACE 2                  error (0)
// getxattr     name; size: room of the caller, 0: asks for the length                       bytes | xattrSize (size)
// listxattr    size as for getxattr                                                         bytes (names with NULs) | xattrSize
// removexattr  name                                                                         error (0)
// opendir      flags: O_*                                                                   open (handle: any number)
// readdir      handle; offset: cookie to go on from, 0: start; size: bytes of answer        directory
// readdirplus  same, entries with attributes (an entry with node 0 has none)                directory
// releasedir   handle; flags                                                                none (unique 0)
// clang-format on
//
// Any request may be answered by kind error with a positive errno. A directory answer may hold more records
// than fit: native code takes those that do. Never handed over: read, write, lseek (answered from the
// FileTable), access, locks, ioctl, poll, bmap, copy_file_range, tmpfile, statx (ENOSYS: the kernel does without),
// fallocate (ENOSYS, which callers see as EOPNOTSUPP: targets cannot reserve room, and a yes would promise it;
// posix_fallocate then writes zeros).
#pragma once

#include <linux/fuse.h>

#include <cstdint>
#include <vector>

#include "base/event_sink.h"

namespace ibexfs {

// The tails point into the request.
struct NameRequest {
  wire::FuseRequestEvent event;
  Bytes name;
  Bytes second;
};

// Decodes `body`, what followed `header`. Returns 0, or the errno to answer with: EINVAL and ENAMETOOLONG for
// malformed requests, ENOSYS for an opcode that is not a name request.
// header.len was checked by the caller. session and unique are left to the caller.
int decode_name_request(const fuse_in_header& header, Bytes body, NameRequest& out);

// Appends what a FORGET or BATCH_FORGET names. False: malformed, nothing was appended.
bool decode_forgets(const fuse_in_header& header, Bytes body, std::vector<fuse_forget_one>& out);

// Largest packed FID: node ids above are not ours.
inline constexpr uint64_t kNodeMax = (uint64_t{1} << 53) - 1;

// FATTR_KILL_SUIDGID and friends are in <linux/fuse.h>; the features below are newer than the headers of
// the oldest system we build on.
inline constexpr uint64_t kFuseDirectIoAllowMmap = uint64_t{1} << 36;  // 7.39: shared mmap of FOPEN_DIRECT_IO files

}  // namespace ibexfs
