// From the requests that JavaScript wrote to chains on queue pairs. JavaScript is not trusted to keep invariants: every
// number is checked here, or by the queue pair.
#include <algorithm>

#include "addon/rdma_loop.h"

namespace ibexfs {

namespace {

static_assert(static_cast<uint8_t>(wire::RdmaOperation::kSend) == static_cast<uint8_t>(verbs::Operation::kSend));
static_assert(static_cast<uint8_t>(wire::RdmaOperation::kReceive) == static_cast<uint8_t>(verbs::Operation::kReceive));
static_assert(static_cast<uint8_t>(wire::RdmaStatus::kRemoteAccess) ==
              static_cast<uint8_t>(verbs::CompletionStatus::kRemoteAccess));
static_assert(static_cast<uint8_t>(wire::RdmaStatus::kGeneral) == static_cast<uint8_t>(verbs::CompletionStatus::kGeneral));

bool has(const wire::RdmaRequest& request, wire::RdmaRequestFlag flag) {
  return (request.flags & static_cast<uint8_t>(flag)) != 0;
}

}  // namespace

std::vector<RdmaLoop::Refusal> RdmaLoop::submit(uint32_t count) {
  std::vector<Refusal> refusals;
  touched_.clear();
  for (uint32_t i = 0; i < std::min(count, kRequestsMax); ++i) sort_in((*requests_)[i]);
  for (const uint32_t index : touched_) post(index, refusals);
  return refusals;
}

// A copy of the request is checked, so that nothing can change behind the check.
void RdmaLoop::sort_in(const wire::RdmaRequest& shared) {
  const wire::RdmaRequest request = shared;
  Place* place = place_of(request.queue_pair);
  if (place == nullptr) return;  // JavaScript has closed it, and settled its requests
  if (place->sends.empty() && place->receives.empty() && place->send_fault.ok() && place->receive_fault.ok())
    touched_.push_back(request.queue_pair & kIndexMask);
  const auto operation = static_cast<verbs::Operation>(request.operation);
  Status& fault = operation == verbs::Operation::kReceive ? place->receive_fault : place->send_fault;
  // What comes behind one that is refused is refused with it: the order is kept.
  if (!fault.ok()) return;
  verbs::LocalRange range;
  std::shared_ptr<const void> keep;
  fault = translate(request, *place->queue_pair, range, keep);
  if (!fault.ok()) return;
  const uint64_t token = request.tag | uint64_t{request.index} << 32;
  if (operation == verbs::Operation::kReceive) {
    place->receives.push_back({range, token, std::move(keep)});
    return;
  }
  verbs::SendRequest& send = place->sends.emplace_back();
  send.operation = operation;
  send.fence = has(request, wire::RdmaRequestFlag::kFence);
  send.inline_data = has(request, wire::RdmaRequestFlag::kInlineData);
  send.local = range;
  send.remote = {request.remote_address, request.length, request.remote_key};
  send.immediate = request.immediate;
  send.compare_or_add = request.compare_or_add;
  send.swap = request.swap;
  send.token = token;
  send.keep = std::move(keep);
}

Status RdmaLoop::translate(const wire::RdmaRequest& request, const verbs::QueuePair& pair, verbs::LocalRange& range,
                           std::shared_ptr<const void>& keep) const {
  if (request.operation > static_cast<uint8_t>(wire::RdmaOperation::kReceive))
    return {StatusCode::kInvalid, "there is no operation " + std::to_string(request.operation)};
  const auto* arena = device_->arenas.find(request.arena);
  if (arena == nullptr) return {StatusCode::kBadDescriptor, "a request on " + pair.subject() + " names an arena that was closed"};
  if (&(*arena)->memory().domain() != &pair.domain())
    return {StatusCode::kInvalid, "a request on " + pair.subject() + " names an arena of another protection domain"};
  const auto local = (*arena)->local(request.offset, request.length);
  if (!local.ok()) return {local.status().code(), "a request on " + pair.subject() + ": " + local.status().message()};
  range = local.value();
  keep = *arena;
  return {};
}

void RdmaLoop::post(uint32_t index, std::vector<Refusal>& refusals) {
  Place& place = places_[index];
  const uint32_t slot = index | place.generation << kIndexBits;
  const auto post_all = [&](bool receives, auto& requests, Status& fault, const auto& post_them) {
    size_t posted = 0;
    Status status;
    if (!requests.empty()) status = post_them(&posted);
    count(place, static_cast<int64_t>(posted));
    if (status.ok() && posted < requests.size()) status = Status(StatusCode::kInternal, "a request was not posted");
    if (status.ok()) status = std::move(fault);
    fault = {};
    if (!status.ok()) refusals.push_back({slot, receives, static_cast<uint32_t>(posted), std::move(status)});
    requests.clear();
  };
  post_all(true, place.receives, place.receive_fault,
           [&](size_t* posted) { return place.queue_pair->post_receives(place.receives, posted); });
  post_all(false, place.sends, place.send_fault, [&](size_t* posted) { return place.queue_pair->post(place.sends, posted); });
}

}  // namespace ibexfs
