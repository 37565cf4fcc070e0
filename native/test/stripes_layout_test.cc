// Where bytes of a file live: against a model that places them one by one, and at the edges.
#include <doctest/doctest.h>

#include <map>
#include <random>
#include <utility>
#include <vector>

#include "stripes/layout.h"
#include "test/support.h"

namespace ibexfs::test {

namespace {

StripeLayout layout_of(uint32_t stripe_bytes, uint32_t columns) {
  StripeLayout layout;
  layout.stripe_bytes = stripe_bytes;
  for (uint32_t column = 0; column < columns; ++column) layout.targets.push_back(100 + column);
  return layout;
}

// The definition, byte by byte.
std::pair<uint32_t, uint64_t> place_of(const StripeLayout& layout, uint64_t offset) {
  const uint64_t unit = offset / layout.stripe_bytes;
  return {static_cast<uint32_t>(unit % layout.columns()),
          unit / layout.columns() * layout.stripe_bytes + offset % layout.stripe_bytes};
}

}  // namespace

TEST_CASE("layout: every byte of every small range is where the definition puts it") {
  for (uint32_t stripe = 1; stripe <= 5; ++stripe) {
    for (uint32_t columns = 1; columns <= 4; ++columns) {
      const StripeLayout layout = layout_of(stripe, columns);
      for (uint64_t offset = 0; offset < 24; ++offset) {
        for (uint64_t length = 0; length < 24; ++length) {
          uint64_t covered = 0;
          for_each_piece(layout, offset, length, [&](const StripePiece& piece) {
            REQUIRE(piece.range_offset == covered);
            REQUIRE(piece.length > 0);
            REQUIRE(piece.target == layout.targets[piece.column]);
            bool placed = true;
            for (uint32_t i = 0; i < piece.length; ++i) {
              placed = placed && place_of(layout, offset + covered + i) == std::pair{piece.column, piece.chunk_offset + i};
            }
            REQUIRE(placed);
            covered += piece.length;
          });
          REQUIRE(covered == length);
        }
      }
    }
  }
}

TEST_CASE("layout: chunk lengths are what the bytes below the size need") {
  for (uint32_t stripe = 1; stripe <= 5; ++stripe) {
    for (uint32_t columns = 1; columns <= 4; ++columns) {
      const StripeLayout layout = layout_of(stripe, columns);
      std::map<uint32_t, uint64_t> expected;
      for (uint64_t size = 0; size < 60; ++size) {
        uint64_t sum = 0;
        for (uint32_t column = 0; column < columns; ++column) {
          REQUIRE(chunk_bytes(layout, column, size) == expected[column]);
          sum += chunk_bytes(layout, column, size);
        }
        REQUIRE(sum == size);
        const auto [column, at] = place_of(layout, size);
        REQUIRE(at == expected[column]);  // the file grows at the end of a chunk
        expected[column] = at + 1;
      }
    }
  }
}

TEST_CASE("layout: large random ranges stay whole, within limits and within their chunks") {
  std::mt19937_64 random(random_seed("layout"));
  for (int round = 0; round < 2000; ++round) {
    const StripeLayout layout = layout_of(1U << (12 + random() % 12), 1 + static_cast<uint32_t>(random() % 16));
    const uint64_t offset = random() % (uint64_t{1} << (20 + random() % 32));
    const uint64_t length = random() % (64U << 20);
    uint64_t covered = 0;
    uint32_t count = 0;
    bool sound = true;
    for_each_piece(layout, offset, length, [&](const StripePiece& piece) {
      const uint64_t last = offset + covered + piece.length - 1;
      sound = sound && piece.length <= kPieceBytesMax;
      sound = sound && place_of(layout, offset + covered) == std::pair{piece.column, piece.chunk_offset};
      sound = sound && place_of(layout, last) == std::pair{piece.column, piece.chunk_offset + piece.length - 1};
      sound = sound && chunk_bytes(layout, piece.column, last + 1) == piece.chunk_offset + piece.length;
      covered += piece.length;
      ++count;
    });
    REQUIRE(sound);
    REQUIRE(covered == length);
    REQUIRE(count_pieces(layout, offset, length) == count);
  }
}

TEST_CASE("layout: a file with one column is cut only where a request must end") {
  const StripeLayout layout = layout_of(64U << 10, 1);
  CHECK(count_pieces(layout, 12345, 1U << 20) == 1);
  CHECK(count_pieces(layout, 0, kPieceBytesMax) == 1);
  CHECK(count_pieces(layout, 0, uint64_t{kPieceBytesMax} + 1) == 2);
}

}  // namespace ibexfs::test
