#include "addon/rdma_queue_pair.h"

#include "addon/rdma_completion_queue.h"
#include "addon/rdma_protection_domain.h"

namespace ibexfs {

namespace {

constexpr uint64_t kDepthMax = 1U << 16;

// An option that cannot be used, by its name; empty when all can.
std::string read_settings(const Napi::Object& options, verbs::QueuePairSettings& settings) {
  if (!read_number(options, "sendDepth", kDepthMax, settings.send_depth) || settings.send_depth == 0) return "sendDepth";
  if (!read_number(options, "receiveDepth", kDepthMax, settings.receive_depth) || settings.receive_depth == 0)
    return "receiveDepth";
  if (!read_number(options, "inlineBytes", 4096, settings.inline_bytes)) return "inlineBytes";
  if (!read_number(options, "signalEvery", kDepthMax, settings.signal_every)) return "signalEvery";
  if (!read_number(options, "requestBytesMax", INT32_MAX, settings.request_bytes_max) || settings.request_bytes_max == 0)
    return "requestBytesMax";
  if (!read_number(options, "timeout", 31, settings.timeout)) return "timeout";
  if (!read_number(options, "retries", 7, settings.retries)) return "retries";
  if (!read_number(options, "receiverNotReadyRetries", 7, settings.receiver_not_ready_retries)) return "receiverNotReadyRetries";
  if (!read_number(options, "hopLimit", UINT8_MAX, settings.hop_limit)) return "hopLimit";
  if (!read_number(options, "trafficClass", UINT8_MAX, settings.traffic_class)) return "trafficClass";
  if (!read_number(options, "serviceLevel", 15, settings.service_level)) return "serviceLevel";
  settings.remote_read = flag(options, "remoteRead");
  settings.remote_write = flag(options, "remoteWrite");
  settings.remote_atomic = flag(options, "remoteAtomic");
  return {};
}

// What JavaScript says of the peer; the queue pair checks what it means.
std::optional<verbs::ConnectionDescriptor> read_descriptor(const Napi::Object& object) {
  verbs::ConnectionDescriptor descriptor;
  const auto gid = verbs::Gid::parse(object.Get("gid").ToString().Utf8Value());
  const std::string link_layer = object.Get("linkLayer").ToString().Utf8Value();
  if (!gid || (link_layer != "ethernet" && link_layer != "infiniband")) return std::nullopt;
  descriptor.gid = *gid;
  descriptor.link_layer = link_layer == "ethernet" ? verbs::LinkLayer::kEthernet : verbs::LinkLayer::kInfiniband;
  descriptor.route_header_required = flag(object, "routeHeaderRequired");
  const bool numbers = read_number(object, "queuePairNumber", UINT32_MAX, descriptor.queue_pair_number) &&
                       read_number(object, "packetSequenceNumber", UINT32_MAX, descriptor.packet_sequence_number) &&
                       read_number(object, "lid", UINT16_MAX, descriptor.lid) &&
                       read_number(object, "mtuBytes", UINT32_MAX, descriptor.mtu_bytes) &&
                       read_number(object, "responderDepth", UINT8_MAX, descriptor.responder_depth) &&
                       read_number(object, "initiatorDepth", UINT8_MAX, descriptor.initiator_depth);
  return numbers ? std::optional(descriptor) : std::nullopt;
}

Napi::Object descriptor_object(Napi::Env env, const verbs::ConnectionDescriptor& descriptor) {
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* name, double value) { object.Set(name, Napi::Number::New(env, value)); };
  set("queuePairNumber", descriptor.queue_pair_number);
  set("packetSequenceNumber", descriptor.packet_sequence_number);
  object.Set("linkLayer", descriptor.link_layer == verbs::LinkLayer::kEthernet ? "ethernet" : "infiniband");
  object.Set("gid", descriptor.gid.text());
  set("lid", descriptor.lid);
  object.Set("routeHeaderRequired", Napi::Boolean::New(env, descriptor.route_header_required));
  set("mtuBytes", descriptor.mtu_bytes);
  set("responderDepth", descriptor.responder_depth);
  set("initiatorDepth", descriptor.initiator_depth);
  return object;
}

}  // namespace

Napi::Function RdmaQueuePair::define(Napi::Env env) {
  using Self = RdmaQueuePair;
  return DefineClass(
      env, "NativeQueuePair",
      {InstanceMethod("connect", &Self::connect), InstanceMethod("state", &Self::state), InstanceMethod("terms", &Self::terms),
       InstanceMethod("fail", &Self::fail), InstanceMethod("failure", &Self::failure), InstanceMethod("errorOf", &Self::error_of),
       InstanceMethod("destroy", &Self::destroy)});
}

RdmaQueuePair::RdmaQueuePair(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RdmaQueuePair>(info) {
  info.This().As<Napi::Object>().TypeTag(&kTypeTag);
  set_up(info);
}

void RdmaQueuePair::set_up(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto* domain = unwrap<RdmaProtectionDomain>(info[0]);
  const auto* queue = unwrap<RdmaCompletionQueue>(info[1]);
  if (domain == nullptr || queue == nullptr || !info[2].IsObject())
    return throw_rdma_argument(env, "a queue pair needs a protection domain, a completion queue and options");
  if (domain->domain() == nullptr) return throw_rdma_closed(env, "protection domain");
  const std::shared_ptr<RdmaLoop> loop = queue->loop();
  if (loop == nullptr) return throw_rdma_closed(env, "completion queue");
  verbs::Device& device = domain->domain()->device();
  const auto options = info[2].As<Napi::Object>();
  auto settings = verbs::QueuePairSettings::for_device(device.info());
  const std::string wrong = read_settings(options, settings);
  if (!wrong.empty()) return throw_rdma_argument(env, "the option " + wrong + " of a queue pair is out of range");
  uint8_t port_number = 1;
  verbs::GidWish wish;
  uint32_t gid_index = UINT32_MAX;
  if (!read_number(options, "port", UINT8_MAX, port_number)) return throw_rdma_argument(env, "port must be the number of a port");
  if (!read_number(options, "gidIndex", UINT8_MAX, gid_index)) return throw_rdma_argument(env, "gidIndex must be from 0 to 255");
  if (gid_index != UINT32_MAX) wish.index = gid_index;
  if (options.Get("address").IsString()) wish.address = verbs::Gid::parse(options.Get("address").ToString().Utf8Value());
  const RdmaPlace at{.device = device.name(), .port = port_number};
  const auto port = verbs::usable_port(device, port_number, wish);
  if (!port.ok()) return throw_rdma(env, port.status(), at);
  const auto slot = loop->add(domain->domain(), port.value(), settings);
  if (!slot.ok()) return throw_rdma(env, slot.status(), at);
  loop_ = loop;
  slot_ = slot.value();
  port_ = port_number;
  describe(env, info.This().As<Napi::Object>());
  // The queues themselves, which the provider maps: 64 bytes a request at least.
  const verbs::QueuePairSettings& got = pair()->settings();
  accounted_bytes_ = int64_t{got.send_depth + got.receive_depth} * 256;
  Napi::MemoryManagement::AdjustExternalMemory(env, accounted_bytes_);
}

RdmaQueuePair::~RdmaQueuePair() {
  if (loop_ != nullptr && !loop_->closed()) loop_->remove(slot_);
  if (accounted_bytes_ != 0) Napi::MemoryManagement::AdjustExternalMemory(Env(), -accounted_bytes_);
}

void RdmaQueuePair::describe(Napi::Env env, Napi::Object object) const {
  const verbs::QueuePair& own = *pair();
  const auto set = [&](const char* name, double value) { object.Set(name, Napi::Number::New(env, value)); };
  set("slot", slot_);
  set("sendDepth", own.settings().send_depth);
  set("receiveDepth", own.settings().receive_depth);
  set("inlineBytesMax", own.inline_bytes_max());
  set("requestBytesMax", own.request_bytes_max());
  object.Set("descriptor", descriptor_object(env, own.descriptor()));
}

verbs::QueuePair* RdmaQueuePair::pair() const {
  return loop_ == nullptr || loop_->closed() ? nullptr : loop_->find(slot_);
}

RdmaPlace RdmaQueuePair::place(const verbs::QueuePair& pair) const {
  return {.device = loop_->device_name(), .port = port_, .queue_pair = pair.number(), .peer = peer_};
}

Napi::Value RdmaQueuePair::connect(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  verbs::QueuePair* own = pair();
  if (own == nullptr) return throw_rdma_closed(env, "queue pair"), env.Undefined();
  const auto peer = info[0].IsObject() ? read_descriptor(info[0].As<Napi::Object>()) : std::nullopt;
  if (!peer) {
    throw_rdma(env, Status(StatusCode::kBadRequest, "the peer's descriptor has a field that is missing or out of range"),
               place(*own));
    return env.Undefined();
  }
  peer_ = peer->text();
  if (const Status status = own->connect(*peer); !status.ok()) throw_rdma(env, status, place(*own));
  return env.Undefined();
}

Napi::Value RdmaQueuePair::state(const Napi::CallbackInfo& info) {
  const verbs::QueuePair* own = pair();
  return Napi::String::New(info.Env(), own == nullptr ? "closed" : std::string(verbs::describe(own->state())));
}

Napi::Value RdmaQueuePair::terms(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const verbs::QueuePair* own = pair();
  if (own == nullptr) return throw_rdma_closed(env, "queue pair"), env.Undefined();
  Napi::Object object = Napi::Object::New(env);
  object.Set("mtuBytes", Napi::Number::New(env, own->terms().mtu_bytes));
  object.Set("responderDepth", Napi::Number::New(env, own->terms().responder_depth));
  object.Set("initiatorDepth", Napi::Number::New(env, own->terms().initiator_depth));
  return object;
}

Napi::Value RdmaQueuePair::fail(const Napi::CallbackInfo& info) {
  if (verbs::QueuePair* own = pair(); own != nullptr) own->fail({StatusCode::kCanceled, info[0].ToString().Utf8Value()});
  return info.Env().Undefined();
}

// Why it is in the error state; undefined when it is not.
Napi::Value RdmaQueuePair::failure(const Napi::CallbackInfo& info) {
  const verbs::QueuePair* own = pair();
  if (own == nullptr || own->failure().ok()) return info.Env().Undefined();
  return rdma_error(info.Env(), own->failure(), place(*own)).Value();
}

// The error of a completion in full words: errorOf(operation, status, vendorError).
Napi::Value RdmaQueuePair::error_of(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const verbs::QueuePair* own = pair();
  const auto operation = whole_number(info[0]);
  const auto status = whole_number(info[1]);
  if (own == nullptr || !operation || *operation > static_cast<uint8_t>(verbs::Operation::kReceive) || !status || *status == 0 ||
      *status > static_cast<uint8_t>(verbs::CompletionStatus::kGeneral))
    return env.Undefined();
  verbs::Completion completion;
  completion.operation = static_cast<verbs::Operation>(*operation);
  completion.status = static_cast<verbs::CompletionStatus>(*status);
  completion.vendor_error = static_cast<uint32_t>(whole_number(info[2]).value_or(0));
  return rdma_error(env, own->status_of(completion), place(*own)).Value();
}

Napi::Value RdmaQueuePair::destroy(const Napi::CallbackInfo& info) {
  if (loop_ != nullptr && !loop_->closed()) loop_->remove(slot_);
  loop_.reset();
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), -accounted_bytes_);
  accounted_bytes_ = 0;
  return info.Env().Undefined();
}

}  // namespace ibexfs
