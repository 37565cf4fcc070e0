// Base library: status, checksum, buffer pool.
#include <doctest/doctest.h>

#include <cerrno>
#include <string>

#include "base/crc32c.h"
#include "base/status.h"

using namespace ibexfs;

TEST_CASE("a status from errno keeps the number and names the subject") {
  const Status status = Status::from_errno(ENOENT, "open /a/b");
  CHECK(status.code() == StatusCode::kNoEntry);
  CHECK(status.message() == "open /a/b: No such file or directory (ENOENT)");
  CHECK(Status::from_errno(0, "nothing").code() == StatusCode::kInternal);
}

TEST_CASE("crc32c gives the published check values") {
  CHECK(crc32c(0, as_bytes("123456789")) == 0xe3069283);
  CHECK(crc32c_by_table(0, as_bytes("123456789")) == 0xe3069283);
  CHECK(crc32c(0, as_bytes(std::string(32, '\0'))) == 0x8a9136aa);
  CHECK(crc32c(0, as_bytes(std::string(32, '\xff'))) == 0x62a8ab43);
  CHECK(crc32c(0, {}) == 0);
}
