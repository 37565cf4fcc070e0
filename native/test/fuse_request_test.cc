// What crosses /dev/fuse, without a mount: requests cut short or malformed, answers within their limits,
// INIT, the mount table.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "fuse/mount_table.h"
#include "fuse/negotiate.h"
#include "fuse/pending_requests.h"
#include "fuse/reply.h"
#include "fuse/request.h"
#include "test/support.h"

namespace ibexfs::test {

namespace {

using namespace std::string_literals;

struct Body {
  std::vector<uint8_t> bytes;
  template <typename Struct>
  Body& with(const Struct& value, size_t length = sizeof(Struct)) {
    const auto* start = reinterpret_cast<const uint8_t*>(&value);
    bytes.insert(bytes.end(), start, start + length);
    return *this;
  }
  Body& text(const std::string& value, bool terminated = true) {
    bytes.insert(bytes.end(), value.begin(), value.end());
    if (terminated) bytes.push_back(0);
    return *this;
  }
};

int decode(uint32_t opcode, const Body& body, NameRequest& out, uint64_t node = 1) {
  fuse_in_header header{};
  header.opcode = opcode;
  header.nodeid = node;
  header.uid = 1000;
  header.len = static_cast<uint32_t>(sizeof(header) + body.bytes.size());
  return decode_name_request(header, body.bytes, out);
}
int decode(uint32_t opcode, const Body& body) {
  NameRequest ignored;
  return decode(opcode, body, ignored);
}

std::string text_of(Bytes bytes) {
  return {bytes.begin(), bytes.end()};
}

// Every name request that the kernel sends, well formed.
std::vector<std::pair<uint32_t, Body>> all_requests() {
  fuse_setattr_in setattr{};
  setattr.valid = FATTR_SIZE;
  fuse_setxattr_in setxattr{};
  setxattr.size = 3;
  return {{FUSE_LOOKUP, Body().text("name")},
          {FUSE_UNLINK, Body().text("name")},
          {FUSE_RMDIR, Body().text("name")},
          {FUSE_GETATTR, Body().with(fuse_getattr_in{})},
          {FUSE_SETATTR, Body().with(setattr)},
          {FUSE_SYMLINK, Body().text("name").text("target")},
          {FUSE_MKNOD, Body().with(fuse_mknod_in{}).text("name")},
          {FUSE_MKDIR, Body().with(fuse_mkdir_in{}).text("name")},
          {FUSE_RENAME, Body().with(fuse_rename_in{2}).text("from").text("to")},
          {FUSE_RENAME2, Body().with(fuse_rename2_in{2, 1, 0}).text("from").text("to")},
          {FUSE_LINK, Body().with(fuse_link_in{5}).text("name")},
          {FUSE_OPEN, Body().with(fuse_open_in{})},
          {FUSE_OPENDIR, Body().with(fuse_open_in{})},
          {FUSE_CREATE, Body().with(fuse_create_in{}).text("name")},
          {FUSE_RELEASE, Body().with(fuse_release_in{})},
          {FUSE_RELEASEDIR, Body().with(fuse_release_in{})},
          {FUSE_FLUSH, Body().with(fuse_flush_in{})},
          {FUSE_FSYNC, Body().with(fuse_fsync_in{})},
          {FUSE_FSYNCDIR, Body().with(fuse_fsync_in{})},
          {FUSE_SETXATTR, Body().with(setxattr, 8).text("user.a").text("xyz", false)},
          {FUSE_GETXATTR, Body().with(fuse_getxattr_in{}).text("user.a")},
          {FUSE_LISTXATTR, Body().with(fuse_getxattr_in{})},
          {FUSE_REMOVEXATTR, Body().text("user.a")},
          {FUSE_READDIR, Body().with(fuse_read_in{})},
          {FUSE_READDIRPLUS, Body().with(fuse_read_in{})}};
}

wire::FuseReplyCommand reply_of(wire::FuseReplyKind kind) {
  wire::FuseReplyCommand reply;
  reply.kind = static_cast<uint16_t>(kind);
  return reply;
}

void add_entry(std::vector<uint8_t>& records, uint64_t cookie, const std::string& name, uint64_t node = 7) {
  wire::FuseDirectoryEntry entry;
  entry.cookie = cookie;
  entry.inode = 7;
  entry.node = node;
  entry.mode = S_IFREG | 0644;
  entry.name_length = static_cast<uint32_t>(name.size());
  const auto* start = reinterpret_cast<const uint8_t*>(&entry);
  records.insert(records.end(), start, start + sizeof(entry));
  records.insert(records.end(), name.begin(), name.end());
  records.resize((records.size() + 7) / 8 * 8);
}

}  // namespace

TEST_CASE("fuse request: every request decodes whole and is refused when cut anywhere") {
  for (const auto& [opcode, body] : all_requests()) {
    CAPTURE(opcode);
    NameRequest request;
    CHECK(decode(opcode, body, request) == 0);
    CHECK(+request.event.uid == 1000);
    CHECK(+request.event.name_length == request.name.size());
    for (size_t length = 0; length < body.bytes.size(); ++length) {
      // An exact buffer, so that a sanitizer sees a byte read behind it.
      const Body cut{std::vector<uint8_t>(body.bytes.begin(), body.bytes.begin() + static_cast<ptrdiff_t>(length))};
      CHECK(decode(opcode, cut) != 0);
    }
  }
}

TEST_CASE("fuse request: random bytes are decoded or refused, never trusted") {
  std::mt19937_64 random(random_seed("fuse request"));
  for (int round = 0; round < 20'000; ++round) {
    Body body;
    body.bytes.resize(random() % 200);
    for (uint8_t& byte : body.bytes) byte = static_cast<uint8_t>(random() % 3 == 0 ? 0 : random());
    NameRequest request;
    const int error = decode(static_cast<uint32_t>(random() % 60), body, request);
    REQUIRE(error >= 0);
    if (error == 0) REQUIRE(request.name.size() + request.second.size() <= body.bytes.size());
    std::vector<fuse_forget_one> forgets;
    fuse_in_header header{};
    header.opcode = random() % 2 == 0 ? FUSE_FORGET : FUSE_BATCH_FORGET;
    if (!decode_forgets(header, body.bytes, forgets)) REQUIRE(forgets.empty());
  }
}

TEST_CASE("fuse request: names are checked") {
  CHECK(decode(FUSE_LOOKUP, Body().text("")) == EINVAL);
  CHECK(decode(FUSE_LOOKUP, Body().text("a/b")) == EINVAL);
  CHECK(decode(FUSE_LOOKUP, Body().text(".")) == EINVAL);
  CHECK(decode(FUSE_LOOKUP, Body().text("..")) == EINVAL);
  CHECK(decode(FUSE_LOOKUP, Body().text("...")) == 0);
  CHECK(decode(FUSE_LOOKUP, Body().text(std::string(255, 'x'))) == 0);
  CHECK(decode(FUSE_LOOKUP, Body().text(std::string(256, 'x'))) == ENAMETOOLONG);
  CHECK(decode(FUSE_SYMLINK, Body().text("a").text(std::string(4095, 'x'))) == 0);
  CHECK(decode(FUSE_SYMLINK, Body().text("a").text(std::string(4096, 'x'))) == ENAMETOOLONG);
  NameRequest ignored;
  CHECK(decode(FUSE_LOOKUP, Body().text("a"), ignored, 0) == EINVAL);
  CHECK(decode(FUSE_LOOKUP, Body().text("a"), ignored, uint64_t{1} << 53) == EINVAL);
  CHECK(decode(FUSE_LINK, Body().with(fuse_link_in{uint64_t{1} << 60}).text("a")) == EINVAL);
}

TEST_CASE("fuse request: fields arrive where request.h says") {
  NameRequest request;
  const Body rename = Body().with(fuse_rename_in{77}).text("from").text("to");  // the tails point into it
  REQUIRE(decode(FUSE_RENAME, rename, request) == 0);
  CHECK(+request.event.operation == static_cast<uint16_t>(wire::FuseOperation::kRename2));
  CHECK(+request.event.new_node == 77);
  CHECK(text_of(request.name) == "from");
  CHECK(text_of(request.second) == "to");

  fuse_setxattr_in setxattr{};
  setxattr.size = 5;
  setxattr.flags = 2;
  const Body xattr = Body().with(setxattr, 8).text("user.x").text("a\0b\0c"s, false);
  REQUIRE(decode(FUSE_SETXATTR, xattr, request) == 0);
  CHECK(text_of(request.second) == "a\0b\0c"s);
  CHECK(+request.event.flags == 2);
  setxattr.size = 70'000;
  CHECK(decode(FUSE_SETXATTR, Body().with(setxattr, 8).text("user.x").text(std::string(70'000, 'x'), false)) == E2BIG);

  fuse_setattr_in setattr{};
  setattr.valid = FATTR_ATIME;
  setattr.atime = static_cast<uint64_t>(-5);
  setattr.atimensec = 9;
  REQUIRE(decode(FUSE_SETATTR, Body().with(setattr), request) == 0);
  CHECK(+request.event.atime == -5);
  CHECK(+request.event.atime_nanoseconds == 9);

  CHECK(decode(FUSE_FALLOCATE, Body().with(fuse_fallocate_in{})) == ENOSYS);
  for (const uint32_t opcode : {uint32_t{FUSE_READ}, uint32_t{FUSE_GETLK}, uint32_t{FUSE_IOCTL}, uint32_t{FUSE_POLL},
                                uint32_t{FUSE_COPY_FILE_RANGE}, 9999U}) {
    CHECK(decode(opcode, Body()) == ENOSYS);
  }
}

TEST_CASE("fuse request: forgets, one and many") {
  std::vector<fuse_forget_one> forgets;
  fuse_in_header header{};
  header.opcode = FUSE_FORGET;
  header.nodeid = 5;
  CHECK(decode_forgets(header, Body().with(fuse_forget_in{3}).bytes, forgets));
  header.opcode = FUSE_BATCH_FORGET;
  const auto batch = Body().with(fuse_batch_forget_in{2, 0}).with(fuse_forget_one{6, 1}).with(fuse_forget_one{7, 2});
  CHECK(decode_forgets(header, batch.bytes, forgets));
  REQUIRE(forgets.size() == 3);
  CHECK(forgets[0].nodeid == 5);
  CHECK(forgets[0].nlookup == 3);
  CHECK(forgets[2].nodeid == 7);
  CHECK(!decode_forgets(header, Body().with(fuse_batch_forget_in{3, 0}).with(fuse_forget_one{6, 1}).bytes, forgets));
  CHECK(!decode_forgets(header, Body().with(fuse_batch_forget_in{UINT32_MAX, 0}).bytes, forgets));
  CHECK(forgets.size() == 3);
}

TEST_CASE("fuse reply: directory answers stay within the kernel's room") {
  std::vector<uint8_t> records;
  for (uint64_t i = 1; i <= 50; ++i) add_entry(records, i, "name-" + std::to_string(i));
  for (const bool plus : {false, true}) {
    const uint32_t opcode = plus ? FUSE_READDIRPLUS : FUSE_READDIR;
    for (uint32_t size = 0; size < 2000; size += 37) {
      std::vector<uint8_t> out(16, 0xaa);  // appended behind what is there
      const int error = encode_reply({opcode, size}, reply_of(wire::FuseReplyKind::kDirectory), records, out);
      REQUIRE(out.size() - 16 <= size);
      REQUIRE(out.size() % 8 == 0);
      REQUIRE((error == 0) == (out.size() > 16));  // an empty answer would be the end of the folder
    }
    std::vector<uint8_t> out;
    REQUIRE(encode_reply({opcode, 1U << 20}, reply_of(wire::FuseReplyKind::kDirectory), records, out) == 0);
    fuse_dirent first;
    std::memcpy(&first, out.data() + (plus ? sizeof(fuse_entry_out) : 0), FUSE_NAME_OFFSET);
    CHECK(first.ino == 7);
    CHECK(first.off == 1);
    CHECK(first.type == S_IFREG >> 12);
    CHECK(first.namelen == 6);
  }
  std::vector<uint8_t> out;
  CHECK(encode_reply({FUSE_READDIR, 4096}, reply_of(wire::FuseReplyKind::kDirectory), {}, out) == 0);
  CHECK(out.empty());
}

TEST_CASE("fuse reply: records that are cut or do not fit the request are refused") {
  std::vector<uint8_t> records, out;
  add_entry(records, 1, "some name");
  for (size_t length = 1; length < sizeof(wire::FuseDirectoryEntry) + 9; ++length) {
    CHECK(encode_reply({FUSE_READDIR, 4096}, reply_of(wire::FuseReplyKind::kDirectory), Bytes{records}.first(length), out) == -1);
  }
  CHECK(encode_reply({FUSE_LOOKUP, 0}, reply_of(wire::FuseReplyKind::kAttributes), {}, out) == -1);
  CHECK(encode_reply({FUSE_UNLINK, 0}, reply_of(wire::FuseReplyKind::kEntry), {}, out) == -1);
  CHECK(encode_reply({FUSE_CREATE, 0}, reply_of(wire::FuseReplyKind::kCreate), {}, out) == -1);  // without a node
  CHECK(encode_reply({FUSE_LOOKUP, 0}, reply_of(static_cast<wire::FuseReplyKind>(99)), {}, out) == -1);
  const std::vector<uint8_t> value(100, 1);
  CHECK(encode_reply({FUSE_GETXATTR, 50}, reply_of(wire::FuseReplyKind::kBytes), value, out) == ERANGE);
  out.clear();
  CHECK(encode_reply({FUSE_GETXATTR, 100}, reply_of(wire::FuseReplyKind::kBytes), value, out) == 0);
  CHECK(out == value);
  out.clear();
  CHECK(encode_reply({FUSE_GETXATTR, 0}, reply_of(wire::FuseReplyKind::kBytes), value, out) == 0);
  fuse_getxattr_out length;
  REQUIRE(out.size() == sizeof(length));
  std::memcpy(&length, out.data(), sizeof(length));
  CHECK(length.size == 100);
}

TEST_CASE("fuse reply: times and lifetimes are exact") {
  auto reply = reply_of(wire::FuseReplyKind::kEntry);
  reply.node = 9;
  reply.mtime = -3;
  reply.mtime_nanoseconds = 999'999'999;
  reply.entry_valid_ms = 1500;
  reply.attributes_valid_ms = 250;
  std::vector<uint8_t> out;
  REQUIRE(encode_reply({FUSE_LOOKUP, 0}, reply, {}, out) == 0);
  fuse_entry_out entry;
  REQUIRE(out.size() == sizeof(entry));
  std::memcpy(&entry, out.data(), sizeof(entry));
  CHECK(entry.nodeid == 9);
  CHECK(entry.attr.ino == 9);
  CHECK(static_cast<int64_t>(entry.attr.mtime) == -3);
  CHECK(entry.attr.mtimensec == 999'999'999);
  CHECK(entry.entry_valid == 1);
  CHECK(entry.entry_valid_nsec == 500'000'000);
  CHECK(entry.attr_valid == 0);
  CHECK(entry.attr_valid_nsec == 250'000'000);
  CHECK(errno_of(0) == 0);
  CHECK(errno_of(ENOSPC) == ENOSPC);
  CHECK(errno_of(static_cast<uint32_t>(wire::StatusCode::kStaleMap)) == EIO);
}

TEST_CASE("fuse init: features are the ones both sides have") {
  fuse_init_in in{};
  in.major = 7;
  in.minor = 45;
  in.max_readahead = 131'072;
  in.flags = UINT32_MAX & ~uint32_t{FUSE_PARALLEL_DIROPS};
  in.flags2 = UINT32_MAX;
  const auto answer = negotiate(Body().with(in).bytes, {});
  REQUIRE(answer.ok());
  CHECK(answer.value().max_write == 1U << 20);
  CHECK(answer.value().max_pages == 256);
  CHECK((answer.value().flags & FUSE_PARALLEL_DIROPS) == 0);
  CHECK((answer.value().flags & FUSE_AUTO_INVAL_DATA) != 0);
  CHECK((answer.value().flags & (FUSE_WRITEBACK_CACHE | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS)) == 0);
  CHECK((uint64_t{answer.value().flags2} << 32) == kFuseDirectIoAllowMmap);
  // The first 16 bytes are all that old kernels send.
  in.minor = 31;
  in.flags &= ~uint32_t{FUSE_INIT_EXT};
  const auto shorter = negotiate(Body().with(in, 16).bytes, {});
  REQUIRE(shorter.ok());
  CHECK(shorter.value().flags2 == 0);
  CHECK(!negotiate(Body().with(in, 15).bytes, {}).ok());
  in.minor = 19;
  CHECK(!negotiate(Body().with(in).bytes, {}).ok());
  in.major = 8;
  const auto newer = negotiate(Body().with(in).bytes, {});
  REQUIRE(newer.ok());
  CHECK(newer.value().major == 7);
  CHECK(newer.value().max_write == 0);  // only the version counts; the kernel asks again
}

TEST_CASE("fuse pending requests: a tag answers once") {
  PendingRequests pending;
  const uint64_t first = pending.add({{3, 100}, {FUSE_LOOKUP, 0}});
  const uint64_t second = pending.add({{4, 102}, {FUSE_OPEN, 0}});
  CHECK(first != 0);
  CHECK(first != second);
  CHECK(pending.open() == 2);
  REQUIRE(pending.take(second).has_value());
  CHECK(!pending.take(second).has_value());
  const uint64_t third = pending.add({{5, 104}, {FUSE_OPEN, 0}});
  CHECK(third != second);
  CHECK(!pending.take(second).has_value());
  CHECK(pending.take(third)->origin.unique == 104);
  CHECK(!pending.take(0).has_value());
  CHECK(!pending.take(UINT64_MAX).has_value());
  CHECK(pending.take(first)->origin.fd == 3);
  CHECK(pending.open() == 0);
}

TEST_CASE("fuse mount table: the topmost mount of a path, escapes undone") {
  const std::string table =
      "22 1 0:20 / /sys rw,nosuid - sysfs sysfs rw\n"
      "30 1 0:44 / /mnt/my\\040files rw shared:5 master:2 - fuse.ibexfs ibexfs rw,user_id=0\n"
      "31 1 0:45 / /mnt/my\\040files rw - ext4 /dev/x\\134y rw\n"
      "broken line\n";
  CHECK(find_mount_in(table, "/sys")->type == "sysfs");
  CHECK(find_mount_in(table, "/mnt/my files")->device == "0:45");
  CHECK(find_mount_in(table, "/mnt/my files")->source == "/dev/x\\y");
  CHECK(!find_mount_in(table, "/mnt").has_value());
  CHECK(!find_mount_in("", "/").has_value());
}

}  // namespace ibexfs::test
