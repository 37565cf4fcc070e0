// Parts of a verbs connection that know neither queue pairs nor locks: credits, frames on their way into messages,
// messages that have come, data that is being fetched.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/buffer_pool.h"
#include "transport/connection.h"
#include "verbs/work_request.h"

namespace ibexfs {

// Receives that each side keeps posted: enough for the small requests of a deep queue, little for the many connections
// of a server. Two are left for messages that only give credits back.
constexpr uint32_t kReceiveSlots = 32;
constexpr uint32_t kCreditsReserved = 2;
constexpr uint32_t kSendSlots = 16;

// Both directions' credits of one side.
class Credits {
 public:
  // The peer has so many receives posted.
  void start(uint32_t messages) { available_ = most_ = messages; }
  bool can_send() const { return available_ > kCreditsReserved; }
  bool can_send_credits() const { return available_ > 0; }
  // A message leaves: takes a credit of ours and tells how many it gives back.
  uint16_t take() {
    --available_;
    const uint32_t given = due_ < UINT16_MAX ? due_ : UINT16_MAX;
    due_ -= given;
    return static_cast<uint16_t>(given);
  }
  // The peer gave some back; false when there cannot be so many.
  bool give(uint32_t messages) {
    if (messages > most_ - available_) return false;
    available_ += messages;
    return true;
  }
  // Receives have been posted again.
  void reposted(uint32_t messages) { due_ += messages; }
  // They are worth a message of their own: half of what the peer has, so that it hardly ever waits for it.
  bool urgent() const { return due_ >= kReceiveSlots / 2; }
  uint32_t available() const { return available_; }

 private:
  uint32_t available_ = 0;
  uint32_t most_ = 0;
  uint32_t due_ = 0;
};

// Memory of this process that a request names to the peer: kept until the answer, or the end of the connection.
struct Exposure {
  uint64_t address = 0;
  uint32_t length = 0;
  bool answer = false;                // the peer may write to it (else read it)
  Buffer bounce;                      // instead of the caller's memory, which is not registered
  std::shared_ptr<const void> owner;  // of the caller's memory
};

// Frames in order, and how far the first has gone into messages.
class MessageQueue {
 public:
  void push(OutgoingFrame frame);
  bool empty() const { return frames_.empty(); }
  size_t bytes() const { return bytes_; }  // also of data that is written apart

  // The data of the frame that begins next, where it is to be written before its first byte is sent; else null.
  const OutgoingFrame* write_first() const;
  // Copies up to `room` bytes of the stream, of frames up to the next that has data to be written (the first one's is
  // taken to be so already). Frames that are done move to `done`.
  size_t fill(uint8_t* into, size_t room, std::vector<OutgoingFrame>& done);
  void take_all(std::vector<OutgoingFrame>& done);

 private:
  std::deque<OutgoingFrame> frames_;
  size_t front_sent_ = 0;
  size_t bytes_ = 0;
};

// A message that has come and is not read to its end. Slots are counted from the first receiving one.
struct ReceivedMessage {
  uint32_t slot = 0;
  size_t at = 0;
  size_t end = 0;
};

// A frame whose data is being read from the peer.
struct Pull {
  wire::FrameHeader header{};
  std::array<uint8_t, sizeof(wire::ChunkRequest)> body{};
  std::shared_ptr<void> context;
  uint8_t* final_into = nullptr;  // with bounce: copied there at the end
  Buffer bounce;                  // the handler's memory is not registered
  verbs::LocalRange into;
  verbs::RemoteRange from;
  size_t posted = 0;       // bytes
  uint32_t in_flight = 0;  // READs
};

// Requests for one post.
struct SendChain {
  std::vector<verbs::SendRequest> requests;
  uint32_t room = 0;  // slots of the send queue that are left
};

// What a token of a request says when it completes.
enum class TokenKind : uint8_t { kMessage, kWrite, kRead };
constexpr uint64_t token_of(TokenKind kind, uint32_t number) {
  return uint64_t{static_cast<uint8_t>(kind)} << 32 | number;
}
constexpr TokenKind kind_of_token(uint64_t token) {
  return static_cast<TokenKind>(token >> 32);
}

}  // namespace ibexfs
