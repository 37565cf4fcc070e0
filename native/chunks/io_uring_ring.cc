#include "chunks/io_uring_ring.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace ibexfs {

namespace {

int io_uring_setup(uint32_t entries, io_uring_params* parameters) {
  return static_cast<int>(syscall(SYS_io_uring_setup, entries, parameters));
}

int io_uring_enter(int fd, uint32_t to_submit, uint32_t wait_for, uint32_t flags) {
  return static_cast<int>(syscall(SYS_io_uring_enter, fd, to_submit, wait_for, flags, nullptr, 0));
}

int io_uring_register(int fd, uint32_t what, void* argument, uint32_t count) {
  return static_cast<int>(syscall(SYS_io_uring_register, fd, what, argument, count));
}

uint32_t load(const uint32_t* shared) {
  return __atomic_load_n(shared, __ATOMIC_ACQUIRE);
}
void store(uint32_t* shared, uint32_t value) {
  __atomic_store_n(shared, value, __ATOMIC_RELEASE);
}

// Why io_uring_setup failed, in words that tell an operator where to look.
Status refusal(int error_number) {
  switch (error_number) {
    case ENOSYS:
      return {StatusCode::kNotSupported, "io_uring_setup: this kernel (or a seccomp filter) has no io_uring"};
    case EPERM:
    case EACCES:
      return {StatusCode::kNotPermitted,
              "io_uring_setup: not permitted; see sysctl kernel.io_uring_disabled and the container's seccomp profile"};
    default:
      return Status::from_errno(error_number, "io_uring_setup");
  }
}

}  // namespace

Result<std::unique_ptr<IoUringRing>> IoUringRing::create(uint32_t entries) {
  std::unique_ptr<IoUringRing> ring(new IoUringRing);
  Status status = ring->set_up(entries);
  if (!status.ok()) return status;
  return ring;
}

Status IoUringRing::set_up(uint32_t entries) {
  io_uring_params parameters{};
  // Completions are processed when the thread enters the kernel anyway, without interrupting it (Linux 5.19).
  parameters.flags = IORING_SETUP_CLAMP | IORING_SETUP_COOP_TASKRUN;
  int fd = io_uring_setup(entries, &parameters);
  if (fd < 0 && errno == EINVAL) {
    parameters = {};
    parameters.flags = IORING_SETUP_CLAMP;
    fd = io_uring_setup(entries, &parameters);
  }
  if (fd < 0) return refusal(errno);
  ring_fd_.reset(fd);

  constexpr uint32_t kFeaturesNeeded = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE;
  if ((parameters.features & kFeaturesNeeded) != kFeaturesNeeded) {
    return {StatusCode::kNotSupported, "io_uring of this kernel is too old (5.6 or newer is needed)"};
  }
  Status status = probe_operations();
  if (!status.ok()) return status;
  status = map_queues(parameters);
  if (!status.ok()) return status;

  event_fd_.reset(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!event_fd_) return Status::from_errno(errno, "eventfd for io_uring");
  int event_fd = event_fd_.get();
  if (io_uring_register(ring_fd_.get(), IORING_REGISTER_EVENTFD, &event_fd, 1) < 0) {
    return Status::from_errno(errno, "io_uring_register of an eventfd");
  }
  return {};
}

Status IoUringRing::probe_operations() {
  constexpr uint32_t kOperations = IORING_OP_WRITE + 1;
  alignas(io_uring_probe) std::array<uint8_t, sizeof(io_uring_probe) + kOperations * sizeof(io_uring_probe_op)> memory{};
  auto* probe = reinterpret_cast<io_uring_probe*>(memory.data());
  if (io_uring_register(ring_fd_.get(), IORING_REGISTER_PROBE, probe, kOperations) < 0) {
    return Status::from_errno(errno, "io_uring_register of a probe");
  }
  for (const uint32_t operation : {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_FSYNC}) {
    if (operation > probe->last_op || (probe->ops[operation].flags & IO_URING_OP_SUPPORTED) == 0) {
      return {StatusCode::kNotSupported, "io_uring of this kernel lacks read, write or fsync"};
    }
  }
  return {};
}

Status IoUringRing::map_queues(const io_uring_params& parameters) {
  const auto& sq = parameters.sq_off;
  const auto& cq = parameters.cq_off;
  const int protection = PROT_READ | PROT_WRITE;
  const size_t rings_bytes = std::max<size_t>(sq.array + parameters.sq_entries * sizeof(uint32_t),
                                              cq.cqes + parameters.cq_entries * sizeof(io_uring_cqe));
  void* rings = mmap(nullptr, rings_bytes, protection, MAP_SHARED | MAP_POPULATE, ring_fd_.get(), IORING_OFF_SQ_RING);
  if (rings == MAP_FAILED) return Status::from_errno(errno, "mmap of io_uring's rings");
  rings_ = rings;
  rings_bytes_ = rings_bytes;

  const size_t entries_bytes = parameters.sq_entries * sizeof(io_uring_sqe);
  void* entries = mmap(nullptr, entries_bytes, protection, MAP_SHARED | MAP_POPULATE, ring_fd_.get(), IORING_OFF_SQES);
  if (entries == MAP_FAILED) return Status::from_errno(errno, "mmap of io_uring's submission entries");
  submission_entries_ = static_cast<io_uring_sqe*>(entries);
  submission_entries_bytes_ = entries_bytes;
  entries_ = parameters.sq_entries;

  auto* base = static_cast<uint8_t*>(rings_);
  const auto at = [base](uint32_t offset) { return reinterpret_cast<uint32_t*>(base + offset); };
  submission_head_ = at(sq.head);
  submission_tail_ = at(sq.tail);
  submission_mask_ = *at(sq.ring_mask);
  completion_head_ = at(cq.head);
  completion_tail_ = at(cq.tail);
  completion_mask_ = *at(cq.ring_mask);
  completions_ = reinterpret_cast<io_uring_cqe*>(base + cq.cqes);
  // Slot i of the index array always names entry i.
  for (uint32_t i = 0; i < parameters.sq_entries; i++) at(sq.array)[i] = i;
  return {};
}

IoUringRing::~IoUringRing() {
  if (submission_entries_ != nullptr) munmap(submission_entries_, submission_entries_bytes_);
  if (rings_ != nullptr) munmap(rings_, rings_bytes_);
}

io_uring_sqe* IoUringRing::next_entry() {
  const uint32_t tail = *submission_tail_;
  if (tail - load(submission_head_) >= entries_) return nullptr;
  io_uring_sqe* entry = &submission_entries_[tail & submission_mask_];
  std::memset(entry, 0, sizeof(*entry));
  // The kernel reads entries only inside io_uring_enter, so publishing before the caller fills it is safe.
  store(submission_tail_, tail + 1);
  queued_++;
  return entry;
}

int IoUringRing::submit(bool wait) {
  for (;;) {
    const int taken = io_uring_enter(ring_fd_.get(), queued_, wait ? 1 : 0, wait ? IORING_ENTER_GETEVENTS : 0);
    if (taken >= 0) {
      queued_ -= static_cast<uint32_t>(taken);
      return 0;
    }
    if (errno != EINTR) return errno;
  }
}

bool IoUringRing::next_completion(uint64_t* user_data, int32_t* result) {
  const uint32_t head = *completion_head_;
  if (head == load(completion_tail_)) return false;
  const io_uring_cqe& completion = completions_[head & completion_mask_];
  *user_data = completion.user_data;
  *result = completion.res;
  store(completion_head_, head + 1);
  return true;
}

}  // namespace ibexfs
