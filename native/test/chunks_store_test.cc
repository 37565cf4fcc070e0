// A target's folder and the cache of open chunk files, on a real file system.
#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "chunks/chunk_files.h"
#include "chunks/chunk_store.h"
#include "test/chunks_fixture.h"

using namespace ibexfs;
using namespace ibexfs::test;

namespace {

std::shared_ptr<ChunkStore> store_in(const ChunkFolder& folder) {
  auto store = ChunkStore::open(folder.path());
  REQUIRE_MESSAGE(store.ok(), store.status().message());
  return store.take();
}

std::shared_ptr<ChunkDescriptors> open_pinned(ChunkPin& pin, ChunkFiles& files, bool create = true, bool direct = false) {
  std::shared_ptr<ChunkDescriptors> descriptors;
  const int opened = pin->open(create, direct, files, &descriptors);
  REQUIRE(opened == 0);
  return descriptors;
}

}  // namespace

TEST_CASE("a store makes folders as they are needed and removes idempotently") {
  ChunkFolder folder;
  const auto store = store_in(folder);
  const ChunkName name = chunk_of(1);
  uint32_t stamp = 0;
  CHECK(store->open_chunk(name, false, &stamp) == -ENOENT);
  ChunkAttributes attributes{1, 1};
  CHECK(store->stat_chunk(name, &attributes) == 0);
  CHECK(attributes.size == 0);
  CHECK(store->remove_chunk(name) == 0);
  const UniqueFd fd(store->open_chunk(name, true, &stamp));
  REQUIRE(fd);
  CHECK(std::filesystem::exists(store->chunk_file_path(name)));
  CHECK(store->remove_chunk(name) == 0);
  CHECK_FALSE(std::filesystem::exists(store->chunk_file_path(name)));
  CHECK(store->remove_chunk(name) == 0);
}

TEST_CASE("a store refuses a folder that is not there or not a folder, and says which") {
  CHECK(ChunkStore::open("/nonexistent/target").status().message().find("/nonexistent/target") != std::string::npos);
  CHECK(ChunkStore::open("/dev/null").status().code() == static_cast<StatusCode>(ENOTDIR));
}

TEST_CASE("directory entries are synced once per batch of new chunks") {
  ChunkFolder folder;
  const auto store = store_in(folder);
  uint32_t stamps[3];
  for (uint32_t i = 0; i < 3; i++) {
    const UniqueFd fd(store->open_chunk(chunk_of(i), true, &stamps[i]));
    REQUIRE(fd);
    CHECK_FALSE(store->is_entry_durable(chunk_of(i), stamps[i]));
  }
  CHECK(store->make_entry_durable(chunk_of(0), stamps[0]) == 0);
  // One folder holds them all, so one sync covered them; what comes later needs another.
  CHECK(store->is_entry_durable(chunk_of(2), stamps[2]));
  uint32_t later = 0;
  const UniqueFd fd(store->open_chunk(chunk_of(9), true, &later));
  CHECK_FALSE(store->is_entry_durable(chunk_of(9), later));
}

TEST_CASE("a chunk that exists when the process starts counts as not yet durable") {
  ChunkFolder folder;
  uint32_t stamp = 0;
  { const UniqueFd fd(store_in(folder)->open_chunk(chunk_of(1), true, &stamp)); }
  const auto store = store_in(folder);
  const UniqueFd fd(store->open_chunk(chunk_of(1), false, &stamp));
  CHECK_FALSE(store->is_entry_durable(chunk_of(1), stamp));
  CHECK(store->make_entry_durable(chunk_of(1), stamp) == 0);
  CHECK(store->is_entry_durable(chunk_of(1), stamp));
}

TEST_CASE("a target folder that vanished is noticed and never looks like empty chunks") {
  ChunkFolder folder;
  const std::string path = folder.path() + "/target";
  std::filesystem::create_directory(path);
  const auto store = ChunkStore::open(path).take();
  CHECK_FALSE(store->has_vanished());
  CHECK(store->usage().ok());
  SUBCASE("removed") {
    std::filesystem::remove_all(path);
  }
  SUBCASE("moved away") {
    std::filesystem::rename(path, path + ".old");
  }
  SUBCASE("replaced") {
    std::filesystem::rename(path, path + ".old");
    std::filesystem::create_directory(path);
  }
  CHECK(store->has_vanished());
  CHECK_FALSE(store->usage().ok());
  uint32_t stamp = 0;
  ChunkAttributes attributes;
  CHECK(store->open_chunk(chunk_of(1), false, &stamp) == -ESTALE);
  CHECK(store->open_chunk(chunk_of(1), true, &stamp) == -ESTALE);
  CHECK(store->stat_chunk(chunk_of(1), &attributes) == -ESTALE);
  CHECK(store->remove_chunk(chunk_of(1)) == -ESTALE);
}

TEST_CASE("the cache keeps descriptors open within its bound, least recently used first") {
  ChunkFolder folder;
  const auto store = store_in(folder);
  ChunkFiles files(8);
  for (uint32_t i = 0; i < 100; i++) {
    ChunkPin pin = files.pin(store, chunk_of(i));
    open_pinned(pin, files);
    CHECK(files.descriptors_open() <= 8);
  }
  CHECK(files.evictions() >= 92);
  ChunkPin recent = files.pin(store, chunk_of(99));
  CHECK(recent->descriptors() != nullptr);
  ChunkPin old = files.pin(store, chunk_of(0));
  CHECK(old->descriptors() == nullptr);
}

TEST_CASE("what is pinned is never closed, and a missing chunk is not remembered") {
  ChunkFolder folder;
  const auto store = store_in(folder);
  ChunkFiles files(4);
  std::vector<ChunkPin> pins;
  for (uint32_t i = 0; i < 20; i++) {
    pins.push_back(files.pin(store, chunk_of(i)));
    open_pinned(pins.back(), files);
  }
  CHECK(files.descriptors_open() == 20);
  for (const ChunkPin& pin : pins) CHECK(pin->descriptors() != nullptr);
  pins.clear();
  { ChunkPin missing = files.pin(store, chunk_of(1000)); }
  { ChunkPin one = files.pin(store, chunk_of(2000)); }
  files.evict(1000);
  CHECK(files.size() == 0);
  CHECK(files.descriptors_open() == 0);
}

TEST_CASE("remove forgets the descriptor, but a reader that has it goes on") {
  ChunkFolder folder;
  const auto store = store_in(folder);
  ChunkFiles files(8);
  ChunkPin pin = files.pin(store, chunk_of(1));
  const auto held = open_pinned(pin, files);
  REQUIRE(pwrite(held->cached.get(), "abc", 3, 0) == 3);
  CHECK(pin->remove() == 0);
  CHECK(pin->descriptors() == nullptr);
  char byte = 0;
  CHECK(pread(held->cached.get(), &byte, 1, 1) == 1);
  CHECK(byte == 'b');
  const auto fresh = open_pinned(pin, files);
  struct stat attributes {};
  REQUIRE(fstat(fresh->cached.get(), &attributes) == 0);
  CHECK(attributes.st_size == 0);
  CHECK_FALSE(pin->was_unlinked_behind(fresh));
  std::filesystem::remove(store->chunk_file_path(chunk_of(1)));
  CHECK(pin->was_unlinked_behind(fresh));
}

TEST_CASE("a direct descriptor joins an open chunk later") {
  ChunkFolder folder;
  const auto store = store_in(folder);
  ChunkFiles files(8);
  ChunkPin pin = files.pin(store, chunk_of(1));
  const auto cached = open_pinned(pin, files);
  CHECK_FALSE(cached->direct);
  const auto both = open_pinned(pin, files, false, true);
  if (store->takes_direct()) {
    CHECK(both->direct);
    CHECK((fcntl(both->direct.get(), F_GETFL) & O_DIRECT) != 0);
  } else {
    MESSAGE("this temporary folder's file system has no direct I/O");
  }
}

TEST_CASE("many threads open, remove and evict the same chunks") {
  ChunkFolder folder;
  const auto store = store_in(folder);
  ChunkFiles files(6);
  std::atomic<uint32_t> failures{0};
  std::vector<std::thread> threads;
  for (uint32_t worker = 0; worker < 4; worker++) {
    threads.emplace_back([&, worker] {
      std::mt19937_64 random(worker);
      for (uint32_t i = 0; i < 2000; i++) {
        ChunkPin pin = files.pin(store, chunk_of(static_cast<uint32_t>(random() % 12)));
        std::shared_ptr<ChunkDescriptors> descriptors;
        const uint64_t dice = random() % 16;
        if (dice == 0) {
          if (pin->remove() != 0) failures++;
        } else if (dice == 1) {
          files.evict(2);
        } else {
          if (pin->open(true, false, files, &descriptors) != 0) failures++;
          if (descriptors != nullptr && pwrite(descriptors->cached.get(), "x", 1, 0) != 1) failures++;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
  files.evict(100);
  CHECK(files.descriptors_open() == 0);
}
