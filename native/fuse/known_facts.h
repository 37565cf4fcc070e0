// What TypeScript told about inodes in advance, so that a FUSE thread can answer the kernel without asking it:
// attributes of directories after a change in them, inodes without extended attributes, directories all of whose
// names are known. Every fact holds for the time that TypeScript gave it. Bounded: inodes not told of for
// longest are forgotten, and so are the names of directories whose names were not; then the kernel's question
// goes to TypeScript as ever.
#pragma once

#include <linux/fuse.h>

#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/boot_clock.h"
#include "base/event_sink.h"

namespace ibexfs {

class KnownFacts {
 public:
  using Clock = BootClock;

  struct Limits {
    size_t inodes_max = 8192;
    size_t names_max = size_t{1} << 20;  // of all directories; 8 bytes and a hash table's node each
  };
  KnownFacts() : KnownFacts(Limits{}) {}
  explicit KnownFacts(const Limits& limits) : limits_(limits) {}

  // All functions: any thread.
  void tell(const wire::FuseFactsCommand& command, std::string_view name);

  // The answer to GETATTR, valid for as long as the fact still holds.
  std::optional<fuse_attr_out> attributes(uint64_t node, Clock::time_point now) const;
  bool has_no_xattrs(uint64_t node, Clock::time_point now) const;
  // The directory certainly has no such name. False: it may have it.
  bool lacks(uint64_t directory, std::string_view name, Clock::time_point now) const;

 private:
  struct Inode {
    fuse_attr attributes{};
    Clock::time_point attributes_until{};
    Clock::time_point no_xattrs_until{};
    Clock::time_point names_until{};
    // Hashes, not names: two names that share one only cost a question.
    std::unordered_set<uint64_t> names;
    std::optional<std::list<uint64_t>::iterator> named;  // in named_by_age_: all its names are known
    std::list<uint64_t>::iterator age;
  };

  Inode& inode(uint64_t node);
  const Inode* find(uint64_t node) const;
  void forget(uint64_t node);
  void drop_names(Inode& known);
  void tell_names(uint64_t node, Inode& known, uint32_t facts, std::string_view name, Clock::time_point until);

  const Limits limits_;
  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, Inode> inodes_;
  std::list<uint64_t> by_age_;  // longest not told of first
  std::list<uint64_t> named_by_age_;
  size_t names_ = 0;
};

}  // namespace ibexfs
