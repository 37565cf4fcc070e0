// Frames on their way out, in order, and how far the first one has come. Knows neither locks nor sockets.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <deque>
#include <vector>

#include "transport/connection.h"

namespace ibexfs {

class SendQueue {
 public:
  // `frame` has its header sealed.
  void push(OutgoingFrame frame);

  bool empty() const { return frames_.empty(); }
  size_t bytes() const { return bytes_; }

  // The next bytes to send, as far as one system call takes them: either memory or a pipe. What it points to
  // stays in place until consumed, also while others push.
  struct Batch {
    static constexpr size_t kPartsMax = 256;
    static constexpr size_t kBytesMax = 4U << 20;
    std::array<iovec, kPartsMax> parts;
    size_t count = 0;
    size_t bytes = 0;
    PipeSlice* pipe = nullptr;  // then parts is empty
    bool pipe_follows = false;  // do not send a small packet: the pipe's bytes come next
  };
  void gather(Batch& batch) const;

  // `bytes` bytes have left. Frames that are done move to `done`, whose owner lets them go when it holds no lock:
  // that may run anybody's code.
  void consume(size_t bytes, std::vector<OutgoingFrame>& done);
  void take_all(std::vector<OutgoingFrame>& done);

 private:
  std::deque<OutgoingFrame> frames_;  // references stay valid while others are pushed
  size_t front_sent_ = 0;             // bytes of the first frame that have left
  size_t bytes_ = 0;
};

}  // namespace ibexfs
