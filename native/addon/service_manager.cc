#include "addon/features.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/unique_fd.h"
#include "chunks/disk_engine.h"

namespace ibexfs {

namespace {

Feature probe_disk() {
  // What the disk engine itself asks before it chooses.
  const Status status = probe_io_uring();
  if (status.ok()) return {"io_uring", true, "asynchronous disk I/O"};
  return {"io_uring", false, status.message() + "; disk threads are used instead"};
}

Feature probe_fuse() {
  const UniqueFd device(open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (device.get() >= 0) return {"fuse", true, "/dev/fuse opens"};
  const std::string why = std::strerror(errno);
  return {"fuse", false, "/dev/fuse: " + why + "; load the kernel's module (modprobe fuse), and give the container the device"};
}

Feature probe_verbs() {
  // Never closed: providers keep state and threads in the library.
  if (dlopen("libibverbs.so.1", RTLD_NOW | RTLD_LOCAL) == nullptr) {
    return {"rdma", false, "libibverbs.so.1 is not installed (Debian: apt-get install libibverbs1 ibverbs-providers)"};
  }
  const UniqueFd devices(open("/sys/class/infiniband", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (devices.get() < 0) return {"rdma", false, "libibverbs is here, the kernel has no RDMA device (/sys/class/infiniband)"};
  return {"rdma", true, "libibverbs and a kernel with RDMA devices"};
}

Feature probe_memlock() {
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  if (limit.rlim_cur == RLIM_INFINITY || geteuid() == 0) return {"memlock", true, "locked memory is not limited"};
  const std::string kilobytes = std::to_string(limit.rlim_cur / 1024) + " KiB";
  const bool enough = limit.rlim_cur >= (64U << 20);
  return {"memlock", enough,
          "locked memory is limited to " + kilobytes + (enough ? "" : "; RDMA buffers need 64 MiB (ulimit -l, LimitMEMLOCK=)")};
}

}  // namespace

std::vector<Feature> probe_features() {
  return {probe_disk(), probe_fuse(), probe_verbs(), probe_memlock()};
}

bool notify_service_manager(const std::string& text) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path == nullptr || path[0] == '\0' || std::strlen(path) >= sizeof(address.sun_path)) return false;
  const UniqueFd socket_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket_fd.get() < 0) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, std::strlen(path));
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // abstract
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  return sendto(socket_fd.get(), text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address), bytes) >= 0;
}

}  // namespace ibexfs
