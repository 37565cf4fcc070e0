// The disk engine that speaks io_uring: one ring per reactor for reads, writes and syncs of open files; what
// blocks otherwise goes to the disk threads.
#pragma once

#include <memory>

#include "chunks/disk_engine.h"

namespace ibexfs {

Result<std::unique_ptr<DiskEngine>> create_io_uring_engine(Reactor& reactor, DiskThreads& threads);

}  // namespace ibexfs
