// Byte ranges of open files: striping, holes, what waits for what, write-behind and its bounds, errors, slots.
#include <doctest/doctest.h>

#include <random>

#include "stripes/file_table.h"
#include "test/stripes_peer.h"

namespace ibexfs::test {

namespace {

const Fid kFile{9, 4, 0};

StripeLayout layout_of(uint32_t stripe_bytes, uint32_t first_target, uint32_t columns) {
  StripeLayout layout;
  layout.stripe_bytes = stripe_bytes;
  for (uint32_t column = 0; column < columns; ++column) layout.targets.push_back(first_target + column);
  return layout;
}

// A file table over some peer, with the calls made synchronous.
struct Table {
  explicit Table(uint16_t port, FileTableOptions options = {}, ChunkClientOptions chunk_options = {}) : client(chunk_options) {
    client.route(1, 4, port);
    auto made = FileTable::create(client.chunks(), client.sink, options);
    REQUIRE(made.ok());
    files = made.take();
  }
  ~Table() { client.end_calls(); }

  FileId open(uint64_t size = 0, const Fid& fid = kFile, uint32_t stripe_bytes = 64U << 10) {
    auto opened = files->open(fid, layout_of(stripe_bytes, 1, 4), size);
    REQUIRE(opened.ok());
    return opened.value();
  }
  HandleId handle_on(FileId file) {
    const HandleId handle = files->open_handle(file);
    REQUIRE(handle != 0);
    return handle;
  }
  Awaited<FileOutcome> start_write(HandleId file, uint64_t offset, const std::shared_ptr<std::vector<uint8_t>>& data,
                                   bool behind) {
    Awaited<FileOutcome> written;
    if (behind) {
      files->write_behind(file, offset, *data, data, data->size(), written.callback());
    } else {
      files->write(file_of(file), offset, *data, data, written.callback());
    }
    return written;
  }
  Awaited<FileOutcome> start_write(HandleId file, uint64_t offset, size_t bytes, uint64_t salt, bool behind = false) {
    auto data = std::make_shared<std::vector<uint8_t>>(bytes);
    fill_pattern(*data, salt);
    return start_write(file, offset, data, behind);
  }
  struct Reading {
    std::shared_ptr<std::vector<uint8_t>> memory;
    Awaited<FileOutcome> outcome;
  };
  Reading start_read(FileId file, uint64_t offset, size_t bytes) {
    Reading reading{std::make_shared<std::vector<uint8_t>>(bytes, 0xee), {}};
    files->read(file, offset, *reading.memory, reading.memory, reading.outcome.callback());
    return reading;
  }
  std::vector<uint8_t> read(FileId file, uint64_t offset, size_t bytes) {
    Reading reading = start_read(file, offset, bytes);
    const FileOutcome outcome = reading.outcome.wait();
    REQUIRE(outcome.status == StatusCode::kOk);
    reading.memory->resize(outcome.bytes);
    return *reading.memory;
  }
  FileOutcome flush(HandleId file) {
    Awaited<FileOutcome> flushed;
    files->flush(file, flushed.callback());
    return flushed.wait();
  }
  FileOutcome sync(HandleId file) {
    Awaited<FileOutcome> synced;
    files->sync(file, synced.callback());
    return synced.wait();
  }

  StripeClient client;
  std::unique_ptr<FileTable> files;
};

}  // namespace

TEST_CASE("file table: random writes and reads over real chunk servers equal a file in memory") {
  Storage storage(1, 4);
  Table table(storage.port());
  std::mt19937_64 random(random_seed("file table"));
  constexpr size_t kBytesMax = 3U << 20;
  std::vector<uint8_t> model;
  const FileId file = table.open(0, kFile, 16U << 10);
  for (int round = 0; round < 200; ++round) {
    const uint64_t offset = random() % kBytesMax;
    const size_t bytes = 1 + random() % (random() % 4 == 0 ? 400'000 : 9'000);
    if (random() % 2 == 0) {
      auto data = std::make_shared<std::vector<uint8_t>>(bytes);
      fill_pattern(*data, random());
      if (model.size() < offset + bytes) model.resize(offset + bytes);
      std::copy(data->begin(), data->end(), model.begin() + static_cast<ptrdiff_t>(offset));
      const bool behind = random() % 2 == 0;
      const auto written = table.start_write(file, offset, data, behind);
      if (random() % 3 == 0 || !behind) REQUIRE(Awaited<FileOutcome>(written).wait().status == StatusCode::kOk);
    } else {
      const auto found = table.read(file, offset, bytes);
      const size_t expected = offset >= model.size() ? 0 : std::min(bytes, model.size() - offset);
      REQUIRE(found.size() == expected);
      REQUIRE(std::equal(found.begin(), found.end(),
                         model.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(offset, model.size()))));
    }
  }
  REQUIRE(table.flush(file).status == StatusCode::kOk);
  CHECK(table.sync(file).status == StatusCode::kOk);
  CHECK(table.files->size_of(file) == model.size());
  CHECK(table.read(file, 0, kBytesMax * 2) == model);
}

TEST_CASE("file table: holes are zeros and reading stops at the size") {
  ScriptedPeer peer;
  Table table(peer.port());
  const FileId file = table.open();
  REQUIRE(table.start_write(file, 200'000, 10, 1).wait().status == StatusCode::kOk);
  const auto found = table.read(file, 0, 500'000);
  REQUIRE(found.size() == 200'010);
  CHECK(std::all_of(found.begin(), found.begin() + 200'000, [](uint8_t byte) { return byte == 0; }));
  CHECK(has_pattern(std::span(found).subspan(200'000), 1));
  CHECK(table.read(file, 200'010, 1).empty());
  table.files->set_size(file, 300'000);
  CHECK(table.read(file, 200'000, 500'000).size() == 100'000);
}

TEST_CASE("file table: a read waits for the pending writes that it overlaps, and for no others") {
  ScriptedPeer peer;
  Table table(peer.port());
  const FileId file = table.open(1U << 20);
  REQUIRE(table.read(file, 0, 10).size() == 10);  // connects
  bool behind = false;
  SUBCASE("direct") {
    behind = false;
  }
  SUBCASE("write-behind") {
    behind = true;
  }
  peer.hold();
  auto written = table.start_write(file, 100'000, 5000, 2, behind);
  REQUIRE(wait_until([&] { return peer.held() == 1; }));
  CHECK(written.done() == behind);
  auto overlapping = table.start_read(file, 104'999, 100);
  auto beside = table.start_read(file, 105'000, 100);
  REQUIRE(wait_until([&] { return peer.held() == 2; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(peer.held() == 2);  // the write and the read beside it
  peer.release();
  CHECK(overlapping.outcome.wait().status == StatusCode::kOk);
  CHECK(beside.outcome.wait().status == StatusCode::kOk);
  CHECK((*overlapping.memory)[0] == pattern_at(4999, 2));
}

TEST_CASE("file table: overlapping writes reach the target in their order, others all at once") {
  ScriptedPeer peer;
  Table table(peer.port());
  const FileId file = table.open();
  peer.hold();
  std::vector<Awaited<FileOutcome>> all;
  for (uint64_t i = 0; i < 5; ++i) all.push_back(table.start_write(file, 1000, 100, i, i % 2 == 0));
  for (uint64_t i = 0; i < 5; ++i) all.push_back(table.start_write(file, 5000 + i * 100, 100, i, i % 2 == 0));
  REQUIRE(wait_until([&] { return peer.held() == 6; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(peer.held() == 6);  // the first of those that overlap, and the five that do not
  peer.release();
  for (auto& each : all) CHECK(each.wait().status == StatusCode::kOk);
  REQUIRE(table.flush(file).status == StatusCode::kOk);
  CHECK(has_pattern(table.read(file, 1000, 100), 4));
}

TEST_CASE("file table: write-behind is bounded by file and in all, and goes on in order") {
  ScriptedPeer peer;
  Table table(peer.port(),
              {.write_behind_bytes_max = 6000, .write_behind_file_bytes_max = 4000, .write_behind_file_requests_max = 3});
  const FileId one = table.open();
  const FileId two = table.open(0, {9, 5, 0});
  peer.hold();
  std::vector<Awaited<FileOutcome>> ones, twos;
  for (uint64_t i = 0; i < 6; ++i) ones.push_back(table.start_write(one, i * 1000, 1000, i, true));
  for (uint64_t i = 0; i < 2; ++i) twos.push_back(table.start_write(two, i * 2000, 2000, i, true));
  CHECK(ones[2].done());
  CHECK(!ones[3].done());  // three requests a file
  CHECK(twos[0].done());
  CHECK(!twos[1].done());  // 6000 bytes in all
  CHECK(state_word(table.files->states()[slot_of(one)].pending_bytes) == 3000);
  CHECK(state_word(table.files->states()[slot_of(one)].size) == 3000);
  Awaited<FileOutcome> flushed;
  table.files->flush(one, flushed.callback());
  CHECK(!flushed.done());
  peer.release();
  for (auto& each : ones) CHECK(each.wait().status == StatusCode::kOk);
  for (auto& each : twos) CHECK(each.wait().status == StatusCode::kOk);
  CHECK(flushed.wait().status == StatusCode::kOk);
  REQUIRE(table.flush(one).status == StatusCode::kOk);
  CHECK(state_word(table.files->states()[slot_of(one)].pending_bytes) == 0);
  CHECK(table.files->size_of(one) == 6000);
  // A single one larger than the bounds goes through alone.
  CHECK(table.start_write(one, 0, 9000, 7, true).wait().status == StatusCode::kOk);
  REQUIRE(table.flush(one).status == StatusCode::kOk);
}

TEST_CASE("file table: a failure of write-behind is told every handle, by each flush until a sync, with its target") {
  ScriptedPeer peer;
  std::atomic<bool> full{true};
  peer.judge = [&](const ScriptedPeer::Seen& seen) -> std::optional<StatusCode> {
    return full && seen.operation == wire::ChunkOperation::kWrite && seen.request.target == 2
               ? std::optional(StatusCode::kNoSpace)
               : std::nullopt;
  };
  Table table(peer.port());
  const FileId file = table.open();
  const HandleId writer = table.handle_on(file);
  const HandleId other = table.handle_on(file);
  const HandleId idle = table.handle_on(file);
  CHECK(table.start_write(writer, 0, 300'000, 1, true).wait().status == StatusCode::kOk);
  REQUIRE(wait_until([&] { return state_word(table.files->states()[slot_of(file)].pending_bytes) == 0; }));
  table.files->settled(file, state_word(table.files->states()[slot_of(file)].mtime_microseconds));
  CHECK(table.files->clean(file));
  CHECK(!table.files->clean(writer));
  CHECK(!table.files->clean(other));
  CHECK(table.flush(file).status == StatusCode::kOk);                                      // nobody's: waits only
  CHECK(table.start_write(writer, 0, 10, 1, true).wait().status == StatusCode::kNoSpace);  // fails at once
  const FileOutcome flushed = table.flush(writer);
  CHECK(flushed.status == StatusCode::kNoSpace);
  CHECK(flushed.target == 2);
  CHECK(table.flush(writer).status == StatusCode::kNoSpace);                              // the close of a duplicated descriptor
  CHECK(table.start_write(writer, 0, 10, 1, true).wait().status == StatusCode::kOk);      // it was told
  CHECK(table.start_write(other, 0, 10, 1, true).wait().status == StatusCode::kNoSpace);  // it was not
  CHECK(table.sync(writer).status == StatusCode::kNoSpace);
  CHECK(table.sync(writer).status == StatusCode::kOk);
  CHECK(table.flush(writer).status == StatusCode::kOk);
  CHECK(table.files->open_handle(file) != 0);  // who comes now ...
  const HandleId late = table.handle_on(file);
  CHECK(table.sync(late).status == StatusCode::kOk);  // ... has lost nothing
  CHECK(table.sync(other).status == StatusCode::kNoSpace);
  CHECK(table.sync(other).status == StatusCode::kOk);
  table.files->close_handle(idle);
  CHECK(table.sync(idle).status == StatusCode::kOk);
  CHECK(table.client.sink.logged("failed on target 2"));
  // A direct write says so itself.
  CHECK(table.start_write(writer, 0, 300'000, 1).wait().status == StatusCode::kNoSpace);
  CHECK(table.flush(writer).status == StatusCode::kOk);
  full = false;
  CHECK(table.start_write(writer, 0, 300'000, 1).wait().status == StatusCode::kOk);
}

TEST_CASE("file table: a failure that nobody was told when its handle closed is the next one's, and a later one everybody's") {
  ScriptedPeer peer;
  std::atomic<bool> full{true};
  peer.judge = [&](const ScriptedPeer::Seen& seen) -> std::optional<StatusCode> {
    return full && seen.operation == wire::ChunkOperation::kWrite ? std::optional(StatusCode::kNoSpace) : std::nullopt;
  };
  Table table(peer.port());
  const FileId file = table.open();
  const HandleId first = table.handle_on(file);
  CHECK(table.start_write(first, 0, 100, 1, true).wait().status == StatusCode::kOk);
  REQUIRE(table.flush(file).status == StatusCode::kOk);
  table.files->close_handle(first);
  const HandleId second = table.handle_on(file);
  CHECK(second == first);  // the same number: nothing of the first one's is left
  CHECK(table.sync(second).status == StatusCode::kNoSpace);
  CHECK(table.sync(second).status == StatusCode::kOk);
  const HandleId third = table.handle_on(file);
  CHECK(table.start_write(second, 0, 100, 1, true).wait().status == StatusCode::kOk);
  CHECK(table.sync(third).status == StatusCode::kNoSpace);
  CHECK(table.sync(second).status == StatusCode::kNoSpace);
  CHECK(table.sync(third).status == StatusCode::kOk);
  CHECK(table.sync(second).status == StatusCode::kOk);
  table.files->close(file);
  CHECK(table.files->open_handle(file) == 0);
  CHECK(table.flush(second).status == StatusCode::kBadDescriptor);
}

TEST_CASE("file table: a sync that failed is told the other handles too, though the next one succeeds") {
  ScriptedPeer peer;
  std::atomic<bool> broken{true};
  peer.judge = [&](const ScriptedPeer::Seen& seen) -> std::optional<StatusCode> {
    return broken && seen.operation == wire::ChunkOperation::kSync ? std::optional(StatusCode::kIoError) : std::nullopt;
  };
  Table table(peer.port());
  const FileId file = table.open();
  const HandleId one = table.handle_on(file);
  const HandleId two = table.handle_on(file);
  REQUIRE(table.start_write(two, 0, 100, 1).wait().status == StatusCode::kOk);
  CHECK(table.sync(one).status == StatusCode::kIoError);
  broken = false;
  CHECK(table.sync(one).status == StatusCode::kOk);
  CHECK(table.sync(two).status == StatusCode::kIoError);
  CHECK(table.sync(two).status == StatusCode::kOk);
}

TEST_CASE("file table: sync makes the written columns durable, and only those, until it has done so") {
  ScriptedPeer peer;
  std::atomic<bool> broken{false};
  peer.judge = [&](const ScriptedPeer::Seen& seen) -> std::optional<StatusCode> {
    return broken && seen.operation == wire::ChunkOperation::kSync ? std::optional(StatusCode::kIoError) : std::nullopt;
  };
  Table table(peer.port());
  const FileId file = table.open();
  CHECK(table.sync(file).status == StatusCode::kOk);
  CHECK(peer.count(wire::ChunkOperation::kSync) == 0);
  table.start_write(file, 0, 100'000, 1, true).wait();  // columns 0 and 1
  broken = true;
  CHECK(table.sync(file).status == StatusCode::kIoError);
  CHECK(peer.count(wire::ChunkOperation::kSync) == 2);
  broken = false;
  CHECK(table.sync(file).status == StatusCode::kOk);
  CHECK(peer.count(wire::ChunkOperation::kSync) == 4);
  CHECK(table.sync(file).status == StatusCode::kOk);
  CHECK(peer.count(wire::ChunkOperation::kSync) == 4);
}

TEST_CASE("file table: a sync says since when its file has data that is not durable") {
  ScriptedPeer peer;
  std::atomic<bool> broken{false};
  std::atomic<uint64_t> brought{0};
  peer.judge = [&](const ScriptedPeer::Seen& seen) -> std::optional<StatusCode> {
    if (seen.operation != wire::ChunkOperation::kSync) return std::nullopt;
    brought = seen.request.sync_stamp;
    return broken ? std::optional(StatusCode::kIoError) : std::nullopt;
  };
  Table table(peer.port());
  const FileId file = table.open(10, kFile, 1U << 20);
  const auto write_at = [&](uint64_t stamp) {
    peer.sync_stamp = stamp;
    REQUIRE(table.start_write(file, 0, 100, 1).wait().status == StatusCode::kOk);
  };
  CHECK(table.sync(file).status == StatusCode::kOk);
  CHECK(brought == 0);  // nothing of its own
  write_at(6);
  write_at(5);  // begun before the other, answered after it
  write_at(6);
  broken = true;
  peer.sync_stamp = 7;
  CHECK(table.sync(file).status == StatusCode::kIoError);
  CHECK(brought == 5);  // the oldest
  write_at(8);
  broken = false;
  CHECK(table.sync(file).status == StatusCode::kOk);
  CHECK(brought == 7);  // what came with the failure
  write_at(9);
  CHECK(table.sync(file).status == StatusCode::kOk);
  CHECK(brought == 9);
}

TEST_CASE("file table: a sync of a file that was opened with bytes goes to all its columns") {
  ScriptedPeer peer;
  Table table(peer.port());
  FileId file = table.open();
  table.start_write(file, 0, 4096, 1, true).wait();
  REQUIRE(table.flush(file).status == StatusCode::kOk);
  table.files->close(file);
  file = table.open(4096);
  CHECK(table.sync(file).status == StatusCode::kOk);
  CHECK(peer.count(wire::ChunkOperation::kSync) == 4);
  CHECK(table.sync(file).status == StatusCode::kOk);
  CHECK(peer.count(wire::ChunkOperation::kSync) == 4);
}

TEST_CASE("file table: a sync after a truncation makes the cut durable") {
  ScriptedPeer peer;
  Table table(peer.port());
  const FileId file = table.open();
  table.files->set_size(file, 100);
  CHECK(table.sync(file).status == StatusCode::kOk);
  CHECK(peer.count(wire::ChunkOperation::kSync) == 4);
}

TEST_CASE("file table: two syncs at once both wait for the disk and both learn its failure") {
  ScriptedPeer peer;
  peer.judge = [](const ScriptedPeer::Seen& seen) {
    return seen.operation == wire::ChunkOperation::kSync ? std::optional(StatusCode::kIoError) : std::nullopt;
  };
  Table table(peer.port());
  const FileId file = table.open();
  table.start_write(file, 0, 4096, 1).wait();
  peer.hold();
  Awaited<FileOutcome> first, second;
  table.files->sync(file, first.callback());
  REQUIRE(wait_until([&] { return peer.held() == 1; }));
  table.files->sync(file, second.callback());
  CHECK(!second.done());
  peer.release();
  CHECK(first.wait().status == StatusCode::kIoError);
  CHECK(second.wait().status == StatusCode::kIoError);
}

TEST_CASE("file table: a write that ends after a running sync was sent is left to the next sync") {
  ScriptedPeer peer;
  Table table(peer.port());
  const FileId file = table.open();
  table.start_write(file, 0, 4096, 1).wait();
  peer.hold();
  auto before = table.start_write(file, 4096, 4096, 1);
  Awaited<FileOutcome> synced;
  table.files->sync(file, synced.callback());  // waits for the write above
  auto after = table.start_write(file, 8192, 4096, 1);
  REQUIRE(wait_until([&] { return peer.held() == 2; }));
  peer.release(1);
  CHECK(before.wait().status == StatusCode::kOk);
  REQUIRE(wait_until([&] { return peer.held() == 2; }));
  peer.release(1, true);  // the sync, before the target has done the later write
  CHECK(synced.wait().status == StatusCode::kOk);
  peer.release();
  CHECK(after.wait().status == StatusCode::kOk);
  CHECK(table.sync(file).status == StatusCode::kOk);
  CHECK(peer.count(wire::ChunkOperation::kSync) == 2);
}

TEST_CASE("file table: the state says size and time, and settling loses no write that came in between") {
  ScriptedPeer peer;
  Table table(peer.port());
  const FileId file = table.open(77);
  FileState& state = table.files->states()[slot_of(file)];
  CHECK(state_word(state.size) == 77);
  CHECK(state_word(state.mtime_microseconds) == 0);
  CHECK(state_word(state.file_id) == file);
  CHECK(table.files->clean(file));
  table.start_write(file, 100, 10, 1).wait();
  const double first = state_word(state.mtime_microseconds);
  CHECK(first > 1.6e15);
  CHECK(state_word(state.size) == 110);
  table.start_write(file, 0, 10, 1).wait();
  CHECK(state_word(state.mtime_microseconds) > first);
  table.files->settled(file, first);
  CHECK(!table.files->clean(file));
  table.files->settled(file, state_word(state.mtime_microseconds));
  CHECK(table.files->clean(file));
  CHECK(!table.files->take_clear_set_id(file));
  table.files->states()[slot_of(file)].clear_set_id_on_write = 1;
  CHECK(table.files->take_clear_set_id(file));
  CHECK(!table.files->take_clear_set_id(file));
}

TEST_CASE("file table: slots are used again, ids are not") {
  ScriptedPeer peer;
  Table table(peer.port(), {.capacity = 2});
  const FileId first = table.open();
  CHECK(table.files->find(kFile) == first);
  CHECK(table.files->open(kFile, layout_of(1, 1, 1), 0).status().code() == StatusCode::kExists);
  const FileId second = table.open(0, {9, 5, 0});
  CHECK(table.files->open({9, 6, 0}, layout_of(1, 1, 1), 0).status().code() == StatusCode::kOverflow);
  CHECK(table.files->open({9, 6, 0}, {}, 0).status().code() == StatusCode::kInvalid);
  table.files->close(first);
  CHECK(table.files->find(kFile) == 0);
  CHECK(!table.files->is_open(first));
  const FileId third = table.open();
  CHECK(slot_of(third) == slot_of(first));
  CHECK(third != first);
  CHECK(table.start_write(first, 0, 10, 1).wait().status == StatusCode::kBadDescriptor);
  CHECK(table.start_read(first, 0, 10).outcome.wait().status == StatusCode::kBadDescriptor);
  table.files->close(first);  // nothing
  CHECK(table.files->is_open(third));
  CHECK(table.files->is_open(second));
  CHECK(table.start_write(0x12340567, 0, 10, 1).wait().status == StatusCode::kBadDescriptor);
}

TEST_CASE("file table: a file closed under its I/O ends it in peace") {
  ScriptedPeer peer;
  Table table(peer.port());
  const FileId file = table.open();
  peer.hold();
  auto direct = table.start_write(file, 0, 1000, 1);
  auto behind = table.start_write(file, 5000, 1000, 1, true);
  table.files->close(file);
  const FileId next = table.open(5, {9, 8, 0});
  REQUIRE(slot_of(next) == slot_of(file));
  peer.release();
  CHECK(direct.wait().status == StatusCode::kOk);
  CHECK(behind.wait().status == StatusCode::kOk);
  CHECK(table.files->size_of(next) == 5);
  CHECK(state_word(table.files->states()[slot_of(next)].size) == 5);
}

TEST_CASE("file table: storage that goes and comes back is waited for; one that stays away is EIO") {
  auto storage = std::make_unique<Storage>(1, 4);
  Table table(storage->port(), {}, {.io_timeout_ms = 3000});
  const FileId file = table.open();
  REQUIRE(table.start_write(file, 0, 500'000, 1).wait().status == StatusCode::kOk);
  const uint16_t port = storage->port();
  storage->shut();
  auto waiting = table.start_read(file, 0, 500'000);
  storage->open(port);
  REQUIRE(wait_until([&] {
    // A refused connection is tried again by whoever keeps routes; here that is us.
    if (!waiting.outcome.done()) {
      for (uint32_t target = 1; target <= 4; ++target) table.client.connect(target);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return waiting.outcome.done();
  }));
  CHECK(waiting.outcome.wait().status == StatusCode::kOk);
  CHECK(has_pattern(*waiting.memory, 1));
}

}  // namespace ibexfs::test
