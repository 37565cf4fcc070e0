// Two ends on one real device. Tests that need it say what is missing where there is none.
#pragma once

#include <doctest/doctest.h>
#include <poll.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "test/live_counts.h"
#include "test/rdma_needed.h"
#include "test/support.h"
#include "verbs/library.h"
#include "verbs/queue_pair.h"

namespace ibexfs::test {

// The first device with a port that can be used; nothing, and why, on a machine without one.
struct RealDevice {
  static std::optional<RealDevice> find() {
    const auto& library = verbs::Library::system();
    const verbs::AvailabilityReport report = library->report();
    std::string reason = report.reason + (report.cure.empty() ? "" : ": " + report.cure);
    if (report.availability == verbs::Availability::kUsable) {
      const auto infos = library->devices();
      REQUIRE(infos.ok());
      for (const verbs::DeviceInfo& info : infos.value()) {
        auto device = verbs::Device::open(library, info.name);
        if (!device.ok()) {
          reason = device.status().message();
          continue;
        }
        auto port = verbs::usable_port(*device.value(), 1, {});
        if (port.ok()) return RealDevice{device.take(), port.take()};
        reason = port.status().message();
      }
    }
    skip_without_rdma(reason);
    return std::nullopt;
  }

  std::shared_ptr<verbs::Device> device;
  verbs::LocalPort port;
};

// One end: a domain, an arena that peers may use, a queue pair with its own completion queue.
struct End {
  static constexpr size_t kArenaBytes = 4U << 20;

  explicit End(const RealDevice& real, verbs::QueuePairSettings settings, size_t arena_bytes = kArenaBytes) {
    auto made_domain = verbs::ProtectionDomain::create(real.device);
    REQUIRE_MESSAGE(made_domain.ok(), made_domain.status().message());
    domain = made_domain.take();
    auto channel = verbs::CompletionChannel::create(real.device);
    REQUIRE_MESSAGE(channel.ok(), channel.status().message());
    auto made_queue = verbs::CompletionQueue::create(channel.take(), 1024);
    REQUIRE_MESSAGE(made_queue.ok(), made_queue.status().message());
    queue = made_queue.take();
    auto made_arena = verbs::RegisteredArena::create(
        domain, arena_bytes, {.remote_read = true, .remote_write = true, .remote_atomic = real.device->limits().atomics});
    REQUIRE_MESSAGE(made_arena.ok(), made_arena.status().message());
    arena = made_arena.take();
    settings.remote_read = settings.remote_write = settings.remote_atomic = true;
    auto made_pair = verbs::QueuePair::create(domain, queue, queue, real.port, settings);
    REQUIRE_MESSAGE(made_pair.ok(), made_pair.status().message());
    pair = made_pair.take();
  }

  verbs::LocalRange local(size_t offset, size_t length) const {
    auto range = arena->local(offset, length);
    REQUIRE(range.ok());
    return range.take();
  }
  verbs::RemoteRange remote(size_t offset, size_t length) const {
    auto range = arena->remote(offset, length);
    REQUIRE(range.ok());
    return range.take();
  }
  std::span<uint8_t> bytes(size_t offset, size_t length) const { return {arena->data() + offset, length}; }

  // Sleeps on the channel until so many completions came in all; false when the deadline passed.
  bool wait(size_t count, std::chrono::milliseconds limit = std::chrono::seconds(30)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (true) {
      const auto idle = queue->harvest(completions, 64);
      REQUIRE_MESSAGE(idle.ok(), idle.status().message());
      if (completions.size() >= count) return true;
      if (!idle.value()) continue;
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      pollfd ready{queue->channel().fd(), POLLIN, 0};
      if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) <= 0) return false;
      REQUIRE(queue->channel().take_events().ok());
    }
  }
  // Waits for so many, takes them out, expects success of all.
  std::vector<verbs::Completion> expect(size_t count) {
    REQUIRE(wait(count));
    std::vector<verbs::Completion> taken = std::move(completions);
    completions = {};
    REQUIRE(taken.size() == count);
    for (const verbs::Completion& completion : taken) REQUIRE_MESSAGE(completion.ok(), pair->status_of(completion).message());
    return taken;
  }

  std::shared_ptr<verbs::ProtectionDomain> domain;
  std::shared_ptr<verbs::CompletionQueue> queue;
  std::shared_ptr<verbs::RegisteredArena> arena;
  std::shared_ptr<verbs::QueuePair> pair;
  std::vector<verbs::Completion> completions;
};

// Two ends that are connected with each other.
struct Link {
  explicit Link(const RealDevice& real, size_t arena_bytes = End::kArenaBytes)
      : Link(real, verbs::QueuePairSettings::for_device(real.device->info()), arena_bytes) {}
  Link(const RealDevice& real, const verbs::QueuePairSettings& settings, size_t arena_bytes = End::kArenaBytes)
      : left(real, settings, arena_bytes), right(real, settings, arena_bytes) {
    const Status first = left.pair->connect(right.pair->descriptor());
    REQUIRE_MESSAGE(first.ok(), first.message());
    const Status second = right.pair->connect(left.pair->descriptor());
    REQUIRE_MESSAGE(second.ok(), second.message());
  }
  End left, right;
};

}  // namespace ibexfs::test
