#include "runtime/metrics.h"

namespace ibexfs {

namespace {

constexpr std::array<const char*, kChunkOperationKinds> kOperationNames = {"",     "read", "write", "truncate",
                                                                           "stat", "sync", "remove"};

using Put = std::function<void(const std::string& name, double value)>;

void collect_chunk_server(const ChunkStatistics& statistics, const Put& put) {
  for (const ChunkTargetStatistics& target : statistics.targets) {
    const std::string id = std::to_string(target.target);
    for (size_t i = 1; i < kChunkOperationKinds; i++) {
      const std::string labels = "{target=\"" + id + "\",operation=\"" + kOperationNames[i] + "\"}";
      const ChunkOperationStatistics& operation = target.operations[i];
      put("chunk_operations_total" + labels, static_cast<double>(operation.operations));
      put("chunk_bytes_total" + labels, static_cast<double>(operation.bytes));
      put("chunk_errors_total" + labels, static_cast<double>(operation.errors));
      put("chunk_operations_in_flight" + labels, operation.in_flight);
      put("chunk_operations_in_flight_max" + labels, operation.in_flight_max);
    }
    put("target_faults_total{target=\"" + id + "\"}", static_cast<double>(target.faults));
  }
  put("chunk_requests_refused_total", static_cast<double>(statistics.refused));
  put("chunk_requests_in_flight", statistics.requests_in_flight);
  put("chunk_bytes_in_flight", static_cast<double>(statistics.bytes_in_flight));
  put("chunk_bytes_in_flight_max", static_cast<double>(statistics.bytes_in_flight_max));
  put("chunk_pauses_total", static_cast<double>(statistics.pauses));
  put("chunk_files_open", statistics.open_files);
  put("chunk_file_evictions_total", static_cast<double>(statistics.open_file_evictions));
}

void collect_rdma(VerbsDomain& domain, const Put& put) {
  const verbs::LiveObjects& live = domain.device()->live();
  put("rdma_queue_pairs", static_cast<double>(live.queue_pairs.load()));
  put("rdma_completion_queues", static_cast<double>(live.completion_queues.load()));
  put("rdma_memory_regions", static_cast<double>(live.memory_regions.load()));
  put("rdma_registered_bytes", static_cast<double>(live.registered_bytes.load()));
  put("rdma_registrations_total", static_cast<double>(live.registrations.load()));
  put("rdma_leaks_total", static_cast<double>(live.leaks.load()));
  const VerbsStatistics& statistics = domain.statistics();
  put("rdma_messages_total{direction=\"sent\"}", static_cast<double>(statistics.messages_sent.load()));
  put("rdma_messages_total{direction=\"received\"}", static_cast<double>(statistics.messages_received.load()));
  put("rdma_message_bytes_total{direction=\"sent\"}", static_cast<double>(statistics.message_bytes_sent.load()));
  put("rdma_message_bytes_total{direction=\"received\"}", static_cast<double>(statistics.message_bytes_received.load()));
  put("rdma_data_bytes_total{operation=\"read\"}", static_cast<double>(statistics.bytes_read.load()));
  put("rdma_data_bytes_total{operation=\"write\"}", static_cast<double>(statistics.bytes_written.load()));
  put("rdma_data_bytes_total{operation=\"readByPeer\"}", static_cast<double>(statistics.peer_read_bytes.load()));
  put("rdma_data_bytes_total{operation=\"writeByPeer\"}", static_cast<double>(statistics.peer_written_bytes.load()));
  put("rdma_bounced_bytes_total", static_cast<double>(statistics.bytes_bounced.load()));
  put("rdma_credit_waits_total", static_cast<double>(statistics.credit_waits.load()));
  put("rdma_failures_total", static_cast<double>(statistics.failures.load()));
}

// All that left and came, however it was moved.
void collect_carriers(Core& core, const Put& put) {
  const auto carried = [&](const char* carrier, uint64_t sent, uint64_t received) {
    const std::string labels = std::string("{carrier=\"") + carrier + "\",direction=\"";
    put("carrier_bytes_total" + labels + "sent\"}", static_cast<double>(sent));
    put("carrier_bytes_total" + labels + "received\"}", static_cast<double>(received));
  };
  uint64_t sent = 0;
  uint64_t received = 0;
  for (Reactor* reactor : core.reactors()) {
    sent += reactor->socket_bytes().sent.load();
    received += reactor->socket_bytes().received.load();
  }
  carried("tcp", sent, received);
  VerbsDomain* domain = core.rdma().domain();
  if (domain == nullptr) return carried("rdma", 0, 0);
  const VerbsStatistics& rdma = domain->statistics();
  carried("rdma", rdma.message_bytes_sent.load() + rdma.bytes_written.load() + rdma.peer_read_bytes.load(),
          rdma.message_bytes_received.load() + rdma.bytes_read.load() + rdma.peer_written_bytes.load());
}

}  // namespace

void collect_metrics(Core& core, const Put& put) {
  put("buffer_bytes", static_cast<double>(core.pool()->arena_bytes()));
  put("buffer_bytes_in_use", static_cast<double>(core.pool()->bytes_in_use()));
  put("connections", static_cast<double>(core.connections().all().size()));
  const ChunkClient::Statistics client = core.chunk_client().statistics();
  put("client_requests_total", static_cast<double>(client.requests));
  put("client_retries_total", static_cast<double>(client.retries));
  put("client_timeouts_total", static_cast<double>(client.timeouts));
  put("client_requests_in_flight", static_cast<double>(client.in_flight));
  put("client_requests_waiting", static_cast<double>(client.waiting));
  collect_carriers(core, put);
  if (VerbsDomain* domain = core.rdma().domain()) collect_rdma(*domain, put);
  if (const ChunkServer* server = core.chunk_server()) collect_chunk_server(server->statistics(), put);
}

}  // namespace ibexfs
