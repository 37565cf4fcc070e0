// Both disk engines, job by job, on a reactor that the test drives.
#include <fcntl.h>

#include "chunks/disk_threads.h"
#include "test/chunks_fixture.h"

using namespace ibexfs;
using namespace ibexfs::test;

namespace {

struct Job final : DiskJob {
  int64_t call() override {
    called_on = std::this_thread::get_id();
    return work ? work() : 0;
  }
  void finish(int64_t outcome) override {
    result = outcome;
    finished_on = std::this_thread::get_id();
    finishes++;
    if (then) then();
  }
  std::function<int64_t()> work;
  std::function<void()> then;
  std::thread::id called_on;
  std::thread::id finished_on;
  int64_t result = -1;
  int finishes = 0;
};

struct Engine {
  explicit Engine(DiskEngineKind kind) : reactor(Reactor::create().take()), threads(3) {
    auto made = DiskEngine::create(kind, *reactor, threads, nullptr);
    REQUIRE(made.ok());
    engine = made.take();
  }
  ~Engine() {
    while (engine->jobs_in_flight() > 0) engine->poll();
  }
  void run() {
    while (engine->jobs_in_flight() > 0) reactor->run_once(1000);
  }
  std::unique_ptr<Reactor> reactor;
  DiskThreads threads;
  std::unique_ptr<DiskEngine> engine;
};

UniqueFd scratch_file(const ChunkFolder& folder) {
  UniqueFd fd(open((folder.path() + "/file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(fd);
  return fd;
}

void set(Job& job, DiskJob::Kind kind, int fd, uint8_t* data, size_t length, uint64_t offset) {
  job.kind = kind;
  job.fd = fd;
  job.data = data;
  job.length = length;
  job.offset = offset;
}

}  // namespace

TEST_CASE("an engine writes, syncs and reads back, and stops at the end of the file") {
  with_each_engine([](const ChunkServerOptions& options) {
    ChunkFolder folder;
    const UniqueFd fd = scratch_file(folder);
    Engine fixture(options.engine);
    auto out = pattern(100000, 1);
    std::vector<uint8_t> in(200000);
    Job write, sync, read, past;
    write.in_thread = true;
    set(write, DiskJob::Kind::kWrite, fd.get(), out.data(), out.size(), 50);
    fixture.engine->submit(&write);
    fixture.run();
    CHECK(write.result == 100000);
    set(sync, DiskJob::Kind::kSync, fd.get(), nullptr, 0, 0);
    set(read, DiskJob::Kind::kRead, fd.get(), in.data(), in.size(), 50);
    set(past, DiskJob::Kind::kRead, fd.get(), in.data(), 1, 1000000);
    for (Job* job : {&sync, &read, &past}) fixture.engine->submit(job);
    fixture.run();
    CHECK(sync.result == 0);
    CHECK(read.result == 100000);
    CHECK(has_pattern(Bytes(in).first(100000), 1));
    CHECK(past.result == 0);
    CHECK(read.finished_on == std::this_thread::get_id());
  });
}

TEST_CASE("an engine reports the errno of what failed") {
  with_each_engine([](const ChunkServerOptions& options) {
    ChunkFolder folder;
    const UniqueFd fd(open((folder.path() + "/file").c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
    Engine fixture(options.engine);
    uint8_t byte = 0;
    Job read_only, closed, call;
    set(read_only, DiskJob::Kind::kWrite, fd.get(), &byte, 1, 0);
    set(closed, DiskJob::Kind::kRead, 1000000, &byte, 1, 0);
    call.work = [] { return -EXDEV; };
    for (Job* job : {&read_only, &closed, &call}) fixture.engine->submit(job);
    fixture.run();
    CHECK(read_only.result == -EBADF);
    CHECK(closed.result == -EBADF);
    CHECK(call.result == -EXDEV);
    CHECK(call.called_on != std::this_thread::get_id());
  });
}

TEST_CASE("more jobs than the ring has entries all finish once") {
  with_each_engine([](const ChunkServerOptions& options) {
    ChunkFolder folder;
    const UniqueFd fd = scratch_file(folder);
    Engine fixture(options.engine);
    constexpr size_t kJobs = 3000;
    auto out = pattern(kJobs * 512, 3);
    std::vector<uint8_t> in(out.size());
    std::vector<Job> writes(kJobs), reads(kJobs);
    for (size_t i = 0; i < kJobs; i++) {
      set(writes[i], DiskJob::Kind::kWrite, fd.get(), out.data() + i * 512, 512, i * 512);
      // The read of the same place follows its write.
      writes[i].then = [&, i] {
        set(reads[i], DiskJob::Kind::kRead, fd.get(), in.data() + i * 512, 512, i * 512);
        fixture.engine->submit(&reads[i]);
      };
      fixture.engine->submit(&writes[i]);
    }
    fixture.run();
    bool once = true;
    for (size_t i = 0; i < kJobs; i++) once = once && writes[i].finishes == 1 && reads[i].finishes == 1 && reads[i].result == 512;
    CHECK(once);
    CHECK(in == out);
  });
}

TEST_CASE("flushes never take the last disk thread") {
  with_each_engine([](const ChunkServerOptions& options) {
    Engine fixture(options.engine);
    std::promise<void> release;
    const std::shared_future<void> released = release.get_future().share();
    std::vector<Job> slow(8);
    for (Job& job : slow) {
      job.slow = true;
      job.work = [released] {
        released.wait();
        return 0;
      };
      fixture.engine->submit(&job);
    }
    Job quick;
    fixture.engine->submit(&quick);
    while (quick.finishes == 0) fixture.reactor->run_once(1000);
    CHECK(slow[0].finishes == 0);
    release.set_value();
    fixture.run();
    for (const Job& job : slow) CHECK(job.finishes == 1);
  });
}

TEST_CASE("an engine whose reactor stands still finishes its jobs by polling, and wakes come from any thread") {
  with_each_engine([](const ChunkServerOptions& options) {
    ChunkFolder folder;
    const UniqueFd fd = scratch_file(folder);
    Engine fixture(options.engine);
    auto out = pattern(1 << 20, 4);
    Job write, call, woken;
    set(write, DiskJob::Kind::kWrite, fd.get(), out.data(), out.size(), 0);
    fixture.engine->submit(&write);
    fixture.engine->submit(&call);
    std::thread waker([&] { fixture.engine->wake(&woken); });
    waker.join();
    while (fixture.engine->jobs_in_flight() > 0) fixture.engine->poll();
    CHECK(write.result == 1 << 20);
    CHECK(call.result == 0);
    CHECK(woken.result == 0);
    CHECK(woken.finished_on == std::this_thread::get_id());
  });
}
