// Every bound of the transport in one place, each with its reason.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ibexfs {

struct TransportLimits {
  // Connections of one listener. Each costs a descriptor and about 1 KiB while it is idle.
  uint32_t connections_max = 16384;
  // Of these, how many may not have proven who they are: what strangers can occupy at once.
  uint32_t unauthenticated_max = 256;
  // From connect or accept until set_authenticated. A slow-loris holds its place no longer than this.
  uint32_t handshake_deadline_ms = 5000;
  // For the TCP connection itself; a host that is down does not answer.
  uint32_t connect_deadline_ms = 5000;
  // A peer that acknowledged nothing for so long is gone. It also closes connections whose peer takes no
  // bytes for so long, so a receiver must not pause longer than this. And who began the data of a frame
  // may not be silent for longer: memory waits for it.
  uint32_t dead_peer_ms = 30000;
  // How long close() tries to send what is queued.
  uint32_t close_linger_ms = 1000;
  // An accepted connection takes no more requests in while this many bytes of answers wait: a peer that does
  // not read its answers is not served further. (A connecting side always reads, so that two full queues
  // never wait for each other.)
  size_t send_queue_pause_bytes = 32U << 20;
  // Above it the connection closes: a peer that takes nothing while notifications pile up.
  size_t send_queue_bytes_max = 512U << 20;
};

}  // namespace ibexfs
