// Pipes: from a file to a connection without a copy.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "test/transport_support.h"
#include "transport/pipe_pool.h"

using namespace ibexfs;
using namespace ibexfs::test;

namespace {

class TemporaryFile {
 public:
  explicit TemporaryFile(size_t bytes) {
    char path[] = "/tmp/ibexfs-pipe-test-XXXXXX";
    fd_.reset(mkstemp(path));
    REQUIRE(fd_);
    unlink(path);
    std::vector<uint8_t> content(bytes);
    fill_pattern(content, 0);
    REQUIRE(pwrite(fd_.get(), content.data(), bytes, 0) == static_cast<ssize_t>(bytes));
  }
  int get() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

OutgoingFrame pipe_frame(uint64_t offset, std::shared_ptr<PipeSlice> slice) {
  OutgoingFrame frame;
  frame.header.type = static_cast<uint8_t>(wire::FrameType::kChunkResponse);
  frame.header.request_id = offset;
  frame.body = FrameBody::of(wire::ChunkResponse{});
  frame.pipe = std::move(slice);
  return frame;
}

}  // namespace

TEST_CASE("a pool of pipes is bounded, and pipes are used again") {
  const TemporaryFile file(10000);
  PipePool pool(2);
  auto first = pool.take();
  auto second = pool.take();
  REQUIRE(first);
  REQUIRE(second);
  CHECK_FALSE(pool.take());
  // One is given back full: what is in it must not come out of the next.
  CHECK(first->fill_from_file(file.get(), 0, 10000).take() == 10000);
  first.reset();
  auto again = pool.take();
  REQUIRE(again);
  CHECK(again->bytes() == 0);
  CHECK(again->fill_from_file(file.get(), 8000, 10000).take() == 2000);
  CHECK(again->fill_from_file(file.get(), 20000, 10000).take() == 0);
  CHECK_FALSE(again->fill_from_file(-1, 0, 10).ok());
  again.reset();
  second.reset();
  CHECK(pool.in_use() == 0);
}

TEST_CASE("slices of a file arrive between other frames, every byte in its place") {
  constexpr size_t kFileBytes = (6U << 20) + 12345;
  const TemporaryFile file(kFileBytes);
  PipePool pool(4);
  Loopback net;
  std::atomic<int> wrong{0};
  std::atomic<size_t> bytes{0};
  net.client.frame = [&](const ConnectionPtr&, const wire::FrameHeader& header, Bytes body, std::shared_ptr<void> context) {
    if (header.data_length == 0) {
      if (!has_pattern(body, header.request_id)) ++wrong;
      return true;
    }
    const auto& data = data_of(context);
    for (size_t i = 0; i < data.size(); ++i) {
      if (data[i] != pattern_at(header.request_id + i, 0)) {
        ++wrong;
        break;
      }
    }
    bytes += data.size();
    return true;
  };
  net.listen();
  const auto [client, server] = net.connect_both();
  uint64_t offset = 0;
  int sent = 0;
  while (offset < kFileBytes) {
    std::shared_ptr<PipeSlice> slice;
    REQUIRE(wait_until([&] { return (slice = pool.take()) != nullptr; }));
    const auto filled = slice->fill_from_file(file.get(), offset, sent % 2 == 0 ? 1U << 20 : 70001);
    REQUIRE(filled.ok());
    REQUIRE(filled.value() > 0);
    server->send(pipe_frame(offset, std::move(slice)), sent % 3 == 0 ? Flush::kLater : Flush::kNow);
    server->send(rpc_frame(wire::FrameType::kRpcNotify, offset, 33), Flush::kLater);
    offset += filled.value();
    ++sent;
  }
  CHECK(wait_until([&] { return net.client.frames == 2 * sent; }));
  CHECK(bytes == kFileBytes);
  CHECK(wrong == 0);
  CHECK(wait_until([&] { return pool.in_use() == 0; }));
}

TEST_CASE("a connection that closes with pipes in its queue gives them back, and no signal ends us") {
  const TemporaryFile file(1U << 20);
  PipePool pool(16);
  Loopback net;
  net.listen();
  const auto [client, server] = net.connect_both();
  client->pause();
  for (int i = 0; i < 16; ++i) {
    auto slice = pool.take();
    if (!slice) break;  // the user's share of pipe memory is used up
    REQUIRE(slice->fill_from_file(file.get(), 0, 1U << 20).take() == 1U << 20);
    server->send(pipe_frame(0, std::move(slice)), Flush::kNow);
  }
  client->resume();
  client->close({StatusCode::kCanceled, "gone"});
  CHECK(wait_until([&] { return net.server.closed == 1; }));
  CHECK(wait_until([&] { return pool.in_use() == 0; }));
}
