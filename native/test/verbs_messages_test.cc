// Credits, and frames cut into messages: what a verbs connection decides without a device.
#include "transport/verbs_messages.h"

#include <doctest/doctest.h>

#include <random>

#include "test/transport_support.h"
#include "transport/frame.h"
#include "transport/frame_parser.h"

using namespace ibexfs;
using namespace ibexfs::test;
using wire::FrameType;

TEST_CASE("messages stop while two credits are left, which only give others back") {
  Credits credits;
  credits.start(kReceiveSlots);
  uint32_t sent = 0;
  for (; credits.can_send(); ++sent) CHECK(credits.take() == 0);
  CHECK(sent == kReceiveSlots - kCreditsReserved);
  CHECK(credits.can_send_credits());
  credits.reposted(kReceiveSlots / 2 - 1);
  CHECK_FALSE(credits.urgent());
  credits.reposted(1);
  CHECK(credits.urgent());
  CHECK(credits.take() == kReceiveSlots / 2);
  CHECK_FALSE(credits.urgent());
  CHECK(credits.give(3));
  CHECK(credits.can_send());
  CHECK_FALSE(credits.give(kReceiveSlots));
  CHECK(credits.available() == kCreditsReserved - 1 + 3);
}

// Two sides that send as much as they may, whose receivers take messages at random times, and give credits back as a
// connection does. Never more messages on the way than receives posted, and never stuck.
TEST_CASE("credits never let a message meet no receive, and never run dry for good") {
  struct Side {
    Credits credits;
    uint32_t posted = kReceiveSlots;
    uint32_t unread = 0;
    std::deque<uint16_t> coming;  // credits in each message on its way here
    uint64_t sent = 0;
    uint64_t to_send = 0;
  };
  std::mt19937_64 random(random_seed("credits"));
  for (int round = 0; round < 20; ++round) {
    std::array<Side, 2> sides;
    for (Side& side : sides) {
      side.credits.start(kReceiveSlots);
      side.to_send = random() % 3000;
    }
    int idle = 0;
    while ((sides[0].sent < sides[0].to_send || sides[1].sent < sides[1].to_send) && idle < 10'000) {
      const size_t which = random() % 2;
      Side& own = sides[which];
      Side& peer = sides[1 - which];
      ++idle;
      const auto send = [&] {
        peer.coming.push_back(own.credits.take());
        REQUIRE(peer.coming.size() + peer.unread <= kReceiveSlots);
      };
      switch (random() % 3) {
        case 0:
          if (own.sent < own.to_send && own.credits.can_send()) {
            send();
            ++own.sent;
            idle = 0;
          }
          break;
        case 1:
          if (own.coming.empty()) break;
          REQUIRE(own.posted > 0);
          --own.posted;
          REQUIRE(own.credits.give(own.coming.front()));
          own.coming.pop_front();
          ++own.unread;
          break;
        case 2:
          own.posted += own.unread;
          own.credits.reposted(std::exchange(own.unread, 0));
          if (own.credits.urgent() && own.credits.can_send_credits()) send();
          break;
      }
    }
    CHECK(sides[0].sent == sides[0].to_send);
    CHECK(sides[1].sent == sides[1].to_send);
  }
}

TEST_CASE("frames come out of messages as they went in, however they are cut") {
  std::mt19937_64 random(random_seed("messages"));
  MessageQueue queue;
  constexpr uint64_t kFrames = 200;
  for (uint64_t i = 0; i < kFrames; ++i) {
    OutgoingFrame frame =
        i % 3 == 0 ? data_frame(i, random() % 20'000 + 1) : rpc_frame(FrameType::kRpcRequest, i, random() % 30'000);
    seal_header(frame.header, frame.body.bytes().size(), frame.data.size());
    queue.push(std::move(frame));
  }
  FrameParser parser;
  parser.accept_all_types();
  std::vector<uint8_t> message(wire::kMessageBytesMax);
  std::vector<uint8_t> data;
  std::vector<OutgoingFrame> done;
  uint64_t next = 0;
  while (!queue.empty()) {
    const size_t bytes = queue.fill(message.data(), 1 + random() % message.size(), done);
    REQUIRE(bytes > 0);
    for (size_t at = 0; at < bytes;) {
      const auto step = parser.next();
      if (step == FrameParser::Step::kPlanData) {
        data.resize(parser.header().data_length);
        parser.receive_data_into(data.data());
      } else if (step == FrameParser::Step::kFrame) {
        REQUIRE(parser.header().request_id == next);
        if (parser.header().data_length > 0) {
          REQUIRE(has_pattern(data, next));
        } else {
          REQUIRE(has_pattern(parser.body(), next));
        }
        ++next;
        parser.finish_frame();
      } else {
        REQUIRE(step == FrameParser::Step::kNeedBytes);
        const auto into = parser.destinations();
        const size_t count = std::min(into.parts[0].iov_len, bytes - at);
        std::memcpy(into.parts[0].iov_base, message.data() + at, count);
        parser.received(count);
        at += count;
      }
    }
  }
  if (parser.next() == FrameParser::Step::kFrame) ++next;
  CHECK(next == kFrames);
  CHECK(done.size() == kFrames);
  CHECK(queue.bytes() == 0);
}

TEST_CASE("a message ends before a frame whose data is to be written first") {
  MessageQueue queue;
  const auto answer = [](uint64_t request, bool written) {
    OutgoingFrame frame = data_frame(request, 20'000);
    frame.header.type = static_cast<uint8_t>(FrameType::kChunkResponse);
    frame.body = FrameBody::of(wire::ChunkResponse{});
    if (written) frame.header.flags = static_cast<uint32_t>(wire::FrameFlag::kRemoteData);
    seal_header(frame.header, sizeof(wire::ChunkResponse), frame.data.size());
    return frame;
  };
  queue.push(answer(1, true));
  queue.push(answer(2, true));
  std::vector<uint8_t> message(wire::kMessageBytesMax);
  std::vector<OutgoingFrame> done;
  REQUIRE(queue.write_first() != nullptr);
  CHECK(queue.write_first()->header.request_id == 1);
  constexpr size_t kAnswerBytes = sizeof(wire::FrameHeader) + sizeof(wire::ChunkResponse);
  CHECK(queue.fill(message.data(), message.size(), done) == kAnswerBytes);
  CHECK(done.size() == 1);
  CHECK(queue.write_first()->header.request_id == 2);
  // Once it has begun, its data is written already.
  CHECK(queue.fill(message.data(), 10, done) == 10);
  CHECK(queue.write_first() == nullptr);
  CHECK(queue.fill(message.data(), message.size(), done) == kAnswerBytes - 10);
  CHECK(queue.empty());
}

TEST_CASE("data that is said to be moved by RDMA is a bad frame over TCP") {
  FrameParser parser;
  parser.accept_all_types();
  OutgoingFrame frame = data_frame(1, 20'000);
  frame.header.flags = static_cast<uint32_t>(wire::FrameFlag::kRemoteData);
  seal_header(frame.header, frame.body.bytes().size(), frame.data.size());
  const auto into = parser.destinations();
  std::memcpy(into.parts[0].iov_base, &frame.header, sizeof(frame.header));
  parser.received(sizeof(frame.header));
  CHECK(parser.next() == FrameParser::Step::kBad);
  CHECK(parser.error().code() == StatusCode::kBadFrame);
}
