#include "fuse/mount.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "fuse/mount_table.h"

namespace ibexfs {

namespace {

// What the kernel may ask for in one read; the session agrees on the same for writes.
constexpr const char* kMaxRead = "1048576";
constexpr const char* kFilesystemType = "fuse.ibexfs";
constexpr int kHelperTimeoutMs = 20'000;

bool is_empty_folder(const std::string& path) {
  DIR* folder = opendir(path.c_str());
  if (folder == nullptr) return false;
  bool empty = true;
  while (const dirent* entry = readdir(folder)) {
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) empty = false;
  }
  closedir(folder);
  return empty;
}

// The absolute path, or what is wrong with the mount point.
Result<std::string> check_mountpoint(const std::string& mountpoint, const MountOptions& options) {
  const std::string subject = "mount point " + mountpoint;
  char resolved[PATH_MAX];
  struct stat status;
  if (realpath(mountpoint.c_str(), resolved) == nullptr || stat(resolved, &status) != 0) {
    const int error = errno;
    if (error == ENOENT) return Status(StatusCode::kNoEntry, subject + " does not exist: create the folder first");
    if (error == ENOTCONN) {
      return Status(StatusCode::kConnectionReset,
                    subject + " holds a mount whose process is gone: unmount it first (umount -l " + mountpoint + ")");
    }
    return Status::from_errno(error, subject);
  }
  if (!S_ISDIR(status.st_mode)) return Status(StatusCode::kNotDirectory, subject + " is not a folder");
  if (!options.allow_not_empty && !is_empty_folder(resolved)) {
    return Status(StatusCode::kNotEmpty, subject + " is not empty: its entries would be hidden; choose an empty folder");
  }
  return std::string(resolved);
}

Result<FuseMount> mount_as_root(const std::string& path, const MountOptions& options) {
  UniqueFd device(open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!device) {
    const int error = errno;
    if (error == ENOENT || error == ENODEV || error == ENXIO) {
      return Status(
          StatusCode::kNoEntry,
          "/dev/fuse is missing: load the kernel module (modprobe fuse), or in a container start it with --device /dev/fuse");
    }
    return Status::from_errno(error, "open /dev/fuse");
  }
  const std::string settings = "fd=" + std::to_string(device.get()) + ",rootmode=40000,user_id=" + std::to_string(geteuid()) +
                               ",group_id=" + std::to_string(getegid()) + ",default_permissions,max_read=" + kMaxRead +
                               (options.allow_other ? ",allow_other" : "");
  unsigned long flags = 0;
  if (options.read_only) flags |= MS_RDONLY;
  if (!options.allow_set_id) flags |= MS_NOSUID;
  if (!options.allow_devices) flags |= MS_NODEV;
  if (mount(options.source.c_str(), path.c_str(), kFilesystemType, flags, settings.c_str()) != 0) {
    const int error = errno;
    const std::string what = "mount a FUSE file system on " + path;
    if (error == EPERM)
      return Status(StatusCode::kNotPermitted,
                    what + ": not permitted; this needs CAP_SYS_ADMIN (in a container: --cap-add SYS_ADMIN)");
    if (error == ENODEV) return Status(StatusCode::kNoEntry, what + ": this kernel has no FUSE (modprobe fuse)");
    return Status::from_errno(error, what);
  }
  return FuseMount{device.release(), path, false, {}};
}

struct HelperOutcome {
  int exit_code = -1;
  std::string messages;  // what it wrote to standard error
};

// Its exit code; -1 when it had to be killed at `end`. One that even SIGKILL does not end (it hangs in the
// kernel) is left behind.
int end_helper(pid_t child, std::chrono::steady_clock::time_point end) {
  constexpr std::chrono::milliseconds kPoll{2};
  constexpr std::chrono::seconds kKilledWait{1};
  bool killed = false;
  while (true) {
    int status = 0;
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) return !killed && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (ended < 0 && errno != EINTR) return -1;
    if (std::chrono::steady_clock::now() >= end) {
      if (killed) return -1;
      kill(child, SIGKILL);
      killed = true;
      end = std::chrono::steady_clock::now() + kKilledWait;
    }
    std::this_thread::sleep_for(kPoll);
  }
}

// Runs fusermount3 with `channel` (or -1) as its _FUSE_COMMFD.
Result<HelperOutcome> run_helper(const std::vector<std::string>& words, int channel) {
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return Status::from_errno(errno, "pipe for fusermount3");
  UniqueFd read_end(pipe_ends[0]);
  UniqueFd write_end(pipe_ends[1]);
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (std::strncmp(*variable, "_FUSE_COMMFD=", 13) != 0) variables.emplace_back(*variable);
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDERR_FILENO);
  if (channel >= 0) {
    // dup2 onto itself clears close-on-exec in the child alone.
    posix_spawn_file_actions_adddup2(&actions, channel, channel);
    variables.push_back("_FUSE_COMMFD=" + std::to_string(channel));
  }
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::vector<char*> environment;
  for (const std::string& variable : variables) environment.push_back(const_cast<char*>(variable.c_str()));
  environment.push_back(nullptr);
  pid_t child = 0;
  const int error = posix_spawnp(&child, words[0].c_str(), &actions, nullptr, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) return Status(StatusCode::kNoEntry, "fusermount3 is missing: install the package fuse3, or mount as root");
  if (error != 0) return Status::from_errno(error, "start fusermount3");
  write_end.reset();
  HelperOutcome outcome;
  char text[512];
  pollfd readable{read_end.get(), POLLIN, 0};
  // A helper that hangs is not waited for for ever; closing its pipe does not end it, so it is ended.
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kHelperTimeoutMs);
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    const int ready = poll(&readable, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) break;
    const ssize_t bytes = read(read_end.get(), text, sizeof(text));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) break;
    if (outcome.messages.size() < 4096) outcome.messages.append(text, static_cast<size_t>(bytes));
  }
  outcome.exit_code = end_helper(child, end);
  while (!outcome.messages.empty() && outcome.messages.back() == '\n') outcome.messages.pop_back();
  return outcome;
}

int receive_descriptor(int channel) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t bytes = 0;
  do bytes = recvmsg(channel, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (bytes < 0 && errno == EINTR);
  if (bytes <= 0) return -1;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return -1;
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
  return fd;
}

Result<FuseMount> mount_by_helper(const std::string& path, const MountOptions& options) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return Status::from_errno(errno, "socket pair for fusermount3");
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  const std::string settings = "fsname=" + options.source + ",subtype=ibexfs,default_permissions,max_read=" + kMaxRead +
                               (options.allow_other ? ",allow_other" : "") + (options.read_only ? ",ro" : "");
  const auto outcome = run_helper({"fusermount3", "-o", settings, "--", path}, theirs.get());
  if (!outcome.ok()) return outcome.status();
  theirs.reset();
  const int device = outcome.value().exit_code == 0 ? receive_descriptor(ours.get()) : -1;
  if (device < 0) {
    const std::string& reason = outcome.value().messages;
    std::string text = "fusermount3 could not mount on " + path + ": " + (reason.empty() ? "no reason given" : reason);
    if (reason.find("/dev/fuse") != std::string::npos)
      text += "; users need read and write access to /dev/fuse, or mount as root";
    return Status(StatusCode::kNotPermitted, std::move(text));
  }
  return FuseMount{device, path, true, {}};
}

// Device numbers are given out again, so one alone does not tell our mount from its successor; the descriptor
// says whether the kernel has ended our session.
bool stands_at_its_path(const FuseMount& mount) {
  pollfd session{mount.fd, POLLIN, 0};
  if (poll(&session, 1, 0) > 0 && (session.revents & POLLERR) != 0) return false;
  const auto standing = find_mount(mount.mountpoint);
  return standing && standing->type == kFilesystemType && (mount.device.empty() || standing->device == mount.device);
}

}  // namespace

Result<FuseMount> mount_fuse(const std::string& mountpoint, const MountOptions& options) {
  if (options.source.find_first_of(",\\\n") != std::string::npos) {
    return Status(StatusCode::kInvalid,
                  "mount source '" + options.source + "' holds a character that mount options cannot carry");
  }
  auto path = check_mountpoint(mountpoint, options);
  if (!path.ok()) return path.status();
  auto mount = geteuid() == 0 ? mount_as_root(path.value(), options) : mount_by_helper(path.value(), options);
  if (!mount.ok()) return mount.status();
  FuseMount made = mount.take();
  if (const auto entry = find_mount(made.mountpoint)) made.device = entry->device;
  return made;
}

Status unmount_fuse(const FuseMount& mount, Unmount how) {
  const std::string what = "unmount " + mount.mountpoint;
  if (!stands_at_its_path(mount)) return {};
  if (geteuid() != 0) {
    std::vector<std::string> words{"fusermount3", "-u", "-q"};
    if (how == Unmount::kDetach) words.emplace_back("-z");
    words.insert(words.end(), {"--", mount.mountpoint});
    const auto outcome = run_helper(words, -1);
    if (!outcome.ok()) return outcome.status();
    if (outcome.value().exit_code == 0 || !find_mount(mount.mountpoint)) return {};
    return Status(StatusCode::kTryAgain, what + ": " + (outcome.value().messages.empty() ? "in use" : outcome.value().messages));
  }
  if (umount2(mount.mountpoint.c_str(), UMOUNT_NOFOLLOW) == 0) return {};
  int error = errno;
  if (error == EINVAL || error == ENOENT) return {};  // not mounted any more
  if (error == EBUSY && how == Unmount::kWhenIdle) {
    return Status(StatusCode::kTryAgain,
                  what + ": in use; close the files and leave the folders below it (fuser -vm " + mount.mountpoint + ")");
  }
  // MNT_FORCE ends the kernel's connection, so that nobody waits for answers which will not come.
  if (umount2(mount.mountpoint.c_str(), UMOUNT_NOFOLLOW | MNT_FORCE) == 0) return {};
  if (umount2(mount.mountpoint.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) == 0) return {};
  error = errno;
  return error == EINVAL ? Status() : Status::from_errno(error, what);
}

Status set_read_ahead(const FuseMount& mount, uint32_t kilobytes) {
  const auto entry = find_mount(mount.mountpoint);
  if (!entry) return Status(StatusCode::kNoEntry, "read-ahead of " + mount.mountpoint + ": not in /proc/self/mountinfo");
  const std::string path = "/sys/class/bdi/" + entry->device + "/read_ahead_kb";
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return Status::from_errno(errno, "open " + path);
  const std::string text = std::to_string(kilobytes);
  if (write(file.get(), text.data(), text.size()) < 0) return Status::from_errno(errno, "write " + path);
  return {};
}

}  // namespace ibexfs
