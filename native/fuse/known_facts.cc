#include "fuse/known_facts.h"

#include <functional>

#include "fuse/reply.h"

namespace ibexfs {

namespace {

constexpr uint32_t bit(wire::FuseFact fact) {
  return static_cast<uint32_t>(fact);
}

uint64_t hash_of(std::string_view name) {
  return std::hash<std::string_view>{}(name);
}

}  // namespace

KnownFacts::Inode& KnownFacts::inode(uint64_t node) {
  const auto [found, added] = inodes_.try_emplace(node);
  if (!added) {
    by_age_.splice(by_age_.end(), by_age_, found->second.age);
    return found->second;
  }
  by_age_.push_back(node);
  found->second.age = std::prev(by_age_.end());
  Inode& fresh = found->second;  // stays where it is when others go
  if (inodes_.size() > limits_.inodes_max) forget(by_age_.front());
  return fresh;
}

const KnownFacts::Inode* KnownFacts::find(uint64_t node) const {
  const auto found = inodes_.find(node);
  return found == inodes_.end() ? nullptr : &found->second;
}

void KnownFacts::forget(uint64_t node) {
  const auto found = inodes_.find(node);
  if (found == inodes_.end()) return;
  drop_names(found->second);
  by_age_.erase(found->second.age);
  inodes_.erase(found);
}

void KnownFacts::drop_names(Inode& known) {
  names_ -= known.names.size();
  known.names.clear();
  if (known.named) named_by_age_.erase(*known.named);
  known.named.reset();
}

void KnownFacts::tell_names(uint64_t node, Inode& known, uint32_t facts, std::string_view name, Clock::time_point until) {
  if ((facts & bit(wire::FuseFact::kEmpty)) != 0) {
    drop_names(known);
    known.named = named_by_age_.insert(named_by_age_.end(), node);
  }
  if (!known.named) return;  // forgotten here meanwhile, for want of room
  named_by_age_.splice(named_by_age_.end(), named_by_age_, *known.named);
  if (!name.empty()) names_ += known.names.insert(hash_of(name)).second ? 1 : 0;
  known.names_until = until;
  while (names_ > limits_.names_max) drop_names(inodes_.at(named_by_age_.front()));
}

void KnownFacts::tell(const wire::FuseFactsCommand& command, std::string_view name) {
  // Not a time from now: the process, or the machine, may have slept since it was told.
  const Clock::time_point until{std::chrono::milliseconds(command.until_ms)};
  const std::lock_guard lock(mutex_);
  if ((command.facts & bit(wire::FuseFact::kForget)) != 0) forget(command.node);
  if ((command.facts & ~bit(wire::FuseFact::kForget)) == 0) return;
  Inode& known = inode(command.node);
  if ((command.facts & bit(wire::FuseFact::kAttributes)) != 0) {
    known.attributes = attributes_of_facts(command);
    known.attributes_until = until;
  }
  if ((command.facts & bit(wire::FuseFact::kNoXattrs)) != 0) known.no_xattrs_until = until;
  if ((command.facts & (bit(wire::FuseFact::kNames) | bit(wire::FuseFact::kEmpty))) != 0)
    tell_names(command.node, known, command.facts, name, until);
}

std::optional<fuse_attr_out> KnownFacts::attributes(uint64_t node, Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  const Inode* known = find(node);
  if (known == nullptr || known->attributes_until <= now) return std::nullopt;
  const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(known->attributes_until - now);
  fuse_attr_out answer{};
  answer.attr_valid = static_cast<uint64_t>(left.count() / 1'000'000'000);
  answer.attr_valid_nsec = static_cast<uint32_t>(left.count() % 1'000'000'000);
  answer.attr = known->attributes;
  return answer;
}

bool KnownFacts::has_no_xattrs(uint64_t node, Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  const Inode* known = find(node);
  return known != nullptr && known->no_xattrs_until > now;
}

bool KnownFacts::lacks(uint64_t directory, std::string_view name, Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  const Inode* known = find(directory);
  return known != nullptr && known->named && known->names_until > now && !known->names.contains(hash_of(name));
}

}  // namespace ibexfs
