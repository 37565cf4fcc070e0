// The stub's verbs.
#include "test/verbs_stub.h"

#include <doctest/doctest.h>
#include <endian.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace ibexfs::test {

namespace abi = verbs::abi;

namespace {
StubVerbs* current = nullptr;
constexpr int kFlushed = 5;
}  // namespace

// The functions of the table; a friend, so that they reach the stub's insides.
struct StubEntry {
  static abi::Device** get_device_list(int* count) {
    if (current->list_error != 0) {
      errno = current->list_error;
      return nullptr;
    }
    current->devices_.clear();
    current->list_.clear();
    for (const std::string& name : current->device_names) {
      abi::Device device{};
      std::strncpy(device.name, name.c_str(), sizeof device.name - 1);
      std::strncpy(device.dev_name, "uverbs0", sizeof device.dev_name - 1);
      current->devices_.push_back(device);
    }
    for (abi::Device& device : current->devices_) current->list_.push_back(&device);
    current->list_.push_back(nullptr);
    *count = static_cast<int>(current->devices_.size());
    return current->list_.data();
  }
  static void free_device_list(abi::Device**) {}
  static uint64_t get_device_guid(abi::Device*) { return htobe64(0x1122334455667788); }
  static abi::Context* open_device(abi::Device*) {
    if (current->fails("open_device")) return nullptr;
    current->calls.emplace_back("open_device");
    return &current->context_;
  }
  static int close_device(abi::Context*) {
    current->calls.emplace_back("close_device");
    if (!current->domains_.empty() || !current->queues_.empty() || !current->channels_.empty())
      current->faults.emplace_back("close_device before its children");
    return 0;
  }
  static int query_device(abi::Context*, abi::DeviceAttributes* attributes) {
    *attributes = current->attributes;
    return current->fails("query_device") ? errno : 0;
  }
  static int query_port(abi::Context*, uint8_t, abi::PortAttributes* attributes) {
    *attributes = current->port;
    return current->fails("query_port") ? errno : 0;
  }
  static int query_gid(abi::Context*, uint8_t, int index, abi::Gid* gid) {
    for (const abi::GidEntry& entry : current->gids) {
      if (static_cast<int>(entry.gid_index) == index) *gid = entry.gid;
    }
    return 0;
  }
  static ssize_t query_gid_table(abi::Context*, abi::GidEntry* entries, size_t count, uint32_t, size_t) {
    const size_t given = std::min(count, current->gids.size());
    std::copy_n(current->gids.begin(), given, entries);
    return static_cast<ssize_t>(given);
  }
  static int get_async_event(abi::Context*, abi::AsyncEvent* event) {
    if (current->async_events_.empty()) {
      errno = EAGAIN;
      return -1;
    }
    *event = current->async_events_.front();
    current->async_events_.pop_front();
    eventfd_t ignored = 0;
    eventfd_read(current->async_fd_.get(), &ignored);
    ++current->async_unacknowledged;
    return 0;
  }
  static void ack_async_event(abi::AsyncEvent*) { --current->async_unacknowledged; }

  static abi::ProtectionDomain* alloc_pd(abi::Context* context) {
    if (current->fails("alloc_pd")) return nullptr;
    auto* domain = new abi::ProtectionDomain{context, 0};
    current->domains_.insert(domain);
    current->calls.emplace_back("alloc_pd");
    return domain;
  }
  static int dealloc_pd(abi::ProtectionDomain* domain) {
    current->calls.emplace_back("dealloc_pd");
    for (const abi::MemoryRegion* region : current->regions_) {
      if (region->pd == domain) current->faults.emplace_back("dealloc_pd before its memory regions");
    }
    for (const auto& [number, pair] : current->pairs_) {
      if (pair->raw.pd == domain) current->faults.emplace_back("dealloc_pd before its queue pairs");
    }
    current->domains_.erase(domain);
    delete domain;
    return 0;
  }
  static abi::MemoryRegion* reg_mr(abi::ProtectionDomain* domain, void* address, size_t length, int) {
    if (current->fails("reg_mr")) return nullptr;
    const uint32_t key = ++current->last_key_;
    auto* region = new abi::MemoryRegion{&current->context_, domain, address, length, 0, key, key + 1000};
    current->regions_.insert(region);
    current->calls.emplace_back("reg_mr");
    return region;
  }
  static int dereg_mr(abi::MemoryRegion* region) {
    current->calls.emplace_back("dereg_mr");
    const bool refused = current->fails("dereg_mr");
    current->regions_.erase(region);
    delete region;
    return refused ? errno : 0;
  }

  static abi::CompletionChannel* create_comp_channel(abi::Context* context) {
    if (current->fails("create_comp_channel")) return nullptr;
    auto channel = std::make_unique<StubVerbs::Channel>();
    channel->raw = {context, eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE), 0};
    abi::CompletionChannel* raw = &channel->raw;
    current->channels_[raw] = std::move(channel);
    current->calls.emplace_back("create_comp_channel");
    return raw;
  }
  static int destroy_comp_channel(abi::CompletionChannel* raw) {
    current->calls.emplace_back("destroy_comp_channel");
    if (raw->refcnt != 0) current->faults.emplace_back("destroy_comp_channel before its queues");
    close(raw->fd);
    current->channels_.erase(raw);
    return 0;
  }
  static abi::CompletionQueue* create_cq(abi::Context* context, int entries, void* user, abi::CompletionChannel* channel, int) {
    if (current->fails("create_cq")) return nullptr;
    auto queue = std::make_unique<StubVerbs::Queue>();
    queue->raw = {context, channel, user, 0, entries};
    ++channel->refcnt;
    abi::CompletionQueue* raw = &queue->raw;
    current->queues_[raw] = std::move(queue);
    current->calls.emplace_back("create_cq");
    return raw;
  }
  static int destroy_cq(abi::CompletionQueue* raw) {
    current->calls.emplace_back("destroy_cq");
    StubVerbs::Queue& queue = current->queue_of(raw);
    if (queue.events_taken != queue.events_acknowledged)
      current->faults.emplace_back("destroy_cq would wait for acknowledgements");
    if (queue.users != 0) current->faults.emplace_back("destroy_cq before its queue pairs");
    // The kernel drops the events that nobody took.
    auto& events = current->channels_.at(raw->channel)->events;
    std::erase(events, raw);
    --raw->channel->refcnt;
    current->queues_.erase(raw);
    return 0;
  }
  static int get_cq_event(abi::CompletionChannel* raw, abi::CompletionQueue** cq, void** user) {
    StubVerbs::Channel& channel = *current->channels_.at(raw);
    if (channel.events.empty()) {
      errno = EAGAIN;
      return -1;
    }
    *cq = channel.events.front();
    *user = (*cq)->cq_context;
    channel.events.pop_front();
    uint64_t ignored = 0;
    if (read(raw->fd, &ignored, sizeof ignored) < 0) current->faults.emplace_back("an event without its count");
    ++current->queue_of(*cq).events_taken;
    return 0;
  }
  static void ack_cq_events(abi::CompletionQueue* cq, unsigned count) {
    current->queue_of(cq).events_acknowledged += count;
    ++current->acknowledgements;
  }

  static abi::QueuePair* create_qp(abi::ProtectionDomain* domain, abi::QueuePairInit* init) {
    if (current->fails("create_qp")) return nullptr;
    if (init->cap.max_inline_data > current->inline_bytes_max) {
      errno = EINVAL;
      return nullptr;
    }
    auto pair = std::make_unique<StubVerbs::Pair>();
    const uint32_t number = ++current->last_number_;
    pair->raw.context = &current->context_;
    pair->raw.pd = domain;
    pair->raw.send_cq = init->send_cq;
    pair->raw.recv_cq = init->recv_cq;
    pair->raw.qp_num = number;
    pair->raw.state = abi::kStateReset;
    ++current->queue_of(init->send_cq).users;
    ++current->queue_of(init->recv_cq).users;
    abi::QueuePair* raw = &pair->raw;
    current->pairs_[number] = std::move(pair);
    current->calls.emplace_back("create_qp");
    return raw;
  }
  static int modify_qp(abi::QueuePair* raw, abi::QueuePairAttributes* attributes, int mask) {
    if (current->fails("modify_qp")) return errno;
    StubVerbs::Pair& pair = current->pair(raw->qp_num);
    pair.modifications.push_back(*attributes);
    pair.masks.push_back(mask);
    raw->state = attributes->qp_state;
    if (raw->state == abi::kStateError && !current->late_flush) current->flush(raw->qp_num);
    return 0;
  }
  static int destroy_qp(abi::QueuePair* raw) {
    current->calls.emplace_back("destroy_qp");
    if (current->fails("destroy_qp")) return errno;
    --current->queue_of(raw->send_cq).users;
    --current->queue_of(raw->recv_cq).users;
    current->pairs_.erase(raw->qp_num);
    return 0;
  }

  static int poll_cq(abi::CompletionQueue* raw, int count, abi::WorkCompletion* completions) {
    StubVerbs::Queue& queue = current->queue_of(raw);
    if (queue.overrun) return -EIO;
    int given = 0;
    for (; given < count && !queue.entries.empty(); ++given) {
      completions[given] = queue.entries.front();
      queue.entries.pop_front();
    }
    return given;
  }
  static int req_notify_cq(abi::CompletionQueue* raw, int) {
    if (current->fails("req_notify_cq")) return errno;
    if (current->before_arming) std::exchange(current->before_arming, nullptr)();
    current->queue_of(raw).armed = true;
    return 0;
  }
  static int post_send(abi::QueuePair* raw, abi::SendRequest* first, abi::SendRequest** bad) {
    StubVerbs::Pair& pair = current->pair(raw->qp_num);
    ++current->doorbells;
    for (abi::SendRequest* request = first; request != nullptr; request = request->next) {
      if (current->sends_until_refusal == 0) {
        *bad = request;
        current->sends_until_refusal = -1;
        return ENOMEM;
      }
      if (current->sends_until_refusal > 0) --current->sends_until_refusal;
      pair.sends.push_back({request->wr_id, (request->send_flags & abi::kSendSignaled) != 0,
                            (request->send_flags & abi::kSendInline) != 0, request->opcode, request->num_sge,
                            (request->send_flags & abi::kSendFence) != 0});
    }
    if (raw->state == abi::kStateError && !current->late_flush) current->flush(raw->qp_num);
    return 0;
  }
  static int post_recv(abi::QueuePair* raw, abi::ReceiveRequest* first, abi::ReceiveRequest** bad) {
    StubVerbs::Pair& pair = current->pair(raw->qp_num);
    for (abi::ReceiveRequest* request = first; request != nullptr; request = request->next) {
      if (current->receives_until_refusal == 0) {
        *bad = request;
        current->receives_until_refusal = -1;
        return ENOMEM;
      }
      if (current->receives_until_refusal > 0) --current->receives_until_refusal;
      pair.receives.push_back({request->wr_id});
    }
    return 0;
  }
};

StubVerbs::StubVerbs() : async_fd_(eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE | EFD_NONBLOCK)) {
  REQUIRE(current == nullptr);
  current = this;
  context_.async_fd = async_fd_.get();
  context_.ops.poll_cq = StubEntry::poll_cq;
  context_.ops.req_notify_cq = StubEntry::req_notify_cq;
  context_.ops.post_send = StubEntry::post_send;
  context_.ops.post_recv = StubEntry::post_recv;
  attributes.max_mr_size = UINT64_MAX;
  attributes.max_qp = 100;
  attributes.max_qp_wr = 1000;
  attributes.max_sge = 4;
  attributes.max_cq = 100;
  attributes.max_cqe = 100;
  attributes.max_mr = 100;
  attributes.max_pd = 100;
  attributes.max_qp_rd_atom = 16;
  attributes.max_qp_init_rd_atom = 16;
  attributes.atomic_cap = abi::kAtomicDevice;
  attributes.phys_port_cnt = 1;
  port.state = abi::kPortActive;
  port.max_mtu = 5;
  port.active_mtu = 5;
  port.gid_tbl_len = 8;
  port.max_msg_sz = 1U << 23;
  port.link_layer = abi::kLinkLayerEthernet;
  abi::GidEntry entry{};
  std::memcpy(entry.gid.raw, verbs::Gid::parse("10.0.0.1")->bytes.data(), sizeof entry.gid.raw);
  entry.gid_index = 1;
  entry.port_num = 1;
  entry.gid_type = abi::kGidTypeRoceV2;
  gids.push_back(entry);
}

StubVerbs::~StubVerbs() {
  // Left only where a test made a destroy fail.
  for (const auto& [raw, channel] : channels_) close(raw->fd);
  for (const abi::MemoryRegion* region : regions_) delete region;
  for (const abi::ProtectionDomain* domain : domains_) delete domain;
  current = nullptr;
}

verbs::VerbsTable StubVerbs::table() {
  verbs::VerbsTable table;
  table.get_device_list = StubEntry::get_device_list;
  table.free_device_list = StubEntry::free_device_list;
  table.get_device_guid = StubEntry::get_device_guid;
  table.open_device = StubEntry::open_device;
  table.close_device = StubEntry::close_device;
  table.query_device = StubEntry::query_device;
  table.query_port = StubEntry::query_port;
  table.query_gid = StubEntry::query_gid;
  table.query_gid_table = StubEntry::query_gid_table;
  table.get_async_event = StubEntry::get_async_event;
  table.ack_async_event = StubEntry::ack_async_event;
  table.alloc_pd = StubEntry::alloc_pd;
  table.dealloc_pd = StubEntry::dealloc_pd;
  table.reg_mr = StubEntry::reg_mr;
  table.dereg_mr = StubEntry::dereg_mr;
  table.create_comp_channel = StubEntry::create_comp_channel;
  table.destroy_comp_channel = StubEntry::destroy_comp_channel;
  table.create_cq = StubEntry::create_cq;
  table.destroy_cq = StubEntry::destroy_cq;
  table.get_cq_event = StubEntry::get_cq_event;
  table.ack_cq_events = StubEntry::ack_cq_events;
  table.create_qp = StubEntry::create_qp;
  table.modify_qp = StubEntry::modify_qp;
  table.destroy_qp = StubEntry::destroy_qp;
  return table;
}

bool StubVerbs::fails(const char* verb) {
  const auto failure = failures.find(verb);
  if (failure == failures.end()) return false;
  errno = failure->second;
  return true;
}

StubVerbs::Pair& StubVerbs::pair(uint32_t number) {
  REQUIRE(pairs_.count(number) == 1);
  return *pairs_.at(number);
}

StubVerbs::Queue& StubVerbs::queue_of(abi::CompletionQueue* raw) {
  REQUIRE(queues_.count(raw) == 1);
  return *queues_.at(raw);
}

void StubVerbs::deliver(abi::CompletionQueue* raw, const abi::WorkCompletion& entry) {
  Queue& queue = queue_of(raw);
  if (queue.entries.size() >= static_cast<size_t>(raw->cqe)) {
    queue.overrun = true;
    return;
  }
  queue.entries.push_back(entry);
  if (queue.armed) raise_event(raw);
  queue.armed = false;
}

void StubVerbs::raise_event(abi::CompletionQueue* raw) {
  channels_.at(raw->channel)->events.push_back(raw);
  const uint64_t one = 1;
  REQUIRE(write(raw->channel->fd, &one, sizeof one) == sizeof one);
}

void StubVerbs::raise_async(abi::AsyncEvent event) {
  async_events_.push_back(event);
  eventfd_write(async_fd_.get(), 1);
}

void StubVerbs::report(Pair& pair, const Posted& posted, int status, bool receive) {
  abi::WorkCompletion entry{};
  entry.wr_id = posted.wr_id;
  entry.status = status;
  entry.qp_num = pair.raw.qp_num;
  // What is undefined after an error holds something else than zero.
  if (status != 0) entry.byte_len = entry.wc_flags = entry.immediate = 0xffffffff;
  deliver(receive ? pair.raw.recv_cq : pair.raw.send_cq, entry);
}

void StubVerbs::execute_sends(uint32_t number, size_t count) {
  Pair& target = pair(number);
  REQUIRE(target.sends.size() >= count);
  for (size_t i = 0; i < count; ++i) {
    const Posted posted = target.sends.front();
    target.sends.pop_front();
    if (posted.signaled) report(target, posted, 0, false);
  }
}

void StubVerbs::fail_send(uint32_t number, int status) {
  Pair& target = pair(number);
  REQUIRE(!target.sends.empty());
  const Posted posted = target.sends.front();
  target.sends.pop_front();
  target.raw.state = abi::kStateError;
  report(target, posted, status, false);
  if (!late_flush) flush(number);
}

void StubVerbs::execute_receive(uint32_t number, uint32_t bytes, const uint32_t* immediate, bool write) {
  Pair& target = pair(number);
  REQUIRE(!target.receives.empty());
  abi::WorkCompletion entry{};
  entry.wr_id = target.receives.front().wr_id;
  target.receives.pop_front();
  entry.opcode = write ? abi::kCompletionReceiveWriteImmediate : abi::kCompletionReceive;
  entry.byte_len = bytes;
  entry.qp_num = number;
  if (immediate != nullptr) {
    entry.immediate = htobe32(*immediate);
    entry.wc_flags = abi::kCompletionWithImmediate;
  }
  deliver(target.raw.recv_cq, entry);
}

void StubVerbs::flush(uint32_t number) {
  Pair& target = pair(number);
  for (; !target.receives.empty(); target.receives.pop_front()) report(target, target.receives.front(), kFlushed, true);
  for (; !target.sends.empty(); target.sends.pop_front()) report(target, target.sends.front(), kFlushed, false);
}

StubDevice::StubDevice() : library(verbs::Library::with_table(StubVerbs::table(), {})) {
  auto opened = verbs::Device::open(library, "stub0");
  REQUIRE(opened.ok());
  device = opened.take();
}

StubDevice::~StubDevice() {
  device.reset();
  const verbs::LiveObjects& live = library->live();
  CHECK(live.leaks == leaks_expected);
  if (leaks_expected != 0) return;
  for (const std::string& fault : stub.faults) FAIL_CHECK(fault);
  CHECK(live.devices == 0);
  CHECK(live.protection_domains == 0);
  CHECK(live.memory_regions == 0);
  CHECK(live.registered_bytes == 0);
  CHECK(live.completion_channels == 0);
  CHECK(live.completion_queues == 0);
  CHECK(live.queue_pairs == 0);
}

std::shared_ptr<verbs::ProtectionDomain> StubDevice::domain() {
  auto made = verbs::ProtectionDomain::create(device);
  REQUIRE(made.ok());
  return made.take();
}

std::shared_ptr<verbs::CompletionQueue> StubDevice::queue(uint32_t entries) {
  auto channel = verbs::CompletionChannel::create(device);
  REQUIRE(channel.ok());
  auto made = verbs::CompletionQueue::create(channel.take(), entries);
  REQUIRE(made.ok());
  return made.take();
}

std::shared_ptr<verbs::QueuePair> StubDevice::connected(const std::shared_ptr<verbs::CompletionQueue>& queue,
                                                        verbs::QueuePairSettings settings) {
  const auto port = verbs::usable_port(*device, 1, {});
  REQUIRE(port.ok());
  auto made = verbs::QueuePair::create(domain(), queue, queue, port.value(), settings);
  REQUIRE(made.ok());
  auto pair = made.take();
  REQUIRE(pair->connect(invented_peer()).ok());
  return pair;
}

verbs::QueuePairSettings small_settings() {
  verbs::QueuePairSettings settings;
  settings.send_depth = 8;
  settings.receive_depth = 4;
  settings.signal_every = 4;
  settings.owner = 77;
  return settings;
}

verbs::ConnectionDescriptor invented_peer() {
  verbs::ConnectionDescriptor peer;
  peer.queue_pair_number = 99;
  peer.packet_sequence_number = 12345;
  peer.gid = *verbs::Gid::parse("10.0.0.2");
  peer.mtu_bytes = 2048;
  peer.responder_depth = 4;
  peer.initiator_depth = 8;
  return peer;
}

}  // namespace ibexfs::test
