// What the chunk server reaches on this machine, each figure beside its limit in the same run: warm reads beside
// a plain TCP stream, synced writes beside write+fsync, and small random operations. CPU seconds are of this
// process (server and client) and of the whole machine. Not a test: what it prints depends on the machine.
//   bench_chunks [--engine automatic|io_uring|threads] [--direct BYTES] [--direct-read BYTES] [--pipes N] [--mib N] [--folder
//   PATH] [--only WORDS]
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cinttypes>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/buffer_pool.h"
#include "base/unique_fd.h"
#include "chunks/chunk_server.h"
#include "transport/frame.h"
#include "transport/tcp.h"

using namespace ibexfs;

namespace {

constexpr uint32_t kTarget = 1;
constexpr uint32_t kColumns = 4;
constexpr uint32_t kBlockBytes = 1U << 20;

struct Options {
  ChunkServerOptions server;
  size_t mib = 1024;
  std::string folder = std::filesystem::temp_directory_path().string();
};

class SilentSink final : public EventSink {
 public:
  bool push(wire::EventKind, void*, size_t, std::initializer_list<Bytes> tails) override {
    for (const Bytes tail : tails)
      std::fprintf(stderr, "%.*s\n", static_cast<int>(tail.size()), reinterpret_cast<const char*>(tail.data()));
    return true;
  }
  void when_room(std::function<void()> retry) override { retry(); }
};

// Busy CPU seconds of the machine since boot, without idle and waiting.
double machine_cpu_seconds() {
  FILE* file = std::fopen("/proc/stat", "re");
  uint64_t user = 0, nice = 0, system = 0, idle = 0, waiting = 0, hard = 0, soft = 0;
  if (file == nullptr) return 0;
  const int fields = std::fscanf(file, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
                                 &user, &nice, &system, &idle, &waiting, &hard, &soft);
  std::fclose(file);
  return fields == 7 ? static_cast<double>(user + nice + system + hard + soft) / static_cast<double>(sysconf(_SC_CLK_TCK)) : 0;
}

// Of this process, io_uring's workers included; what the kernel's own threads do for it is not.
double process_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string only;  // measures whose name does not contain it are left out

void measure(const char* what, double bytes, double operations, const std::function<void()>& run) {
  if (std::string_view(what).find(only) == std::string_view::npos) return;
  const double machine = machine_cpu_seconds();
  const double process = process_cpu_seconds();
  const auto start = std::chrono::steady_clock::now();
  run();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("%-44s %8.0f MB/s %9.0f op/s %7.2f (machine %.2f) CPU s/GB\n", what, bytes / 1e6 / seconds, operations / seconds,
              (process_cpu_seconds() - process) / (bytes / 1e9), (machine_cpu_seconds() - machine) / (bytes / 1e9));
  std::fflush(stdout);
}

class Server final : public ConnectionObserver {
 public:
  Server(const ChunkServerOptions& options, const std::string& folder) : pool_(128U << 20), server(options, sink_, pool_) {
    auto reactor = Reactor::create().take();
    const Status attached = server.attach(*reactor);
    const Status added = server.add_target(kTarget, folder, 0);
    if (!attached.ok() || !added.ok()) {
      std::fprintf(stderr, "%s%s\n", attached.message().c_str(), added.message().c_str());
      std::exit(1);
    }
    ListenerOptions listening;
    listening.host = "127.0.0.1";
    listener_ = Listener::listen(*reactor, {{reactor.get(), &server.handler(*reactor)}}, listening, *this, sink_).take();
    port = listener_->port();
    thread_ = std::make_unique<ReactorThread>(std::move(reactor), "bench");
  }
  ~Server() override {
    std::promise<void> closed;
    thread_->reactor().post([&] {
      listener_.reset();
      closed.set_value();
    });
    closed.get_future().wait();
    server.stop();
    thread_.reset();
  }
  void on_accepted(const std::shared_ptr<Connection>& connection, uint32_t) override { connection->set_authenticated(); }
  void on_connected(const std::shared_ptr<Connection>&) override {}

 private:
  SilentSink sink_;
  BufferPool pool_;

 public:
  ChunkServer server;
  uint16_t port = 0;

 private:
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<ReactorThread> thread_;
};

UniqueFd connect_to(uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) std::abort();
  const int one = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  return fd;
}

void move_all(int fd, void* memory, size_t bytes, bool out) {
  auto* at = static_cast<uint8_t*>(memory);
  while (bytes > 0) {
    const ssize_t part = out ? ::send(fd, at, bytes, MSG_NOSIGNAL) : ::recv(fd, at, bytes, 0);
    if (part <= 0) std::abort();
    at += part;
    bytes -= static_cast<size_t>(part);
  }
}

// Keeps `depth` requests in flight; the answers come in any order, so they are only counted.
class Client {
 public:
  explicit Client(uint16_t port) : fd_(connect_to(port)), data_(wire::kChunkDataBytesMax, 0x5a), in_(wire::kChunkDataBytesMax) {}

  void run(wire::ChunkOperation operation, size_t count, size_t depth,
           const std::function<void(size_t, wire::ChunkRequest&)>& make) {
    size_t sent = 0;
    for (size_t answered = 0; answered < count; answered++) {
      while (sent < count && sent - answered < depth) send(operation, sent, make), sent++;
      struct __attribute__((packed)) {
        wire::FrameHeader header;
        wire::ChunkResponse response;
      } head;
      move_all(fd_.get(), &head, sizeof(head), false);
      if (head.header.status != 0) {
        std::fprintf(stderr, "status %u\n", +head.header.status);
        std::exit(1);
      }
      move_all(fd_.get(), in_.data(), head.header.data_length, false);
    }
  }

 private:
  void send(wire::ChunkOperation operation, size_t index, const std::function<void(size_t, wire::ChunkRequest&)>& make) {
    struct __attribute__((packed)) {
      wire::FrameHeader header;
      wire::ChunkRequest request;
    } head;
    head.request = {};
    head.request.target = kTarget;
    head.request.fid_sequence = 1;
    head.request.fid_object = 1;
    make(index, head.request);
    head.header = {};
    head.header.type = static_cast<uint8_t>(wire::FrameType::kChunkRequest);
    head.header.operation = static_cast<uint16_t>(operation);
    head.header.request_id = index;
    const uint32_t data_bytes = operation == wire::ChunkOperation::kWrite ? +head.request.length : 0;
    seal_header(head.header, sizeof(head.request), data_bytes);
    iovec parts[2] = {{&head, sizeof(head)}, {data_.data(), data_bytes}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = data_bytes > 0 ? 2 : 1;
    const ssize_t sent = sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    if (sent < static_cast<ssize_t>(sizeof(head))) std::abort();
    const size_t data_sent = static_cast<size_t>(sent) - sizeof(head);
    move_all(fd_.get(), data_.data() + data_sent, data_bytes - data_sent, true);
  }

  UniqueFd fd_;
  std::vector<uint8_t> data_;
  std::vector<uint8_t> in_;
};

void plain_stream(size_t bytes) {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener.get(), 1) != 0) std::abort();
  getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length);
  std::thread sender([&] {
    const UniqueFd peer(accept(listener.get(), nullptr, nullptr));
    std::vector<uint8_t> block(kBlockBytes);
    for (size_t sent = 0; sent < bytes; sent += kBlockBytes) move_all(peer.get(), block.data(), kBlockBytes, true);
  });
  const UniqueFd fd = connect_to(ntohs(address.sin_port));
  std::vector<uint8_t> block(kBlockBytes);
  for (size_t got = 0; got < bytes; got += kBlockBytes) move_all(fd.get(), block.data(), kBlockBytes, false);
  sender.join();
}

void local_write(const std::string& path, size_t bytes, bool direct) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | (direct ? O_DIRECT : 0), 0600));
  auto* block = static_cast<uint8_t*>(std::aligned_alloc(4096, kBlockBytes));
  std::memset(block, 0x5a, kBlockBytes);
  for (size_t at = 0; at < bytes; at += kBlockBytes) {
    if (pwrite(fd.get(), block, kBlockBytes, static_cast<off_t>(at)) != static_cast<ssize_t>(kBlockBytes)) std::abort();
  }
  if (fdatasync(fd.get()) != 0) std::abort();
  std::free(block);
}

// Block i of the file, as a stripe over the columns.
void stripe(size_t index, wire::ChunkRequest& request) {
  request.column = static_cast<uint32_t>(index % kColumns);
  request.offset = (index / kColumns) * kBlockBytes;
  request.length = kBlockBytes;
}

void whole_column(size_t index, wire::ChunkRequest& request) {
  request.column = static_cast<uint32_t>(index % kColumns);
}

void bench(const Options& options, const std::string& folder) {
  Server server(options.server, folder);
  Client client(server.port);
  const size_t blocks = options.mib;
  const auto bytes = static_cast<double>(blocks) * kBlockBytes;
  std::printf("engine %s, direct writes from %u bytes, %zu MiB, folder %s\n", server.server.statistics().engine.c_str(),
              options.server.direct_write_bytes_min, options.mib, folder.c_str());

  const auto write_synced = [&] {
    client.run(wire::ChunkOperation::kWrite, blocks, 16, stripe);
    client.run(wire::ChunkOperation::kSync, kColumns, kColumns, whole_column);
  };
  for (int round = 0; round < 2; round++) {
    measure("local write 1 MiB + fsync, cached", bytes, static_cast<double>(blocks),
            [&] { local_write(folder + "/local", blocks * kBlockBytes, false); });
    measure("local write 1 MiB + fsync, direct", bytes, static_cast<double>(blocks),
            [&] { local_write(folder + "/local", blocks * kBlockBytes, true); });
    if (only.empty()) client.run(wire::ChunkOperation::kRemove, kColumns, 1, whole_column);
    if (!only.empty() && round == 0) write_synced();
    measure("chunk write 1 MiB x 16 + sync, new", bytes, static_cast<double>(blocks), write_synced);
    measure("chunk write 1 MiB x 16 + sync, over", bytes, static_cast<double>(blocks), write_synced);
  }
  for (uint32_t column = 0; column < kColumns; column++) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      if (!entry.is_regular_file()) continue;
      const UniqueFd fd(open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
      posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
    }
  }
  measure("chunk read 1 MiB x 16, cold", bytes, static_cast<double>(blocks),
          [&] { client.run(wire::ChunkOperation::kRead, blocks, 16, stripe); });
  // The second reader's pass fills the page cache.
  for (int pass = 0; pass < 2; pass++) client.run(wire::ChunkOperation::kRead, blocks, 16, stripe);
  for (int round = 0; round < 3; round++) {
    measure("plain TCP stream", bytes, static_cast<double>(blocks), [&] { plain_stream(blocks * kBlockBytes); });
    measure("chunk read 1 MiB x 16, warm", bytes, static_cast<double>(blocks),
            [&] { client.run(wire::ChunkOperation::kRead, blocks, 16, stripe); });
  }
  std::mt19937_64 random(1);
  const auto small = [&](size_t, wire::ChunkRequest& request) {
    request.column = static_cast<uint32_t>(random() % kColumns);
    request.offset = (random() % (blocks / kColumns * (kBlockBytes / 4096))) * 4096;
    request.length = 4096;
  };
  constexpr size_t kSmall = 100000;
  for (int round = 0; round < 2; round++) {
    measure("chunk read 4 KiB random x 32, warm", kSmall * 4096.0, kSmall,
            [&] { client.run(wire::ChunkOperation::kRead, kSmall, 32, small); });
    measure("chunk write 4 KiB random x 32", kSmall * 4096.0, kSmall,
            [&] { client.run(wire::ChunkOperation::kWrite, kSmall, 32, small); });
  }
  constexpr size_t kFiles = 20000;
  const auto file = [](size_t index, wire::ChunkRequest& request) {
    request.fid_object = static_cast<uint32_t>(1000 + index);
    request.length = 3901;
  };
  measure("chunk create + write 3,901 bytes x 32", kFiles * 3901.0, kFiles,
          [&] { client.run(wire::ChunkOperation::kWrite, kFiles, 32, file); });
  measure("chunk remove x 32", kFiles * 3901.0, kFiles, [&] {
    client.run(wire::ChunkOperation::kRemove, kFiles, 32,
               [](size_t index, wire::ChunkRequest& request) { request.fid_object = static_cast<uint32_t>(1000 + index); });
  });
}

bool parse(int count, char** arguments, Options* options) {
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view key = arguments[i];
    const std::string value = arguments[i + 1];
    if (key == "--engine") {
      options->server.engine = value == "threads"    ? DiskEngineKind::kThreads
                               : value == "io_uring" ? DiskEngineKind::kIoUring
                                                     : DiskEngineKind::kAutomatic;
    } else if (key == "--direct") {
      options->server.direct_write_bytes_min = static_cast<uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
    } else if (key == "--direct-read") {
      options->server.direct_read_bytes_min = static_cast<uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
    } else if (key == "--pipes") {
      options->server.limits.pipes_max = static_cast<uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
    } else if (key == "--mib") {
      options->mib = std::max<size_t>(kColumns, std::strtoul(value.c_str(), nullptr, 10));
    } else if (key == "--folder") {
      options->folder = value;
    } else if (key == "--only") {
      only = value;
    } else {
      return false;
    }
  }
  return count % 2 == 1;
}

}  // namespace

int main(int count, char** arguments) {
  Options options;
  if (!parse(count, arguments, &options)) {
    std::fprintf(
        stderr,
        "usage: bench_chunks [--engine automatic|io_uring|threads] [--direct BYTES] [--direct-read BYTES] [--pipes N] [--mib N] "
        "[--folder PATH] [--only WORDS]\n");
    return 2;
  }
  std::string folder = options.folder + "/ibexfs-bench-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) {
    std::perror(folder.c_str());
    return 1;
  }
  bench(options, folder);
  std::filesystem::remove_all(folder);
  return 0;
}
