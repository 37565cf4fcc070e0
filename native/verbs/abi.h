// The part of the binary interface of libibverbs that we use, declared here so that the addon builds on machines
// without its headers. It is the interface of libibverbs.so.1, which has kept these layouts since 2005 and extends
// them only at their ends; test/verbs_abi_test.cc compares every one with the system's header where that is installed.
// Structures that the library allocates are declared up to the last field that we read.
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace ibexfs::verbs::abi {

struct Context;
struct ProtectionDomain;
struct CompletionQueue;
struct QueuePair;

inline constexpr size_t kNameBytes = 64;
inline constexpr size_t kPathBytes = 256;

union Gid {
  uint8_t raw[16];
  struct {
    uint64_t subnet_prefix;  // both big-endian
    uint64_t interface_id;
  } global;
};

// ---- devices and ports

inline constexpr int kTransportInfiniband = 0;  // RoCE as well
inline constexpr int kTransportIwarp = 1;

struct Device {
  void* unused[2];
  int node_type;
  int transport_type;
  char name[kNameBytes];        // of the kernel's device: mlx5_0
  char dev_name[kNameBytes];    // of its character device: uverbs0
  char dev_path[kPathBytes];    // in sysfs, class infiniband_verbs
  char ibdev_path[kPathBytes];  // in sysfs, class infiniband
};

enum AtomicCapability : int { kAtomicNone = 0, kAtomicDevice = 1, kAtomicGlobal = 2 };

struct DeviceAttributes {
  char firmware_version[64];
  uint64_t node_guid;          // big-endian
  uint64_t system_image_guid;  // big-endian
  uint64_t max_mr_size;
  uint64_t page_size_cap;
  uint32_t vendor_id;
  uint32_t vendor_part_id;
  uint32_t hardware_version;
  int max_qp;
  int max_qp_wr;
  unsigned device_cap_flags;
  int max_sge;
  int max_sge_rd;
  int max_cq;
  int max_cqe;
  int max_mr;
  int max_pd;
  int max_qp_rd_atom;
  int max_ee_rd_atom;
  int max_res_rd_atom;
  int max_qp_init_rd_atom;
  int max_ee_init_rd_atom;
  int atomic_cap;
  int unused_limits[8];  // of kinds of objects that we do not make
  int max_ah;
  int max_fmr;
  int max_map_per_fmr;
  int max_srq;
  int max_srq_wr;
  int max_srq_sge;
  uint16_t max_pkeys;
  uint8_t local_ca_ack_delay;
  uint8_t phys_port_cnt;
};

inline constexpr int kPortActive = 4;
inline constexpr uint8_t kLinkLayerInfiniband = 1;  // or 0, of older drivers
inline constexpr uint8_t kLinkLayerEthernet = 2;
inline constexpr uint8_t kPortFlagGrhRequired = 1;

// The library's exported ibv_query_port fills all but port_cap_flags2, which only its inline form does.
struct PortAttributes {
  int state;
  int max_mtu;  // 1 to 5: 256 to 4096 bytes
  int active_mtu;
  int gid_tbl_len;
  uint32_t port_cap_flags;
  uint32_t max_msg_sz;
  uint32_t bad_pkey_cntr;
  uint32_t qkey_viol_cntr;
  uint16_t pkey_tbl_len;
  uint16_t lid;
  uint16_t sm_lid;
  uint8_t lmc;
  uint8_t max_vl_num;
  uint8_t sm_sl;
  uint8_t subnet_timeout;
  uint8_t init_type_reply;
  uint8_t active_width;
  uint8_t active_speed;
  uint8_t phys_state;
  uint8_t link_layer;
  uint8_t flags;
  uint16_t port_cap_flags2;
};

inline constexpr uint32_t kGidTypeInfiniband = 0;
inline constexpr uint32_t kGidTypeRoceV1 = 1;
inline constexpr uint32_t kGidTypeRoceV2 = 2;

struct GidEntry {
  Gid gid;
  uint32_t gid_index;
  uint32_t port_num;
  uint32_t gid_type;
  uint32_t ndev_ifindex;
};

inline constexpr int kForkDisabled = 0;

// ---- memory

enum AccessFlags : unsigned {
  kAccessLocalWrite = 1U << 0,
  kAccessRemoteWrite = 1U << 1,
  kAccessRemoteRead = 1U << 2,
  kAccessRemoteAtomic = 1U << 3,
  kAccessRelaxedOrdering = 1U << 20,  // ignored by devices that do not know it, so only for reg_mr_iova2
};

struct ProtectionDomain {
  Context* context;
  uint32_t handle;
};

struct MemoryRegion {
  Context* context;
  ProtectionDomain* pd;
  void* addr;
  size_t length;
  uint32_t handle;
  uint32_t lkey;
  uint32_t rkey;
};

// ---- work requests

enum SendOpcode : int {
  kOpcodeWrite = 0,
  kOpcodeWriteWithImmediate = 1,
  kOpcodeSend = 2,
  kOpcodeSendWithImmediate = 3,
  kOpcodeRead = 4,
  kOpcodeCompareAndSwap = 5,
  kOpcodeFetchAndAdd = 6,
};

enum SendFlags : unsigned {
  kSendFence = 1U << 0,
  kSendSignaled = 1U << 1,
  kSendInline = 1U << 3,
};

struct ScatterGather {
  uint64_t addr;
  uint32_t length;
  uint32_t lkey;
};

struct SendRequest {
  uint64_t wr_id;
  SendRequest* next;
  ScatterGather* sg_list;
  int num_sge;
  int opcode;
  unsigned send_flags;
  uint32_t immediate;  // big-endian
  union {
    struct {
      uint64_t remote_addr;
      uint32_t rkey;
    } rdma;
    struct {
      uint64_t remote_addr;
      uint64_t compare_add;
      uint64_t swap;
      uint32_t rkey;
    } atomic;
  } wr;
  uint64_t unused[7];  // kinds of queue pairs and requests that we do not use
};

struct ReceiveRequest {
  uint64_t wr_id;
  ReceiveRequest* next;
  ScatterGather* sg_list;
  int num_sge;
};

inline constexpr int kCompletionReceive = 128;
inline constexpr int kCompletionReceiveWriteImmediate = 129;
inline constexpr unsigned kCompletionWithImmediate = 1U << 1;

// When status is not success, only wr_id, status, vendor_err and qp_num mean anything.
struct WorkCompletion {
  uint64_t wr_id;
  int status;
  int opcode;
  uint32_t vendor_err;
  uint32_t byte_len;
  uint32_t immediate;  // big-endian
  uint32_t qp_num;
  uint32_t src_qp;
  unsigned wc_flags;
  uint16_t pkey_index;
  uint16_t slid;
  uint8_t sl;
  uint8_t dlid_path_bits;
};

// ---- completion queues

struct CompletionChannel {
  Context* context;
  int fd;
  int refcnt;
};

struct CompletionQueue {
  Context* context;
  CompletionChannel* channel;
  void* cq_context;
  uint32_t handle;
  int cqe;
};

// ---- queue pairs

inline constexpr int kQueuePairReliable = 2;

enum QueuePairState : int {
  kStateReset = 0,
  kStateInit = 1,
  kStateReadyToReceive = 2,
  kStateReadyToSend = 3,
  kStateError = 6,
};

struct QueuePairCapabilities {
  uint32_t max_send_wr;
  uint32_t max_recv_wr;
  uint32_t max_send_sge;
  uint32_t max_recv_sge;
  uint32_t max_inline_data;
};

struct QueuePairInit {
  void* qp_context;
  CompletionQueue* send_cq;
  CompletionQueue* recv_cq;
  void* srq;
  QueuePairCapabilities cap;
  int qp_type;
  int sq_sig_all;
};

struct GlobalRoute {
  Gid dgid;
  uint32_t flow_label;
  uint8_t sgid_index;
  uint8_t hop_limit;
  uint8_t traffic_class;
};

struct AddressHandle {
  GlobalRoute grh;
  uint16_t dlid;
  uint8_t sl;
  uint8_t src_path_bits;
  uint8_t static_rate;
  uint8_t is_global;
  uint8_t port_num;
};

enum QueuePairMask : int {
  kMaskState = 1 << 0,
  kMaskAccessFlags = 1 << 3,
  kMaskPkeyIndex = 1 << 4,
  kMaskPort = 1 << 5,
  kMaskAddress = 1 << 7,
  kMaskPathMtu = 1 << 8,
  kMaskTimeout = 1 << 9,
  kMaskRetryCount = 1 << 10,
  kMaskRnrRetry = 1 << 11,
  kMaskReceivePsn = 1 << 12,
  kMaskInitiatorDepth = 1 << 13,
  kMaskMinRnrTimer = 1 << 15,
  kMaskSendPsn = 1 << 16,
  kMaskResponderDepth = 1 << 17,
  kMaskDestination = 1 << 20,
};

struct QueuePairAttributes {
  int qp_state;
  int cur_qp_state;
  int path_mtu;
  int path_mig_state;
  uint32_t qkey;
  uint32_t rq_psn;
  uint32_t sq_psn;
  uint32_t dest_qp_num;
  unsigned qp_access_flags;
  QueuePairCapabilities cap;
  AddressHandle ah_attr;
  AddressHandle alt_ah_attr;
  uint16_t pkey_index;
  uint16_t alt_pkey_index;
  uint8_t en_sqd_async_notify;
  uint8_t sq_draining;
  uint8_t max_rd_atomic;
  uint8_t max_dest_rd_atomic;
  uint8_t min_rnr_timer;
  uint8_t port_num;
  uint8_t timeout;
  uint8_t retry_cnt;
  uint8_t rnr_retry;
  uint8_t alt_port_num;
  uint8_t alt_timeout;
  uint32_t rate_limit;
};

struct QueuePair {
  Context* context;
  void* qp_context;
  ProtectionDomain* pd;
  CompletionQueue* send_cq;
  CompletionQueue* recv_cq;
  void* srq;
  uint32_t handle;
  uint32_t qp_num;
  int state;
  int qp_type;
};

// ---- events

enum EventType : int {
  kEventCompletionQueueError = 0,
  kEventQueuePairFatal = 1,
  kEventQueuePairRequestError = 2,
  kEventQueuePairAccessError = 3,
  kEventDeviceFatal = 8,
  kEventPortActive = 9,
  kEventPortError = 10,
  kEventLidChange = 11,
  kEventPkeyChange = 12,
  kEventClientReregister = 17,
  kEventGidChange = 18,
};

struct AsyncEvent {
  union {
    CompletionQueue* cq;
    QueuePair* qp;
    int port_num;
  } element;
  int event_type;
};

// ---- the open device

// The verbs of the fast path are no symbols of the library: its inline functions call the provider through here.
struct ContextOperations {
  void* unused_before[11];
  int (*poll_cq)(CompletionQueue* cq, int count, WorkCompletion* completions);
  int (*req_notify_cq)(CompletionQueue* cq, int solicited_only);
  void* unused_between[12];
  int (*post_send)(QueuePair* qp, SendRequest* first, SendRequest** bad);
  int (*post_recv)(QueuePair* qp, ReceiveRequest* first, ReceiveRequest** bad);
  void* unused_after[5];
};

struct Context {
  Device* device;
  ContextOperations ops;
  int cmd_fd;
  int async_fd;
  int num_comp_vectors;
  pthread_mutex_t mutex;
  void* abi_compat;
};

}  // namespace ibexfs::verbs::abi
