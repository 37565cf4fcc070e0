// Ranges of memory in work requests, as values: bytes of ours, and bytes that a peer exposed.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>

namespace ibexfs::verbs {

// Bytes of registered memory of this process. Does not keep the registration; see SendRequest::keep.
struct LocalRange {
  uint8_t* data = nullptr;
  size_t length = 0;
  uint32_t lkey = 0;

  LocalRange subrange(size_t offset, size_t bytes) const {
    assert(offset <= length && bytes <= length - offset);
    return {data + offset, bytes, lkey};
  }
  LocalRange first(size_t bytes) const { return subrange(0, bytes); }
  LocalRange last(size_t bytes) const { return subrange(length - bytes, bytes); }
};

// Bytes of a peer, as it described them: untrusted until compared with what was agreed upon.
struct RemoteRange {
  uint64_t address = 0;
  uint64_t length = 0;
  uint32_t rkey = 0;

  // False when the range would wrap around the address space.
  bool valid() const { return address + length >= address; }
  RemoteRange subrange(uint64_t offset, uint64_t bytes) const {
    assert(offset <= length && bytes <= length - offset);
    return {address + offset, bytes, rkey};
  }
  RemoteRange first(uint64_t bytes) const { return subrange(0, bytes); }
  RemoteRange last(uint64_t bytes) const { return subrange(length - bytes, bytes); }
};

}  // namespace ibexfs::verbs
