// Locks that the kernel frees: a file that one process on this machine holds, whatever namespaces it lives in.
#pragma once

#include <string>

#include "base/status.h"

namespace ibexfs {

// Makes the file when it is missing and locks it. The descriptor holds the lock: until unlock_file, or until the
// process ends, however it ends. Held by somebody else: kTryAgain. The file stays where it is for ever, since
// removing it would let two processes hold two files of one name.
Result<int> lock_file(const std::string& path);

void unlock_file(int descriptor);

}  // namespace ibexfs
