// Reactor: descriptors, timers, tasks, round ends.
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "test/transport_support.h"

using namespace ibexfs;
using namespace ibexfs::test;
using std::chrono::milliseconds;

namespace {

bool readable(const Reactor& reactor, int timeout_ms) {
  pollfd descriptor{reactor.fd(), POLLIN, 0};
  return poll(&descriptor, 1, timeout_ms) == 1;
}

}  // namespace

TEST_CASE("the reactor's descriptor is readable when there is something to do, and only then") {
  const auto reactor = make_reactor();
  CHECK_FALSE(readable(*reactor, 0));
  bool ran = false;
  reactor->post([&] { ran = true; });
  CHECK(readable(*reactor, 1000));
  reactor->run_once(0);
  CHECK(ran);
  CHECK_FALSE(readable(*reactor, 0));
  bool rang = false;
  reactor->schedule(milliseconds(5), [&] { rang = true; });
  CHECK(reactor->next_timeout_ms() <= 5);
  CHECK(readable(*reactor, 1000));
  reactor->run_once(0);
  CHECK(rang);
  CHECK(reactor->next_timeout_ms() == -1);
  CHECK_FALSE(readable(*reactor, 0));
}

TEST_CASE("timers run in the order of their times, and cancelled ones do not") {
  const auto reactor = make_reactor();
  std::vector<int> order;
  reactor->schedule(milliseconds(6), [&] { order.push_back(6); });
  reactor->schedule(milliseconds(2), [&] { order.push_back(2); });
  const TimerId cancelled = reactor->schedule(milliseconds(3), [&] { order.push_back(3); });
  reactor->schedule(milliseconds(2), [&] { order.push_back(20); });
  TimerId later = 0;
  reactor->schedule(milliseconds(0), [&] {
    order.push_back(0);
    reactor->cancel(later);
  });
  later = reactor->schedule(milliseconds(1), [&] { order.push_back(1); });
  reactor->cancel(cancelled);
  reactor->cancel(cancelled);
  while (reactor->next_timeout_ms() != -1) reactor->run_once(100);
  CHECK(order == std::vector<int>{0, 2, 20, 6});
}

TEST_CASE("a posted task runs in the next round; what it posts runs in the one after") {
  const auto reactor = make_reactor();
  int ran = 0;
  reactor->post([&] {
    ++ran;
    reactor->post([&] { ++ran; });
  });
  reactor->run_once(0);
  CHECK(ran == 1);
  reactor->run_once(0);
  CHECK(ran == 2);
}

TEST_CASE("work for the round's end runs after all descriptors, also when given outside of a round") {
  const auto reactor = make_reactor();
  std::vector<std::string> order;
  const UniqueFd first(eventfd(1, EFD_NONBLOCK));
  const UniqueFd second(eventfd(1, EFD_NONBLOCK));
  const auto serve = [&](const char* name) {
    order.push_back(name);
    reactor->at_round_end([&order, name] { order.push_back(std::string("end of ") + name); });
  };
  REQUIRE(reactor->watch(first.get(), EPOLLIN, [&](uint32_t) { serve("first"); }).ok());
  REQUIRE(reactor->watch(second.get(), EPOLLIN, [&](uint32_t) { serve("second"); }).ok());
  reactor->run_once(100);
  REQUIRE(order.size() == 4);
  CHECK(order[2] == "end of " + order[0]);
  CHECK(order[3] == "end of " + order[1]);
  reactor->unwatch(first.get());
  reactor->unwatch(second.get());
  order.clear();
  reactor->at_round_end([&] { order.emplace_back("outside"); });
  CHECK(readable(*reactor, 1000));
  reactor->run_once(0);
  CHECK(order.size() == 1);
  reactor->at_round_end([&] { order.emplace_back("driven"); });
  reactor->finish_round();
  CHECK(order.size() == 2);
}

TEST_CASE("a descriptor that a handler of the same round stopped watching is not served any more") {
  const auto reactor = make_reactor();
  const UniqueFd one(eventfd(1, EFD_NONBLOCK));
  const UniqueFd two(eventfd(1, EFD_NONBLOCK));
  int served = 0;
  const auto stop_both = [&](uint32_t) {
    ++served;
    reactor->unwatch(one.get());
    reactor->unwatch(two.get());
  };
  REQUIRE(reactor->watch(one.get(), EPOLLIN, stop_both).ok());
  REQUIRE(reactor->watch(two.get(), EPOLLIN, stop_both).ok());
  CHECK_FALSE(reactor->watch(two.get(), EPOLLIN, stop_both).ok());
  reactor->run_once(100);
  reactor->run_once(0);
  CHECK(served == 1);
  CHECK_FALSE(reactor->change(one.get(), EPOLLIN).ok());
}

TEST_CASE("tasks of many threads all run, on the reactor's thread") {
  ReactorThread thread(make_reactor(), "a name longer than fifteen bytes");
  std::atomic<int> ran{0};
  std::atomic<int> elsewhere{0};
  std::vector<std::thread> posters;
  for (int i = 0; i < 4; ++i) {
    posters.emplace_back([&] {
      for (int k = 0; k < 1000; ++k) {
        thread.reactor().post([&] {
          if (!thread.reactor().in_driving_thread()) ++elsewhere;
          ++ran;
        });
      }
    });
  }
  for (auto& poster : posters) poster.join();
  CHECK(wait_until([&] { return ran == 4000; }));
  CHECK(elsewhere == 0);
  CHECK_FALSE(thread.reactor().in_driving_thread());
}
