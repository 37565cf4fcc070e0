// Status of a verb that failed and of a work request that completed with an error: in words, with the verb, the
// device, the port, the peer, and with the cure where the cause is a frequent one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace ibexfs::verbs {

// How a work request ended; the numbers are those of the interface.
enum class CompletionStatus : uint8_t {
  kSuccess = 0,
  kLocalLength = 1,
  kLocalQueuePairOperation = 2,
  kLocalEecOperation = 3,
  kLocalProtection = 4,
  kFlushed = 5,  // the queue pair failed or was closed before: the outcome of the request is unknown
  kMemoryWindowBind = 6,
  kBadResponse = 7,
  kLocalAccess = 8,
  kRemoteInvalidRequest = 9,
  kRemoteAccess = 10,
  kRemoteOperation = 11,
  kRetriesExceeded = 12,
  kReceiverNotReady = 13,
  kLocalRddViolation = 14,
  kRemoteInvalidReadRequest = 15,
  kRemoteAborted = 16,
  kInvalidEecNumber = 17,
  kInvalidEecState = 18,
  kFatal = 19,
  kResponseTimeout = 20,
  kGeneral = 21,
};

// "remote access error"
std::string_view describe(CompletionStatus status);
// What it usually means and what helps; empty when there is nothing to say.
std::string_view advice(CompletionStatus status);

// `subject` names the object ("rxe0 port 1, queue pair 17, peer ..."). error_number 0 counts as EIO: some providers
// fail without setting errno.
Status verb_error(const char* verb, int error_number, const std::string& subject);
// As above, with what to do: the limit on locked memory when the kernel refused to pin, and so on.
Status verb_error(const char* verb, int error_number, const std::string& subject, const std::string& cure);

// ENOMEM from a verb that pins memory is most often RLIMIT_MEMLOCK; names the limit in force, or nothing when it is
// unlimited.
std::string memory_lock_cure();

Status completion_error(std::string_view operation, CompletionStatus status, uint32_t vendor_error, const std::string& subject);

}  // namespace ibexfs::verbs
