// The command buffer: records that JavaScript appended, executed on its thread in one call per turn.
// JavaScript is not trusted to keep invariants: every length and number is checked.
#include <cstring>

#include "runtime/core.h"

namespace ibexfs {

namespace {

template <typename Command>
Command read(const uint8_t* record) {
  Command command;
  std::memcpy(&command, record, sizeof(command));
  return command;
}

struct CommandShape {
  size_t bytes;         // of the fixed part
  size_t length_field;  // offset of the u32 that counts the bytes behind it; 0: none
};

CommandShape shape_of(wire::CommandKind kind) {
  switch (kind) {
    case wire::CommandKind::kSendFrame:
      return {sizeof(wire::SendFrameCommand), offsetof(wire::SendFrameCommand, body_length)};
    case wire::CommandKind::kCloseConnection:
      return {sizeof(wire::CloseConnectionCommand), offsetof(wire::CloseConnectionCommand, text_length)};
    case wire::CommandKind::kFuseReply:
      return {sizeof(wire::FuseReplyCommand), offsetof(wire::FuseReplyCommand, data_length)};
    case wire::CommandKind::kFuseFacts:
      return {sizeof(wire::FuseFactsCommand), offsetof(wire::FuseFactsCommand, name_length)};
    case wire::CommandKind::kFileIo:
      return {sizeof(wire::FileIoCommand), 0};
    case wire::CommandKind::kChunkOperation:
      return {sizeof(wire::ChunkOperationCommand), 0};
  }
  return {0, 0};
}

}  // namespace

void Core::execute(size_t bytes) {
  const uint8_t* commands = commands_.get();
  size_t at = 0;
  bytes = std::min(bytes, options_.command_bytes);
  while (at + sizeof(wire::RingRecord) <= bytes) {
    const uint8_t* record = commands + at;
    const auto start = read<wire::RingRecord>(record);
    const auto kind = static_cast<wire::CommandKind>(start.kind);
    const CommandShape shape = shape_of(kind);
    uint32_t tail_bytes = 0;
    if (shape.length_field != 0 && shape.bytes <= start.length)
      std::memcpy(&tail_bytes, record + shape.length_field, sizeof(tail_bytes));
    if (shape.bytes == 0 || start.length > bytes - at || shape.bytes + uint64_t{tail_bytes} > start.length) {
      log_event(*ring_, wire::LogLevel::kError, "malformed record in the command buffer: the rest of the batch is dropped");
      break;
    }
    const Bytes tail{record + shape.bytes, tail_bytes};
    switch (kind) {
      case wire::CommandKind::kSendFrame:
        send_frame(record, tail);
        break;
      case wire::CommandKind::kCloseConnection:
        close_connection(record, tail);
        break;
      case wire::CommandKind::kFuseReply:
        fuse_reply(record, tail);
        break;
      case wire::CommandKind::kFuseFacts:
        fuse_facts(record, tail);
        break;
      case wire::CommandKind::kFileIo:
        file_io(record);
        break;
      case wire::CommandKind::kChunkOperation:
        chunk_operation(record);
        break;
    }
    at += start.length;
  }
  for (const auto& connection : touched_) connection->flush();
  touched_.clear();
}

void Core::touch(const std::shared_ptr<Connection>& connection) {
  if (touched_.empty() || touched_.back() != connection) {
    if (std::find(touched_.begin(), touched_.end(), connection) == touched_.end()) touched_.push_back(connection);
  }
}

void Core::send_frame(const uint8_t* record, Bytes tail) {
  const auto command = read<wire::SendFrameCommand>(record);
  const std::shared_ptr<Connection> connection = connections_.find(command.connection);
  if (!connection) return;  // closed meanwhile: the closing is on its way to JavaScript
  OutgoingFrame frame;
  frame.header.type = command.type;
  frame.header.version = command.version;  // 0: the newest
  frame.header.operation = command.operation;
  frame.header.request_id = command.request_id;
  frame.header.map_version = command.map_version;
  frame.header.status = command.status;
  frame.header.channel = command.channel;
  frame.header.sequence = command.sequence;
  frame.header.flags = command.flags;
  frame.body = FrameBody::copy_of(tail);
  connection->send(std::move(frame), Flush::kHeld);
  touch(connection);
}

void Core::close_connection(const uint8_t* record, Bytes tail) {
  const auto command = read<wire::CloseConnectionCommand>(record);
  if (const auto connection = connections_.find(command.connection)) {
    connection->close(Status(StatusCode::kConnectionReset, std::string(reinterpret_cast<const char*>(tail.data()), tail.size())));
  }
}

void Core::fuse_reply(const uint8_t* record, Bytes tail) {
  const auto command = read<wire::FuseReplyCommand>(record);
  if (FuseSession* session = fuse_session(command.session)) session->reply(command, tail);
}

void Core::fuse_facts(const uint8_t* record, Bytes tail) {
  const auto command = read<wire::FuseFactsCommand>(record);
  if (FuseSession* session = fuse_session(command.session))
    session->tell(command, {reinterpret_cast<const char*>(tail.data()), tail.size()});
}

void Core::file_io(const uint8_t* record) {
  const auto command = read<wire::FileIoCommand>(record);
  FileDone done = [ring = ring_, tag = command.tag](const FileOutcome& outcome) {
    wire::IoEvent event;
    event.tag = tag;
    event.status = static_cast<uint32_t>(outcome.status);
    event.bytes = outcome.bytes;
    event.target = outcome.target;
    ring->push_surely(wire::EventKind::kIoDone, event);
  };
  const auto operation = static_cast<wire::FileIoOperation>(command.operation);
  if (operation == wire::FileIoOperation::kFlush) return files_->flush(command.file, std::move(done));
  if (operation == wire::FileIoOperation::kSync) return files_->sync(command.file, std::move(done));
  const auto memory = memories_.find(command.slot);
  const bool inside = memory != memories_.end() && command.slot_offset <= memory->second.bytes &&
                      command.length <= memory->second.bytes - command.slot_offset;
  if (!inside) return done({StatusCode::kInvalid, 0, 0});
  uint8_t* data = memory->second.data + command.slot_offset;
  if (operation == wire::FileIoOperation::kRead) {
    files_->read(file_of(command.file), command.offset, {data, command.length}, memory->second.owner, std::move(done));
  } else if (operation == wire::FileIoOperation::kWrite) {
    files_->write(file_of(command.file), command.offset, {data, command.length}, memory->second.owner, std::move(done));
  } else {
    done({StatusCode::kInvalid, 0, 0});
  }
}

void Core::chunk_operation(const uint8_t* record) {
  const auto command = read<wire::ChunkOperationCommand>(record);
  const ChunkAddress chunk{command.target, command.column, Fid::from_packed(command.fid)};
  chunk_client_->operate(static_cast<wire::ChunkOperation>(command.operation), chunk, command.offset, command.deadline_ms,
                         [ring = ring_, tag = command.tag](const ChunkOutcome& outcome) {
                           wire::ChunkEvent event;
                           event.tag = tag;
                           event.status = static_cast<uint32_t>(outcome.status);
                           event.chunk_size = outcome.chunk_size;
                           event.chunk_blocks = outcome.chunk_blocks;
                           event.target = outcome.target;
                           ring->push_surely(wire::EventKind::kChunkDone, event);
                         });
}

}  // namespace ibexfs
