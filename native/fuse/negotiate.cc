#include "fuse/negotiate.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "fuse/request.h"
#include "fuse/session_core.h"

namespace ibexfs {

namespace {

// 7.28 (Linux 4.20) has requests of 256 pages; older kernels would be served at a fraction of the speed.
constexpr uint32_t kMinorMin = 28;

uint64_t wanted_features(const FuseOptions& options) {
  uint64_t wanted = 0;
  wanted |= FUSE_ASYNC_READ | FUSE_ASYNC_DIO;  // several requests of one reader at once
  wanted |= FUSE_PARALLEL_DIROPS;              // lookups in one folder at once
  wanted |= FUSE_ATOMIC_O_TRUNC;               // open(O_TRUNC) is one request
  wanted |= FUSE_BIG_WRITES | FUSE_MAX_PAGES;  // 1 MiB a request
  wanted |= FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO;
  wanted |= FUSE_HANDLE_KILLPRIV_V2;  // else the kernel asks for security.capability before every write
  wanted |= FUSE_CACHE_SYMLINKS;      // a link's target never changes
  wanted |= options.invalidate_on_change ? FUSE_AUTO_INVAL_DATA : FUSE_EXPLICIT_INVAL_DATA;
  wanted |= FUSE_INIT_EXT | kFuseDirectIoAllowMmap;
  // Not WRITEBACK_CACHE: the kernel would be the authority on sizes, which other clients change too. Not
  // POSIX_LOCKS and FLOCK_LOCKS: the kernel keeps locks among the processes of this machine by itself.
  return wanted;
}

}  // namespace

Result<fuse_init_out> negotiate(Bytes body, const FuseOptions& options) {
  constexpr size_t kOldBytes = offsetof(fuse_init_in, flags2);
  fuse_init_in in{};
  if (body.size() < kOldBytes)
    return Status(StatusCode::kBadRequest, "FUSE: the kernel's INIT has " + std::to_string(body.size()) + " bytes");
  std::memcpy(&in, body.data(), std::min(body.size(), sizeof(in)));
  fuse_init_out out{};
  out.major = FUSE_KERNEL_VERSION;
  out.minor = FUSE_KERNEL_MINOR_VERSION;
  if (in.major > FUSE_KERNEL_VERSION) return out;
  if (in.major < FUSE_KERNEL_VERSION || in.minor < kMinorMin) {
    return Status(StatusCode::kNotSupported, "FUSE: the kernel speaks protocol " + std::to_string(in.major) + "." +
                                                 std::to_string(in.minor) + ", 7.28 or newer is needed (Linux 4.20)");
  }
  uint64_t offered = in.flags;
  if ((in.flags & FUSE_INIT_EXT) != 0) offered |= uint64_t{in.flags2} << 32;
  const uint64_t agreed = offered & wanted_features(options);
  out.flags = static_cast<uint32_t>(agreed);
  out.flags2 = static_cast<uint32_t>(agreed >> 32);
  out.max_readahead = in.max_readahead;
  out.max_background = options.background_max;
  out.congestion_threshold = static_cast<uint16_t>(options.background_max * 3 / 4);
  out.max_write = kFuseDataBytesMax;
  out.max_pages = kFusePagesMax;
  out.time_gran = 1;  // nanosecond
  return out;
}

}  // namespace ibexfs
