// INIT: what this side of a FUSE mount and the kernel agree on. Pure.
#pragma once

#include <linux/fuse.h>

#include "base/event_sink.h"
#include "base/status.h"
#include "fuse/session.h"

namespace ibexfs {

// The answer to an INIT request's body, or why this kernel cannot be served. answer.major below the kernel's
// means: the kernel will ask again in our version.
Result<fuse_init_out> negotiate(Bytes body, const FuseOptions& options);

}  // namespace ibexfs
