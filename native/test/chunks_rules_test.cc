// Chunk names, request checks, the gate and the read-ahead: decisions without a disk.
#include <doctest/doctest.h>

#include <chrono>
#include <set>
#include <vector>

#include "chunks/chunk_files.h"
#include "chunks/chunk_gate.h"
#include "chunks/chunk_name.h"
#include "chunks/chunk_request.h"
#include "chunks/chunk_target.h"
#include "chunks/sync_failures.h"
#include "chunks/sync_turns.h"
#include "test/support.h"

using namespace ibexfs;
using namespace ibexfs::test;

TEST_CASE("a chunk's file name spells its FID and column, below two folders") {
  const ChunkName name{{0x401, 0x2a, 0}, 3};
  const std::string path = chunk_path(name);
  CHECK(path == chunk_folder_path(chunk_folder(name)) + "/401.2a.3");
  CHECK(path.size() == std::string("xx/yy/401.2a.3").size());
  CHECK(chunk_path({{~uint64_t{0}, ~0U, 0}, 65535}).ends_with("/ffffffffffffffff.ffffffff.65535"));
}

TEST_CASE("neighbouring FIDs share a folder, distant ones are spread") {
  std::set<uint16_t> near;
  for (uint32_t object = 2048; object < 4096; object++) near.insert(chunk_folder({{7, object, 0}, 0}));
  CHECK(near.size() == 1);
  std::set<uint16_t> far;
  for (uint64_t sequence = 1; sequence <= 4096; sequence++) far.insert(chunk_folder({{sequence, 1, 0}, 0}));
  CHECK(far.size() > 3800);  // 4,096 throws into 65,536 folders meet about 3,970 different ones
}

namespace {

struct Requested {
  wire::FrameHeader header;
  wire::ChunkRequest request;
  CheckedRequest check() const {
    return check_chunk_request(header, {reinterpret_cast<const uint8_t*>(&request), sizeof(request)});
  }
};

Requested valid(wire::ChunkOperation operation, uint32_t length) {
  Requested made;
  made.header.type = static_cast<uint8_t>(wire::FrameType::kChunkRequest);
  made.header.operation = static_cast<uint16_t>(operation);
  made.header.data_length = operation == wire::ChunkOperation::kWrite ? length : 0;
  made.request.target = 5;
  made.request.column = 2;
  made.request.fid_sequence = 9;
  made.request.fid_object = 8;
  made.request.offset = 4096;
  made.request.length = length;
  return made;
}

}  // namespace

TEST_CASE("a well-formed chunk request passes with its fields") {
  const CheckedRequest checked = valid(wire::ChunkOperation::kWrite, 100).check();
  CHECK(checked.verdict == StatusCode::kOk);
  CHECK(checked.operation == wire::ChunkOperation::kWrite);
  CHECK(checked.target == 5);
  CHECK(checked.name == ChunkName{{9, 8, 0}, 2});
  CHECK(checked.offset == 4096);
  CHECK(checked.length == 100);
  CHECK(valid(wire::ChunkOperation::kRead, wire::kChunkDataBytesMax).check().verdict == StatusCode::kOk);
  CHECK(valid(wire::ChunkOperation::kRemove, 0).check().verdict == StatusCode::kOk);
}

TEST_CASE("each malformed field of a chunk request is refused") {
  const auto verdict = [](wire::ChunkOperation operation, uint32_t length, auto damage) {
    Requested made = valid(operation, length);
    damage(made);
    return made.check().verdict;
  };
  using Op = wire::ChunkOperation;
  const StatusCode bad = StatusCode::kBadRequest;
  CHECK(verdict(Op::kWrite, 10, [](Requested& r) { r.header.data_length = 9; }) == bad);
  CHECK(verdict(Op::kWrite, wire::kChunkDataBytesMax + 1, [](Requested&) {}) == bad);
  CHECK(verdict(Op::kRead, wire::kChunkDataBytesMax + 1, [](Requested&) {}) == bad);
  CHECK(verdict(Op::kRead, 10, [](Requested& r) { r.header.data_length = 10; }) == bad);
  CHECK(verdict(Op::kSync, 1, [](Requested&) {}) == bad);
  CHECK(verdict(Op::kTruncate, 0, [](Requested& r) { r.header.data_length = 1; }) == bad);
  CHECK(verdict(Op::kRead, 10, [](Requested& r) { r.request.column = 65536; }) == bad);
  CHECK(verdict(Op::kRead, 10, [](Requested& r) { r.request.offset = kChunkBytesMax - 10; }) == bad);
  CHECK(verdict(Op::kRead, 10, [](Requested& r) { r.request.offset = kChunkBytesMax - 11; }) == StatusCode::kOk);
  CHECK(verdict(Op::kRead, 10, [](Requested& r) { r.request.offset = ~uint64_t{0} - 5; }) == bad);
  CHECK(verdict(Op::kTruncate, 0, [](Requested& r) { r.request.offset = kChunkBytesMax; }) == bad);
  CHECK(verdict(Op::kRead, 10, [](Requested& r) { r.request.sync_stamp = 1; }) == bad);
  CHECK(verdict(Op::kSync, 0, [](Requested& r) { r.request.sync_stamp = 1; }) == StatusCode::kOk);
  CHECK(verdict(Op::kRead, 10, [](Requested& r) { r.request.flags = 1; }) == bad);
  CHECK(verdict(Op::kRead, 10, [](Requested& r) { r.request.fid_version = 1; }) == bad);
  CHECK(verdict(Op::kRead, 10, [](Requested& r) { r.request.group_epoch = 1; }) == bad);
  CHECK(verdict(Op::kRead, 10, [](Requested& r) { r.request.remote_address = 1; }) == bad);
  CHECK(verdict(Op::kRead, 10, [](Requested& r) { r.request.remote_key = 1; }) == bad);
  CHECK(verdict(Op::kRead, 10, [](Requested& r) { r.header.operation = 7; }) == StatusCode::kUnknownOperation);
  CHECK(verdict(Op::kRead, 10, [](Requested& r) { r.header.operation = 0; }) == StatusCode::kUnknownOperation);
  const Requested short_body = valid(Op::kRead, 10);
  CHECK(check_chunk_request(short_body.header, {reinterpret_cast<const uint8_t*>(&short_body.request), 63}).verdict == bad);
}

TEST_CASE("a disk's errno becomes a status that clients know") {
  CHECK(status_of_errno(ENOSPC) == StatusCode::kNoSpace);
  CHECK(status_of_errno(EDQUOT) == StatusCode::kNoSpace);
  CHECK(status_of_errno(EFBIG) == StatusCode::kFileTooBig);
  CHECK(status_of_errno(EROFS) == StatusCode::kReadOnly);
  CHECK(status_of_errno(EMFILE) == StatusCode::kOverloaded);
  CHECK(status_of_errno(EUCLEAN) == StatusCode::kIoError);
}

TEST_CASE("the gate lets apart what does not touch, and orders what does") {
  using Mode = ChunkGate::Mode;
  ChunkGate gate;
  ChunkGate::Ticket first{0, 100, Mode::kCached, nullptr};
  ChunkGate::Ticket beside{100, 200, Mode::kCached, nullptr};
  ChunkGate::Ticket across{50, 150, Mode::kCached, nullptr};
  ChunkGate::Ticket late{300, 400, Mode::kCached, nullptr};
  CHECK(gate.enter(&first));
  CHECK(gate.enter(&beside));
  CHECK_FALSE(gate.enter(&across));
  CHECK_FALSE(gate.enter(&late));  // would fit, but nobody overtakes one that waits
  CHECK(gate.leave(&first) == nullptr);
  CHECK(gate.leave(&beside) == &across);
  CHECK(across.next == &late);
  CHECK(gate.leave(&across) == nullptr);
  CHECK(gate.leave(&late) == nullptr);
  CHECK(gate.idle());
}

TEST_CASE("the gate keeps truncation alone, and direct writes apart from cached ones") {
  using Mode = ChunkGate::Mode;
  ChunkGate gate;
  ChunkGate::Ticket direct{0, 4096, Mode::kDirect, nullptr};
  ChunkGate::Ticket other_direct{4096, 8192, Mode::kDirect, nullptr};
  ChunkGate::Ticket cached{8192, 8193, Mode::kCached, nullptr};
  ChunkGate::Ticket cut{0, 0, Mode::kExclusive, nullptr};
  ChunkGate::Ticket after{9000, 9001, Mode::kCached, nullptr};
  CHECK(gate.enter(&direct));
  CHECK(gate.enter(&other_direct));
  CHECK_FALSE(gate.enter(&cached));
  CHECK_FALSE(gate.enter(&cut));
  CHECK_FALSE(gate.enter(&after));
  CHECK(gate.leave(&other_direct) == nullptr);
  CHECK(gate.leave(&direct) == &cached);
  CHECK(gate.leave(&cached) == &cut);
  CHECK(cut.next == nullptr);
  CHECK(gate.leave(&cut) == &after);
  CHECK(gate.leave(&after) == nullptr);
}

TEST_CASE("syncs that come while one runs share the next, and those that come then the one after") {
  SyncTurns turns;
  SyncTurns::Ticket first;
  SyncTurns::Ticket second;
  SyncTurns::Ticket third;
  SyncTurns::Ticket later;
  CHECK(turns.enter(&first));
  CHECK(first.next == nullptr);
  CHECK_FALSE(turns.enter(&second));
  CHECK_FALSE(turns.enter(&third));
  CHECK(turns.leave() == &second);
  CHECK(second.next == &third);
  CHECK(third.next == nullptr);
  CHECK_FALSE(turns.enter(&later));
  CHECK(turns.leave() == &later);
  CHECK(later.next == nullptr);
  CHECK(turns.leave() == nullptr);
  CHECK(turns.enter(&first));
}

TEST_CASE("a range that is read again within seconds is no first read") {
  ChunkFile file(nullptr, {});
  const auto start = std::chrono::steady_clock::now();
  constexpr uint64_t kMiB = 1U << 20;
  // Out of order is first all the same.
  CHECK(file.is_first_read(kMiB, kMiB, start));
  CHECK(file.is_first_read(0, kMiB, start));
  CHECK(file.is_first_read(8 * kMiB, kMiB / 4, start));
  CHECK(file.is_first_read(8 * kMiB + kMiB / 4, kMiB / 4, start));
  CHECK_FALSE(file.is_first_read(kMiB, kMiB, start + std::chrono::seconds(9)));
  CHECK(file.is_first_read(kMiB, kMiB, start + std::chrono::seconds(30)));
}

TEST_CASE("read-ahead follows a sequential reader in half windows and leaves others alone") {
  constexpr uint64_t kWindow = 4U << 20;
  constexpr uint64_t kStep = 1U << 20;
  ChunkFile sequential(nullptr, {});
  uint64_t ahead_end = 0;
  uint32_t calls = 0;
  for (uint64_t offset = 0; offset < 64 * kStep; offset += kStep) {
    const ReadAhead ahead = sequential.note_read(offset, kStep, kWindow);
    if (ahead.length > 0) {
      calls++;
      CHECK(ahead.offset == std::max(ahead_end, offset + kStep));
      ahead_end = ahead.offset + ahead.length;
    }
    CHECK(ahead_end >= offset + kStep + kWindow / 2);
  }
  CHECK(calls <= 32);

  ChunkFile random(nullptr, {});
  uint32_t useless = 0;
  for (uint64_t i = 0; i < 100; i++)
    useless += random.note_read(((i * 37) % 100) * (64U << 20), 4096, kWindow).length > 0 ? 1 : 0;
  CHECK(useless == 0);
  CHECK(ChunkFile(nullptr, {}).note_read(0, kStep, 0).length == 0);
}

TEST_CASE("a failed sync is told once to everybody whose writes are older, and to nobody else") {
  SyncFailures failures;
  const ChunkName chunk{{1, 2, 0}, 0};
  const ChunkName other{{1, 2, 0}, 1};
  const uint64_t one = failures.stamp();
  const uint64_t two = failures.stamp();
  CHECK(one != 0);
  CHECK_FALSE(failures.judge(chunk, one, false).failed);
  const auto told = failures.judge(chunk, one, true);
  CHECK(told.failed);
  CHECK_FALSE(failures.judge(chunk, told.stamp, false).failed);        // the next sync of who was told
  CHECK_FALSE(failures.judge(chunk, 0, false).failed);                 // who has written nothing
  CHECK_FALSE(failures.judge(other, two, false).failed);               // another chunk
  CHECK_FALSE(failures.judge(chunk, failures.stamp(), false).failed);  // who began to write later
  const auto late = failures.judge(chunk, two, false);
  CHECK(late.failed);
  CHECK_FALSE(failures.judge(chunk, late.stamp, false).failed);
  CHECK(failures.judge(chunk, 0, true).failed);
  CHECK(failures.judge(chunk, late.stamp, false).failed);

  const uint64_t before = failures.stamp();
  failures.all_failed();
  CHECK(failures.judge(other, before, false).failed);
  CHECK(failures.size() == 0);
}

TEST_CASE("failed syncs are kept in bounded memory, and forgotten on the safe side") {
  SyncFailures failures(8);
  const uint64_t before = failures.stamp();
  for (uint32_t object = 1; object <= 100; object++) failures.judge({{1, object, 0}, 0}, 0, true);
  CHECK(failures.size() == 8);
  for (uint32_t object = 1; object <= 101; object++) CHECK(failures.judge({{1, object, 0}, 0}, before, false).failed);
  CHECK_FALSE(failures.judge({{1, 1, 0}, 0}, failures.stamp(), false).failed);

  SyncFailures restarted;
  CHECK_FALSE(restarted.judge({{1, 1, 0}, 0}, before, false).failed);
  restarted.judge({{1, 1, 0}, 0}, 0, true);
  CHECK(restarted.judge({{1, 1, 0}, 0}, failures.stamp(), false).failed);
}
