#include "fuse/mount_table.h"

#include <fcntl.h>
#include <unistd.h>

#include <vector>

#include "base/unique_fd.h"

namespace ibexfs {

namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

bool is_octal(char character) {
  return character >= '0' && character <= '7';
}

std::string unescape(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\' && at + 3 < text.size() && is_octal(text[at + 1]) && is_octal(text[at + 2]) && is_octal(text[at + 3])) {
      out.push_back(static_cast<char>((text[at + 1] - '0') * 64 + (text[at + 2] - '0') * 8 + (text[at + 3] - '0')));
      at += 3;
    } else {
      out.push_back(text[at]);
    }
  }
  return out;
}

}  // namespace

std::optional<MountEntry> find_mount_in(std::string_view mountinfo, std::string_view mountpoint) {
  std::optional<MountEntry> found;
  for (const std::string_view line : split(mountinfo, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() < 6 || unescape(words[4]) != mountpoint) continue;
    // Optional fields end with "-"; type and source follow.
    size_t dash = 6;
    while (dash < words.size() && words[dash] != "-") ++dash;
    if (dash + 2 >= words.size()) continue;
    found = MountEntry{std::string(words[2]), std::string(words[dash + 1]), unescape(words[dash + 2])};
  }
  return found;
}

std::optional<MountEntry> find_mount(const std::string& mountpoint) {
  const UniqueFd file(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  std::string text;
  char chunk[16384];
  for (ssize_t bytes = 0; (bytes = read(file.get(), chunk, sizeof(chunk))) > 0;) text.append(chunk, static_cast<size_t>(bytes));
  return find_mount_in(text, mountpoint);
}

}  // namespace ibexfs
