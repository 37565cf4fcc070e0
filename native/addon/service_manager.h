// What this machine offers to native code, and why not: asked at run time, never at build time.
#pragma once

#include <string>
#include <vector>

namespace ibexfs {

struct Feature {
  std::string name;
  bool available = false;
  std::string reason;  // what was found, or why it is missing and how to get it
};

std::vector<Feature> probe_features();

// Sends `text` (READY=1, ...) to the service manager; false when there is none.
bool notify_service_manager(const std::string& text);

}  // namespace ibexfs
