// Cuts a stream of bytes into frames, one step at a time, without knowing where the bytes come from: a TCP
// connection drives it with readv, tests and the fuzz target with arrays.
//
//   for (;;) switch (parser.next()) {
//     kNeedBytes:  read into destinations(), then received(n)
//     kPlanData:   receive_data_into(p) or discard_data(), or leave it: next() says the same again
//     kFrame:      use header(), body(); then finish_frame(), or leave it likewise
//     kTooEarly:   a frame that is none of the handshake; it stays here until accept_all_types() was called
//     kBad:        error(); nothing further is parsed
//   }
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/event_sink.h"
#include "base/status.h"
#include "base/wire.h"

namespace ibexfs {

class FrameParser {
 public:
  // Large enough for a batch of small frames in one read; small, since the part of a large data part that comes in
  // with it is copied once more.
  static constexpr size_t kStagingBytes = 16384;

  enum class Step : uint8_t { kNeedBytes, kPlanData, kFrame, kTooEarly, kBad };

  FrameParser() = default;
  ~FrameParser();
  FrameParser(const FrameParser&) = delete;
  FrameParser& operator=(const FrameParser&) = delete;

  Step next();

  // Until then only handshake frames pass, so that nobody unknown makes us expect a large body.
  void accept_all_types() { handshake_only_ = false; }
  // Frames may say that their data is moved apart from the stream (FrameFlag::kRemoteData); else that is a bad frame.
  void accept_remote_data() { remote_data_ = true; }

  // Where the stream's next bytes go, in order: `count` entries, at least one byte in all.
  struct Destinations {
    std::array<iovec, 2> parts;
    int count = 0;
    size_t bytes = 0;
  };
  Destinations destinations();
  // `bytes` bytes have been put there.
  void received(size_t bytes);

  // After kPlanData. `into` takes header().data_length bytes and lives until the frame is finished.
  void receive_data_into(uint8_t* into);
  void discard_data();
  // It is not in the stream (FrameFlag::kRemoteData): the frame is complete.
  void skip_data();
  // After kFrame. Ends the validity of body().
  void finish_frame();

  // Valid after kPlanData, kFrame and, but for the body, kTooEarly.
  const wire::FrameHeader& header() const { return header_; }
  Bytes body() const { return body_; }
  // After kBad.
  const Status& error() const { return error_; }

  // True between frames with nothing read ahead: an end of the stream here is an orderly one.
  bool at_boundary() const { return phase_ == Phase::kHeader && start_ == end_; }
  // Gives the staging buffer back to the thread when it is empty: idle connections hold none.
  void rest();

 private:
  enum class Phase : uint8_t { kHeader, kGate, kBody, kPlan, kData, kDiscard, kFrame, kBad };

  uint8_t* staging();
  size_t staged() const { return end_ - start_; }
  void take_header();
  void begin_body();
  void body_complete();
  void move_to_front();

  Phase phase_ = Phase::kHeader;
  bool handshake_only_ = true;
  bool remote_data_ = false;
  std::unique_ptr<uint8_t[]> staging_;  // null while resting
  size_t start_ = 0;                    // staged and not yet consumed: [start_, end_)
  size_t end_ = 0;

  wire::FrameHeader header_{};
  Bytes body_;
  size_t body_in_staging_ = 0;             // bytes of it that finish_frame takes from staging
  std::array<uint8_t, 64> small_body_{};   // of frames with data, since staging is needed for what follows
  std::unique_ptr<uint8_t[]> large_body_;  // of a body above kStagingBytes
  uint8_t* into_ = nullptr;                // of a large body or of data
  size_t left_ = 0;                        // bytes still to come of it, or to be discarded
  Status error_;
};

}  // namespace ibexfs
