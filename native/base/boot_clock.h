// A monotonic clock that goes on while the machine is suspended, which std::chrono::steady_clock does not. For what a
// server has promised for a time: it counts that time, whatever this machine did meanwhile.
#pragma once

#include <chrono>
#include <ctime>

namespace ibexfs {

struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;

  static time_point now() {
    timespec time{};
    clock_gettime(CLOCK_BOOTTIME, &time);
    return time_point(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
  }
};

}  // namespace ibexfs
