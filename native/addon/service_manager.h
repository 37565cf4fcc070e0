// What started this process and wants to know how it does.
#pragma once

#include <string>

namespace ibexfs {

// Sends `text` (READY=1, ...) to the service manager; false when there is none.
bool notify_service_manager(const std::string& text);

}  // namespace ibexfs
