// Fuzz target: any bytes, in any pieces, must leave the frame parser inside its own memory and its limits.
// The first byte says how the rest is cut and what is done with data parts.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/crc32c.h"
#include "test/fuzz_driver.h"
#include "transport/frame.h"
#include "transport/frame_parser.h"

using namespace ibexfs;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// Uses every byte that the parser hands out, so that sanitizers see a wrong range.
uint32_t touch(Bytes bytes) {
  uint32_t sum = 0;
  for (const uint8_t byte : bytes) sum += byte;
  return sum;
}

// A field that is wrong under a CRC that is right, which mutations of bytes hardly ever give.
void spoil_header(wire::FrameHeader& header, std::mt19937_64& random) {
  const auto wild = static_cast<uint32_t>(random() >> (random() % 32 + 32));
  switch (random() % 5) {
    case 0:
      header.version = static_cast<uint8_t>(wild);
      break;
    case 1:
      header.type = static_cast<uint8_t>(wild);
      break;
    case 2:
      header.body_length = wild;
      break;
    case 3:
      header.data_length = wild;
      break;
    default:
      header.reserved = wild;
      break;
  }
  header.header_crc = crc32c(0, {reinterpret_cast<const uint8_t*>(&header), offsetof(wire::FrameHeader, header_crc)});
}

void append_frame(std::vector<uint8_t>& stream, std::mt19937_64& random) {
  constexpr uint8_t kTypes[] = {1, 2, 3, 4, 5, 16, 17, 18, 32, 33};
  wire::FrameHeader header;
  header.type = kTypes[random() % std::size(kTypes)];
  header.operation = static_cast<uint16_t>(random());
  header.request_id = random();
  const FrameBounds bounds = bounds_of(header.type);
  const uint32_t body_bytes =
      bounds.body_bytes_min + static_cast<uint32_t>(random() % (bounds.body_bytes_max - bounds.body_bytes_min + 1));
  const size_t body = random() % 8 == 0 ? body_bytes : std::max<size_t>(bounds.body_bytes_min, body_bytes % 300);
  const size_t data = bounds.data_bytes_max == 0 ? 0 : random() % (random() % 8 == 0 ? 40000 : 600);
  seal_header(header, body, data);
  if (random() % 12 == 0) spoil_header(header, random);
  const auto* bytes = reinterpret_cast<const uint8_t*>(&header);
  stream.insert(stream.end(), bytes, bytes + sizeof(header));
  stream.insert(stream.end(), body + data, static_cast<uint8_t>(random()));
}

}  // namespace

std::vector<uint8_t> fuzz_seed_input(std::mt19937_64& random) {
  std::vector<uint8_t> stream{static_cast<uint8_t>(random())};
  const size_t frames = 1 + random() % 6;
  for (size_t i = 0; i < frames; ++i) append_frame(stream, random);
  return stream;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size == 0) return 0;
  const uint8_t mode = input[0];
  Bytes stream(input + 1, size - 1);
  const size_t piece_max = (mode & 7) == 0 ? SIZE_MAX : size_t{1} << (2 * (mode & 7));
  FrameParser parser;
  if ((mode & 8) != 0) parser.accept_all_types();
  std::vector<uint8_t> data;
  uint32_t sum = 0;
  for (;;) {
    switch (parser.next()) {
      case FrameParser::Step::kNeedBytes: {
        if (stream.empty()) return static_cast<int>(sum & 0);
        const auto into = parser.destinations();
        require(into.count > 0 && into.bytes > 0);
        size_t left = std::min(piece_max, stream.size());
        size_t taken = 0;
        for (int i = 0; i < into.count && left > 0; ++i) {
          const iovec& part = into.parts[static_cast<size_t>(i)];
          const size_t bytes = std::min(part.iov_len, left);
          std::memcpy(part.iov_base, stream.data(), bytes);
          stream = stream.subspan(bytes);
          left -= bytes;
          taken += bytes;
        }
        parser.received(taken);
        break;
      }
      case FrameParser::Step::kPlanData:
        require(parser.header().data_length <= wire::kChunkDataBytesMax);
        sum += touch(parser.body());
        if ((mode & 16) != 0) {
          parser.discard_data();
        } else {
          data.assign(parser.header().data_length, 0);
          parser.receive_data_into(data.data());
        }
        break;
      case FrameParser::Step::kFrame:
        require(parser.body().size() == parser.header().body_length);
        require(check_header(parser.header()).ok());
        sum += touch(parser.body()) + touch(data);
        parser.finish_frame();
        if ((mode & 32) != 0) parser.rest();
        break;
      case FrameParser::Step::kTooEarly:
        require((mode & 8) == 0);
        return 0;
      case FrameParser::Step::kBad:
        require(!parser.error().ok());
        return 0;
    }
  }
}
