#include "test/fuse_namespace.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <time.h>

#include <cerrno>
#include <cstring>

namespace ibexfs::test {

namespace {

int64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

std::string text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TestNamespace::TestNamespace(RoutingSink& sink, FileTable& files, ChunkClient& chunks, uint32_t owner)
    : sink_(sink), files_(files), chunks_(chunks) {
  inodes_[FUSE_ROOT_ID].mode = S_IFDIR | 0755;
  inodes_[FUSE_ROOT_ID].links = 2;
  inodes_[FUSE_ROOT_ID].uid = inodes_[FUSE_ROOT_ID].gid = owner;
  sink.on_other = [this](wire::EventKind kind, void* record, std::initializer_list<Bytes> tails) {
    if (kind == wire::EventKind::kFuseClosed) closed = true;
    if (kind != wire::EventKind::kFuseRequest) return true;
    if (refuse_pushes > 0) return --refuse_pushes, false;
    Request request{*static_cast<wire::FuseRequestEvent*>(record), text_of(tails.begin()[0]), text_of(tails.begin()[1])};
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::move(request));
    wake_.notify_one();
    return true;
  };
  sink.on_when_room = [this](std::function<void()> retry) {
    const std::lock_guard lock(mutex_);
    when_room_.push_back(std::move(retry));
    wake_.notify_one();
  };
  thread_ = std::thread([this] { run(); });
}

TestNamespace::~TestNamespace() {
  stop();
  sink_.on_other = nullptr;
  sink_.on_when_room = nullptr;
}

void TestNamespace::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::map<uint16_t, int> TestNamespace::seen() {
  const std::lock_guard lock(mutex_);
  return seen_;
}

uint64_t TestNamespace::settled_size(const std::string& name) {
  const std::lock_guard lock(inodes_mutex_);
  return inodes_[inodes_[FUSE_ROOT_ID].entries[name]].size;
}

void TestNamespace::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopped_ || !requests_.empty() || !when_room_.empty(); });
    if (stopped_) return;
    const auto waiters = std::move(when_room_);
    when_room_.clear();
    if (!waiters.empty()) {
      lock.unlock();
      for (const auto& waiter : waiters) waiter();
      lock.lock();
      continue;
    }
    const Request request = std::move(requests_.front());
    requests_.pop_front();
    ++seen_[request.event.operation];
    lock.unlock();
    {
      const std::lock_guard inodes_lock(inodes_mutex_);
      handle(request);
    }
    lock.lock();
  }
}

void TestNamespace::answer(const Request& request, Reply reply, Bytes data) {
  reply.unique = request.event.unique;
  reply.session = request.event.session;
  reply.data_length = static_cast<uint32_t>(data.size());
  session_.wait(nullptr);
  session_.load()->reply(reply, data);
}

void TestNamespace::answer_error(const Request& request, int error) {
  Reply reply;
  reply.kind = static_cast<uint16_t>(wire::FuseReplyKind::kError);
  reply.error = static_cast<uint32_t>(error);
  answer(request, reply);
}

void TestNamespace::fill_attributes(Reply& reply, uint64_t node) {
  const Inode& inode = inodes_[node];
  reply.node = node;
  reply.mode = inode.mode;
  reply.links = inode.links;
  reply.uid = inode.uid;
  reply.gid = inode.gid;
  reply.size = inode.size;
  int64_t mtime_ns = inode.mtime_ns;
  if (inode.file != 0) {
    FileState& state = files_.states()[slot_of(inode.file)];
    reply.size = files_.size_of(inode.file);
    const double mtime = state_word(state.mtime_microseconds);
    if (mtime != 0) mtime_ns = static_cast<int64_t>(mtime) * 1000;
  }
  reply.blocks = (reply.size + 511) / 512;
  reply.block_size = 1U << 20;
  reply.mtime = reply.atime = reply.ctime = mtime_ns / 1'000'000'000;
  reply.mtime_nanoseconds = reply.atime_nanoseconds = reply.ctime_nanoseconds = static_cast<uint32_t>(mtime_ns % 1'000'000'000);
  reply.entry_valid_ms = 1000;
  reply.attributes_valid_ms = 1000;
}

void TestNamespace::answer_entry(const Request& request, uint64_t node) {
  Reply reply;
  reply.kind = static_cast<uint16_t>(wire::FuseReplyKind::kEntry);
  fill_attributes(reply, node);
  answer(request, reply);
}

uint64_t TestNamespace::make(const Request& request, uint32_t mode) {
  if (inodes_[request.event.node].entries.contains(request.name)) return 0;
  const uint64_t node = ++last_node_;
  Inode& inode = inodes_[node];
  inode.mode = mode;
  inode.uid = request.event.uid;
  inode.gid = request.event.gid;
  inode.mtime_ns = now_ns();
  inode.links = S_ISDIR(mode) ? 2 : 1;
  inodes_[request.event.node].entries[request.name] = node;
  return node;
}

FileId TestNamespace::open_file(uint64_t node) {
  Inode& inode = inodes_[node];
  if (inode.openings++ == 0) {
    StripeLayout layout;
    layout.stripe_bytes = stripe_bytes;
    layout.targets = {1, 2, 3, 4};
    auto opened = files_.open(Fid::from_packed(node), layout, inode.size);
    REQUIRE(opened.ok());
    inode.file = opened.value();
  }
  return inode.file;
}

void TestNamespace::settle(uint64_t node) {
  Inode& inode = inodes_[node];
  if (inode.file == 0) return;
  const double mtime = state_word(files_.states()[slot_of(inode.file)].mtime_microseconds);
  if (mtime == 0) return;
  inode.size = files_.size_of(inode.file);
  inode.mtime_ns = static_cast<int64_t>(mtime) * 1000;
  files_.settled(inode.file, mtime);
}

void TestNamespace::close_file(uint64_t node) {
  settle(node);
  Inode& inode = inodes_[node];
  if (--inode.openings == 0) {
    files_.close(inode.file);
    inode.file = 0;
  }
  drop_if_unused(node);
}

void TestNamespace::drop_if_unused(uint64_t node) {
  const Inode& inode = inodes_[node];
  if (inode.links == 0 && inode.openings == 0) inodes_.erase(node);
}

// What the metadata server does before it commits a smaller size.
void TestNamespace::cut(uint64_t node, uint64_t size) {
  Inode& inode = inodes_[node];
  const StripeLayout layout{stripe_bytes, {1, 2, 3, 4}};
  for (uint32_t column = 0; column < 4; ++column) {
    Awaited<ChunkOutcome> done;
    chunks_.operate(wire::ChunkOperation::kTruncate, {layout.targets[column], column, Fid::from_packed(node)},
                    chunk_bytes(layout, column, size), 0, done.callback());
    done.wait();
  }
  inode.size = size;
  inode.mtime_ns = now_ns();
  if (inode.file != 0) files_.set_size(inode.file, size);
}

void TestNamespace::set_attributes(const Request& request) {
  Inode& inode = inodes_[request.event.node];
  const uint32_t valid = request.event.valid;
  if ((valid & FATTR_MODE) != 0) inode.mode = (inode.mode & S_IFMT) | (request.event.mode & 07777);
  if ((valid & FATTR_UID) != 0) inode.uid = request.event.owner;
  if ((valid & FATTR_GID) != 0) inode.gid = request.event.group;
  if ((valid & FATTR_KILL_SUIDGID) != 0) inode.mode &= ~static_cast<uint32_t>(S_ISUID | S_ISGID);
  if ((valid & FATTR_SIZE) != 0) cut(request.event.node, request.event.size);
  if ((valid & FATTR_MTIME) != 0) {
    settle(request.event.node);
    inode.mtime_ns =
        (valid & FATTR_MTIME_NOW) != 0 ? now_ns() : request.event.mtime * 1'000'000'000 + request.event.mtime_nanoseconds;
  }
  if (request.event.unique == 0) return;
  Reply reply;
  reply.kind = static_cast<uint16_t>(wire::FuseReplyKind::kAttributes);
  fill_attributes(reply, request.event.node);
  answer(request, reply);
}

void TestNamespace::remove(const Request& request, bool folder) {
  auto& entries = inodes_[request.event.node].entries;
  const auto found = entries.find(request.name);
  if (found == entries.end()) return answer_error(request, ENOENT);
  const uint64_t node = found->second;
  if (folder && !inodes_[node].entries.empty()) return answer_error(request, ENOTEMPTY);
  entries.erase(found);
  inodes_[node].links = folder ? 0 : inodes_[node].links - 1;
  drop_if_unused(node);
  answer_error(request, 0);
}

void TestNamespace::rename(const Request& request) {
  auto& from = inodes_[request.event.node].entries;
  auto& to = inodes_[request.event.new_node].entries;
  const auto found = from.find(request.name);
  if (found == from.end()) return answer_error(request, ENOENT);
  const uint64_t node = found->second;
  if (to.contains(request.second)) {
    const uint64_t replaced = to[request.second];
    --inodes_[replaced].links;
    drop_if_unused(replaced);
  }
  from.erase(found);
  to[request.second] = node;
  answer_error(request, 0);
}

void TestNamespace::list(const Request& request) {
  std::vector<uint8_t> records;
  uint64_t cookie = 0;
  const auto add = [&](const std::string& name, uint64_t node, bool attributes) {
    if (++cookie <= request.event.offset) return;
    wire::FuseDirectoryEntry entry;
    entry.cookie = cookie;
    entry.inode = node;
    entry.node = attributes ? node : 0;
    const Inode& inode = inodes_[node];
    entry.mode = inode.mode;
    entry.size = inode.file != 0 ? files_.size_of(inode.file) : inode.size;
    entry.links = inode.links;
    entry.block_size = 1U << 20;
    entry.entry_valid_ms = entry.attributes_valid_ms = 1000;
    entry.name_length = static_cast<uint32_t>(name.size());
    const auto* bytes = reinterpret_cast<const uint8_t*>(&entry);
    records.insert(records.end(), bytes, bytes + sizeof(entry));
    records.insert(records.end(), name.begin(), name.end());
    records.resize((records.size() + 7) / 8 * 8);
  };
  add(".", request.event.node, false);
  add("..", FUSE_ROOT_ID, false);
  for (const auto& [name, node] : inodes_[request.event.node].entries) {
    add(name, node, true);
    if (records.size() > request.event.size * 4) break;
  }
  Reply reply;
  reply.kind = static_cast<uint16_t>(wire::FuseReplyKind::kDirectory);
  answer(request, reply, records);
}

void TestNamespace::extended(const Request& request) {
  auto& xattrs = inodes_[request.event.node].xattrs;
  switch (static_cast<wire::FuseOperation>(request.event.operation)) {
    case wire::FuseOperation::kSetxattr:
      xattrs[request.name] = request.second;
      return answer_error(request, 0);
    case wire::FuseOperation::kRemovexattr:
      return answer_error(request, xattrs.erase(request.name) == 0 ? ENODATA : 0);
    default:
      break;
  }
  Reply reply;
  reply.kind = static_cast<uint16_t>(wire::FuseReplyKind::kBytes);
  std::string value;
  if (request.event.operation == static_cast<uint16_t>(wire::FuseOperation::kListxattr)) {
    for (const auto& [name, unused] : xattrs) value += name + '\0';
  } else if (!xattrs.contains(request.name)) {
    return answer_error(request, ENODATA);
  } else {
    value = xattrs[request.name];
  }
  answer(request, reply, as_bytes(value));
}

void TestNamespace::handle(const Request& request) {
  const uint64_t node = request.event.node;
  Reply reply;
  switch (static_cast<wire::FuseOperation>(request.event.operation)) {
    case wire::FuseOperation::kLookup: {
      const auto& entries = inodes_[node].entries;
      const auto found = entries.find(request.name);
      return found == entries.end() ? answer_error(request, ENOENT) : answer_entry(request, found->second);
    }
    case wire::FuseOperation::kForget:
      forgets += static_cast<int>(request.name.size() / sizeof(fuse_forget_one));
      return;
    case wire::FuseOperation::kGetattr:
      reply.kind = static_cast<uint16_t>(wire::FuseReplyKind::kAttributes);
      fill_attributes(reply, node);
      return answer(request, reply);
    case wire::FuseOperation::kSetattr:
      return set_attributes(request);
    case wire::FuseOperation::kSymlink:
    case wire::FuseOperation::kMkdir:
    case wire::FuseOperation::kMknod: {
      uint32_t mode = request.event.mode;
      if (request.event.operation == static_cast<uint16_t>(wire::FuseOperation::kMkdir)) mode |= S_IFDIR;
      if (request.event.operation == static_cast<uint16_t>(wire::FuseOperation::kSymlink)) mode = S_IFLNK | 0777;
      const uint64_t made = make(request, mode);
      if (made == 0) return answer_error(request, EEXIST);
      inodes_[made].link_target = request.second;
      return answer_entry(request, made);
    }
    case wire::FuseOperation::kReadlink:
      reply.kind = static_cast<uint16_t>(wire::FuseReplyKind::kBytes);
      return answer(request, reply, as_bytes(inodes_[node].link_target));
    case wire::FuseOperation::kUnlink:
      return remove(request, false);
    case wire::FuseOperation::kRmdir:
      return remove(request, true);
    case wire::FuseOperation::kRename2:
      return rename(request);
    case wire::FuseOperation::kLink:
      ++inodes_[request.event.new_node].links;
      inodes_[node].entries[request.name] = request.event.new_node;
      return answer_entry(request, request.event.new_node);
    case wire::FuseOperation::kOpen:
    case wire::FuseOperation::kCreate: {
      uint64_t opened = node;
      reply.kind = static_cast<uint16_t>(wire::FuseReplyKind::kOpen);
      if (request.event.operation == static_cast<uint16_t>(wire::FuseOperation::kCreate)) {
        opened = make(request, request.event.mode);
        if (opened == 0) return answer_error(request, EEXIST);
        reply.kind = static_cast<uint16_t>(wire::FuseReplyKind::kCreate);
      } else if ((request.event.flags & O_TRUNC) != 0) {
        cut(opened, 0);
      }
      reply.handle = files_.open_handle(open_file(opened));
      reply.open_flags = open_flags;
      fill_attributes(reply, opened);
      if ((inodes_[opened].mode & (S_ISUID | S_ISGID)) != 0)
        std::atomic_ref<double>(files_.states()[slot_of(inodes_[opened].file)].clear_set_id_on_write).store(1);
      return answer(request, reply);
    }
    case wire::FuseOperation::kStatfs:
      reply.kind = static_cast<uint16_t>(wire::FuseReplyKind::kStatfs);
      reply.size = 4096;
      reply.blocks = 1000;
      reply.handle = 900;
      reply.offset = 77;
      reply.sequence = 66;
      return answer(request, reply);
    case wire::FuseOperation::kRelease:
      files_.close_handle(request.event.handle);
      close_file(node);
      return answer_error(request, 0);
    case wire::FuseOperation::kFlush:
    case wire::FuseOperation::kFsync:
      if (request.event.data_error != 0) last_data_error = request.event.data_error;
      settle(node);
      return answer_error(request, request.event.data_error);
    case wire::FuseOperation::kOpendir:
      reply.kind = static_cast<uint16_t>(wire::FuseReplyKind::kOpen);
      return answer(request, reply);
    case wire::FuseOperation::kReaddir:
    case wire::FuseOperation::kReaddirplus:
      return list(request);
    case wire::FuseOperation::kReleasedir:
    case wire::FuseOperation::kFsyncdir:
      return answer_error(request, 0);
    default:
      return extended(request);
  }
}

}  // namespace ibexfs::test
