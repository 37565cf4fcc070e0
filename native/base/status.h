// Outcome of an operation: a wire status code plus a message that names what failed and why.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <utility>

#include "base/wire.h"

namespace ibexfs {

using wire::StatusCode;

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}
  // `what` names the call and its subject; the text of error_number is appended.
  static Status from_errno(int error_number, const std::string& what);

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

// A value or the Status that says why there is none.
template <typename Value>
class [[nodiscard]] Result {
 public:
  Result(Value value) : value_(std::move(value)) {}                              // NOLINT: implicit by design
  Result(Status status) : status_(std::move(status)) { assert(!status_.ok()); }  // NOLINT: implicit by design

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  Value& value() {
    assert(ok());
    return *value_;
  }
  const Value& value() const {
    assert(ok());
    return *value_;
  }
  Value take() {
    assert(ok());
    return std::move(*value_);
  }

 private:
  std::optional<Value> value_;
  Status status_;
};

}  // namespace ibexfs
