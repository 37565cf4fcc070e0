// For tests that cannot run without an RDMA device.
#pragma once

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace ibexfs::test {

// A test case that cannot run without an RDMA device says so on a line of its own, by which it is counted as skipped
// (scripts/test/counts.mjs); it fails where one is required.
inline void skip_without_rdma(const std::string& reason) {
  std::printf("SKIPPED: %s: it needs an RDMA device: %s\n", doctest::getContextOptions()->currentTest->m_name, reason.c_str());
  std::fflush(stdout);
  if (std::getenv("IBEXFS_REQUIRE_RDMA") != nullptr) FAIL_CHECK("an RDMA device is required here: ", reason);
}

}  // namespace ibexfs::test
