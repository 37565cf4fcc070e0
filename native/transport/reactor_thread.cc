// A thread that drives one reactor.
#include <pthread.h>

#include <csignal>

#include "transport/reactor.h"

namespace ibexfs {

ReactorThread::ReactorThread(std::unique_ptr<Reactor> reactor, const std::string& name) : reactor_(std::move(reactor)) {
  // Signals are for the main thread: Node handles them there.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] {
    while (!stop_.load(std::memory_order_relaxed)) reactor_->run_once(-1);
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

ReactorThread::~ReactorThread() {
  reactor_->post([this] { stop_.store(true, std::memory_order_relaxed); });
  thread_.join();
}

}  // namespace ibexfs
