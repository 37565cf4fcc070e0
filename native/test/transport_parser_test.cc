// Frame headers and the incremental parser, without sockets.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "base/crc32c.h"
#include "test/support.h"
#include "transport/frame.h"
#include "transport/frame_parser.h"

using namespace ibexfs;
using namespace ibexfs::test;
using wire::FrameHeader;
using wire::FrameType;

namespace {

struct Frame {
  FrameHeader header;
  std::vector<uint8_t> body;
  std::vector<uint8_t> data;
};

Frame make_frame(FrameType type, size_t body_bytes, size_t data_bytes, uint64_t request) {
  Frame frame;
  frame.header.type = static_cast<uint8_t>(type);
  frame.header.request_id = request;
  frame.body.resize(body_bytes);
  frame.data.resize(data_bytes);
  fill_pattern(frame.body, request);
  fill_pattern(frame.data, request + 1);
  seal_header(frame.header, body_bytes, data_bytes);
  return frame;
}

void append(std::vector<uint8_t>& stream, const Frame& frame) {
  const auto* header = reinterpret_cast<const uint8_t*>(&frame.header);
  stream.insert(stream.end(), header, header + sizeof(frame.header));
  stream.insert(stream.end(), frame.body.begin(), frame.body.end());
  stream.insert(stream.end(), frame.data.begin(), frame.data.end());
}

std::vector<Frame> sample_frames() {
  std::vector<Frame> frames;
  frames.push_back(make_frame(FrameType::kHello, 100, 0, 1));
  frames.push_back(make_frame(FrameType::kRpcRequest, 0, 0, 2));
  frames.push_back(make_frame(FrameType::kRpcResponse, 333, 0, 3));
  frames.push_back(make_frame(FrameType::kChunkRequest, 64, 4096, 4));
  frames.push_back(make_frame(FrameType::kChunkResponse, 32, 1, 5));
  frames.push_back(make_frame(FrameType::kChunkResponse, 32, 0, 6));
  frames.push_back(make_frame(FrameType::kRpcNotify, FrameParser::kStagingBytes, 0, 7));
  frames.push_back(make_frame(FrameType::kRpcNotify, FrameParser::kStagingBytes + 1, 0, 8));
  frames.push_back(make_frame(FrameType::kChunkRequest, 64, 70000, 9));
  frames.push_back(make_frame(FrameType::kRpcRequest, 5, 0, 10));
  return frames;
}

// Feeds a stream in pieces, as a socket would: never more than the parser has room for.
class Feeder {
 public:
  explicit Feeder(FrameParser& parser) : parser_(parser) {}

  // Every step is taken twice where that must change nothing. `discard`: which frames' data to drop.
  bool feed(Bytes piece, const std::function<bool(const FrameHeader&)>& discard = {}) {
    for (;;) {
      const FrameParser::Step step = parser_.next();
      REQUIRE(parser_.next() == step);
      switch (step) {
        case FrameParser::Step::kNeedBytes: {
          if (piece.empty()) return true;
          const auto into = parser_.destinations();
          size_t taken = 0;
          for (int i = 0; i < into.count; ++i) {
            const iovec& part = into.parts[static_cast<size_t>(i)];
            const size_t bytes = std::min(part.iov_len, piece.size());
            if (bytes > 0) std::memcpy(part.iov_base, piece.data(), bytes);
            piece = piece.subspan(bytes);
            taken += bytes;
          }
          REQUIRE(taken > 0);
          parser_.received(taken);
          break;
        }
        case FrameParser::Step::kPlanData:
          data_.assign(parser_.header().data_length, 0);
          if (discard && discard(parser_.header())) {
            data_.clear();
            parser_.discard_data();
          } else {
            parser_.receive_data_into(data_.data());
          }
          break;
        case FrameParser::Step::kFrame:
          got.push_back({parser_.header(), {parser_.body().begin(), parser_.body().end()}, std::move(data_)});
          data_.clear();
          parser_.finish_frame();
          parser_.rest();
          break;
        case FrameParser::Step::kTooEarly:
          return false;
        case FrameParser::Step::kBad:
          return false;
      }
    }
  }

  std::vector<Frame> got;

 private:
  FrameParser& parser_;
  std::vector<uint8_t> data_;
};

void check_same(const std::vector<Frame>& got, const std::vector<Frame>& sent) {
  REQUIRE(got.size() == sent.size());
  for (size_t i = 0; i < got.size(); ++i) {
    REQUIRE(std::memcmp(&got[i].header, &sent[i].header, sizeof(FrameHeader)) == 0);
    REQUIRE(got[i].body == sent[i].body);
    REQUIRE(got[i].data == sent[i].data);
  }
}

// The hex of a struct in the vectors that the TypeScript tests read too.
std::vector<uint8_t> golden(const std::string& name) {
  std::ifstream file(IBEXFS_SOURCE_DIR "/test/wire/vectors.json");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const size_t at = text.find("\"hex\"", text.find("\"struct\": \"" + name + "\""));
  REQUIRE(at != std::string::npos);
  const size_t begin = text.find('"', text.find(':', at)) + 1;
  const std::string hex = text.substr(begin, text.find('"', begin) - begin);
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes.push_back(static_cast<uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

template <typename Struct>
std::vector<uint8_t> bytes_of(const Struct& value) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  return {bytes, bytes + sizeof(value)};
}

}  // namespace

TEST_CASE("structs of the wire have the bytes of the golden vectors") {
  FrameHeader header;
  header.magic = wire::kProtocolMagic;
  header.version = 1;
  header.type = 32;
  header.operation = 2;
  header.request_id = 301417386825319;
  header.map_version = 42;
  header.body_length = 64;
  header.data_length = 1048576;
  header.channel = 7;
  header.sequence = 9007199254740991;
  header.header_crc = 0xdeadbeef;
  CHECK(bytes_of(header) == golden("FrameHeader"));
  wire::ChunkRequest request;
  request.target = 3;
  request.column = 1;
  request.fid_sequence = 1025;
  request.fid_object = 42;
  request.offset = 4503599627370496;
  request.length = 1048576;
  CHECK(bytes_of(request) == golden("ChunkRequest"));
  wire::ChunkResponse response;
  response.bytes = 4096;
  response.chunk_size = 123456789012;
  response.chunk_blocks = 241126542;
  CHECK(bytes_of(response) == golden("ChunkResponse"));
  wire::RdmaRequest rdma;
  rdma.tag = 1;
  rdma.index = 2;
  rdma.queue_pair = 65539;
  rdma.operation = 3;
  rdma.flags = 3;
  rdma.arena = 1048580;
  rdma.remote_key = 0xdeadbeef;
  rdma.offset = 4503599627370496;
  rdma.length = 1048576;
  rdma.immediate = 0xfeedbeef;
  rdma.remote_address = 140737488351232;
  rdma.compare_or_add = 9007199254740991;
  rdma.swap = 42;
  CHECK(bytes_of(rdma) == golden("RdmaRequest"));
  wire::RdmaCompletion completion;
  completion.tag = UINT32_MAX;
  completion.index = 7;
  completion.queue_pair = 65539;
  completion.operation = 7;
  completion.status = 10;
  completion.flags = 3;
  completion.bytes = 4096;
  completion.immediate = 0xdeadbeef;
  completion.vendor_error = 135;
  completion.count = 1;
  CHECK(bytes_of(completion) == golden("RdmaCompletion"));
  wire::MessagePrefix prefix;
  prefix.length = 4224;
  prefix.credits = 17;
  prefix.flags = static_cast<uint16_t>(wire::MessageFlag::kProbe);
  CHECK(bytes_of(prefix) == golden("MessagePrefix"));
  wire::QueuePairOffer offer;
  offer.queue_pair_number = 0x123456;
  offer.packet_sequence_number = 0xabcdef;
  offer.gid_low = 1099511627776;
  offer.mtu_bytes = 4096;
  offer.lid = 7;
  offer.link_layer = 2;
  offer.route_header_required = 1;
  offer.responder_depth = 16;
  offer.initiator_depth = 15;
  offer.messages = 32;
  offer.message_bytes = wire::kMessageBytesMax;
  CHECK(bytes_of(offer) == golden("QueuePairOffer"));
}

TEST_CASE("a sealed header passes, and its CRC covers the 60 bytes before it") {
  FrameHeader header = make_frame(FrameType::kRpcRequest, 10, 0, 1).header;
  CHECK(check_header(header).ok());
  const std::vector<uint8_t> bytes = bytes_of(header);
  CHECK(crc32c(0, Bytes(bytes).first(60)) == uint32_t{header.header_crc});
  // Any single bit that flips is noticed.
  for (size_t bit = 0; bit < sizeof(header) * 8; ++bit) {
    FrameHeader damaged = header;
    reinterpret_cast<uint8_t*>(&damaged)[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
    REQUIRE_FALSE(check_header(damaged).ok());
  }
}

TEST_CASE("each wrong header is refused with the check that failed") {
  struct Wrong {
    const char* name;
    std::function<void(FrameHeader&)> change;
    const char* says;
  };
  const FrameType request = FrameType::kChunkRequest;
  const std::vector<std::pair<FrameType, Wrong>> all = {
      {request, {"magic", [](FrameHeader& h) { h.magic = 0x47455420; }, "magic"}},
      {request, {"version 0", [](FrameHeader& h) { h.version = 0; }, "protocol version 0"}},
      {request, {"newer version", [](FrameHeader& h) { h.version = 200; }, "protocol version 200"}},
      {request, {"type 0", [](FrameHeader& h) { h.type = 0; }, "unknown type 0"}},
      {request, {"unknown type", [](FrameHeader& h) { h.type = 99; }, "unknown type 99"}},
      {request, {"short request", [](FrameHeader& h) { h.body_length = 63; }, "body of 63 bytes in chunkRequest"}},
      {request, {"long request", [](FrameHeader& h) { h.body_length = 65; }, "body of 65 bytes in chunkRequest"}},
      {request, {"data", [](FrameHeader& h) { h.data_length = (4U << 20) + 1; }, "data of 4194305 bytes"}},
      {request, {"reserved", [](FrameHeader& h) { h.reserved = 1; }, "reserved"}},
      {FrameType::kChunkResponse, {"response", [](FrameHeader& h) { h.body_length = 64; }, "body of 64 bytes in chunkResponse"}},
      {FrameType::kRpcRequest, {"rpc body", [](FrameHeader& h) { h.body_length = (1U << 20) + 1; }, "body of 1048577 bytes"}},
      {FrameType::kRpcRequest, {"rpc data", [](FrameHeader& h) { h.data_length = 1; }, "data of 1 bytes in rpcRequest"}},
      {FrameType::kHello, {"hello body", [](FrameHeader& h) { h.body_length = 1025; }, "body of 1025 bytes in hello"}},
      {FrameType::kProof, {"proof data", [](FrameHeader& h) { h.data_length = 5; }, "data of 5 bytes in proof"}},
      {FrameType::kHello, {"length", [](FrameHeader& h) { h.body_length = UINT32_MAX; }, "body of 4294967295 bytes"}},
  };
  for (const auto& [type, wrong] : all) {
    CAPTURE(wrong.name);
    FrameHeader header = make_frame(type, bounds_of(static_cast<uint8_t>(type)).body_bytes_min, 0, 1).header;
    REQUIRE(check_header(header).ok());
    wrong.change(header);
    header.header_crc = crc32c(0, {reinterpret_cast<const uint8_t*>(&header), 60});
    const Status status = check_header(header);
    CHECK(status.code() == StatusCode::kBadFrame);
    CHECK(status.message().find(wrong.says) != std::string::npos);
    FrameParser parser;
    parser.accept_all_types();
    Feeder feeder(parser);
    CHECK_FALSE(feeder.feed(bytes_of(header)));
    CHECK(parser.next() == FrameParser::Step::kBad);
  }
}

TEST_CASE("frames come out the same wherever the stream is cut in two") {
  const std::vector<Frame> frames = sample_frames();
  std::vector<uint8_t> stream;
  for (const Frame& frame : frames) append(stream, frame);
  // Every boundary up to the large frames, then every 97th.
  for (size_t cut = 0; cut <= stream.size(); cut += cut < 6000 ? 1 : 97) {
    CAPTURE(cut);
    FrameParser parser;
    parser.accept_all_types();
    Feeder feeder(parser);
    REQUIRE(feeder.feed(Bytes(stream).first(cut)));
    REQUIRE(feeder.feed(Bytes(stream).subspan(cut)));
    check_same(feeder.got, frames);
    REQUIRE(parser.at_boundary());
  }
}

TEST_CASE("frames come out the same byte by byte, in random pieces, and with data dropped") {
  std::mt19937_64 random(random_seed("parser pieces"));
  const std::vector<Frame> frames = sample_frames();
  std::vector<uint8_t> stream;
  for (const Frame& frame : frames) append(stream, frame);
  for (int round = 0; round < 60; ++round) {
    const size_t piece_max = round == 0 ? 1 : size_t{1} << (round % 18);
    const bool drop = round % 3 == 2;
    FrameParser parser;
    parser.accept_all_types();
    Feeder feeder(parser);
    for (size_t at = 0; at < stream.size();) {
      const size_t piece = std::min(stream.size() - at, 1 + random() % piece_max);
      REQUIRE(feeder.feed(Bytes(stream).subspan(at, piece), [&](const FrameHeader&) { return drop; }));
      at += piece;
    }
    std::vector<Frame> expected = frames;
    if (drop) {
      for (Frame& frame : expected) frame.data.clear();
    }
    check_same(feeder.got, expected);
  }
}

TEST_CASE("before authentication only handshake frames pass, and what came early is kept") {
  std::vector<uint8_t> stream;
  const Frame hello = make_frame(FrameType::kHello, 64, 0, 1);
  const Frame request = make_frame(FrameType::kRpcRequest, 100, 0, 2);
  append(stream, hello);
  append(stream, request);
  FrameParser parser;
  Feeder feeder(parser);
  CHECK_FALSE(feeder.feed(stream));
  CHECK(parser.next() == FrameParser::Step::kTooEarly);
  CHECK(feeder.got.size() == 1);
  parser.accept_all_types();
  CHECK(feeder.feed({}));
  check_same(feeder.got, {hello, request});
}
