// Answers to name requests, from TypeScript's records to the kernel's structs. Pure functions.
#pragma once

#include <linux/fuse.h>

#include <cstdint>
#include <vector>

#include "base/event_sink.h"

namespace ibexfs {

// What the session must know of a request to answer it.
struct ReplyContext {
  uint32_t opcode = 0;
  uint32_t size = 0;  // room of the caller: readdir, xattrs
};

// Appends the answer's payload (what follows fuse_out_header) to `out`. Returns 0, the errno to answer with
// instead (ERANGE: an xattr larger than the caller's room), or -1 when the record does not fit the request.
int encode_reply(const ReplyContext& context, const wire::FuseReplyCommand& command, Bytes data, std::vector<uint8_t>& out);

// The kernel's view of attributes that were told in advance.
fuse_attr attributes_of_facts(const wire::FuseFactsCommand& command);

// The errno for a status of our own wire: its codes above 1000 mean nothing to the kernel.
int errno_of(uint32_t status);

}  // namespace ibexfs
