// A chunk server on real folders, reactors and loopback connections, and a small blocking client for it.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/buffer_pool.h"
#include "base/unique_fd.h"
#include "chunks/chunk_name.h"
#include "chunks/chunk_server.h"
#include "test/support.h"
#include "transport/frame.h"
#include "transport/peer_sessions.h"
#include "transport/tcp.h"

namespace ibexfs::test {

// A fresh folder below the system's temporary folder, removed again whatever happens.
class ChunkFolder {
 public:
  ChunkFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ibexfs-chunks-XXXXXX").string();
    const char* made = mkdtemp(pattern.data());
    REQUIRE(made != nullptr);
    path_ = made;
  }
  ~ChunkFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ChunkFolder(const ChunkFolder&) = delete;
  ChunkFolder& operator=(const ChunkFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct RecordedEvent {
  wire::EventKind kind;
  uint32_t target = 0;
  uint32_t status = 0;
  std::string text;
};

class FaultSink final : public EventSink {
 public:
  bool push(wire::EventKind kind, void* record, size_t record_bytes, std::initializer_list<Bytes> tails) override {
    RecordedEvent event{kind, 0, 0, {}};
    if (kind == wire::EventKind::kTargetFault && record_bytes == sizeof(wire::TargetEvent)) {
      wire::TargetEvent fault;
      std::memcpy(&fault, record, sizeof(fault));
      event.target = fault.target;
      event.status = fault.status;
    }
    for (const Bytes tail : tails) event.text.append(reinterpret_cast<const char*>(tail.data()), tail.size());
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    return true;
  }
  void when_room(std::function<void()> retry) override { retry(); }

  std::vector<RecordedEvent> faults() const {
    const std::lock_guard lock(mutex_);
    std::vector<RecordedEvent> found;
    for (const RecordedEvent& event : events_) {
      if (event.kind == wire::EventKind::kTargetFault) found.push_back(event);
    }
    return found;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<RecordedEvent> events_;
};

inline void run_in(Reactor& reactor, const std::function<void()>& task) {
  std::promise<void> done;
  reactor.post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

class TestServer final : public ConnectionObserver {
 public:
  explicit TestServer(ChunkServerOptions options = {}, size_t reactors = 1, size_t pool_bytes = 64U << 20)
      : pool(pool_bytes), server(options, sink, pool) {
    std::vector<ServingReactor> serving;
    std::vector<std::unique_ptr<Reactor>> made;
    for (size_t i = 0; i < reactors; i++) {
      made.push_back(Reactor::create().take());
      const Status status = server.attach(*made.back());
      REQUIRE_MESSAGE(status.ok(), status.message());
      serving.push_back({made.back().get(), &server.handler(*made.back())});
    }
    ListenerOptions listening;
    listening.host = "127.0.0.1";
    auto listener = Listener::listen(*made.front(), serving, listening, *this, sink);
    REQUIRE(listener.ok());
    listener_ = listener.take();
    port_ = listener_->port();
    for (auto& reactor : made) threads.push_back(std::make_unique<ReactorThread>(std::move(reactor), "test"));
  }
  ~TestServer() override {
    run_in(threads.front()->reactor(), [this] { listener_.reset(); });
    server.stop();
    threads.clear();
  }

  void on_accepted(const std::shared_ptr<Connection>& connection, uint32_t) override {
    if (!peer.empty()) sessions.begin(peer, connection);
    connection->set_authenticated();
  }
  void on_connected(const std::shared_ptr<Connection>&) override {}
  uint16_t port() const { return port_; }

  FaultSink sink;
  BufferPool pool;
  ChunkServer server;
  std::vector<std::unique_ptr<ReactorThread>> threads;
  // Who all that connect are, from the first connection on; empty: strangers to each other.
  std::string peer;
  PeerSessions sessions;

 private:
  std::unique_ptr<Listener> listener_;
  uint16_t port_ = 0;
};

struct Answer {
  StatusCode status = StatusCode::kInternal;
  uint64_t request_id = 0;
  uint16_t operation = 0;
  wire::ChunkResponse response;
  std::vector<uint8_t> data;
};

// One connection with blocking calls. `send` may run ahead of `receive` as far as the caller bounds it.
class TestClient {
 public:
  explicit TestClient(uint16_t port, int receive_buffer_bytes = 0) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer_bytes > 0)
      setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    const int one = 1;
    setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  }

  int socket() const { return socket_.get(); }
  void close() { socket_.reset(); }

  // The frame as bytes, for those who want to send it in pieces or damaged.
  static std::vector<uint8_t> frame(wire::FrameHeader header, const wire::ChunkRequest& request, Bytes data) {
    header.magic = wire::kProtocolMagic;
    header.version = wire::kProtocolVersion;
    header.type = static_cast<uint8_t>(wire::FrameType::kChunkRequest);
    seal_header(header, sizeof(request), data.size());
    std::vector<uint8_t> bytes(sizeof(header) + sizeof(request) + data.size());
    std::memcpy(bytes.data(), &header, sizeof(header));
    std::memcpy(bytes.data() + sizeof(header), &request, sizeof(request));
    if (!data.empty()) std::memcpy(bytes.data() + sizeof(header) + sizeof(request), data.data(), data.size());
    return bytes;
  }

  static wire::ChunkRequest request(uint32_t target, const ChunkName& name, uint64_t offset, uint32_t length) {
    wire::ChunkRequest request;
    request.target = target;
    request.column = name.column;
    request.fid_sequence = name.fid.sequence;
    request.fid_object = name.fid.object;
    request.offset = offset;
    request.length = length;
    return request;
  }

  bool send_bytes(Bytes bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes = bytes.subspan(static_cast<size_t>(sent));
    }
    return true;
  }

  uint64_t send(wire::ChunkOperation operation, const wire::ChunkRequest& request, Bytes data = {}, uint64_t map_version = 1) {
    wire::FrameHeader header;
    header.operation = static_cast<uint16_t>(operation);
    header.request_id = next_id_++;
    header.map_version = map_version;
    send_bytes(frame(header, request, data));
    return header.request_id;
  }

  // False when the server has closed the connection.
  bool receive(Answer* answer) {
    wire::FrameHeader header;
    if (!receive_bytes(&header, sizeof(header))) return false;
    REQUIRE(check_header(header).ok());
    REQUIRE(+header.type == static_cast<uint8_t>(wire::FrameType::kChunkResponse));
    REQUIRE(+header.body_length == sizeof(answer->response));
    answer->status = static_cast<StatusCode>(header.status);
    answer->request_id = header.request_id;
    answer->operation = header.operation;
    answer->data.resize(header.data_length);
    return receive_bytes(&answer->response, sizeof(answer->response)) && receive_bytes(answer->data.data(), answer->data.size());
  }

  Answer call(wire::ChunkOperation operation, const wire::ChunkRequest& request, Bytes data = {}, uint64_t map_version = 1) {
    const uint64_t id = send(operation, request, data, map_version);
    Answer answer;
    REQUIRE(receive(&answer));
    REQUIRE(answer.request_id == id);
    return answer;
  }

  StatusCode write(uint32_t target, const ChunkName& name, uint64_t offset, Bytes data) {
    const Answer answer =
        call(wire::ChunkOperation::kWrite, request(target, name, offset, static_cast<uint32_t>(data.size())), data);
    if (answer.status == StatusCode::kOk) CHECK(+answer.response.bytes == data.size());
    return answer.status;
  }
  std::vector<uint8_t> read(uint32_t target, const ChunkName& name, uint64_t offset, uint32_t length) {
    Answer answer = call(wire::ChunkOperation::kRead, request(target, name, offset, length));
    CHECK(answer.status == StatusCode::kOk);
    CHECK(+answer.response.bytes == answer.data.size());
    return std::move(answer.data);
  }
  StatusCode truncate(uint32_t target, const ChunkName& name, uint64_t size) {
    return call(wire::ChunkOperation::kTruncate, request(target, name, size, 0)).status;
  }
  StatusCode sync(uint32_t target, const ChunkName& name) {
    return call(wire::ChunkOperation::kSync, request(target, name, 0, 0)).status;
  }
  StatusCode remove(uint32_t target, const ChunkName& name) {
    return call(wire::ChunkOperation::kRemove, request(target, name, 0, 0)).status;
  }
  wire::ChunkResponse stat(uint32_t target, const ChunkName& name) {
    const Answer answer = call(wire::ChunkOperation::kStat, request(target, name, 0, 0));
    CHECK(answer.status == StatusCode::kOk);
    return answer.response;
  }

 private:
  bool receive_bytes(void* into, size_t length) {
    auto* at = static_cast<uint8_t*>(into);
    while (length > 0) {
      const ssize_t got = recv(socket_.get(), at, length, 0);
      if (got <= 0) return false;
      at += got;
      length -= static_cast<size_t>(got);
    }
    return true;
  }

  UniqueFd socket_;
  uint64_t next_id_ = 1;
};

inline ChunkName chunk_of(uint32_t object, uint32_t column = 0) {
  return {{0x401, object, 0}, column};
}

inline std::vector<uint8_t> pattern(size_t bytes, uint64_t salt) {
  std::vector<uint8_t> made(bytes);
  fill_pattern(made, salt);
  return made;
}

// Runs the body once with each engine; the name is in the messages of what fails.
template <typename Body>
void with_each_engine(Body body) {
  for (const DiskEngineKind kind : {DiskEngineKind::kThreads, DiskEngineKind::kIoUring}) {
    const std::string engine = kind == DiskEngineKind::kThreads ? "threads" : "io_uring";
    CAPTURE(engine);
    if (kind == DiskEngineKind::kIoUring) {
      const Status status = probe_io_uring();
      if (!status.ok()) {
        MESSAGE("not run with io_uring: " << status.message());
        continue;
      }
    }
    ChunkServerOptions options;
    options.engine = kind;
    body(options);
  }
}

}  // namespace ibexfs::test
