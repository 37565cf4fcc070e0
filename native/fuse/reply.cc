#include "fuse/reply.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace ibexfs {

namespace {

using wire::FuseReplyKind;

constexpr uint32_t kNameLengthMax = 255;

template <typename Struct>
void append(std::vector<uint8_t>& out, const Struct& value) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof(Struct));
}

// The records that carry attributes name their fields alike.
template <typename Record>
fuse_attr attributes_of(const Record& record, uint64_t inode) {
  fuse_attr attributes{};
  attributes.ino = inode;
  attributes.size = record.size;
  attributes.blocks = record.blocks;
  attributes.atime = static_cast<uint64_t>(record.atime);
  attributes.mtime = static_cast<uint64_t>(record.mtime);
  attributes.ctime = static_cast<uint64_t>(record.ctime);
  attributes.atimensec = record.atime_nanoseconds;
  attributes.mtimensec = record.mtime_nanoseconds;
  attributes.ctimensec = record.ctime_nanoseconds;
  attributes.mode = record.mode;
  attributes.nlink = record.links;
  attributes.uid = record.uid;
  attributes.gid = record.gid;
  attributes.rdev = record.device;
  attributes.blksize = record.block_size;
  return attributes;
}

template <typename Record>
fuse_entry_out entry_of(const Record& record) {
  fuse_entry_out entry{};
  entry.nodeid = record.node;
  entry.entry_valid = record.entry_valid_ms / 1000;
  entry.entry_valid_nsec = record.entry_valid_ms % 1000 * 1'000'000;
  entry.attr_valid = record.attributes_valid_ms / 1000;
  entry.attr_valid_nsec = record.attributes_valid_ms % 1000 * 1'000'000;
  entry.attr = attributes_of(record, record.node);
  return entry;
}

void append_open(std::vector<uint8_t>& out, const wire::FuseReplyCommand& command) {
  fuse_open_out open{};
  open.fh = command.handle;
  open.open_flags = command.open_flags;
  append(out, open);
}

void append_attributes(std::vector<uint8_t>& out, const wire::FuseReplyCommand& command) {
  fuse_attr_out answer{};
  answer.attr_valid = command.attributes_valid_ms / 1000;
  answer.attr_valid_nsec = command.attributes_valid_ms % 1000 * 1'000'000;
  answer.attr = attributes_of(command, command.node);
  append(out, answer);
}

void append_statfs(std::vector<uint8_t>& out, const wire::FuseReplyCommand& command) {
  fuse_statfs_out answer{};
  answer.st.bsize = static_cast<uint32_t>(command.size);
  answer.st.frsize = static_cast<uint32_t>(command.size);
  answer.st.blocks = command.blocks;
  answer.st.bfree = command.handle;
  answer.st.bavail = command.handle;
  answer.st.files = command.offset;
  answer.st.ffree = command.sequence;
  answer.st.namelen = kNameLengthMax;
  append(out, answer);
}

int append_xattr_size(const ReplyContext& context, uint64_t size, std::vector<uint8_t>& out) {
  if (context.size != 0) return -1;
  fuse_getxattr_out answer{};
  answer.size = static_cast<uint32_t>(size);
  append(out, answer);
  return 0;
}

int append_bytes(const ReplyContext& context, Bytes data, std::vector<uint8_t>& out) {
  if (context.opcode == FUSE_GETXATTR || context.opcode == FUSE_LISTXATTR) {
    if (context.size == 0) return append_xattr_size(context, data.size(), out);
    if (data.size() > context.size) return ERANGE;
  } else if (context.opcode != FUSE_READLINK || data.size() > 4095) {
    return -1;
  }
  out.insert(out.end(), data.begin(), data.end());
  return 0;
}

// One record of `data` as the kernel's dirent or direntplus. False: it does not fit any more.
bool append_entry(const wire::FuseDirectoryEntry& entry, Bytes name, bool plus, size_t end, std::vector<uint8_t>& out) {
  const size_t fixed = plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
  const size_t padded = FUSE_REC_ALIGN(fixed + name.size());
  if (out.size() + padded > end) return false;
  const size_t next = out.size() + padded;
  if (plus) {
    fuse_entry_out attributes = entry.node == 0 ? fuse_entry_out{} : entry_of(entry);
    attributes.attr.ino = entry.inode;
    attributes.attr.mode = entry.mode;
    append(out, attributes);
  }
  fuse_dirent header{};
  header.ino = entry.inode;
  header.off = entry.cookie;
  header.namelen = static_cast<uint32_t>(name.size());
  header.type = (entry.mode >> 12) & 017;
  const auto* bytes = reinterpret_cast<const uint8_t*>(&header);
  out.insert(out.end(), bytes, bytes + FUSE_NAME_OFFSET);
  out.insert(out.end(), name.begin(), name.end());
  out.resize(next);
  return true;
}

int append_directory(const ReplyContext& context, Bytes data, std::vector<uint8_t>& out) {
  if (context.opcode != FUSE_READDIR && context.opcode != FUSE_READDIRPLUS) return -1;
  const size_t start = out.size();
  const size_t end = start + context.size;
  while (!data.empty()) {
    wire::FuseDirectoryEntry entry;
    if (data.size() < sizeof(entry)) return -1;
    std::memcpy(&entry, data.data(), sizeof(entry));
    data = data.subspan(sizeof(entry));
    if (entry.name_length == 0 || entry.name_length > kNameLengthMax || data.size() < entry.name_length) return -1;
    const Bytes name = data.first(entry.name_length);
    data = data.subspan(std::min(data.size(), size_t{FUSE_REC_ALIGN(entry.name_length)}));
    if (!append_entry(entry, name, context.opcode == FUSE_READDIRPLUS, end, out)) {
      // An empty answer would mean the end of the directory.
      return out.size() == start ? EINVAL : 0;
    }
  }
  return 0;
}

bool fits(uint32_t opcode, FuseReplyKind kind) {
  switch (opcode) {
    case FUSE_LOOKUP:
    case FUSE_SYMLINK:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_LINK:
      return kind == FuseReplyKind::kEntry;
    case FUSE_GETATTR:
    case FUSE_SETATTR:
      return kind == FuseReplyKind::kAttributes;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
      return kind == FuseReplyKind::kOpen;
    case FUSE_CREATE:
      return kind == FuseReplyKind::kCreate;
    case FUSE_STATFS:
      return kind == FuseReplyKind::kStatfs;
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
      return kind == FuseReplyKind::kDirectory;
    case FUSE_READLINK:
      return kind == FuseReplyKind::kBytes;
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
      return kind == FuseReplyKind::kBytes || kind == FuseReplyKind::kXattrSize;
    default:
      return kind == FuseReplyKind::kError;
  }
}

}  // namespace

fuse_attr attributes_of_facts(const wire::FuseFactsCommand& command) {
  return attributes_of(command, command.node);
}

int errno_of(uint32_t status) {
  return status < 1000 ? static_cast<int>(status) : EIO;
}

int encode_reply(const ReplyContext& context, const wire::FuseReplyCommand& command, Bytes data, std::vector<uint8_t>& out) {
  const auto kind = static_cast<FuseReplyKind>(command.kind);
  if (!fits(context.opcode, kind)) return -1;
  switch (kind) {
    case FuseReplyKind::kError:
      return 0;
    case FuseReplyKind::kEntry:
      append(out, entry_of(command));
      return 0;
    case FuseReplyKind::kAttributes:
      append_attributes(out, command);
      return 0;
    case FuseReplyKind::kOpen:
      append_open(out, command);
      return 0;
    case FuseReplyKind::kCreate:
      if (command.node == 0) return -1;
      append(out, entry_of(command));
      append_open(out, command);
      return 0;
    case FuseReplyKind::kBytes:
      return append_bytes(context, data, out);
    case FuseReplyKind::kStatfs:
      append_statfs(out, command);
      return 0;
    case FuseReplyKind::kDirectory:
      return append_directory(context, data, out);
    case FuseReplyKind::kXattrSize:
      return append_xattr_size(context, command.size, out);
  }
  return -1;
}

}  // namespace ibexfs
