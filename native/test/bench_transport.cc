// Micro-benchmark of the transport over loopback, beside plain send/recv of the same sizes in the same run:
// 1 MiB data frames one way, 4 KiB writes and 64-byte requests with 32 in flight. Two threads each time.
// Usage: bench_transport [SECONDS per contender and round]
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "transport/tcp.h"

using namespace ibexfs;

namespace {

constexpr size_t kDataBytes = 1U << 20;
constexpr int kDataInFlight = 16;
constexpr size_t kSmallBytes = 64;
constexpr int kDepth = 32;
constexpr int kRounds = 3;

void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

double seconds_since(MonotonicClock::time_point begin) {
  return std::chrono::duration<double>(MonotonicClock::now() - begin).count();
}

// --- Plain sockets.

std::pair<UniqueFd, UniqueFd> socket_pair() {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener.get(), 1) != 0) die("listen");
  getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length);
  UniqueFd client(socket(AF_INET, SOCK_STREAM, 0));
  if (connect(client.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) die("connect");
  UniqueFd server(accept(listener.get(), nullptr, nullptr));
  const int yes = 1;
  setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  setsockopt(server.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  return {std::move(client), std::move(server)};
}

bool receive_all(int fd, uint8_t* into, size_t bytes) {
  while (bytes > 0) {
    const ssize_t got = recv(fd, into, bytes, 0);
    if (got <= 0) return false;
    into += got;
    bytes -= static_cast<size_t>(got);
  }
  return true;
}

double plain_data(double seconds) {
  auto [client, server] = socket_pair();
  std::thread receiver([fd = server.get()] {
    std::vector<std::vector<uint8_t>> buffers(kDataInFlight, std::vector<uint8_t>(kDataBytes));
    for (size_t i = 0; receive_all(fd, buffers[i % kDataInFlight].data(), kDataBytes); ++i) {
    }
  });
  const std::vector<std::vector<uint8_t>> buffers(kDataInFlight, std::vector<uint8_t>(kDataBytes, 1));
  const auto begin = MonotonicClock::now();
  uint64_t bytes = 0;
  for (size_t i = 0; seconds_since(begin) < seconds; ++i) {
    size_t sent = 0;
    while (sent < kDataBytes) {
      const ssize_t n = send(client.get(), buffers[i % kDataInFlight].data() + sent, kDataBytes - sent, 0);
      if (n <= 0) die("send");
      sent += static_cast<size_t>(n);
    }
    bytes += kDataBytes;
  }
  const double elapsed = seconds_since(begin);
  client.reset();
  receiver.join();
  return static_cast<double>(bytes) / elapsed / 1e6;
}

// A window of requests goes out in one send, and the answers come back in one: the most that batching can give.
double plain_requests(double seconds, size_t request_bytes, size_t answer_bytes) {
  auto [client, server] = socket_pair();
  std::thread answerer([fd = server.get(), request_bytes, answer_bytes] {
    std::vector<uint8_t> buffer(request_bytes * kDepth);
    while (receive_all(fd, buffer.data(), buffer.size())) {
      if (send(fd, buffer.data(), answer_bytes * kDepth, MSG_NOSIGNAL) <= 0) return;
    }
  });
  std::vector<uint8_t> window(request_bytes * kDepth, 1);
  std::vector<uint8_t> answers(answer_bytes * kDepth);
  const auto begin = MonotonicClock::now();
  uint64_t requests = 0;
  while (seconds_since(begin) < seconds) {
    if (send(client.get(), window.data(), window.size(), 0) != static_cast<ssize_t>(window.size())) die("send");
    if (!receive_all(client.get(), answers.data(), answers.size())) die("recv");
    requests += kDepth;
  }
  const double elapsed = seconds_since(begin);
  client.reset();
  answerer.join();
  return static_cast<double>(requests) / elapsed;
}

// --- The transport.

class Sink final : public EventSink {
 public:
  bool push(wire::EventKind, void*, size_t, std::initializer_list<Bytes>) override { return true; }
  void when_room(std::function<void()>) override {}
};

class Observer final : public ConnectionObserver {
 public:
  void on_accepted(const std::shared_ptr<Connection>& connection, uint32_t) override { connection->set_authenticated(); }
  void on_connected(const std::shared_ptr<Connection>& connection) override {
    connection->set_authenticated();
    stands = true;
  }
  std::atomic<bool> stands{false};
};

// Receives data in turn into a few buffers, as a chunk server with a warm pool would, and answers requests.
class Server final : public FrameHandler {
 public:
  DataPlan plan_data(const std::shared_ptr<Connection>&, const wire::FrameHeader&, Bytes) override {
    DataPlan plan;
    plan.kind = DataPlan::Kind::kInto;
    plan.into = buffers_[next_++ % kDataInFlight].data();
    return plan;
  }
  bool on_frame(const std::shared_ptr<Connection>& connection, const wire::FrameHeader& header, Bytes body,
                std::shared_ptr<void>) override {
    OutgoingFrame answer;
    answer.header.type =
        static_cast<uint8_t>(header.data_length > 0 ? wire::FrameType::kChunkResponse : wire::FrameType::kRpcResponse);
    answer.header.request_id = header.request_id;
    answer.body = header.data_length > 0 ? FrameBody::of(wire::ChunkResponse{}) : FrameBody::copy_of(body);
    connection->send(std::move(answer), Flush::kLater);
    return true;
  }
  void on_closed(const std::shared_ptr<Connection>&, const Status&) override {}

 private:
  std::vector<std::vector<uint8_t>> buffers_{kDataInFlight, std::vector<uint8_t>(kDataBytes)};
  size_t next_ = 0;
};

// Keeps a number of requests in flight: each answer sends the next.
class Client final : public FrameHandler {
 public:
  explicit Client(size_t data_bytes) : buffer_(data_bytes, 1) {}

  void send_one(const std::shared_ptr<Connection>& connection) {
    OutgoingFrame frame;
    if (!buffer_.empty()) {
      frame.header.type = static_cast<uint8_t>(wire::FrameType::kChunkRequest);
      frame.body = FrameBody::of(wire::ChunkRequest{});
      frame.data = buffer_;
    } else {
      frame.header.type = static_cast<uint8_t>(wire::FrameType::kRpcRequest);
      frame.body = FrameBody::of(wire::ChunkRequest{});
    }
    connection->send(std::move(frame), Flush::kLater);
  }
  DataPlan plan_data(const std::shared_ptr<Connection>&, const wire::FrameHeader&, Bytes) override { return {}; }
  bool on_frame(const std::shared_ptr<Connection>& connection, const wire::FrameHeader&, Bytes, std::shared_ptr<void>) override {
    answers.fetch_add(1, std::memory_order_relaxed);
    if (!stop.load(std::memory_order_relaxed)) send_one(connection);
    return true;
  }
  void on_closed(const std::shared_ptr<Connection>&, const Status&) override { closed = true; }

  std::atomic<uint64_t> answers{0};
  std::atomic<bool> stop{false};
  std::atomic<bool> closed{false};

 private:
  const std::vector<uint8_t> buffer_;
};

double transport_answers(double seconds, size_t data_bytes, int in_flight) {
  Sink sink;
  Observer observer;
  Server server;
  Client client(data_bytes);
  auto server_reactor = Reactor::create().take();
  ListenerOptions options;
  options.host = "127.0.0.1";
  auto listener = Listener::listen(*server_reactor, {{server_reactor.get(), &server}}, options, observer, sink).take();
  const uint16_t port = listener->port();
  double rate;
  {
    ReactorThread server_thread(std::move(server_reactor), "bench server");
    ReactorThread client_thread(Reactor::create().take(), "bench client");
    auto connection = connect_tcp(client_thread.reactor(), next_connection_id(), "127.0.0.1", port, client, observer).take();
    while (!observer.stands) std::this_thread::yield();
    for (int i = 0; i < in_flight; ++i) client.send_one(connection);
    const uint64_t before = client.answers;
    const auto begin = MonotonicClock::now();
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    rate = static_cast<double>(client.answers - before) / seconds_since(begin);
    client.stop = true;
    connection->close({StatusCode::kCanceled, "done"});
    while (!client.closed) std::this_thread::yield();
    std::atomic<bool> gone{false};
    server_thread.reactor().post([&] {
      listener.reset();
      gone = true;
      gone.notify_one();
    });
    gone.wait(false);
  }
  return rate;
}

// Contenders take turns, the best of each counts: the machine is shared.
template <typename Plain, typename Ours>
void compare(const char* name, const char* unit, Plain plain, Ours ours) {
  double plain_best = 0;
  double ours_best = 0;
  for (int round = 0; round < kRounds; ++round) {
    plain_best = std::max(plain_best, plain());
    ours_best = std::max(ours_best, ours());
  }
  std::printf("%-36s plain %12.0f %s   ibexfs %12.0f %s   ratio %.2f\n", name, plain_best, unit, ours_best, unit,
              ours_best / plain_best);
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 1.0;
  compare(
      "1 MiB data frames, one way", "MB/s", [&] { return plain_data(seconds); },
      [&] { return transport_answers(seconds, kDataBytes, kDataInFlight) * kDataBytes / 1e6; });
  compare(
      "4 KiB writes, 32 in flight", "1/s", [&] { return plain_requests(seconds, 128 + 4096, 96); },
      [&] { return transport_answers(seconds, 4096, kDepth); });
  compare(
      "64-byte requests, 32 in flight", "1/s", [&] { return plain_requests(seconds, 2 * kSmallBytes, 2 * kSmallBytes); },
      [&] { return transport_answers(seconds, 0, kDepth); });
  return 0;
}
