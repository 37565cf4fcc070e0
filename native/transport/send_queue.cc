// Gathering frames for sendmsg and splice.
#include "transport/send_queue.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "transport/pipe_pool.h"

namespace ibexfs {
namespace {

size_t bytes_of(const OutgoingFrame& frame) {
  return sizeof(frame.header) + frame.header.body_length + frame.header.data_length;
}

// Adds what of `bytes` comes after `skip`, and takes from `skip` what is before.
void add(SendQueue::Batch& batch, Bytes bytes, size_t& skip) {
  const size_t skipped = std::min(skip, bytes.size());
  skip -= skipped;
  bytes = bytes.subspan(skipped);
  if (bytes.empty()) return;
  // sendmsg does not write to what it sends; iovec has no const.
  batch.parts[batch.count++] = {const_cast<uint8_t*>(bytes.data()), bytes.size()};
  batch.bytes += bytes.size();
}

}  // namespace

void SendQueue::push(OutgoingFrame frame) {
  bytes_ += bytes_of(frame);
  frames_.push_back(std::move(frame));
}

void SendQueue::gather(Batch& batch) const {
  batch.count = 0;
  batch.bytes = 0;
  batch.pipe = nullptr;
  batch.pipe_follows = false;
  size_t skip = front_sent_;
  for (const OutgoingFrame& frame : frames_) {
    if (batch.count + 3 > Batch::kPartsMax || batch.bytes >= Batch::kBytesMax) return;
    add(batch, {reinterpret_cast<const uint8_t*>(&frame.header), sizeof(frame.header)}, skip);
    add(batch, frame.body.bytes(), skip);
    if (frame.pipe) {
      if (batch.count > 0) {
        batch.pipe_follows = true;
      } else {
        batch.pipe = frame.pipe.get();
        batch.bytes = frame.header.data_length - skip;
      }
      return;
    }
    add(batch, frame.data, skip);
  }
}

void SendQueue::consume(size_t bytes, std::vector<OutgoingFrame>& done) {
  assert(bytes <= bytes_);
  bytes_ -= bytes;
  front_sent_ += bytes;
  while (!frames_.empty() && front_sent_ >= bytes_of(frames_.front())) {
    front_sent_ -= bytes_of(frames_.front());
    done.push_back(std::move(frames_.front()));
    frames_.pop_front();
  }
}

void SendQueue::take_all(std::vector<OutgoingFrame>& done) {
  for (OutgoingFrame& frame : frames_) done.push_back(std::move(frame));
  frames_.clear();
  front_sent_ = 0;
  bytes_ = 0;
}

}  // namespace ibexfs
