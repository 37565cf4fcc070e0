// Where the bytes of a file live: pure arithmetic between offsets in a file and offsets in its chunk
// files. Stripe unit u = offset / stripe_bytes lies in column u % columns, and there behind the
// u / columns units of that column which come before it. No I/O and no state here.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/wire.h"

namespace ibexfs {

// Column c of a file is kept on targets[c]; one target may hold several columns.
struct StripeLayout {
  uint32_t stripe_bytes = 0;
  std::vector<uint32_t> targets;

  bool valid() const { return stripe_bytes > 0 && !targets.empty(); }
  uint32_t columns() const { return static_cast<uint32_t>(targets.size()); }
};

// A part of a file range that is contiguous in one chunk file.
struct StripePiece {
  uint32_t column = 0;
  uint32_t target = 0;
  uint64_t chunk_offset = 0;
  uint32_t length = 0;
  uint64_t range_offset = 0;  // where the piece starts, counted from the start of the range

  bool operator==(const StripePiece&) const = default;
};

// Most bytes that one piece carries: what one chunk request may move.
inline constexpr uint32_t kPieceBytesMax = wire::kChunkDataBytesMax;

// The piece that starts at `offset` and is no longer than `length` (which is not 0); range_offset is left 0.
// Units of a file with one column are neighbours in its only chunk file, so a piece may span them.
inline StripePiece piece_at(const StripeLayout& layout, uint64_t offset, uint64_t length) {
  const uint64_t stripe = layout.stripe_bytes;
  const uint64_t unit = offset / stripe;
  const uint64_t within = offset % stripe;
  StripePiece piece;
  piece.column = static_cast<uint32_t>(unit % layout.columns());
  piece.target = layout.targets[piece.column];
  piece.chunk_offset = unit / layout.columns() * stripe + within;
  const uint64_t room = layout.columns() == 1 ? length : stripe - within;
  piece.length = static_cast<uint32_t>(std::min({length, room, uint64_t{kPieceBytesMax}}));
  return piece;
}

// Calls visit(StripePiece) for each piece of [offset, offset + length), in the order of the file.
template <typename Visit>
void for_each_piece(const StripeLayout& layout, uint64_t offset, uint64_t length, Visit&& visit) {
  for (uint64_t done = 0; done < length;) {
    StripePiece piece = piece_at(layout, offset + done, length - done);
    piece.range_offset = done;
    visit(static_cast<const StripePiece&>(piece));
    done += piece.length;
  }
}

inline uint32_t count_pieces(const StripeLayout& layout, uint64_t offset, uint64_t length) {
  uint32_t count = 0;
  for_each_piece(layout, offset, length, [&](const StripePiece&) { ++count; });
  return count;
}

// Length of the chunk file of `column` when the file has file_bytes bytes: where truncation cuts it.
inline uint64_t chunk_bytes(const StripeLayout& layout, uint32_t column, uint64_t file_bytes) {
  const uint64_t stripe = layout.stripe_bytes;
  const uint64_t row_bytes = stripe * layout.columns();
  const uint64_t full_rows = file_bytes / row_bytes;
  const uint64_t tail = file_bytes % row_bytes;
  const uint64_t before = stripe * column;  // bytes of the last row in columns before this one
  const uint64_t own = tail <= before ? 0 : std::min(tail - before, stripe);
  return full_rows * stripe + own;
}

}  // namespace ibexfs
