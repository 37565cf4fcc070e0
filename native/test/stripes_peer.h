// A peer that speaks chunk frames from memory and does what a test tells it: hold answers back, refuse,
// misbehave. For what a real chunk server will not do on demand.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <tuple>
#include <vector>

#include "test/stripes_support.h"

namespace ibexfs::test {

class ScriptedPeer {
 public:
  struct Seen {
    wire::ChunkOperation operation;
    wire::ChunkRequest request;
    uint64_t map_version;
    uint64_t request_id;
  };

  ScriptedPeer() {
    loopback_.server.frame = [this](const ConnectionPtr& connection, const wire::FrameHeader& header, Bytes body,
                                    std::shared_ptr<void> context) {
      take(connection, header, body, std::move(context));
      return true;
    };
    loopback_.listen();
  }
  uint16_t port() const { return loopback_.port(); }

  // Called for every request; a status is the answer instead of doing it.
  // In every answer.
  std::atomic<uint64_t> sync_stamp{0};
  std::function<std::optional<StatusCode>(const Seen&)> judge;
  // Changes an answer before it leaves.
  std::function<void(const Seen&, OutgoingFrame&)> distort;

  // From now on answers wait; release sends those that wait (`count` of them, the newest first if asked).
  void hold() {
    const std::lock_guard lock(mutex_);
    holding_ = true;
  }
  size_t held() {
    const std::lock_guard lock(mutex_);
    return held_.size();
  }
  void release(size_t count = SIZE_MAX, bool newest_first = false) {
    for (; count > 0; --count) {
      std::function<void()> next;
      {
        const std::lock_guard lock(mutex_);
        if (count == SIZE_MAX) holding_ = false;
        if (held_.empty()) return;
        next = newest_first ? std::move(held_.back()) : std::move(held_.front());
        newest_first ? held_.pop_back() : held_.pop_front();
      }
      next();
      if (count == SIZE_MAX) ++count;
    }
  }
  void drop_connections() {
    {
      const std::lock_guard lock(mutex_);
      held_.clear();
    }
    for (const auto& connection : loopback_.server_observer.accepted())
      connection->close(Status(StatusCode::kShuttingDown, "test"));
  }
  std::vector<Seen> seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  size_t count(wire::ChunkOperation operation) {
    const auto all = seen();
    return static_cast<size_t>(std::ranges::count_if(all, [&](const Seen& each) { return each.operation == operation; }));
  }
  std::vector<uint8_t> chunk(const Fid& fid, uint32_t column) {
    const std::lock_guard lock(mutex_);
    return chunks_[{fid.sequence, fid.object, column}];
  }

 private:
  using ChunkKey = std::tuple<uint64_t, uint32_t, uint32_t>;

  void take(const ConnectionPtr& connection, const wire::FrameHeader& header, Bytes body, std::shared_ptr<void> context) {
    Seen seen{static_cast<wire::ChunkOperation>(header.operation), {}, header.map_version, header.request_id};
    REQUIRE(body.size() == sizeof(seen.request));
    std::memcpy(&seen.request, body.data(), sizeof(seen.request));
    const std::lock_guard lock(mutex_);
    seen_.push_back(seen);
    auto answer = [this, connection, request_id = header.request_id, seen, context] {
      OutgoingFrame frame = perform(seen, context);
      frame.header.request_id = request_id;
      if (distort) distort(seen, frame);
      connection->send(std::move(frame), Flush::kNow);
    };
    if (holding_) {
      held_.push_back(std::move(answer));
    } else {
      unlocked(std::move(answer));
    }
  }
  void unlocked(const std::function<void()>& answer) {
    mutex_.unlock();
    answer();
    mutex_.lock();
  }
  OutgoingFrame perform(const Seen& seen, const std::shared_ptr<void>& context) {
    OutgoingFrame frame;
    frame.header.type = static_cast<uint8_t>(wire::FrameType::kChunkResponse);
    frame.header.operation = static_cast<uint16_t>(seen.operation);
    wire::ChunkResponse response;
    response.sync_stamp = sync_stamp;
    if (const auto refused = judge ? judge(seen) : std::nullopt) {
      frame.header.status = static_cast<uint32_t>(*refused);
      frame.body = FrameBody::of(response);
      return frame;
    }
    const std::lock_guard lock(mutex_);
    auto& chunk = chunks_[{seen.request.fid_sequence, seen.request.fid_object, seen.request.column}];
    const uint64_t offset = seen.request.offset;
    const uint64_t length = seen.request.length;
    if (seen.operation == wire::ChunkOperation::kWrite) {
      const auto& data = data_of(context);
      REQUIRE(data.size() == length);
      if (chunk.size() < offset + length) chunk.resize(offset + length);
      std::memcpy(chunk.data() + offset, data.data(), length);
      response.bytes = seen.request.length;
    } else if (seen.operation == wire::ChunkOperation::kRead && offset < chunk.size()) {
      const uint64_t there = std::min(length, chunk.size() - offset);
      auto copy = std::make_shared<std::vector<uint8_t>>(chunk.begin() + static_cast<ptrdiff_t>(offset),
                                                         chunk.begin() + static_cast<ptrdiff_t>(offset + there));
      frame.data = *copy;
      frame.data_owner = copy;
      response.bytes = static_cast<uint32_t>(there);
    } else if (seen.operation == wire::ChunkOperation::kTruncate) {
      chunk.resize(offset);
    }
    response.chunk_size = chunk.size();
    frame.body = FrameBody::of(response);
    return frame;
  }

  std::mutex mutex_;
  bool holding_ = false;
  std::deque<std::function<void()>> held_;
  std::vector<Seen> seen_;
  std::map<ChunkKey, std::vector<uint8_t>> chunks_;
  Loopback loopback_;  // ends first
};

}  // namespace ibexfs::test
