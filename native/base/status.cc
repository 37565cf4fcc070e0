// Status from errno.
#include "base/status.h"

#include <cstring>

namespace ibexfs {

Status Status::from_errno(int error_number, const std::string& what) {
  // strerrordesc_np is thread-safe and knows no locale; it has nothing for numbers that are not errnos.
  const char* text = strerrordesc_np(error_number);
  const char* name = strerrorname_np(error_number);
  std::string message = what + ": " + (text != nullptr ? text : "unknown error") + " (" +
                        (name != nullptr ? std::string(name) : std::to_string(error_number)) + ")";
  // Values of StatusCode below 1000 are errno numbers, so the cast loses nothing; 0 would claim success.
  const auto code = error_number > 0 && error_number < 1000 ? static_cast<StatusCode>(error_number) : StatusCode::kInternal;
  return {code, std::move(message)};
}

}  // namespace ibexfs
