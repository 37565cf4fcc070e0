#include "fuse/request.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

namespace ibexfs {

namespace {

constexpr size_t kLinkTargetBytesMax = 4095;
constexpr size_t kXattrNameBytesMax = 255;
constexpr size_t kXattrValueBytesMax = 65'536;
constexpr uint32_t kForgetsMax = 65'536;

using wire::FuseOperation;

// What is left of a request's body. Once something was missing or malformed, error() says so and stays.
class Reader {
 public:
  explicit Reader(Bytes body) : rest_(body) {}

  template <typename Struct>
  Struct take(size_t bytes = sizeof(Struct)) {
    Struct value{};
    if (rest_.size() < bytes) {
      fail(EINVAL);
      return value;
    }
    std::memcpy(&value, rest_.data(), bytes);
    rest_ = rest_.subspan(bytes);
    return value;
  }
  // A NUL-terminated string of 1 to bytes_max bytes, without its terminator.
  Bytes text(size_t bytes_max) {
    const auto end = std::ranges::find(rest_, uint8_t{0});
    if (end == rest_.end() || end == rest_.begin()) return fail(EINVAL), Bytes{};
    const Bytes found = rest_.first(static_cast<size_t>(end - rest_.begin()));
    rest_ = rest_.subspan(found.size() + 1);
    if (found.size() > bytes_max) return fail(ENAMETOOLONG), Bytes{};
    return found;
  }
  // Name of a directory entry.
  Bytes name() {
    const Bytes found = text(wire::kNameBytesMax);
    const bool dots = (found.size() == 1 && found[0] == '.') || (found.size() == 2 && found[0] == '.' && found[1] == '.');
    if (dots || std::ranges::find(found, uint8_t{'/'}) != found.end()) fail(EINVAL);
    return found;
  }
  Bytes exactly(size_t bytes, size_t bytes_max) {
    if (bytes > bytes_max) return fail(E2BIG), Bytes{};
    if (rest_.size() < bytes) return fail(EINVAL), Bytes{};
    const Bytes found = rest_.first(bytes);
    rest_ = rest_.subspan(bytes);
    return found;
  }
  void fail(int error) {
    if (error_ == 0) error_ = error;
  }
  int error() const { return error_; }

 private:
  Bytes rest_;
  int error_ = 0;
};

void decode_setattr(Reader& in, wire::FuseRequestEvent& event) {
  const auto args = in.take<fuse_setattr_in>();
  event.valid = args.valid;
  event.handle = args.fh;
  event.size = args.size;
  event.mode = args.mode;
  event.owner = args.uid;
  event.group = args.gid;
  event.atime = static_cast<int64_t>(args.atime);
  event.mtime = static_cast<int64_t>(args.mtime);
  event.atime_nanoseconds = args.atimensec;
  event.mtime_nanoseconds = args.mtimensec;
}

void decode_rename(Reader& in, NameRequest& out, bool with_flags) {
  if (with_flags) {
    const auto args = in.take<fuse_rename2_in>();
    out.event.new_node = args.newdir;
    out.event.flags = args.flags;
  } else {
    out.event.new_node = in.take<fuse_rename_in>().newdir;
  }
  out.event.operation = static_cast<uint16_t>(FuseOperation::kRename2);
  out.name = in.name();
  out.second = in.name();
}

void decode_create(Reader& in, NameRequest& out) {
  const auto args = in.take<fuse_create_in>();
  out.event.flags = args.flags;
  out.event.mode = args.mode;
  out.event.umask = args.umask;
  out.event.valid = args.open_flags & FUSE_OPEN_KILL_SUIDGID;
  out.name = in.name();
}

void decode_setxattr(Reader& in, NameRequest& out) {
  // SETXATTR_EXT is not agreed on: the short form.
  const auto args = in.take<fuse_setxattr_in>(FUSE_COMPAT_SETXATTR_IN_SIZE);
  out.event.flags = args.flags;
  out.name = in.text(kXattrNameBytesMax);
  out.second = in.exactly(args.size, kXattrValueBytesMax);
}

void decode_read_directory(Reader& in, wire::FuseRequestEvent& event) {
  const auto args = in.take<fuse_read_in>();
  event.handle = args.fh;
  event.offset = args.offset;
  event.size = args.size;
}

void decode_release(Reader& in, wire::FuseRequestEvent& event) {
  const auto args = in.take<fuse_release_in>();
  event.handle = args.fh;
  event.flags = args.flags;
  event.valid = args.release_flags & FUSE_RELEASE_FLUSH;
}

void decode_sync(Reader& in, wire::FuseRequestEvent& event) {
  const auto args = in.take<fuse_fsync_in>();
  event.handle = args.fh;
  event.flags = args.fsync_flags & FUSE_FSYNC_FDATASYNC;
}

// False for an opcode that is not a name request.
bool decode_arguments(uint32_t opcode, Reader& in, NameRequest& out) {
  wire::FuseRequestEvent& event = out.event;
  switch (opcode) {
    case FUSE_LOOKUP:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
      out.name = in.name();
      return true;
    case FUSE_GETATTR: {
      const auto args = in.take<fuse_getattr_in>();
      event.valid = args.getattr_flags & FUSE_GETATTR_FH;
      event.handle = args.fh;
      return true;
    }
    case FUSE_SETATTR:
      decode_setattr(in, event);
      return true;
    case FUSE_READLINK:
    case FUSE_STATFS:
      return true;
    case FUSE_SYMLINK:
      out.name = in.name();
      out.second = in.text(kLinkTargetBytesMax);
      return true;
    case FUSE_MKNOD: {
      const auto args = in.take<fuse_mknod_in>();
      event.mode = args.mode;
      event.device = args.rdev;
      event.umask = args.umask;
      out.name = in.name();
      return true;
    }
    case FUSE_MKDIR: {
      const auto args = in.take<fuse_mkdir_in>();
      event.mode = args.mode;
      event.umask = args.umask;
      out.name = in.name();
      return true;
    }
    case FUSE_RENAME:
    case FUSE_RENAME2:
      decode_rename(in, out, opcode == FUSE_RENAME2);
      return true;
    case FUSE_LINK:
      event.new_node = in.take<fuse_link_in>().oldnodeid;
      out.name = in.name();
      return true;
    case FUSE_OPEN:
    case FUSE_OPENDIR: {
      const auto args = in.take<fuse_open_in>();
      event.flags = args.flags;
      event.valid = args.open_flags & FUSE_OPEN_KILL_SUIDGID;
      return true;
    }
    case FUSE_CREATE:
      decode_create(in, out);
      return true;
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
      decode_release(in, event);
      return true;
    case FUSE_FLUSH:
      event.handle = in.take<fuse_flush_in>().fh;
      return true;
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
      decode_sync(in, event);
      return true;
    case FUSE_SETXATTR:
      decode_setxattr(in, out);
      return true;
    case FUSE_GETXATTR:
      event.size = in.take<fuse_getxattr_in>().size;
      out.name = in.text(kXattrNameBytesMax);
      return true;
    case FUSE_LISTXATTR:
      event.size = in.take<fuse_getxattr_in>().size;
      return true;
    case FUSE_REMOVEXATTR:
      out.name = in.text(kXattrNameBytesMax);
      return true;
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
      decode_read_directory(in, event);
      return true;
    default:
      return false;
  }
}

}  // namespace

int decode_name_request(const fuse_in_header& header, Bytes body, NameRequest& out) {
  out = NameRequest{};
  out.event.operation = static_cast<uint16_t>(header.opcode);
  out.event.node = header.nodeid;
  out.event.uid = header.uid;
  out.event.gid = header.gid;
  out.event.pid = header.pid;
  Reader in(body);
  if (!decode_arguments(header.opcode, in, out)) return ENOSYS;
  if (header.nodeid > kNodeMax || out.event.new_node > kNodeMax) in.fail(EINVAL);
  if (header.nodeid == 0) in.fail(EINVAL);
  out.event.name_length = static_cast<uint32_t>(out.name.size());
  out.event.second_length = static_cast<uint32_t>(out.second.size());
  return in.error();
}

bool decode_forgets(const fuse_in_header& header, Bytes body, std::vector<fuse_forget_one>& out) {
  Reader in(body);
  if (header.opcode == FUSE_FORGET) {
    const fuse_forget_one one{header.nodeid, in.take<fuse_forget_in>().nlookup};
    if (in.error() == 0) out.push_back(one);
    return in.error() == 0;
  }
  const auto args = in.take<fuse_batch_forget_in>();
  if (args.count > kForgetsMax) return false;
  const Bytes pairs = in.exactly(size_t{args.count} * sizeof(fuse_forget_one), SIZE_MAX);
  if (in.error() != 0) return false;
  const size_t before = out.size();
  out.resize(before + args.count);
  if (!pairs.empty()) std::memcpy(out.data() + before, pairs.data(), pairs.size());
  return true;
}

}  // namespace ibexfs
