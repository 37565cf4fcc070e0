// Words for errors.
#include "verbs/error.h"

#include <sys/resource.h>

#include <array>
#include <cerrno>

#include "verbs/work_request.h"

namespace ibexfs::verbs {
namespace {

struct StatusText {
  std::string_view text;
  StatusCode code;
  std::string_view advice;
};

constexpr std::array<StatusText, 22> kStatusTexts{{
    {"success", StatusCode::kOk, ""},
    {"local length error", StatusCode::kInvalid,
     "a message is longer than the receive that was posted for it, or than the port allows"},
    {"local queue pair operation error", StatusCode::kInvalid,
     "the request does not suit the queue pair; soft-RoCE says so too of local memory that is not registered in this protection "
     "domain, or of a receive too short for the message"},
    {"local EE context operation error", StatusCode::kIoError, ""},
    {"local protection error", StatusCode::kAccessDenied,
     "a local range is not inside of memory registered in this protection domain"},
    {"flushed", StatusCode::kCanceled, ""},
    {"memory window bind error", StatusCode::kIoError, ""},
    {"bad response", StatusCode::kIoError, ""},
    {"local access error", StatusCode::kAccessDenied, "a local range may not be written"},
    {"remote invalid request", StatusCode::kInvalid,
     "the peer's receive is too short for the message, or the peer allows no such operation"},
    {"remote access error", StatusCode::kAccessDenied,
     "the peer's key is wrong or no longer valid, the range is not inside of what it exposed, or it gave no such right"},
    {"remote operation error", StatusCode::kIoError,
     "the peer could not complete the operation: its receive was too short, or its log says why"},
    {"retries exceeded", StatusCode::kTimedOut,
     "the peer does not answer: it is down, its queue pair is not ready, a firewall drops UDP port 4791, or the addresses belong "
     "to networks without a route between them"},
    {"receiver not ready", StatusCode::kTimedOut, "the peer has no receive posted"},
    {"local RDD violation", StatusCode::kIoError, ""},
    {"remote invalid read request", StatusCode::kInvalid, ""},
    {"aborted by the peer", StatusCode::kIoError, ""},
    {"invalid EE context number", StatusCode::kIoError, ""},
    {"invalid EE context state", StatusCode::kIoError, ""},
    {"fatal error of the device", StatusCode::kIoError, "the device must be reset; the kernel's log says why"},
    {"response timeout", StatusCode::kTimedOut, ""},
    {"general error", StatusCode::kIoError, ""},
}};

const StatusText& text_of(CompletionStatus status) {
  const auto index = static_cast<size_t>(status);
  return kStatusTexts[index < kStatusTexts.size() ? index : kStatusTexts.size() - 1];
}

}  // namespace

std::string_view describe(CompletionStatus status) {
  return text_of(status).text;
}

std::string_view advice(CompletionStatus status) {
  return text_of(status).advice;
}

std::string_view describe(Operation operation) {
  switch (operation) {
    case Operation::kSend:
      return "SEND";
    case Operation::kSendWithImmediate:
      return "SEND with immediate";
    case Operation::kWrite:
      return "WRITE";
    case Operation::kWriteWithImmediate:
      return "WRITE with immediate";
    case Operation::kRead:
      return "READ";
    case Operation::kCompareAndSwap:
      return "compare and swap";
    case Operation::kFetchAndAdd:
      return "fetch and add";
    case Operation::kReceive:
      return "receive";
  }
  return "unknown operation";
}

Status verb_error(const char* verb, int error_number, const std::string& subject) {
  // Providers differ in whether they give errno or its negative.
  const int number = error_number == 0 ? EIO : (error_number < 0 ? -error_number : error_number);
  return Status::from_errno(number, std::string(verb) + " on " + subject);
}

Status verb_error(const char* verb, int error_number, const std::string& subject, const std::string& cure) {
  const Status plain = verb_error(verb, error_number, subject);
  return cure.empty() ? plain : Status(plain.code(), plain.message() + "; " + cure);
}

std::string memory_lock_cure() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return "";
  return "this process may lock " + std::to_string(limit.rlim_cur / 1024) +
         " KiB of memory: raise the limit (ulimit -l unlimited; LimitMEMLOCK=infinity in a systemd unit)";
}

Status completion_error(std::string_view operation, CompletionStatus status, uint32_t vendor_error, const std::string& subject) {
  const StatusText& text = text_of(status);
  std::string message = std::string(operation) + " on " + subject + ": " + std::string(text.text);
  if (vendor_error != 0) message += " (vendor error " + std::to_string(vendor_error) + ")";
  if (!text.advice.empty()) message += "; " + std::string(text.advice);
  return {text.code == StatusCode::kOk ? StatusCode::kInternal : text.code, std::move(message)};
}

}  // namespace ibexfs::verbs
