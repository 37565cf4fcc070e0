// What src/rdma/native.ts calls NativeRdma: the RDMA library's state, its devices, and the classes.
#pragma once

#include <napi.h>

namespace ibexfs {

Napi::Object define_rdma(Napi::Env env);

}  // namespace ibexfs
