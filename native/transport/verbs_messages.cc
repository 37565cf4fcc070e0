#include "transport/verbs_messages.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "transport/frame.h"

namespace ibexfs {

namespace {

// What of a frame is in the stream.
size_t stream_bytes_of(const OutgoingFrame& frame) {
  return sizeof(frame.header) + frame.header.body_length + (has_remote_data(frame.header) ? 0 : frame.header.data_length);
}

size_t bytes_of(const OutgoingFrame& frame) {
  return sizeof(frame.header) + frame.header.body_length + frame.header.data_length;
}

bool is_written(const OutgoingFrame& frame) {
  return frame.header.type == static_cast<uint8_t>(wire::FrameType::kChunkResponse) && has_remote_data(frame.header);
}

// Copies what of `bytes` comes after `skip`, and takes from `skip` what is before.
void copy(Bytes bytes, size_t& skip, uint8_t* into, size_t room, size_t& copied) {
  const size_t skipped = std::min(skip, bytes.size());
  skip -= skipped;
  const size_t count = std::min(bytes.size() - skipped, room - copied);
  if (count == 0) return;
  std::memcpy(into + copied, bytes.data() + skipped, count);
  copied += count;
}

}  // namespace

void MessageQueue::push(OutgoingFrame frame) {
  bytes_ += bytes_of(frame);
  frames_.push_back(std::move(frame));
}

const OutgoingFrame* MessageQueue::write_first() const {
  return !frames_.empty() && front_sent_ == 0 && is_written(frames_.front()) ? &frames_.front() : nullptr;
}

size_t MessageQueue::fill(uint8_t* into, size_t room, std::vector<OutgoingFrame>& done) {
  size_t copied = 0;
  bool first = true;
  while (!frames_.empty() && copied < room) {
    OutgoingFrame& frame = frames_.front();
    if (!first && front_sent_ == 0 && is_written(frame)) break;
    first = false;
    const size_t before = copied;
    size_t skip = front_sent_;
    copy({reinterpret_cast<const uint8_t*>(&frame.header), sizeof(frame.header)}, skip, into, room, copied);
    copy(frame.body.bytes(), skip, into, room, copied);
    if (!has_remote_data(frame.header)) copy(frame.data, skip, into, room, copied);
    front_sent_ += copied - before;
    if (front_sent_ < stream_bytes_of(frame)) break;
    bytes_ -= bytes_of(frame);
    front_sent_ = 0;
    done.push_back(std::move(frame));
    frames_.pop_front();
  }
  return copied;
}

void MessageQueue::take_all(std::vector<OutgoingFrame>& done) {
  for (OutgoingFrame& frame : frames_) done.push_back(std::move(frame));
  frames_.clear();
  front_sent_ = 0;
  bytes_ = 0;
}

}  // namespace ibexfs
