// Posting requests, and finding them again when they complete.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "verbs/queue_pair.h"

namespace ibexfs::verbs {
namespace {

// Requests of one doorbell. On soft-RoCE a doorbell is a system call, on adapters an uncached write: 32 make it cheap,
// and their descriptors still fit on the stack.
constexpr size_t kChainMax = 32;

constexpr int opcode_of(Operation operation) {
  switch (operation) {
    case Operation::kSendWithImmediate:
      return abi::kOpcodeSendWithImmediate;
    case Operation::kWrite:
      return abi::kOpcodeWrite;
    case Operation::kWriteWithImmediate:
      return abi::kOpcodeWriteWithImmediate;
    case Operation::kRead:
      return abi::kOpcodeRead;
    case Operation::kCompareAndSwap:
      return abi::kOpcodeCompareAndSwap;
    case Operation::kFetchAndAdd:
      return abi::kOpcodeFetchAndAdd;
    case Operation::kSend:
    case Operation::kReceive:
      break;
  }
  return abi::kOpcodeSend;
}

bool atomic(Operation operation) {
  return operation == Operation::kCompareAndSwap || operation == Operation::kFetchAndAdd;
}

bool one_sided(Operation operation) {
  return operation == Operation::kWrite || operation == Operation::kWriteWithImmediate || operation == Operation::kRead;
}

int fill_ranges(const LocalRanges& ranges, abi::ScatterGather* entries) {
  int count = 0;
  for (const LocalRange& range : ranges) {
    // Of zero length are left out: some devices read a length of 0 as 2 GiB.
    if (range.length == 0) continue;
    entries[count++] = {reinterpret_cast<uintptr_t>(range.data), static_cast<uint32_t>(range.length), range.lkey};
  }
  return count;
}

void fill(abi::SendRequest& raw, const SendRequest& request, bool signaled) {
  raw.opcode = opcode_of(request.operation);
  raw.send_flags = (signaled ? abi::kSendSignaled : 0U) | (request.fence ? abi::kSendFence : 0U) |
                   (request.inline_data ? abi::kSendInline : 0U);
  raw.immediate = htonl(request.immediate);
  if (atomic(request.operation)) {
    raw.wr.atomic.remote_addr = request.remote.address;
    raw.wr.atomic.rkey = request.remote.rkey;
    raw.wr.atomic.compare_add = request.compare_or_add;
    raw.wr.atomic.swap = request.swap;
  } else if (one_sided(request.operation)) {
    raw.wr.rdma.remote_addr = request.remote.address;
    raw.wr.rdma.rkey = request.remote.rkey;
  }
}

// How many of `count` requests were taken, from the first that was not. A provider that names none of ours tells
// nothing: then all count as taken, because memory that the adapter may use must not be let go.
template <typename Request>
size_t taken_before(const Request* first, const Request* bad, size_t count) {
  return bad >= first && bad < first + count ? static_cast<size_t>(bad - first) : count;
}

}  // namespace

Status QueuePair::check(const SendRequest& request) const {
  const auto refuse = [&](StatusCode code, const std::string& why) {
    return Status(code, std::string(describe(request.operation)) + " on " + subject() + ": " + why);
  };
  const uint64_t bytes = request.local.bytes();
  if (request.operation == Operation::kReceive) return refuse(StatusCode::kInvalid, "receives are posted by post_receives");
  if (request.local.count() > settings_.ranges_max)
    return refuse(StatusCode::kInvalid, "the device takes " + std::to_string(settings_.ranges_max) + " ranges");
  if (bytes > request_bytes_max_)
    return refuse(StatusCode::kInvalid,
                  std::to_string(bytes) + " bytes are more than one request may have, " + std::to_string(request_bytes_max_));
  if (request.inline_data) {
    if (atomic(request.operation) || request.operation == Operation::kRead)
      return refuse(StatusCode::kInvalid, "only what is sent can be inline");
    if (bytes > inline_bytes_max_)
      return refuse(StatusCode::kInvalid, "inline data may have " + std::to_string(inline_bytes_max_) + " bytes");
  }
  if (one_sided(request.operation) && (!request.remote.valid() || request.remote.length < bytes))
    return refuse(StatusCode::kInvalid, "the remote range is shorter than the local one");
  if ((atomic(request.operation) || request.operation == Operation::kRead) && terms_.initiator_depth == 0)
    return refuse(StatusCode::kNotSupported, "one of both devices answers no READs and atomics");
  if (atomic(request.operation)) {
    if (!domain_->device().limits().atomics) return refuse(StatusCode::kNotSupported, "the device has no atomic operations");
    if (bytes != 8 || request.local.count() != 1) return refuse(StatusCode::kInvalid, "the result needs one range of 8 bytes");
    if (request.remote.length < 8 || request.remote.address % 8 != 0)
      return refuse(StatusCode::kInvalid, "the remote range must be 8 aligned bytes");
  }
  return {};
}

Status QueuePair::check(const ReceiveRequest& request) const {
  if (request.local.count() > settings_.ranges_max)
    return {StatusCode::kInvalid,
            "a receive on " + subject() + ": the device takes " + std::to_string(settings_.ranges_max) + " ranges"};
  for (const LocalRange& range : request.local) {
    if (range.length > INT32_MAX) return {StatusCode::kInvalid, "a receive on " + subject() + " is longer than 2 GiB"};
  }
  return {};
}

Status QueuePair::post(std::span<SendRequest> requests, size_t* posted) {
  size_t taken = 0;
  if (posted != nullptr) *posted = 0;
  if (state_ != QueuePairState::kReadyToSend) return wrong_state("send");
  for (const SendRequest& request : requests) {
    if (Status status = check(request); !status.ok()) return status;
  }
  if (requests.size() > settings_.send_depth)
    return {StatusCode::kInvalid,
            "the send queue of " + subject() + " never has room for " + std::to_string(requests.size()) + " requests"};
  if (requests.size() > send_slots_free()) return {StatusCode::kTryAgain, "the send queue of " + subject() + " is full"};
  Status status;
  while (status.ok() && taken < requests.size()) {
    status = post_chain(requests.subspan(taken, std::min(kChainMax, requests.size() - taken)), taken);
  }
  if (posted != nullptr) *posted = taken;
  if (!status.ok()) fail(status);
  return status;
}

Status QueuePair::post_chain(std::span<SendRequest> requests, size_t& posted) {
  std::array<abi::SendRequest, kChainMax> chain;
  std::array<abi::ScatterGather, kChainMax * kRangesMax> ranges;
  const size_t count = requests.size();
  WorkRequestId id = send_id_;
  for (size_t i = 0; i < count; ++i) {
    abi::ScatterGather* first_range = ranges.data() + i * kRangesMax;
    id.sequence = sends_.head + static_cast<uint32_t>(i);
    chain[i] = {};
    chain[i].wr_id = id.pack();
    chain[i].next = i + 1 < count ? &chain[i + 1] : nullptr;
    chain[i].sg_list = first_range;
    chain[i].num_sge = fill_ranges(requests[i].local, first_range);
    fill(chain[i], requests[i], signaled(i, count));
  }
  abi::SendRequest* bad = nullptr;
  const int error = handle_->context->ops.post_send(handle_, chain.data(), &bad);
  const size_t taken = error == 0 ? count : taken_before(chain.data(), bad, count);
  for (size_t i = 0; i < taken; ++i) {
    sends_.at(sends_.head) = {requests[i].token, requests[i].operation, false, std::move(requests[i].keep)};
    ++sends_.head;
    if (signaled(i, count)) sends_.last_signaled = sends_.head;
  }
  posted += taken;
  return error == 0 ? Status() : verb_error("ibv_post_send", error, subject());
}

Status QueuePair::post_receives(std::span<ReceiveRequest> requests, size_t* posted) {
  size_t taken = 0;
  if (posted != nullptr) *posted = 0;
  if (state_ == QueuePairState::kReset || state_ == QueuePairState::kError) return wrong_state("receive");
  for (const ReceiveRequest& request : requests) {
    if (Status status = check(request); !status.ok()) return status;
  }
  if (requests.size() > settings_.receive_depth)
    return {StatusCode::kInvalid,
            "the receive queue of " + subject() + " never has room for " + std::to_string(requests.size()) + " requests"};
  if (requests.size() > receive_slots_free()) return {StatusCode::kTryAgain, "the receive queue of " + subject() + " is full"};
  Status status;
  while (status.ok() && taken < requests.size()) {
    status = post_receive_chain(requests.subspan(taken, std::min(kChainMax, requests.size() - taken)), taken);
  }
  if (posted != nullptr) *posted = taken;
  if (!status.ok()) fail(status);
  return status;
}

Status QueuePair::post_receive_chain(std::span<ReceiveRequest> requests, size_t& posted) {
  std::array<abi::ReceiveRequest, kChainMax> chain;
  std::array<abi::ScatterGather, kChainMax * kRangesMax> ranges;
  const size_t count = requests.size();
  WorkRequestId id = receive_id_;
  for (size_t i = 0; i < count; ++i) {
    abi::ScatterGather* first_range = ranges.data() + i * kRangesMax;
    id.sequence = receives_.head + static_cast<uint32_t>(i);
    chain[i] = {id.pack(), i + 1 < count ? &chain[i + 1] : nullptr, first_range, fill_ranges(requests[i].local, first_range)};
  }
  abi::ReceiveRequest* bad = nullptr;
  const int error = handle_->context->ops.post_recv(handle_, chain.data(), &bad);
  const size_t taken = error == 0 ? count : taken_before(chain.data(), bad, count);
  for (size_t i = 0; i < taken; ++i) {
    receives_.at(receives_.head) = {requests[i].token, Operation::kReceive, false, std::move(requests[i].keep)};
    ++receives_.head;
  }
  receives_.last_signaled = receives_.head;
  posted += taken;
  return error == 0 ? Status() : verb_error("ibv_post_recv", error, subject());
}

// The end of a chain that was cut off by a refusal reports nothing: whether it was executed before the queue pair
// failed would never be known, and its slots never be free. One more request, which is flushed behind it, tells.
void QueuePair::post_marker() {
  if (sends_.outstanding() == 0 || sends_.last_signaled == sends_.head) return;
  WorkRequestId id = send_id_;
  id.sequence = sends_.head;
  abi::SendRequest raw{};
  raw.wr_id = id.pack();
  raw.opcode = abi::kOpcodeSend;
  raw.send_flags = abi::kSendSignaled;
  abi::SendRequest* bad = nullptr;
  // Refused: then it does not drain, and destroying it is what ends its requests.
  if (handle_->context->ops.post_send(handle_, &raw, &bad) != 0) return;
  sends_.at(sends_.head) = {0, Operation::kSend, true, nullptr};
  sends_.last_signaled = ++sends_.head;
}

bool QueuePair::complete(const WorkRequestId& id, const abi::WorkCompletion& entry, std::vector<Completion>& completions) {
  Ring& ring = id.receive ? receives_ : sends_;
  if (id.sequence - ring.tail >= ring.outstanding()) return false;
  const auto status = static_cast<CompletionStatus>(std::clamp(entry.status, 0, static_cast<int>(CompletionStatus::kGeneral)));
  const bool ok = status == CompletionStatus::kSuccess;
  if (!ok && state_ != QueuePairState::kError) {
    const Operation operation = ring.at(id.sequence).operation;
    fail(completion_error(describe(operation), status, entry.vendor_err, subject()));
  }
  for (; ring.tail != id.sequence + 1; ++ring.tail) {
    Slot& slot = ring.at(ring.tail);
    const bool own = ring.tail == id.sequence;
    if (slot.marker) continue;
    Completion& completion = completions.emplace_back();
    completion.owner = settings_.owner;
    completion.token = slot.token;
    completion.operation = slot.operation;
    completion.queue_pair_number = descriptor_.queue_pair_number;
    completion.keep = std::move(slot.keep);
    // Sends complete in order. One without a report of its own that precedes a success was one; what precedes a failure
    // may have been, or not. Receives all report, so one that was passed over is unknown as well.
    completion.status = own || (ok && !id.receive) ? status : CompletionStatus::kFlushed;
    if (!own) continue;
    completion.vendor_error = ok ? 0 : entry.vendor_err;
    if (!ok || !id.receive) continue;
    completion.bytes = entry.byte_len;
    completion.has_immediate = (entry.wc_flags & abi::kCompletionWithImmediate) != 0;
    completion.immediate = completion.has_immediate ? ntohl(entry.immediate) : 0;
    completion.received_write = entry.opcode == abi::kCompletionReceiveWriteImmediate;
  }
  return true;
}

}  // namespace ibexfs::verbs
