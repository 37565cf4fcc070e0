// The verbs that we call, as one table: the only seam between this library and libibverbs. library.cc fills it from
// the shared library; unit tests fill it with a stub. The verbs of the fast path (post_send, post_recv, poll_cq,
// req_notify_cq) are reached through abi::Context::ops of the open device, as libibverbs itself does it.
#pragma once

#include "verbs/abi.h"

namespace ibexfs::verbs {

struct VerbsTable {
  abi::Device** (*get_device_list)(int* count) = nullptr;
  void (*free_device_list)(abi::Device** list) = nullptr;
  uint64_t (*get_device_guid)(abi::Device* device) = nullptr;  // big-endian
  abi::Context* (*open_device)(abi::Device* device) = nullptr;
  int (*close_device)(abi::Context* context) = nullptr;
  int (*query_device)(abi::Context* context, abi::DeviceAttributes* attributes) = nullptr;
  int (*query_port)(abi::Context* context, uint8_t port, abi::PortAttributes* attributes) = nullptr;
  int (*query_gid)(abi::Context* context, uint8_t port, int index, abi::Gid* gid) = nullptr;
  int (*get_async_event)(abi::Context* context, abi::AsyncEvent* event) = nullptr;
  void (*ack_async_event)(abi::AsyncEvent* event) = nullptr;

  abi::ProtectionDomain* (*alloc_pd)(abi::Context* context) = nullptr;
  int (*dealloc_pd)(abi::ProtectionDomain* domain) = nullptr;
  abi::MemoryRegion* (*reg_mr)(abi::ProtectionDomain* domain, void* address, size_t length, int access) = nullptr;
  int (*dereg_mr)(abi::MemoryRegion* region) = nullptr;

  abi::CompletionChannel* (*create_comp_channel)(abi::Context* context) = nullptr;
  int (*destroy_comp_channel)(abi::CompletionChannel* channel) = nullptr;
  abi::CompletionQueue* (*create_cq)(abi::Context* context, int entries, void* cq_context, abi::CompletionChannel* channel,
                                     int vector) = nullptr;
  int (*destroy_cq)(abi::CompletionQueue* cq) = nullptr;
  int (*get_cq_event)(abi::CompletionChannel* channel, abi::CompletionQueue** cq, void** cq_context) = nullptr;
  void (*ack_cq_events)(abi::CompletionQueue* cq, unsigned count) = nullptr;

  abi::QueuePair* (*create_qp)(abi::ProtectionDomain* domain, abi::QueuePairInit* init) = nullptr;
  int (*modify_qp)(abi::QueuePair* qp, abi::QueuePairAttributes* attributes, int mask) = nullptr;
  int (*destroy_qp)(abi::QueuePair* qp) = nullptr;

  // Younger than the oldest library that we work with; null where it has none.
  abi::MemoryRegion* (*reg_mr_iova2)(abi::ProtectionDomain* domain, void* address, size_t length, uint64_t iova,
                                     unsigned access) = nullptr;
  ssize_t (*query_gid_table)(abi::Context* context, abi::GidEntry* entries, size_t count, uint32_t flags,
                             size_t entry_bytes) = nullptr;
  int (*is_fork_initialized)() = nullptr;
  int (*fork_init)() = nullptr;
};

}  // namespace ibexfs::verbs
