// What FUSE threads answer by themselves: facts hold for their time, and no longer than they are true.
#include <doctest/doctest.h>

#include <string>

#include "fuse/known_facts.h"

namespace ibexfs::test {

namespace {

using std::chrono::milliseconds;
using wire::FuseFact;

struct Told {
  explicit Told(const KnownFacts::Limits& limits = {}) : facts(limits) {}
  void tell(uint64_t node, std::initializer_list<FuseFact> what, uint32_t valid_ms, std::string_view name = {}) {
    wire::FuseFactsCommand command;
    command.node = node;
    command.until_ms = static_cast<uint64_t>(std::chrono::duration_cast<milliseconds>(now.time_since_epoch()).count()) + valid_ms;
    command.mode = 040755;
    command.links = static_cast<uint32_t>(node);
    for (const FuseFact fact : what) command.facts |= static_cast<uint32_t>(fact);
    facts.tell(command, name);
  }
  bool lacks(uint64_t node, std::string_view name) const { return facts.lacks(node, name, now); }

  KnownFacts facts;
  // Facts end at whole milliseconds.
  KnownFacts::Clock::time_point now = std::chrono::floor<milliseconds>(KnownFacts::Clock::now());
};

}  // namespace

TEST_CASE("facts: attributes are answered with the time that is left of them") {
  Told told;
  CHECK_FALSE(told.facts.attributes(7, told.now));
  told.tell(7, {FuseFact::kAttributes}, 1500);
  told.now += milliseconds(250);
  const auto answer = told.facts.attributes(7, told.now);
  REQUIRE(answer);
  CHECK(answer->attr_valid == 1);
  CHECK(answer->attr_valid_nsec == 250'000'000);
  CHECK(answer->attr.ino == 7);
  CHECK(answer->attr.mode == 040755);
  CHECK(answer->attr.nlink == 7);
  told.now += milliseconds(1250);
  CHECK_FALSE(told.facts.attributes(7, told.now));
}

TEST_CASE("facts: a name is missing only where all names are known") {
  Told told;
  CHECK_FALSE(told.lacks(7, "a"));
  told.tell(7, {FuseFact::kNames}, 1000, "a");  // never told that it was empty
  CHECK_FALSE(told.lacks(7, "b"));
  told.tell(7, {FuseFact::kEmpty}, 1000);
  CHECK(told.lacks(7, "a"));
  told.tell(7, {FuseFact::kNames}, 1000, "a");
  CHECK_FALSE(told.lacks(7, "a"));
  CHECK(told.lacks(7, "b"));
  SUBCASE("until its time is over") {
    told.now += milliseconds(1000);
    CHECK_FALSE(told.lacks(7, "b"));
    told.tell(7, {FuseFact::kNames}, 1000);  // renewed, and nothing was lost
    CHECK(told.lacks(7, "b"));
    CHECK_FALSE(told.lacks(7, "a"));
  }
  SUBCASE("until it is forgotten") {
    told.tell(7, {FuseFact::kForget}, 0);
    CHECK_FALSE(told.lacks(7, "b"));
    told.tell(7, {FuseFact::kNames}, 1000, "c");
    CHECK_FALSE(told.lacks(7, "b"));
  }
  SUBCASE("until another lot of names is told") {
    told.tell(7, {FuseFact::kForget, FuseFact::kEmpty}, 1000, "b");
    CHECK(told.lacks(7, "a"));
    CHECK_FALSE(told.lacks(7, "b"));
  }
}

TEST_CASE("facts: each kind is forgotten with its inode alone") {
  Told told;
  told.tell(7, {FuseFact::kAttributes, FuseFact::kNoXattrs, FuseFact::kEmpty}, 1000);
  told.tell(8, {FuseFact::kNoXattrs}, 1000);
  CHECK(told.facts.has_no_xattrs(7, told.now));
  told.tell(7, {FuseFact::kForget}, 0);
  CHECK_FALSE(told.facts.has_no_xattrs(7, told.now));
  CHECK_FALSE(told.facts.attributes(7, told.now));
  CHECK_FALSE(told.lacks(7, "a"));
  CHECK(told.facts.has_no_xattrs(8, told.now));
}

TEST_CASE("facts: the inodes not told of for longest make room") {
  Told told(KnownFacts::Limits{2, 100});
  told.tell(1, {FuseFact::kNoXattrs}, 1000);
  told.tell(2, {FuseFact::kNoXattrs}, 1000);
  told.tell(1, {FuseFact::kNoXattrs}, 1000);
  told.tell(3, {FuseFact::kNoXattrs}, 1000);
  CHECK(told.facts.has_no_xattrs(1, told.now));
  CHECK_FALSE(told.facts.has_no_xattrs(2, told.now));
  CHECK(told.facts.has_no_xattrs(3, told.now));
}

TEST_CASE("facts: a directory with more names than there is room for is not known") {
  Told told(KnownFacts::Limits{10, 3});
  told.tell(7, {FuseFact::kEmpty}, 1000);
  for (int i = 0; i < 3; ++i) told.tell(7, {FuseFact::kNames}, 1000, "name" + std::to_string(i));
  CHECK(told.lacks(7, "other"));
  told.tell(7, {FuseFact::kNames}, 1000, "name3");
  CHECK_FALSE(told.lacks(7, "other"));
  told.tell(8, {FuseFact::kEmpty}, 1000, "b");  // what it took is free again
  told.tell(8, {FuseFact::kNames}, 1000, "c");
  CHECK(told.lacks(8, "other"));
}

TEST_CASE("facts: the names of directories not told of for longest make room, however many they are") {
  Told told(KnownFacts::Limits{10, 4});
  told.tell(1, {FuseFact::kEmpty}, 1000, "old");
  told.tell(2, {FuseFact::kEmpty}, 1000);
  for (int i = 0; i < 3; ++i) told.tell(2, {FuseFact::kNames}, 1000, "large" + std::to_string(i));
  told.tell(1, {FuseFact::kNoXattrs}, 1000);  // nothing about its names
  told.tell(3, {FuseFact::kEmpty}, 1000, "new");
  CHECK_FALSE(told.lacks(1, "other"));
  CHECK(told.lacks(2, "other"));
  CHECK(told.lacks(3, "other"));
  told.tell(3, {FuseFact::kNames}, 1000, "newer");
  CHECK_FALSE(told.lacks(2, "other"));
  CHECK(told.lacks(3, "other"));
  CHECK_FALSE(told.lacks(3, "newer"));
  CHECK(told.facts.has_no_xattrs(1, told.now));
}

}  // namespace ibexfs::test
