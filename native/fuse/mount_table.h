// Reads /proc/self/mountinfo, which unlike stat() does not ask the mounted file system anything.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ibexfs {

struct MountEntry {
  std::string device;  // "major:minor"
  std::string type;
  std::string source;
};

// The topmost mount on exactly this absolute path.
std::optional<MountEntry> find_mount(const std::string& mountpoint);

// The same in the text of a mountinfo file (proc(5)); spaces and backslashes in paths are octal escapes there.
std::optional<MountEntry> find_mount_in(std::string_view mountinfo, std::string_view mountpoint);

}  // namespace ibexfs
