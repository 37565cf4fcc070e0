// Every native counter of a process by name, for one snapshot per scrape.
#pragma once

#include <functional>
#include <string>

#include "runtime/core.h"

namespace ibexfs {

// Names are Prometheus-like without the prefix: `chunk_read_bytes_total{target="3"}`.
void collect_metrics(Core& core, const std::function<void(const std::string& name, double value)>& put);

}  // namespace ibexfs
