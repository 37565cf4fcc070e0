// Queue pairs of one reactor: a completion channel that the reactor watches, completion queues, and the connections
// that use them. Everything here belongs to the reactor's driving thread.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/event_sink.h"
#include "transport/reactor.h"
#include "transport/verbs_domain.h"
#include "verbs/queue_pair.h"

namespace ibexfs {

class VerbsConnection;

class VerbsLane : public std::enable_shared_from_this<VerbsLane> {
 public:
  static Result<std::shared_ptr<VerbsLane>> create(std::shared_ptr<VerbsDomain> domain, Reactor& reactor, EventSink& events);
  // Lets go of the reactor and of all connections. On the driving thread, or when the reactor is driven no more.
  void stop();
  // The device is lost: ends all connections with the reason, without waiting for anything of it. Takes no new ones.
  void give_up(const Status& reason);

  // Completions of the queue pair go to `owner` (VerbsConnection::complete), which is kept until it is removed.
  Result<std::shared_ptr<verbs::QueuePair>> add(const std::shared_ptr<VerbsConnection>& owner, const std::string& local_host,
                                                const verbs::QueuePairSettings& settings);
  void remove(const VerbsConnection& owner);
  // VerbsConnection::settle is called at the end of the reactor's round.
  void touch(const std::shared_ptr<VerbsConnection>& owner);
  // Delivers what has completed by now.
  void harvest();

  // The device told of something: fails the connections that it concerns.
  void device_event(const verbs::DeviceEvent& event);

  VerbsDomain& domain() const { return *domain_; }
  Reactor& reactor() const { return reactor_; }
  EventSink& events() const { return events_; }

 private:
  VerbsLane(std::shared_ptr<VerbsDomain> domain, Reactor& reactor, EventSink& events)
      : domain_(std::move(domain)), reactor_(reactor), events_(events) {}
  Result<std::shared_ptr<verbs::CompletionQueue>> queue_for(uint32_t entries);
  void on_ready();
  void continue_later();
  void settle_touched();
  void lose(const verbs::CompletionQueue* queue, const Status& status);

  struct Served {
    std::shared_ptr<VerbsConnection> connection;
    const verbs::CompletionQueue* queue = nullptr;
  };

  const std::shared_ptr<VerbsDomain> domain_;
  Reactor& reactor_;
  EventSink& events_;
  std::shared_ptr<verbs::CompletionChannel> channel_;
  std::vector<std::shared_ptr<verbs::CompletionQueue>> queues_;
  std::unordered_map<uint64_t, Served> connections_;  // by connection id
  std::vector<std::shared_ptr<VerbsConnection>> touched_;
  std::vector<verbs::Completion> completions_;
  bool settle_scheduled_ = false;
  bool continue_scheduled_ = false;
  bool given_up_ = false;
  bool stopped_ = false;
};

}  // namespace ibexfs
