// The incremental frame parser. Invariant: before a length of a header is used, check_header has passed it.
#include "transport/frame_parser.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <vector>

#include "transport/frame.h"

namespace ibexfs {
namespace {

constexpr size_t kLargeDataBytes = 65536;
constexpr size_t kBytesBehindLargeData = 4096;

// Staging buffers that no connection of this thread needs now.
class StagingCache {
 public:
  std::unique_ptr<uint8_t[]> take() {
    if (buffers_.empty()) return std::make_unique_for_overwrite<uint8_t[]>(FrameParser::kStagingBytes);
    auto buffer = std::move(buffers_.back());
    buffers_.pop_back();
    return buffer;
  }
  void give_back(std::unique_ptr<uint8_t[]> buffer) {
    if (buffers_.size() < kBuffersMax) buffers_.push_back(std::move(buffer));
  }

 private:
  static constexpr size_t kBuffersMax = 8;
  std::vector<std::unique_ptr<uint8_t[]>> buffers_;
};

thread_local StagingCache staging_cache;

}  // namespace

FrameParser::~FrameParser() = default;

uint8_t* FrameParser::staging() {
  if (!staging_) staging_ = staging_cache.take();
  return staging_.get();
}

void FrameParser::rest() {
  if (staging_ && start_ == end_ && body_in_staging_ == 0) {
    staging_cache.give_back(std::move(staging_));
    start_ = end_ = 0;
  }
}

// So that a whole body fits behind it, and the next read is as large as can be.
void FrameParser::move_to_front() {
  if (start_ == 0) return;
  std::memmove(staging_.get(), staging_.get() + start_, staged());
  end_ -= start_;
  start_ = 0;
}

FrameParser::Step FrameParser::next() {
  for (;;) {
    switch (phase_) {
      case Phase::kHeader:
        if (staged() < sizeof(header_)) return Step::kNeedBytes;
        take_header();
        break;
      case Phase::kGate:
        if (handshake_only_ && !is_handshake_frame(header_.type)) return Step::kTooEarly;
        phase_ = Phase::kBody;
        begin_body();
        break;
      case Phase::kBody:
        if (large_body_ ? left_ > 0 : staged() < header_.body_length) return Step::kNeedBytes;
        body_complete();
        break;
      case Phase::kPlan:
        return Step::kPlanData;
      case Phase::kDiscard: {
        const size_t dropped = std::min(left_, staged());
        start_ += dropped;
        left_ -= dropped;
        if (left_ > 0) return Step::kNeedBytes;
        phase_ = Phase::kFrame;
        break;
      }
      case Phase::kData:
        if (left_ > 0) return Step::kNeedBytes;
        phase_ = Phase::kFrame;
        break;
      case Phase::kFrame:
        return Step::kFrame;
      case Phase::kBad:
        return Step::kBad;
    }
  }
}

void FrameParser::take_header() {
  std::memcpy(&header_, staging_.get() + start_, sizeof(header_));
  start_ += sizeof(header_);
  error_ = check_header(header_);
  if (error_.ok() && !remote_data_ && has_remote_data(header_))
    error_ = Status(StatusCode::kBadFrame, "bad frame: its data is said to be moved by RDMA, over TCP");
  phase_ = error_.ok() ? Phase::kGate : Phase::kBad;
}

void FrameParser::begin_body() {
  if (header_.body_length <= kStagingBytes) return;
  // Not initialized, so a peer that announces much and sends little occupies little.
  large_body_ = std::make_unique_for_overwrite<uint8_t[]>(header_.body_length);
  const size_t here = staged();
  std::memcpy(large_body_.get(), staging_.get() + start_, here);
  start_ = end_ = 0;
  into_ = large_body_.get() + here;
  left_ = header_.body_length - here;
}

void FrameParser::body_complete() {
  const size_t length = header_.body_length;
  if (large_body_) {
    body_ = {large_body_.get(), length};
  } else if (header_.data_length > 0) {
    assert(length <= small_body_.size());
    std::memcpy(small_body_.data(), staging_.get() + start_, length);
    start_ += length;
    body_ = {small_body_.data(), length};
  } else {
    body_ = {staging_.get() + start_, length};
    body_in_staging_ = length;
  }
  phase_ = header_.data_length > 0 ? Phase::kPlan : Phase::kFrame;
}

FrameParser::Destinations FrameParser::destinations() {
  assert(phase_ == Phase::kHeader || phase_ == Phase::kBody || phase_ == Phase::kData || phase_ == Phase::kDiscard);
  Destinations result;
  uint8_t* const stage = staging();
  const bool direct = left_ > 0 && phase_ != Phase::kDiscard;
  if (direct) {
    result.parts[0] = {into_, left_};
    result.count = 1;
  } else {
    move_to_front();
  }
  // Behind a large data part most likely comes another: of that one only the beginning is wanted here.
  const size_t room = std::min(kStagingBytes - end_, left_ >= kLargeDataBytes ? kBytesBehindLargeData : kStagingBytes);
  if (room > 0) result.parts[static_cast<size_t>(result.count++)] = {stage + end_, room};
  for (int i = 0; i < result.count; ++i) result.bytes += result.parts[static_cast<size_t>(i)].iov_len;
  return result;
}

void FrameParser::received(size_t bytes) {
  if (left_ > 0 && phase_ != Phase::kDiscard) {
    const size_t direct = std::min(left_, bytes);
    into_ += direct;
    left_ -= direct;
    bytes -= direct;
  }
  end_ += bytes;
  assert(end_ <= kStagingBytes);
}

void FrameParser::receive_data_into(uint8_t* into) {
  assert(phase_ == Phase::kPlan);
  phase_ = Phase::kData;
  const size_t length = header_.data_length;
  const size_t here = std::min(length, staged());
  if (here > 0) std::memcpy(into, staging_.get() + start_, here);
  start_ += here;
  if (start_ == end_) start_ = end_ = 0;
  into_ = into + here;
  left_ = length - here;
}

void FrameParser::discard_data() {
  assert(phase_ == Phase::kPlan);
  phase_ = Phase::kDiscard;
  left_ = header_.data_length;
}

void FrameParser::skip_data() {
  assert(phase_ == Phase::kPlan);
  phase_ = Phase::kFrame;
}

void FrameParser::finish_frame() {
  assert(phase_ == Phase::kFrame);
  start_ += body_in_staging_;
  body_in_staging_ = 0;
  body_ = {};
  large_body_.reset();
  into_ = nullptr;
  phase_ = Phase::kHeader;
}

}  // namespace ibexfs
