// Our declaration of the interface of libibverbs against the system's header, where libibverbs-dev is installed: a
// difference does not compile.
#include "verbs/abi.h"
#include "verbs/error.h"

#if __has_include(<infiniband/verbs.h>)
#include <infiniband/verbs.h>

namespace {
namespace abi = ibexfs::verbs::abi;
using ibexfs::verbs::CompletionStatus;

#define SAME_SIZE(ours, theirs) static_assert(sizeof(abi::ours) == sizeof(theirs), #ours)
#define SAME(ours, our_field, theirs, their_field)                                                       \
  static_assert(offsetof(abi::ours, our_field) == offsetof(theirs, their_field), #ours "::" #our_field); \
  static_assert(sizeof(abi::ours::our_field) == sizeof(theirs::their_field), #ours "::" #our_field)
#define SAME_VALUE(ours, theirs) static_assert(static_cast<long>(abi::ours) == static_cast<long>(theirs), #ours)

SAME_SIZE(Gid, ibv_gid);
SAME_SIZE(Device, ibv_device);
SAME(Device, node_type, ibv_device, node_type);
SAME(Device, transport_type, ibv_device, transport_type);
SAME(Device, name, ibv_device, name);
SAME(Device, dev_name, ibv_device, dev_name);
SAME(Device, dev_path, ibv_device, dev_path);
SAME(Device, ibdev_path, ibv_device, ibdev_path);

SAME_SIZE(DeviceAttributes, ibv_device_attr);
SAME(DeviceAttributes, firmware_version, ibv_device_attr, fw_ver);
SAME(DeviceAttributes, node_guid, ibv_device_attr, node_guid);
SAME(DeviceAttributes, max_mr_size, ibv_device_attr, max_mr_size);
SAME(DeviceAttributes, vendor_id, ibv_device_attr, vendor_id);
SAME(DeviceAttributes, vendor_part_id, ibv_device_attr, vendor_part_id);
SAME(DeviceAttributes, max_qp, ibv_device_attr, max_qp);
SAME(DeviceAttributes, max_qp_wr, ibv_device_attr, max_qp_wr);
SAME(DeviceAttributes, max_sge, ibv_device_attr, max_sge);
SAME(DeviceAttributes, max_cq, ibv_device_attr, max_cq);
SAME(DeviceAttributes, max_cqe, ibv_device_attr, max_cqe);
SAME(DeviceAttributes, max_mr, ibv_device_attr, max_mr);
SAME(DeviceAttributes, max_pd, ibv_device_attr, max_pd);
SAME(DeviceAttributes, max_qp_rd_atom, ibv_device_attr, max_qp_rd_atom);
SAME(DeviceAttributes, max_qp_init_rd_atom, ibv_device_attr, max_qp_init_rd_atom);
SAME(DeviceAttributes, atomic_cap, ibv_device_attr, atomic_cap);
SAME(DeviceAttributes, max_ah, ibv_device_attr, max_ah);
SAME(DeviceAttributes, phys_port_cnt, ibv_device_attr, phys_port_cnt);

SAME_SIZE(PortAttributes, ibv_port_attr);
SAME(PortAttributes, state, ibv_port_attr, state);
SAME(PortAttributes, active_mtu, ibv_port_attr, active_mtu);
SAME(PortAttributes, gid_tbl_len, ibv_port_attr, gid_tbl_len);
SAME(PortAttributes, max_msg_sz, ibv_port_attr, max_msg_sz);
SAME(PortAttributes, lid, ibv_port_attr, lid);
SAME(PortAttributes, active_width, ibv_port_attr, active_width);
SAME(PortAttributes, active_speed, ibv_port_attr, active_speed);
SAME(PortAttributes, link_layer, ibv_port_attr, link_layer);
SAME(PortAttributes, flags, ibv_port_attr, flags);
SAME(PortAttributes, port_cap_flags2, ibv_port_attr, port_cap_flags2);

SAME_SIZE(GidEntry, ibv_gid_entry);
SAME(GidEntry, gid, ibv_gid_entry, gid);
SAME(GidEntry, gid_index, ibv_gid_entry, gid_index);
SAME(GidEntry, port_num, ibv_gid_entry, port_num);
SAME(GidEntry, gid_type, ibv_gid_entry, gid_type);
SAME(GidEntry, ndev_ifindex, ibv_gid_entry, ndev_ifindex);

SAME_SIZE(ProtectionDomain, ibv_pd);
SAME_SIZE(MemoryRegion, ibv_mr);
SAME(MemoryRegion, addr, ibv_mr, addr);
SAME(MemoryRegion, length, ibv_mr, length);
SAME(MemoryRegion, lkey, ibv_mr, lkey);
SAME(MemoryRegion, rkey, ibv_mr, rkey);

SAME_SIZE(ScatterGather, ibv_sge);
SAME(ScatterGather, addr, ibv_sge, addr);
SAME(ScatterGather, length, ibv_sge, length);
SAME(ScatterGather, lkey, ibv_sge, lkey);
SAME_SIZE(SendRequest, ibv_send_wr);
SAME(SendRequest, wr_id, ibv_send_wr, wr_id);
SAME(SendRequest, next, ibv_send_wr, next);
SAME(SendRequest, sg_list, ibv_send_wr, sg_list);
SAME(SendRequest, num_sge, ibv_send_wr, num_sge);
SAME(SendRequest, opcode, ibv_send_wr, opcode);
SAME(SendRequest, send_flags, ibv_send_wr, send_flags);
SAME(SendRequest, immediate, ibv_send_wr, imm_data);
SAME(SendRequest, wr.rdma.remote_addr, ibv_send_wr, wr.rdma.remote_addr);
SAME(SendRequest, wr.rdma.rkey, ibv_send_wr, wr.rdma.rkey);
SAME(SendRequest, wr.atomic.remote_addr, ibv_send_wr, wr.atomic.remote_addr);
SAME(SendRequest, wr.atomic.compare_add, ibv_send_wr, wr.atomic.compare_add);
SAME(SendRequest, wr.atomic.swap, ibv_send_wr, wr.atomic.swap);
SAME(SendRequest, wr.atomic.rkey, ibv_send_wr, wr.atomic.rkey);
SAME_SIZE(ReceiveRequest, ibv_recv_wr);
SAME(ReceiveRequest, num_sge, ibv_recv_wr, num_sge);
SAME_SIZE(WorkCompletion, ibv_wc);
SAME(WorkCompletion, wr_id, ibv_wc, wr_id);
SAME(WorkCompletion, status, ibv_wc, status);
SAME(WorkCompletion, opcode, ibv_wc, opcode);
SAME(WorkCompletion, vendor_err, ibv_wc, vendor_err);
SAME(WorkCompletion, byte_len, ibv_wc, byte_len);
SAME(WorkCompletion, immediate, ibv_wc, imm_data);
SAME(WorkCompletion, qp_num, ibv_wc, qp_num);
SAME(WorkCompletion, wc_flags, ibv_wc, wc_flags);

SAME_SIZE(CompletionChannel, ibv_comp_channel);
SAME(CompletionChannel, fd, ibv_comp_channel, fd);
SAME(CompletionQueue, context, ibv_cq, context);
SAME(CompletionQueue, cq_context, ibv_cq, cq_context);
SAME(CompletionQueue, cqe, ibv_cq, cqe);

SAME_SIZE(QueuePairCapabilities, ibv_qp_cap);
SAME_SIZE(QueuePairInit, ibv_qp_init_attr);
SAME(QueuePairInit, send_cq, ibv_qp_init_attr, send_cq);
SAME(QueuePairInit, recv_cq, ibv_qp_init_attr, recv_cq);
SAME(QueuePairInit, cap, ibv_qp_init_attr, cap);
SAME(QueuePairInit, qp_type, ibv_qp_init_attr, qp_type);
SAME(QueuePairInit, sq_sig_all, ibv_qp_init_attr, sq_sig_all);
SAME_SIZE(GlobalRoute, ibv_global_route);
SAME_SIZE(AddressHandle, ibv_ah_attr);
SAME(AddressHandle, grh.sgid_index, ibv_ah_attr, grh.sgid_index);
SAME(AddressHandle, grh.hop_limit, ibv_ah_attr, grh.hop_limit);
SAME(AddressHandle, grh.traffic_class, ibv_ah_attr, grh.traffic_class);
SAME(AddressHandle, dlid, ibv_ah_attr, dlid);
SAME(AddressHandle, sl, ibv_ah_attr, sl);
SAME(AddressHandle, is_global, ibv_ah_attr, is_global);
SAME(AddressHandle, port_num, ibv_ah_attr, port_num);
SAME_SIZE(QueuePairAttributes, ibv_qp_attr);
SAME(QueuePairAttributes, qp_state, ibv_qp_attr, qp_state);
SAME(QueuePairAttributes, path_mtu, ibv_qp_attr, path_mtu);
SAME(QueuePairAttributes, rq_psn, ibv_qp_attr, rq_psn);
SAME(QueuePairAttributes, sq_psn, ibv_qp_attr, sq_psn);
SAME(QueuePairAttributes, dest_qp_num, ibv_qp_attr, dest_qp_num);
SAME(QueuePairAttributes, qp_access_flags, ibv_qp_attr, qp_access_flags);
SAME(QueuePairAttributes, ah_attr, ibv_qp_attr, ah_attr);
SAME(QueuePairAttributes, max_rd_atomic, ibv_qp_attr, max_rd_atomic);
SAME(QueuePairAttributes, max_dest_rd_atomic, ibv_qp_attr, max_dest_rd_atomic);
SAME(QueuePairAttributes, min_rnr_timer, ibv_qp_attr, min_rnr_timer);
SAME(QueuePairAttributes, port_num, ibv_qp_attr, port_num);
SAME(QueuePairAttributes, timeout, ibv_qp_attr, timeout);
SAME(QueuePairAttributes, retry_cnt, ibv_qp_attr, retry_cnt);
SAME(QueuePairAttributes, rnr_retry, ibv_qp_attr, rnr_retry);
SAME(QueuePair, qp_num, ibv_qp, qp_num);
SAME(QueuePair, state, ibv_qp, state);

SAME_SIZE(AsyncEvent, ibv_async_event);
SAME(AsyncEvent, event_type, ibv_async_event, event_type);
SAME_SIZE(ContextOperations, ibv_context_ops);
SAME(ContextOperations, poll_cq, ibv_context_ops, poll_cq);
SAME(ContextOperations, req_notify_cq, ibv_context_ops, req_notify_cq);
SAME(ContextOperations, post_send, ibv_context_ops, post_send);
SAME(ContextOperations, post_recv, ibv_context_ops, post_recv);
SAME_SIZE(Context, ibv_context);
SAME(Context, device, ibv_context, device);
SAME(Context, ops, ibv_context, ops);
SAME(Context, async_fd, ibv_context, async_fd);

SAME_VALUE(kTransportInfiniband, IBV_TRANSPORT_IB);
SAME_VALUE(kTransportIwarp, IBV_TRANSPORT_IWARP);
SAME_VALUE(kAtomicNone, IBV_ATOMIC_NONE);
SAME_VALUE(kPortActive, IBV_PORT_ACTIVE);
SAME_VALUE(kLinkLayerInfiniband, IBV_LINK_LAYER_INFINIBAND);
SAME_VALUE(kLinkLayerEthernet, IBV_LINK_LAYER_ETHERNET);
SAME_VALUE(kPortFlagGrhRequired, IBV_QPF_GRH_REQUIRED);
SAME_VALUE(kGidTypeInfiniband, IBV_GID_TYPE_IB);
SAME_VALUE(kGidTypeRoceV1, IBV_GID_TYPE_ROCE_V1);
SAME_VALUE(kGidTypeRoceV2, IBV_GID_TYPE_ROCE_V2);
SAME_VALUE(kForkDisabled, IBV_FORK_DISABLED);
SAME_VALUE(kAccessLocalWrite, IBV_ACCESS_LOCAL_WRITE);
SAME_VALUE(kAccessRemoteWrite, IBV_ACCESS_REMOTE_WRITE);
SAME_VALUE(kAccessRemoteRead, IBV_ACCESS_REMOTE_READ);
SAME_VALUE(kAccessRemoteAtomic, IBV_ACCESS_REMOTE_ATOMIC);
SAME_VALUE(kAccessRelaxedOrdering, IBV_ACCESS_RELAXED_ORDERING);
SAME_VALUE(kOpcodeWrite, IBV_WR_RDMA_WRITE);
SAME_VALUE(kOpcodeWriteWithImmediate, IBV_WR_RDMA_WRITE_WITH_IMM);
SAME_VALUE(kOpcodeSend, IBV_WR_SEND);
SAME_VALUE(kOpcodeSendWithImmediate, IBV_WR_SEND_WITH_IMM);
SAME_VALUE(kOpcodeRead, IBV_WR_RDMA_READ);
SAME_VALUE(kOpcodeCompareAndSwap, IBV_WR_ATOMIC_CMP_AND_SWP);
SAME_VALUE(kOpcodeFetchAndAdd, IBV_WR_ATOMIC_FETCH_AND_ADD);
SAME_VALUE(kSendFence, IBV_SEND_FENCE);
SAME_VALUE(kSendSignaled, IBV_SEND_SIGNALED);
SAME_VALUE(kSendInline, IBV_SEND_INLINE);
SAME_VALUE(kCompletionReceive, IBV_WC_RECV);
SAME_VALUE(kCompletionReceiveWriteImmediate, IBV_WC_RECV_RDMA_WITH_IMM);
SAME_VALUE(kCompletionWithImmediate, IBV_WC_WITH_IMM);
SAME_VALUE(kQueuePairReliable, IBV_QPT_RC);
SAME_VALUE(kStateReset, IBV_QPS_RESET);
SAME_VALUE(kStateInit, IBV_QPS_INIT);
SAME_VALUE(kStateReadyToReceive, IBV_QPS_RTR);
SAME_VALUE(kStateReadyToSend, IBV_QPS_RTS);
SAME_VALUE(kStateError, IBV_QPS_ERR);
SAME_VALUE(kMaskState, IBV_QP_STATE);
SAME_VALUE(kMaskAccessFlags, IBV_QP_ACCESS_FLAGS);
SAME_VALUE(kMaskPkeyIndex, IBV_QP_PKEY_INDEX);
SAME_VALUE(kMaskPort, IBV_QP_PORT);
SAME_VALUE(kMaskAddress, IBV_QP_AV);
SAME_VALUE(kMaskPathMtu, IBV_QP_PATH_MTU);
SAME_VALUE(kMaskTimeout, IBV_QP_TIMEOUT);
SAME_VALUE(kMaskRetryCount, IBV_QP_RETRY_CNT);
SAME_VALUE(kMaskRnrRetry, IBV_QP_RNR_RETRY);
SAME_VALUE(kMaskReceivePsn, IBV_QP_RQ_PSN);
SAME_VALUE(kMaskInitiatorDepth, IBV_QP_MAX_QP_RD_ATOMIC);
SAME_VALUE(kMaskMinRnrTimer, IBV_QP_MIN_RNR_TIMER);
SAME_VALUE(kMaskSendPsn, IBV_QP_SQ_PSN);
SAME_VALUE(kMaskResponderDepth, IBV_QP_MAX_DEST_RD_ATOMIC);
SAME_VALUE(kMaskDestination, IBV_QP_DEST_QPN);
SAME_VALUE(kEventCompletionQueueError, IBV_EVENT_CQ_ERR);
SAME_VALUE(kEventQueuePairFatal, IBV_EVENT_QP_FATAL);
SAME_VALUE(kEventQueuePairRequestError, IBV_EVENT_QP_REQ_ERR);
SAME_VALUE(kEventQueuePairAccessError, IBV_EVENT_QP_ACCESS_ERR);
SAME_VALUE(kEventDeviceFatal, IBV_EVENT_DEVICE_FATAL);
SAME_VALUE(kEventPortActive, IBV_EVENT_PORT_ACTIVE);
SAME_VALUE(kEventPortError, IBV_EVENT_PORT_ERR);
SAME_VALUE(kEventLidChange, IBV_EVENT_LID_CHANGE);
SAME_VALUE(kEventPkeyChange, IBV_EVENT_PKEY_CHANGE);
SAME_VALUE(kEventClientReregister, IBV_EVENT_CLIENT_REREGISTER);
SAME_VALUE(kEventGidChange, IBV_EVENT_GID_CHANGE);

static_assert(static_cast<int>(CompletionStatus::kLocalLength) == IBV_WC_LOC_LEN_ERR);
static_assert(static_cast<int>(CompletionStatus::kLocalProtection) == IBV_WC_LOC_PROT_ERR);
static_assert(static_cast<int>(CompletionStatus::kFlushed) == IBV_WC_WR_FLUSH_ERR);
static_assert(static_cast<int>(CompletionStatus::kRemoteInvalidRequest) == IBV_WC_REM_INV_REQ_ERR);
static_assert(static_cast<int>(CompletionStatus::kRemoteAccess) == IBV_WC_REM_ACCESS_ERR);
static_assert(static_cast<int>(CompletionStatus::kRemoteOperation) == IBV_WC_REM_OP_ERR);
static_assert(static_cast<int>(CompletionStatus::kRetriesExceeded) == IBV_WC_RETRY_EXC_ERR);
static_assert(static_cast<int>(CompletionStatus::kReceiverNotReady) == IBV_WC_RNR_RETRY_EXC_ERR);
static_assert(static_cast<int>(CompletionStatus::kFatal) == IBV_WC_FATAL_ERR);
static_assert(static_cast<int>(CompletionStatus::kGeneral) == IBV_WC_GENERAL_ERR);
}  // namespace
#else
// Said in the output of the build, so that nobody takes the comparison for made.
#pragma message("infiniband/verbs.h is not installed (Debian: libibverbs-dev): the declared interface is not compared with it")
#endif
